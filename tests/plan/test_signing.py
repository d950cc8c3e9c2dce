"""Signing is tried before anything is rendered; who signs, this machine's file or the environment says."""

import os

import pytest
from tests.examples.identity import write_identity
from tests.examples.small_project import EXPERIMENT

from darkroom.errors import ConfigError

MACHINE = "machine/darkroom/config.yaml"
SIGNED = "output: {provenance: c2pa}\n"


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "machine"))
    for name in ("DARKROOM_C2PA_CERTIFICATE", "DARKROOM_C2PA_KEY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)


def name_in_machine_file(project, files):
    project.write(MACHINE, f"machine: {{c2pa_certificate: {files.certificate}, c2pa_key: {files.key}}}\n")


def test_nobody_signs_where_nobody_asks(project):
    project.write(MACHINE, "machine: {c2pa_certificate: /gone.pem, c2pa_key: /gone.pem}\n")
    assert project.load().output.provenance == "none"


def test_the_machine_s_file_says_who_signs_and_the_environment_goes_over_it(project, tmp_path, monkeypatch):
    project.write("conf/config.yaml", SIGNED)
    name_in_machine_file(project, files := write_identity(tmp_path / "anna"))
    assert project.load().output.provenance == "c2pa"
    assert os.environ["DARKROOM_C2PA_KEY"] == str(files.key), "for the jobs of the run"
    monkeypatch.setenv("DARKROOM_C2PA_KEY", "/gone.pem")
    with pytest.raises(ConfigError, match=r"^conf/config.yaml: output.provenance: /gone.pem: cannot be read"):
        project.load()


def test_a_certificate_that_ran_out_is_found_before_a_run(project, tmp_path):
    project.write("conf/config.yaml", SIGNED)
    name_in_machine_file(project, write_identity(tmp_path / "anna", days=(-9, -2)))
    with pytest.raises(
        ConfigError, match=r"^conf/config.yaml: output.provenance: .*chain.pem: is valid from .* new one$"
    ):
        project.load()


def test_no_conf_names_a_key(project, tmp_path):
    machine = tmp_path / MACHINE
    cure = f"is a person's, and conf/ is handed on: say it in {machine}, or set DARKROOM_C2PA_KEY"
    project.write("conf/config.yaml", "machine: {c2pa_key: anna.key}\n")
    assert project.error() == f"conf/config.yaml: machine.c2pa_key: {cure}"
    assert project.error("machine.c2pa_key=anna.key").count(cure) == 2
    project.write("conf/config.yaml", "output: {format: png}\n")
    project.write("conf/experiment/e.yaml", EXPERIMENT + "machine: {c2pa_key: anna.key}\n")
    assert project.error() == f"conf/experiment/e.yaml: machine.c2pa_key: {cure}"
