# make demo · make test · make check · make lint · make fix · make bench · make fuzz · make faults · make test-cluster · make manifests. Everything goes into .venv, at the versions of constraints.txt.
#   TORCH=cpu    take torch's CPU build: where there is no NVIDIA GPU, this saves gigabytes
#   PYTHON=…     the Python to make .venv with; otherwise the newest of 3.11 to 3.13 that is found
#   VENV=…       another folder than .venv
#   ROUNDS=… SEED=…   of make fuzz: inputs of each format; of make faults: runs that are disturbed. The same seed makes the same ones
#                     (by default today's date)
#   CLUSTERS=…   how many make test-cluster has side by side: its tests mostly wait

# Without bytecode each process of the tests would compile Darkroom anew: that is hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
TORCH ?= default
CORES ?= 1
TEST_PROCESSES ?= 2
CLUSTERS ?= 3
SEED ?= $(shell date +%F)

TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
BIN := $(VENV)/bin
PIP := $(BIN)/python -P -m pip --disable-pip-version-check
FETCHES_default := about 3 GB, torch with CUDA among it (6 GB in $(VENV)); TORCH=cpu takes 0.5 GB, for machines without an NVIDIA GPU
FETCHES_cpu := about 0.5 GB (1.7 GB in $(VENV))
LINTERS := mypy snakemake snakefmt ruff
PYTEST := $(BIN)/python -P -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# A Python that will do: 3.11 to 3.13, with what makes a venv. `usable` is the first such command of a list.
SUITS := -c 'import ensurepip, ssl, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
usable = $(firstword $(foreach python,$(1),$(shell $(python) $(SUITS) && echo $(python))))
PYTHON ?= $(call usable,python3.13 python3.12 python3.11 python3)
NO_PYTHON = Darkroom needs Python 3.11, 3.12 or 3.13 with its venv module, and $(or $(PYTHON),what is on the path) is not that: \
	install it (Debian and Ubuntu: apt install python3-venv), or name yours with PYTHON=/path/to/python3

.PHONY: demo test test-cluster check lint $(LINTERS) bench fuzz faults manifests fix clean test-pythons test-3.11 test-3.12 test-3.13

demo: $(VENV)/installed
	$(BIN)/snakemake --cores $(CORES) --config experiment=demo
	$(BIN)/snakemake regress --cores $(CORES) --config experiment=demo_training

test: $(VENV)/installed
	$(PYTEST)

check: lint
	$(PYTEST) -m "not slow"

lint: $(VENV)/installed
	@$(MAKE) --no-print-directory --jobs $(TEST_PROCESSES) --keep-going $(LINTERS)

ruff: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: $(VENV)/installed
	$(BIN)/mypy

snakefmt: $(VENV)/installed
	$(BIN)/snakefmt --check Snakefile rules

snakemake: $(VENV)/installed
	$(BIN)/snakemake --lint

# The tests under each Python that is found, on the path or among pyenv's, each in a venv of its own.
test-pythons: test-3.11 test-3.12 test-3.13

test-3.11 test-3.12 test-3.13: test-3.%:
	@python="$(call usable,python3.$* $(wildcard $(HOME)/.pyenv/versions/3.$*.*/bin/python))"; \
	if [ -n "$$python" ]; then $(MAKE) test PYTHON="$$python" VENV=.venv-3.$*; else echo "Python 3.$* was not found"; fi

bench: $(VENV)/installed $(VENV)/peft
	$(BIN)/python benchmarks/measure.py overhead
	$(BIN)/python benchmarks/measure.py plan
	$(BIN)/python benchmarks/measure.py device
	$(BIN)/python benchmarks/measure.py device --side 512

# Strangers' files and messages by the thousand; what is no result and no sentence is a fault, and kept in fuzz_faults/.
fuzz: $(VENV)/installed
	$(BIN)/python tools/fuzz.py --rounds $(or $(ROUNDS),300) --seed "$(SEED)" --messages $(or $(ROUNDS),300)

# Real runs are killed, starved and lied to, half a minute each; the next ones must end as if nothing had been.
faults: $(VENV)/installed
	$(BIN)/python tools/faults.py --rounds $(or $(ROUNDS),40) --seed "$(SEED)"

# Runs on a Slurm of three nodes that it brings up on this machine, as root, and takes down again; else it says why not. And on
# pods that are processes of this machine. (A root by `su` has no /usr/sbin in its path, where daemons are.)
test-cluster: $(VENV)/cluster
	PATH="$$PATH:/usr/sbin" PYTHONPATH=$(abspath $(VENV)/cluster) $(BIN)/python -P -m pytest -rs -n $(CLUSTERS) --maxschedchunk 1 tests/cluster

# Beside the environment, not in it: with pandas, which comes along, every start of Snakemake takes longer.
CLUSTER := snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep snakemake-executor-plugin-cluster-generic \
	pandas python-dateutil tzdata
$(VENV)/cluster: $(VENV)/installed
	$(PIP) install --upgrade --no-deps --constraint constraints.txt --target $@ $(CLUSTER)

# deploy/kubernetes/ from deploy/chart: rendered by Helm itself, held against Kubernetes' schemas.
manifests: $(VENV)/chart/installed
	$(VENV)/chart/bin/python tools/render_chart.py

$(VENV)/chart/installed: $(VENV)/installed
	$(BIN)/python -P -m venv $(@D)
	$(@D)/bin/python -P -m pip --disable-pip-version-check install --quiet helm-python-sdk==0.2.2 kubernetes-validate==1.37.0
	touch $@

$(VENV)/peft: $(VENV)/installed
	$(PIP) install --no-deps --target $@ peft==0.21.2

fix: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(call usable,$(PYTHON))" || { echo "$(NO_PYTHON)" >&2; false; }
	@echo "pip fetches what it does not have yet: $(FETCHES_$(TORCH))"
	@# One that works is kept, whichever Python made it: two of them in one folder are neither.
	test -n "$(call usable,$(BIN)/python)" || $(PYTHON) -P -m venv --clear $(VENV)
	$(PIP) install --no-deps --constraint constraints.txt $(TORCH_INDEX_$(TORCH)) torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-3.* .snakemake results
