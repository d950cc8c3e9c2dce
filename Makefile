# make demo · make test · make lint · make fix · make bench. Everything is installed into .venv, at the versions of constraints.txt.
#   TORCH=cpu   take torch's CPU build: where there is no NVIDIA GPU, this saves gigabytes

PYTHON ?= python3.11
TORCH ?= default
CORES ?= 1
TEST_PROCESSES ?= 2

TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
PIP := .venv/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint bench fix clean

demo: .venv/installed
	.venv/bin/snakemake --cores $(CORES) --config experiment=demo

test: .venv/installed
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/snakemake --lint

bench: .venv/installed .venv/peft
	.venv/bin/python benchmarks/measure.py overhead
	.venv/bin/python benchmarks/measure.py plan

.venv/peft: .venv/installed
	$(PIP) install --no-deps --target $@ peft==0.21.2

fix: .venv/installed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/snakefmt Snakefile rules

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --no-deps --constraint constraints.txt $(TORCH_INDEX_$(TORCH)) torch
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .snakemake results
