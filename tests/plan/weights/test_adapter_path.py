"""What people write as the path of a LoRA, and the file that it means."""

import re
import shutil
from pathlib import Path

import pytest
from tests.examples.small_project import Project

from darkroom.errors import AdapterError, CheckpointError, DarkroomError
from darkroom.plan.weights.adapter_path import file_of

COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def meant(project: Project, path: str) -> str:
    """The file of every request, once conf/lora names this path."""
    project.write("conf/lora/l.yaml", f'loras: [{{path: "{path}"}}]\n')
    files = {
        lora.path for c in project.load().combinations for request in c.requests for lora in request.adapters.loras
    }
    (file,) = files
    return file


def put(file: Path, ref: str | None = None) -> Path:
    """A LoRA as in the hub's cache, at the commit that `ref` names there."""
    file.parent.mkdir(parents=True)
    shutil.copy("sks.safetensors", file)
    if ref:
        refs = file.parents[2] / "refs"
        refs.mkdir()
        (refs / ref).write_text(COMMIT)
    return file


def test_a_file_is_itself(project: Project) -> None:
    shutil.copy("sks.safetensors", "sks.sft")
    assert meant(project, "sks.safetensors") == "sks.safetensors"
    assert meant(project, "./sks.safetensors") == "./sks.safetensors"
    assert meant(project, "sks.sft") == "sks.sft"


def test_a_folder_with_one_file_is_that_file(project: Project) -> None:
    Path("saved").mkdir()
    Path("saved/README.md").touch()
    shutil.copy("sks.safetensors", "saved/pytorch_lora_weights.safetensors")
    assert meant(project, "saved") == "saved/pytorch_lora_weights.safetensors"
    assert meant(project, "saved/") == "saved/pytorch_lora_weights.safetensors"


def test_the_strength_of_the_one_file_is_an_axis_by_its_own_name(project: Project) -> None:
    Path("me@home").mkdir()
    shutil.copy("sks.safetensors", "me@home/star.safetensors")
    project.write("conf/lora/l.yaml", "loras: [{path: me@home}]\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: m, lora: l, prompts: p, network_multiplier.star: 0.5}\n")
    requests = [request for combination in project.load().combinations for request in combination.requests]
    assert [(lora.path, lora.network_multiplier) for lora in requests[0].adapters.loras] == [
        ("me@home/star.safetensors", 0.5)
    ]


def test_below_the_home_folder(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy("sks.safetensors", tmp_path / "mine.safetensors")
    assert meant(project, "~/mine.safetensors") == str(tmp_path / "mine.safetensors")


def test_a_file_of_the_hub_that_is_in_its_cache(project: Project, cache: Path) -> None:
    file = put(cache / f"models--acme--klein-style/snapshots/{COMMIT}/style.safetensors", ref="main")
    assert meant(project, "acme/klein-style/style.safetensors") == str(file)
    assert meant(project, f"acme/klein-style/style.safetensors@{COMMIT}") == str(file)


def test_a_run_fetches_what_the_cache_lacks(project: Project, cache: Path) -> None:
    asked = []

    def fetch(repo: str, revision: str | None, file: str) -> Path:
        asked.append((repo, revision, file))
        return put(cache / f"models--acme--klein-style/snapshots/{COMMIT}/style.safetensors", ref="main")

    found = file_of("acme/klein-style/style.safetensors@v2", fetch)
    assert found == str(cache / f"models--acme--klein-style/snapshots/{COMMIT}/style.safetensors")
    assert file_of("acme/klein-style/style.safetensors", fetch) == found
    assert asked == [("acme/klein-style", "v2", "style.safetensors")]


def test_what_the_hub_does_not_have_or_give_is_said(project: Project, cache: Path) -> None:
    def refuse(repo: str, revision: str | None, file: str) -> Path:
        raise CheckpointError(f"{repo} is gated")

    with pytest.raises(AdapterError, match=r"acme/style/a\.safetensors: acme/style is gated"):
        file_of("acme/style/a.safetensors", refuse)
    with pytest.raises(AdapterError, match=r"acme/style has no file a\.safetensors; it has these: https://hugg"):
        file_of("acme/style/a.safetensors", lambda repo, revision, file: cache / "nothing" / file)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone.safetensors", "gone.safetensors: no such file"),
        ("conf/gone/gone.safetensors", "conf/gone/gone.safetensors: no such file"),
        ("SKS", "SKS: no such file; did you mean 'sks.safetensors'?"),
        ("sks.safetensors ", "sks.safetensors : no such file; did you mean 'sks.safetensors'?"),
        (
            r"D:\\loras\\a b.sft",
            r"D:\loras\a b.sft: no such file; it is a path of Windows; in WSL2 it is /mnt/d/loras/a b.sft",
        ),
        (r"star\\a.sft", r"star\a.sft: no such file; folders are separated by /: star/a.sft"),
        (
            "$HOME/a.sft",
            "$HOME/a.sft: no such file; a variable of the environment is written ${oc.env:HOME}",
        ),
        (
            "file:///loras/my%20lora.sft",
            "file:///loras/my%20lora.sft: is an address, and files are read here; write /loras/my lora.sft",
        ),
        (
            "acme/klein-style/style.safetensors@v2",
            "acme/klein-style/style.safetensors@v2: no such file here, nor in the hub's cache; a run downloads it "
            "from the hub; to check it before that: hf download acme/klein-style style.safetensors --revision v2",
        ),
        (
            "acme/klein-style/style.sft",
            "acme/klein-style/style.sft: no such file here (there is no folder acme), nor in the hub's cache; if it is "
            "organisation/name/file of the hub, a run downloads it; to check it before that: hf download "
            "acme/klein-style style.sft",
        ),
        (
            "acme/klein-style",
            "acme/klein-style: no such file or folder; of a repository of the hub, name the file as well: "
            "https://huggingface.co/acme/klein-style/tree/main",
        ),
        (
            "https://models.example/api/download/models/123",
            "https://models.example/api/download/models/123: is an address, and files are read here; download the file "
            "and write its path",
        ),
        (
            "https://huggingface.co/acme/klein-style/resolve/v2/a/style.safetensors?download=true",
            "https://huggingface.co/acme/klein-style/resolve/v2/a/style.safetensors?download=true: is an address, and "
            "files are read here; write acme/klein-style/a/style.safetensors@v2",
        ),
        ("conf", "conf: expected a LoRA file or a folder with one .safetensors file in it, got experiment, lora, "),
        (
            "star",
            "star: expected one .safetensors file in this folder, got 3: broken.safetensors (not whole), "
            "star.safetensors, star_000000250.safetensors (step 250); write the one that you mean, such as "
            "star/star_000000250.safetensors",
        ),
    ],
)
def test_what_to_write_instead(project: Project, path: str, said: str) -> None:
    Path("star").mkdir()
    Path("star/broken.safetensors").touch()
    for name in ("star.safetensors", "star_000000250.safetensors"):
        shutil.copy("sks.safetensors", f"star/{name}")
    with pytest.raises(DarkroomError, match=re.escape(f"conf/lora/l.yaml: loras[0].path: {said}")):
        meant(project, path)
