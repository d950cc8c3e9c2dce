"""deploy/Dockerfile: what it is built from, who runs in it, and which files of a checkout it gets."""

import os
import re
import tomllib

from tests.places import REPOSITORY

DOCKERFILE = (REPOSITORY / "deploy/Dockerfile").read_text(encoding="utf-8")
ALLOWED = {
    line.removeprefix("!")
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line.startswith("!")
}


def test_the_base_is_one_exact_version_and_the_user_is_not_root() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    (base,) = re.findall(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.1[123]\.\d+-slim-\w+", base)
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["1000:1000"]
    assert 'VOLUME ["/work", "/weights"]' in DOCKERFILE
    assert 'ENTRYPOINT ["tini", "--", "darkroom"]' in DOCKERFILE


def test_it_gets_what_a_wheel_is_made_of_and_what_starts_pods() -> None:
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    packed = {path.split("/")[0] for path in wheel["targets"]["wheel"]["only-include"]}
    assert packed | {"Snakefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "deploy/pods"} == ALLOWED
    assert all((REPOSITORY / path).exists() for path in ALLOWED)


def test_the_profile_calls_programs_that_are_in_it() -> None:
    profile = (REPOSITORY / "profiles/kubernetes/config.yaml").read_text(encoding="utf-8")
    called = re.findall(r"^cluster-generic-\w+-cmd: (\S+)", profile, re.MULTILINE)
    assert called == ["submit-pod", "pod-status", "cancel-pods"]
    assert "COPY deploy/pods/ /usr/local/bin/" in DOCKERFILE
    assert all(os.access(REPOSITORY / "deploy/pods" / name, os.X_OK) for name in called)
