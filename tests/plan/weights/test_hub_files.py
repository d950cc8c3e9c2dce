"""A base model's files on the hub: from hub ids to components without a network, and what is said where that ends."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
import huggingface_hub.errors as hub_errors
import pytest
from huggingface_hub.utils import filter_repo_objects
from tests.plan.weights.model_files import SOURCE, find, put, refusal

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, TOKENIZER, Checkpoint
from darkroom.errors import CheckpointError
from darkroom.plan.conf.schema import CheckpointSource, Model
from darkroom.plan.requests.model_values import base_of, encoder_of
from darkroom.plan.weights.checkpoint_files import find_checkpoint
from darkroom.plan.weights.downloads import downloads
from darkroom.plan.weights.hub import cached_file, described
from darkroom.plan.weights.places import Here, OnHub, place_of
from darkroom.planned import PlannedModel
from darkroom.store import Store

COMMIT = "0123456789" * 4
OTHER_COMMIT = "abcdef0123" * 4
BASE_4B = "black-forest-labs/FLUX.2-klein-base-4B"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def cached(cache: Path, repo: str, *names: str, commit: str = COMMIT, ref: str = "main") -> Path:
    folder = cache / f"models--{repo.replace('/', '--')}"
    put(folder / "refs", ref)
    (folder / "refs" / ref).write_text(commit)
    return put(folder / "snapshots" / commit, *names)


@pytest.fixture
def klein(cache: Path) -> CheckpointSource:
    """The trainer's klein 4B, downloaded."""
    cached(cache, BASE_4B, "flux-2-klein-base-4b.safetensors")
    cached(cache, "ai-toolkit/flux2_vae", "ae.safetensors", commit=OTHER_COMMIT)
    cached(cache, "Qwen/Qwen3-4B", "config.json", "model.safetensors", "tokenizer.json")
    return CheckpointSource(
        repo=BASE_4B,
        transformer="flux-2-klein-base-4b.safetensors",
        vae="ai-toolkit/flux2_vae/ae.safetensors",
        text_encoder="Qwen/Qwen3-4B",
    )


def test_each_component_from_its_repository_at_its_commit(tmp_path, klein):
    found = find(tmp_path, klein)
    assert {part: (c.source, c.revision, c.layout) for part, c in found.components.items()} == {
        "transformer": (
            f"{BASE_4B}/flux-2-klein-base-4b.safetensors",
            COMMIT,
            SINGLE_FILE,
        ),
        "vae": ("ai-toolkit/flux2_vae/ae.safetensors", OTHER_COMMIT, SINGLE_FILE),
        "text_encoder": ("Qwen/Qwen3-4B", COMMIT, DIFFUSERS),
        "tokenizer": ("Qwen/Qwen3-4B", COMMIT, TOKENIZER),
    }
    assert (found.name, found.revision) == (BASE_4B, COMMIT)


def test_what_is_whole_in_the_cache_is_not_downloaded_again(cache, klein):
    assert list(downloads(klein, "flux2", True, ask=False)) == []
    (cache / "models--Qwen--Qwen3-4B/snapshots" / COMMIT / "model.safetensors").unlink()
    assert [(each.repo, each.parts) for each in downloads(klein, "flux2", True, ask=False)] == [
        ("Qwen/Qwen3-4B", ("text_encoder",))
    ]


def test_a_hub_that_cannot_be_asked_says_nothing(cache):
    assert described(BASE_4B, None, ["*"]) is None
    assert described("no such/name", None, ["*"]) is None


