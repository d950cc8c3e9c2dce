"""config.yaml in layers: the folder's over the machine's over Darkroom's own."""

import os
from pathlib import Path

import pytest
from tests.places import REPOSITORY
from tests.plan.weights.model_files import put

from darkroom.errors import ConfigError
from darkroom.plan.weights.checkpoint_files import local_files

MACHINE = "machine/darkroom/config.yaml"
MODEL_BY_NAMES = """\
family: flux2
checkpoint: {repo: someone/klein, transformer: klein.safetensors, vae: flux2-vae.safetensors}
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "machine"))


def test_one_line_goes_over_the_built_in_config(project):
    project.write("conf/config.yaml", "output: {format: webp}\n")
    assert project.load().output.format == "webp"


def test_the_machine_s_file_goes_over_the_built_in_one_and_under_the_folder_s(project):
    project.write(MACHINE, "output: {format: webp, quality: 80}\n")
    assert (project.load().output.format, project.load().output.quality) == ("webp", 80)
    project.write("conf/config.yaml", "output: {format: jpeg}\n")
    assert (project.load().output.format, project.load().output.quality) == ("jpeg", 80)


def test_the_experiment_goes_over_all_of_them(project):
    project.write(MACHINE, "output: {format: webp}\n")
    project.write("conf/config.yaml", "output: {format: webp}\n")
    project.write("conf/experiment/e.yaml", Path("conf/experiment/e.yaml").read_text() + "output: {format: jpeg}\n")
    assert project.load().output.format == "jpeg"


def test_a_config_with_choices_of_its_own_takes_the_place_of_the_built_in_choices(project):
    full = (REPOSITORY / "conf/config.yaml").read_text().replace("output: default", "output: mine")
    project.write("conf/config.yaml", full + "model: {dtype: float32}\n")
    project.write("conf/output/mine.yaml", "format: jpeg\n")
    project.write(MACHINE, "output: {quality: 80}\n")
    loaded = project.load()
    assert (loaded.output.format, loaded.output.quality, loaded.models["m"].dtype) == ("jpeg", 80, "float32")


@pytest.mark.parametrize("home", [None, "relative/is/not/allowed"])
def test_without_xdg_config_home_the_machine_s_file_lies_below_the_home(project, monkeypatch, tmp_path, home):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if home is None:
        monkeypatch.delenv("XDG_CONFIG_HOME")
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", home)
    project.write("home/.config/darkroom/config.yaml", "output: {format: webp}\n")
    assert project.load().output.format == "webp"


@pytest.mark.parametrize("file", ["conf/config.yaml", MACHINE])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle: {dtype: float32}\n", "modle: unknown key; did you mean 'model'?"),
        ("model: {dtipe: float32}\n", "model.dtipe: unknown key; did you mean 'dtype'?"),
        ("model: {dtype: 5}\n", "model.dtype: expected text, got 5"),
        ("model: float32\n", "model: expected keys and values, got 'float32'"),
        ("model: {dtype: float32\n", "line 2, column 1: expected ',' or '}'"),
        ("- model\n", "expected keys and values, got a list"),
        ("defaults: {model: demo}\n", "defaults: expected a list, got {'model': 'demo'}"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_that_says_it(project, file, text, said):
    project.write(file, text)
    assert project.error().startswith(f"{file}: {said}")


def test_the_page_s_line_for_comfyui_s_models_works_as_printed(project, tmp_path, monkeypatch):
    line = "model: {checkpoint: {comfyui_models: ~/ComfyUI/models}}"
    assert f"`{line}`" in (REPOSITORY / "docs/conf.md").read_text()
    monkeypatch.setenv("HOME", str(tmp_path))
    transformer, vae = "ComfyUI/models/diffusion_models/klein.safetensors", "ComfyUI/models/vae/flux2-vae.safetensors"
    put(tmp_path, transformer, vae)
    project.write("conf/model/m.yaml", MODEL_BY_NAMES)
    project.write("conf/config.yaml", f"{line}\n")
    checkpoint = project.load().models["m"].checkpoint
    assert local_files(checkpoint, "flux2", needs_text=False) == [tmp_path / transformer, tmp_path / vae]


def test_the_machine_s_hf_home_is_the_environment_s_where_that_names_none(project, monkeypatch):
    monkeypatch.delenv("HF_HOME", raising=False)
    project.write(MACHINE, "machine: {hf_home: /big/hf}\n")
    project.load()
    assert os.environ["HF_HOME"] == "/big/hf"
    monkeypatch.setenv("HF_HOME", "/mine")
    project.load()
    assert os.environ["HF_HOME"] == "/mine"


@pytest.mark.parametrize("file", ["conf/config.yaml", MACHINE, "conf/model/m.yaml", "conf/experiment/e.yaml"])
@pytest.mark.parametrize(("make", "kind"), [(os.mkdir, "folder"), (os.mkfifo, "FIFO")])
def test_what_has_the_name_of_a_conf_file_and_is_none_is_not_passed_over(project, file, make, kind):
    Path(file).unlink(missing_ok=True)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    make(file)
    with pytest.raises(ConfigError, match=f"{Path(file).name}: expected a file, got a {kind}"):
        project.load()
