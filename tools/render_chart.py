"""Renders deploy/chart to deploy/kubernetes/, for those who have kubectl alone, held against Kubernetes' own schemas.

    make manifests

Helm itself and the schemas come from PyPI, into a folder of their own: .venv/chart.
"""

import sys
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml

CHART = Path(__file__).parents[1] / "deploy/chart"
MANIFESTS = CHART.parent / "kubernetes"
WAYS = ("pods", "alone")
VERSIONS = ("1.31", "1.37")  # the oldest that the chart takes, and the newest there are schemas of
GPU_JOB = {"@GPUS@": "1", "@CPUS@": "1", "@MEM_MB@": "24000", "@JOBSCRIPT@": "/work/.snakemake/job.sh"}


def main() -> None:
    if faults := [message for message in helm_python.lint(CHART, strict=True)["messages"] if message["severity"] > 1]:
        sys.exit("\n".join(f"{fault['path']}: {fault['error']}" for fault in faults))
    for way in WAYS:
        text = rendered(way)
        for version in VERSIONS:
            validate(text, version)
        (MANIFESTS / f"{way}.yaml").write_text(text)
        print(f"{MANIFESTS / way}.yaml: valid in Kubernetes {' and '.join(VERSIONS)}")


def rendered(way: str) -> str:
    """All objects of a release named `darkroom`, in the order in which they have to be there."""
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render({"how": way}, name="darkroom", namespace="default")
    order = [files[f"darkroom/templates/{name}.yaml"].strip() for name in ("claims", "access", "job", "driver")]
    parts = [part.removeprefix("---\n") for part in order if part]
    head = f"# Rendered from deploy/chart by `make manifests`: helm template darkroom deploy/chart --set how={way}\n"
    lines = "\n---\n".join(parts).splitlines()
    return head + "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def validate(text: str, version: str) -> None:
    """Ends the program with what is wrong, such as a key that this version does not know."""
    for manifest in yaml.safe_load_all(text):
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            place = ".".join(map(str, error.path))
            sys.exit(f"{manifest['kind']} {place}: not valid in Kubernetes {version}: {error.message}")
        if manifest["kind"] == "ConfigMap":
            job = manifest["data"]["job.yaml"]
            for name, value in GPU_JOB.items():
                job = job.replace(name, value)
            validate(job, version)


main()