def test_the_command_runs_offline_from_a_cache_named_by_the_environment(tmp_path, cache, klein):
    model = Model(family="flux2", checkpoint=klein)
    parts = {"base": base_of(model), "encoder": encoder_of(model)}
    planned = PlannedModel(name="klein", checkpoint=vars(klein), **parts, texts=("a cat",), prompt_embeds=())
    planned.write(tmp_path / "klein.json")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    command = [sys.executable, "-m", "darkroom", "rule", "checkpoint", "klein.json", "found.json"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    found = Checkpoint.read(tmp_path / "found.json")
    assert found == find(tmp_path, klein)


def test_a_diffusers_repository_at_a_tag(tmp_path, cache):
    parts = ("transformer", "vae")
    names = [f"{part}/{name}" for part in parts for name in ("config.json", "diffusion_pytorch_model.safetensors")]
    text = ("text_encoder/config.json", "text_encoder/model.safetensors", "tokenizer/tokenizer.json")
    snapshot = cached(cache, "a/b", *names, *text, commit=OTHER_COMMIT, ref="v1")
    found = find(tmp_path, CheckpointSource(repo="a/b", revision="v1"))
    assert found["tokenizer"].path == str(snapshot / "tokenizer")
    assert {component.revision for component in found.components.values()} == {found.revision} == {OTHER_COMMIT}


def test_a_vae_at_the_root_of_its_own_repository_or_in_the_folder_of_a_model(tmp_path, cache, klein):
    own = cached(cache, "a/small_decoder", "config.json", "diffusion_pytorch_model.safetensors")
    model = cached(cache, "a/model", "vae/config.json", "vae/diffusion_pytorch_model.safetensors")
    values = {**vars(klein), "vae": "a/small_decoder"}
    assert find(tmp_path, CheckpointSource(**values))["vae"].path == str(own)
    assert find(tmp_path, CheckpointSource(**{**values, "vae": "a/model"}))["vae"].path == str(model / "vae")


def test_any_reference_may_name_its_revision(tmp_path, cache, klein):
    for repo, name in (("ai-toolkit/flux2_vae", "ae.safetensors"), ("Qwen/Qwen3-4B", "tokenizer.json")):
        cached(cache, repo, name, commit="f" * 40, ref="old")
    vae, tokenizer = f"ai-toolkit/flux2_vae/ae.safetensors@{'f' * 40}", "Qwen/Qwen3-4B@old"
    found = find(tmp_path, CheckpointSource(**{**vars(klein), "vae": vae, "tokenizer": tokenizer}))
    assert (found["vae"].revision, found["tokenizer"].revision) == ("f" * 40, "f" * 40)
    assert found["text_encoder"].revision == COMMIT


def test_a_revision_pins_every_file_of_the_repository(tmp_path, cache):
    cached(cache, "a/dev", "dev.safetensors", "ae.safetensors", commit=OTHER_COMMIT, ref="v1")
    source = CheckpointSource(repo="a/dev", revision="v1", transformer="dev.safetensors", vae="a/dev/ae.safetensors")
    assert find(tmp_path, source, needs_text=False)["vae"].revision == OTHER_COMMIT


def test_a_repository_that_nothing_is_needed_of_is_not_touched(tmp_path, klein):
    source = CheckpointSource(**{**vars(klein), "repo": "nobody/nothing", "transformer": SOURCE.transformer})
    found = find(tmp_path, source)
    assert (found.name, found.revision) == ("nobody/nothing", None)
    said = refusal(tmp_path, CheckpointSource(**{**vars(source), "revision": "main"}))
    assert said == (
        "m.yaml: checkpoint.revision: main: has no effect: nothing comes from a repository nobody/nothing of the hub"
    )


def test_what_is_not_downloaded_is_named_with_the_command_that_does_it(tmp_path):
    source = CheckpointSource(repo="a/b", revision="v1", transformer="t.safetensors", vae="a/v/ae.safetensors")
    assert refusal(tmp_path, source, needs_text=False) == (
        "2 problems:\n"
        "  - m.yaml: checkpoint.transformer: a/b at v1 is neither here nor whole in the hub's cache, and the hub "
        "cannot be reached (HF_HUB_OFFLINE is set); download it while online: "
        "hf download a/b t.safetensors --revision v1\n"
        "  - m.yaml: checkpoint.vae: a/v at main is neither here nor whole in the hub's cache, and the hub "
        "cannot be reached (HF_HUB_OFFLINE is set); download it while online: hf download a/v ae.safetensors"
    )
    said = refusal(tmp_path, CheckpointSource(repo="mistralai/Mistral"))
    assert "--include 'text_encoder/model*.safetensors' --include 'tokenizer/*.json'" in said
    assert said.count("m.yaml") == 1


def test_a_file_that_the_snapshot_lacks(tmp_path, cache, klein):
    source = CheckpointSource(**{**vars(klein), "vae": "ai-toolkit/flux2_vae/small.safetensors"})
    snapshot = cache / f"models--ai-toolkit--flux2_vae/snapshots/{OTHER_COMMIT}"
    assert refusal(tmp_path, source) == (
        f"m.yaml: checkpoint.vae: {snapshot}/small.safetensors: no such file; if ai-toolkit/flux2_vae has it, this "
        f"completes the download: hf download ai-toolkit/flux2_vae small.safetensors --revision {OTHER_COMMIT}"
    )


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            hub_errors.GatedRepoError,
            403,
            "a/b is gated: accept its licence at https://huggingface.co/a/b with your account, then set HF_TOKEN",
        ),
        (hub_errors.RepositoryNotFoundError, 404, "a/b is nothing here and no repository that the hub shows you"),
        (hub_errors.RevisionNotFoundError, 404, "a/b has no revision v1: expected a branch, a tag or a commit"),
        (
            hub_errors.HfHubHTTPError,
            503,
            "a/b: the hub refuses to give it (HTTP status 503); try: hf download a/b ",
        ),
    ],
)
def test_what_the_hub_answers_is_one_sentence(tmp_path, monkeypatch, error, status, said):
    response = httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co/api/models/a/b"))

    def refused(*_: object, **__: object) -> str:
        raise error("no", response=response)

    monkeypatch.setattr("huggingface_hub.snapshot_download", refused)
    source = CheckpointSource(repo="a/b", revision="v1", transformer="t.safetensors", vae=SOURCE.vae)
    message = refusal(tmp_path, source, needs_text=False)
    assert message.startswith(f"m.yaml: checkpoint.transformer: {said}")
    assert "\n" not in message


@pytest.mark.parametrize("error", [httpx2.ProxyError("no\nproxy"), OSError(28, "No space left on device")])
def test_a_download_that_breaks_off_is_one_sentence(tmp_path, monkeypatch, error):
    def broken(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", broken)
    source = CheckpointSource(repo="a/b", transformer="t.safetensors", vae=SOURCE.vae)
    assert "a/b: the download was cut off (" in refusal(tmp_path, source, needs_text=False)


def test_a_cache_that_is_not_ours_to_write_is_named(tmp_path, cache, monkeypatch):
    def refused(*_: object, **__: object) -> str:
        raise NotADirectoryError(20, "Not a directory")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refused)
    source = CheckpointSource(repo="a/b", transformer="t.safetensors", vae=SOURCE.vae)
    said = refusal(tmp_path, source, needs_text=False)
    assert said.endswith(
        f"the hub's cache, {cache}, cannot be written (Not a directory); set HF_HOME to another folder"
    )


def test_only_what_loading_reads_is_asked_for(tmp_path, monkeypatch, klein):
    asked: dict[str, list[str]] = {}

    def recorded(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked[repo] = allow_patterns
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", recorded)
    refusal(tmp_path, klein)
    assert asked[BASE_4B] == ["flux-2-klein-base-4b.safetensors"]
    assert asked["ai-toolkit/flux2_vae"] == ["ae.safetensors"]
    names = ["config.json", "model-00001-of-00010.safetensors", "model.safetensors.index.json", "tokenizer.json"]
    others = ["consolidated.safetensors", "pytorch_model.bin", "model.pt", "original/model.pth", "README.md"]
    assert list(filter_repo_objects([*names, *others], allow_patterns=asked["Qwen/Qwen3-4B"])) == names


class TestWithoutMain:
    """A cache that was copied, or fetched at a commit, does not say what main is; one that was half fetched says it."""

    def dev(self, **changes: str | None) -> CheckpointSource:
        return CheckpointSource(repo="a/dev", transformer="dev.safetensors", vae="a/dev/ae.safetensors", **changes)

    def test_the_only_snapshot_is_used_and_its_commit_recorded(self, tmp_path, cache):
        cached(cache, "a/dev", "dev.safetensors", "ae.safetensors", ref="gone")
        (cache / "models--a--dev/refs/gone").unlink()
        found = find(tmp_path, self.dev(), needs_text=False)
        assert {component.revision for component in found.components.values()} == {found.revision} == {COMMIT}
        assert list(downloads(self.dev(), "flux2", needs_text=False, ask=False)) == []
        assert cached_file("a/dev", None, "ae.safetensors").endswith(f"snapshots/{COMMIT}/ae.safetensors")

    def test_of_several_the_revision_has_to_be_named(self, tmp_path, cache):
        for commit in (COMMIT, OTHER_COMMIT):
            cached(cache, "a/dev", "dev.safetensors", "ae.safetensors", commit=commit, ref="gone")
        (cache / "models--a--dev/refs/gone").unlink()
        (cache / f"models--a--dev/snapshots/{OTHER_COMMIT}/ae.safetensors").unlink()
        assert refusal(tmp_path, self.dev(), needs_text=False) == (
            "m.yaml: checkpoint.transformer: a/dev at main is neither here nor whole in the hub's cache, and the hub "
            "cannot be reached (HF_HUB_OFFLINE is set); download it while online: hf download a/dev dev.safetensors "
            f"ae.safetensors; the hub's cache has it whole at {COMMIT}: to take that, write revision: {COMMIT}"
        )
        assert find(tmp_path, self.dev(revision=COMMIT), needs_text=False).revision == COMMIT

    def test_main_is_newer_than_what_is_whole(self, tmp_path, cache, klein):
        cached(cache, "ai-toolkit/flux2_vae", "config.json", commit="f" * 40)
        assert (
            f"snapshots/{'f' * 40}/ae.safetensors: no such file; if ai-toolkit/flux2_vae has it, this completes the "
            f"download: hf download ai-toolkit/flux2_vae ae.safetensors --revision {'f' * 40}; the hub's cache has it "
            f"whole at {OTHER_COMMIT}: to take that, write ai-toolkit/flux2_vae/ae.safetensors@{OTHER_COMMIT}"
        ) in refusal(tmp_path, klein)
        older = replace(klein, vae=f"ai-toolkit/flux2_vae/ae.safetensors@{OTHER_COMMIT}")
        assert find(tmp_path, older)["vae"].revision == OTHER_COMMIT

    def test_main_names_a_commit_that_is_not_there(self, tmp_path, cache):
        cached(cache, "a/dev", "dev.safetensors", "ae.safetensors")
        (cache / "models--a--dev/refs/main").write_text(OTHER_COMMIT)
        said = refusal(tmp_path, self.dev(), needs_text=False)
        assert said.endswith(f"; the hub's cache has it whole at {COMMIT}: to take that, write revision: {COMMIT}")


class TestWithComfyUI:
    """Files that ComfyUI has by their usual names are not asked of the hub."""

    def source(self, comfyui: Path, **changes: str) -> CheckpointSource:
        return CheckpointSource(
            repo=BASE_4B,
            transformer="flux-2-klein-base-4b.safetensors",
            vae="ai-toolkit/flux2_vae/ae.safetensors",
            text_encoder="Qwen/Qwen3-4B",
            comfyui_models=str(comfyui),
            **changes,
        )

    def test_usual_names_need_not_be_written_and_the_tokenizer_is_said_to_be_fetched(self, tmp_path, cache):
        comfyui = put(
            tmp_path / "models",
            "diffusion_models/flux-2-klein-base-4b.safetensors",
            "vae/flux2-vae.safetensors",
            "text_encoders/qwen_3_4b.safetensors",
        )
        said: list[str] = []
        source = self.source(comfyui)
        with pytest.raises(CheckpointError, match=r"checkpoint.text_encoder: Qwen/Qwen3-4B at main is neither here"):
            find_checkpoint(source, "flux2", "m.yaml", Store(tmp_path / "store"), True, tell=said.append)
        assert said == ["tokenizer: fetching a few MB from Qwen/Qwen3-4B into the hub's cache"]

        cached(cache, "Qwen/Qwen3-4B", "tokenizer.json")
        found = find_checkpoint(source, "flux2", "m.yaml", Store(tmp_path / "store"), True, tell=said.append)
        assert {part: Path(component.path).name for part, component in found.components.items()} == {
            "transformer": "flux-2-klein-base-4b.safetensors",
            "vae": "flux2-vae.safetensors",
            "text_encoder": "qwen_3_4b.safetensors",
            "tokenizer": COMMIT,
        }
        assert (found["vae"].source, len(said)) == ("flux2-vae.safetensors", 1)

    def test_what_has_other_numbers_is_named_and_not_taken(self, tmp_path):
        comfyui = put(tmp_path / "models", "text_encoders/qwen_3_4b_fp8mixed.safetensors", "vae/flux2-vae.safetensors")
        told = refusal(tmp_path, self.source(comfyui))
        assert (
            f"; no qwen_3_4b.safetensors below text_encoders and clip of {comfyui}; "
            f"{comfyui}/text_encoders/qwen_3_4b_fp8mixed.safetensors: may be another precision, another picture, "
            "and is taken where checkpoint.text_encoder names it"
        ) in told
        assert f"; no flux-2-klein-base-4b.safetensors below diffusion_models and unet of {comfyui}" in told

    def test_a_revision_that_is_named_is_the_hub_s(self, tmp_path):
        comfyui = put(tmp_path / "models", "vae/flux2-vae.safetensors")
        source = replace(self.source(comfyui), vae=f"ai-toolkit/flux2_vae/ae.safetensors@{COMMIT}")
        assert isinstance(place_of(source, "vae"), OnHub)
        assert isinstance(place_of(self.source(comfyui), "vae"), Here)
