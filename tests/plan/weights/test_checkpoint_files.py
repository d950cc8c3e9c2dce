"""Where a base model's files are found on this machine, and what is said when they are not there."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.plan.weights.model_files import KLEIN, SOURCE, find, put, refusal, write_gguf

from darkroom.checkpoint import DIFFUSERS, GGUF, SINGLE_FILE, TOKENIZER
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.checkpoint_files import local_files
from darkroom.plan.weights.missing_files import missing_weights
from darkroom.plan.weights.places import place_of


class TestHere:
    def test_single_files_and_a_text_encoder_with_its_tokenizer_inside(self, tmp_path):
        found = find(tmp_path, SOURCE)
        assert {part: component.layout for part, component in found.components.items()} == {
            "transformer": SINGLE_FILE,
            "vae": SINGLE_FILE,
            "text_encoder": DIFFUSERS,
            "tokenizer": TOKENIZER,
        }
        assert found["tokenizer"].path == found["text_encoder"].path
        assert (found.name, found.revision) == (str(KLEIN), None)
        assert (found["vae"].source, found["vae"].revision) == (SOURCE.vae, None)

    def test_without_a_repository_where_every_part_is_named(self, tmp_path):
        source = replace(SOURCE, repo=None)
        assert find(tmp_path, source).digest == find(tmp_path, SOURCE).digest
        assert find(tmp_path, source).name == SOURCE.transformer
        assert refusal(tmp_path, replace(source, vae=None)) == (
            "m.yaml: checkpoint.repo: null has no vae; name a repo that has it, or set checkpoint.vae"
        )
        assert refusal(tmp_path, replace(source, vae="gone.safetensors")) == (
            "m.yaml: checkpoint.vae: gone.safetensors: no such file; looked for it here"
        )

    def test_the_digest_is_of_contents_not_of_places(self, tmp_path):
        moved = tmp_path / "moved"
        shutil.copytree(KLEIN, moved)
        (moved / "qwen3/README.md").write_text("changes no pixel")
        source = CheckpointSource(
            repo=str(moved),
            transformer="flux-2-klein-base-4b.safetensors",
            vae="ae.safetensors",
            text_encoder=str(moved / "qwen3"),
        )
        first, second = (find(tmp_path, one) for one in (SOURCE, source))
        assert (first.digest, first.text_encoder_digest) == (second.digest, second.text_encoder_digest)
        (moved / "qwen3/tokenizer_config.json").write_text("{}")
        third = find(tmp_path, source)
        assert third.digest == first.digest
        assert third.text_encoder_digest != first.text_encoder_digest

    def test_a_diffusers_folder_with_the_tokenizer_beside_the_text_encoder(self, tmp_path):
        weights = "diffusion_pytorch_model.safetensors"
        root = put(tmp_path / "klein", f"transformer/{weights}", f"vae/{weights}", "text_encoder/model.safetensors")
        put(root, *(f"{part}/config.json" for part in ("transformer", "vae", "text_encoder")), "tokenizer/vocab.json")
        put(root, "tokenizer/merges.txt")
        found = find(tmp_path, CheckpointSource(repo=str(root)))
        assert {part: Path(c.path).name for part, c in found.components.items()} == {
            part: part for part in ("transformer", "vae", "text_encoder", "tokenizer")
        }
        # The same text encoder, named by itself, for another transformer.
        other = CheckpointSource(
            repo=str(KLEIN), text_encoder=str(root / "text_encoder"), transformer=SOURCE.transformer
        )
        assert str(root / "tokenizer" / "vocab.json") in map(str, local_files(other, "flux2", needs_text=True))

    def test_without_texts_nothing_that_encodes_them_is_looked_for(self, tmp_path):
        source = CheckpointSource(
            repo="any name", transformer=SOURCE.transformer, vae=SOURCE.vae, text_encoder="/gone", tokenizer="/gone"
        )
        assert sorted(find(tmp_path, source, needs_text=False).components) == ["transformer", "vae"]
        assert [file.name for file in local_files(source, "flux2", needs_text=False)] == [
            "flux-2-klein-base-4b.safetensors",
            "ae.safetensors",
        ]

    def test_where_a_part_may_be_instead(self, tmp_path):
        whole = put(tmp_path / "models/klein", *(f"{part}/config.json" for part in ("transformer", "vae")))
        (tmp_path / "models/notes").mkdir()
        source = replace(SOURCE, repo=str(whole.parent), transformer=None)
        assert refusal(tmp_path, source).endswith(f"models/transformer: no such folder; {whole} has one: name that")
        source = replace(SOURCE, repo=str(whole), text_encoder=None, tokenizer=SOURCE.text_encoder)
        assert refusal(tmp_path, source).endswith(f"klein/text_encoder: no such folder; {whole} has transformer, vae")
        index = {"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}}
        (whole / "transformer/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
        assert refusal(tmp_path, replace(SOURCE, repo=str(whole), transformer=None)).endswith(
            "transformer/diffusion_pytorch_model-00001-of-00002.safetensors: no such file; the index in its folder "
            "names it: the download is not complete"
        )
        (whole / "vae/diffusion_pytorch_model.safetensors").write_bytes((KLEIN / "ae.safetensors").read_bytes())
        (whole / "vae/config.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n")
        assert "vae/config.json: expected JSON: it is a pointer of git-lfs, not the file; `git lfs pull`" in refusal(
            tmp_path, replace(SOURCE, repo=str(whole), vae=None)
        )
        bare = tmp_path / "klein"
        bare.touch()
        assert refusal(tmp_path, replace(SOURCE, transformer=str(bare))).endswith(
            "klein: is a file of no known ending; expected a name that ends in .safetensors or .sft or .gguf"
        )

    def test_every_missing_part_is_named_at_once(self, tmp_path):
        (tmp_path / "klein/vae").mkdir(parents=True)
        said = refusal(tmp_path, CheckpointSource(repo=str(tmp_path / "klein")))
        assert f"m.yaml: checkpoint.repo: {tmp_path}/klein/transformer: no such folder" in said
        assert "klein/vae: expected config.json and model.safetensors or diffusion_pytorch_model.safetensors" in said
        assert (
            "klein/tokenizer: no such folder; checkpoint.tokenizer can name another: Qwen/Qwen3-4B (klein 4B)" in said
        )

    def test_the_files_whose_change_makes_it_another_model(self):
        names = [path.name for path in local_files(SOURCE, "flux2", needs_text=True)]
        assert names[:2] == ["flux-2-klein-base-4b.safetensors", "ae.safetensors"]
        assert names.count("tokenizer.json") == names.count("model.safetensors") == 1
        assert local_files(CheckpointSource(repo="organisation/name"), "flux2", needs_text=True) == []

    def test_of_a_folder_that_holds_the_weights_twice_the_index_decides(self, tmp_path):
        folder = put(tmp_path / "mistral", "config.json", "tokenizer.json", "consolidated.safetensors")
        put(folder, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
        shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
        source = CheckpointSource(repo="-", transformer=SOURCE.transformer, vae=SOURCE.vae, text_encoder=str(folder))
        names = [file.name for file in local_files(source, "flux2", needs_text=True)]
        assert [name for name in names if name.startswith(("model-", "consol"))] == list(shards.values())
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../pytorch_model.bin"}}')
        assert "expected .safetensors files of the same folder, got ../pytorch_model.bin" in refusal(tmp_path, source)

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("transformer", "/gone.safetensors", "checkpoint.transformer: /gone.safetensors: no such file"),
            ("transformer", "model.ckpt", "model.ckpt: .ckpt files are pickles, which can run code when they are read"),
            ("vae", "a/b/vae.pt@main", "checkpoint.vae: a/b/vae.pt@main: .pt files are pickles"),
            ("repo", "klein.safetensors", "not a file; a single file goes to checkpoint.transformer"),
            ("repo", "a/b@main", "a/b@main: name the revision as checkpoint.revision: main"),
            ("repo", "./gone", "./gone: neither a folder nor a hub id such as organisation/name"),
            ("repo", " ", "checkpoint.repo: is empty; expected a hub id or a path"),
            ("vae", "ae.gguf", "ae.gguf: GGUF is not read for the vae; name a .safetensors file or a folder"),
            ("text_encoder", "/gone.gguf", "checkpoint.text_encoder: /gone.gguf: no such file"),
            ("text_encoder", "./gone", "./gone: neither a folder nor a file here, nor a hub id such as"),
            (
                "tokenizer",
                "a/b/t.safetensors",
                "checkpoint.tokenizer: a/b/t.safetensors: expected a folder or a hub id",
            ),
            ("revision", "main", f"checkpoint.revision: main: has no effect: nothing comes from a repository {KLEIN}"),
            ("comfyui_models", "/gone", "/gone: expected a folder with one of diffusion_models, unet, vae, text_enc"),
        ],
    )
    def test_what_cannot_be_is_refused(self, tmp_path, key, value, said):
        assert said in refusal(tmp_path, CheckpointSource(**{"repo": str(KLEIN), key: value}))

    def test_a_folder_of_pickles_is_told_from_an_empty_one(self, tmp_path):
        folder = put(tmp_path / "encoder", "config.json", "pytorch_model.bin", "tokenizer.json")
        source = CheckpointSource(repo="-", transformer=SOURCE.transformer, vae=SOURCE.vae, text_encoder=str(folder))
        assert "pytorch_model.bin is a pickle, which can run code when it is read: convert it" in refusal(
            tmp_path, source
        )


class TestComfyui:
    @pytest.fixture
    def models(self, tmp_path: Path) -> Path:
        return put(
            tmp_path / "models",
            "diffusion_models/flux/flux-2-klein-4b-Q8_0.gguf",
            "vae/flux2-vae.safetensors",
            "text_encoders/qwen_3_4b.safetensors",
        )

    def source(self, models: Path, **changes: str | None) -> CheckpointSource:
        values: dict[str, str | None] = {
            "repo": "any name",
            "transformer": "flux-2-klein-4b-Q8_0.gguf",
            "vae": "flux2-vae.safetensors",
            "text_encoder": "qwen_3_4b.safetensors",
            "tokenizer": str(KLEIN / "qwen3"),
            "comfyui_models": str(models),
        }
        return CheckpointSource(**{**values, **changes})  # type: ignore[arg-type]

    def test_bare_names_are_found_below_its_models_folder(self, tmp_path, models):
        found = find(tmp_path, self.source(models))
        assert {part: component.layout for part, component in found.components.items()} == {
            "transformer": GGUF,
            "vae": SINGLE_FILE,
            "text_encoder": SINGLE_FILE,
            "tokenizer": TOKENIZER,
        }
        assert found["transformer"].path == str(models / "diffusion_models/flux/flux-2-klein-4b-Q8_0.gguf")
        assert found["transformer"].source == "flux-2-klein-4b-Q8_0.gguf"

    def test_a_home_folder_is_expanded_and_goes_ahead_of_a_download(self, tmp_path, models, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        source = self.source(models, repo="organisation/name", comfyui_models="~/models")
        assert str(models / "vae/flux2-vae.safetensors") == find(tmp_path, source)["vae"].path

    def test_links_in_a_circle_end(self, models):
        (models / "vae" / "again").symlink_to(models / "vae")
        (models / "vae" / "deeper").mkdir()
        (models / "vae" / "deeper" / "up").symlink_to(models / "vae")
        source = replace(SOURCE, vae="flux2-vae.safetensors", comfyui_models=str(models))
        assert place_of(source, "vae").path == models / "vae/flux2-vae.safetensors"

    def test_a_name_that_is_there_twice_is_an_error_that_names_both(self, tmp_path, models):
        (models / "unet").symlink_to(models / "diffusion_models")  # the same files by another way are no second ones
        find(tmp_path, self.source(models))
        put(models, "clip/old/qwen_3_4b.safetensors")
        assert refusal(tmp_path, self.source(models)) == (
            "m.yaml: checkpoint.text_encoder: qwen_3_4b.safetensors: there are several, name one of them by its path: "
            f"{models}/clip/old/qwen_3_4b.safetensors, {models}/text_encoders/qwen_3_4b.safetensors"
        )
        find(tmp_path, self.source(models, text_encoder="old/qwen_3_4b.safetensors"))

    def test_a_single_file_text_encoder_needs_a_tokenizer_from_elsewhere(self, tmp_path, models):
        said = refusal(tmp_path, self.source(models, tokenizer=None))
        assert "qwen_3_4b.safetensors: has no tokenizer with it, and repo has none: any name: neither a folder" in said
        assert "set checkpoint.tokenizer to that of the text encoder: Qwen/Qwen3-4B (klein 4B), Qwen/Qwen3-8B" in said
        repo = put(tmp_path / "klein", "tokenizer/tokenizer.json")
        found = find(tmp_path, self.source(models, tokenizer=None, repo=str(repo)))
        assert found["tokenizer"].path == str(repo / "tokenizer")

    def test_a_name_that_is_nowhere(self, tmp_path, models):
        said = refusal(tmp_path, self.source(models, vae="ae.safetensors"))
        assert f"ae.safetensors: no such file; looked for it here, in any name, below vae of {models}" in said


def packed(path: Path, form: str = "nvfp4") -> Path:
    """A file of one weight in 4 bits."""
    tensors = {
        "w.weight": torch.zeros(2, 16, dtype=torch.uint8),
        "w.weight_scale": torch.zeros(128, 4).to(torch.float8_e4m3fn),
        "w.weight_scale_2": torch.ones(()),
        "w.comfy_quant": torch.tensor(list(json.dumps({"format": form}).encode()), dtype=torch.uint8),
    }
    save_file(tensors, path)
    return path


def test_an_nvfp4_file_is_quantised(tmp_path):
    found = find(tmp_path, replace(SOURCE, transformer=str(packed(tmp_path / "x.safetensors"))))
    assert found["transformer"].quantized == "nvfp4"


@pytest.mark.parametrize(
    ("family", "part", "keys", "said"),
    [
        (
            "flux2",
            "transformer",
            ["model.diffusion_model.double_blocks.0.img_mod.lin.weight"],
            "is a transformer of FLUX.1 or Flex; FLUX.2's transformer is needed: flux-2-klein-base-4b.safetensors, ",
        ),
        (
            "flux2",
            "vae",
            ["double_stream_modulation_img.lin.weight"],
            "is FLUX.2's transformer; FLUX.2's VAE is needed",
        ),
        (
            "flux2",
            "transformer",
            ["model.diffusion_model.img_in.weight", "vae.encoder.conv_in.weight"],
            "is a checkpoint with transformer, VAE or text encoder in one file; FLUX.2's transformer is needed: ",
        ),
        (
            "flux",
            "transformer",
            ["double_blocks.0.img_mod.lin.weight"],
            "is a transformer of FLUX.1 or Flex in one file; this family reads diffusers folders: the transformer "
            "folder of FLUX.1-dev, Flex.1-alpha or Flex.2-preview",
        ),
    ],
)
def test_a_file_of_something_else_is_named_by_a_dry_run(tmp_path, family, part, keys, said):
    save_file({key: torch.zeros(8, 8) for key in keys}, tmp_path / "x.safetensors")
    source = replace(SOURCE, **{part: str(tmp_path / "x.safetensors")})
    faults = [str(fault) for fault in missing_weights(source, family, Origin("m.yaml"), needs_text=False)]
    assert [fault for fault in faults if f"m.yaml: checkpoint.{part}: {tmp_path}/x.safetensors: {said}" in fault]


def test_a_text_encoder_of_another_size_is_told_by_a_dry_run(tmp_path):
    """klein-9B's, with the transformer of klein-4B on the hub."""
    save_file({"model.embed_tokens.weight": torch.zeros(8, 4096)}, tmp_path / "qwen_3_8b.safetensors")
    source = CheckpointSource(
        repo="black-forest-labs/FLUX.2-klein-base-4B",
        transformer="flux-2-klein-base-4b.safetensors",
        text_encoder=str(tmp_path / "qwen_3_8b.safetensors"),
        tokenizer="Qwen/Qwen3-8B",
    )
    assert [str(fault) for fault in missing_weights(source, "flux2", Origin("m.yaml"), needs_text=True)] == [
        f"m.yaml: checkpoint.text_encoder: {tmp_path}/qwen_3_8b.safetensors: this text encoder is for another model: "
        "hidden size 4096 (Qwen3-8B); the transformer reads 7680 features a token, those of hidden size 2560 (Qwen3-4B)"
    ]


def test_a_quantisation_that_is_not_read_is_told_by_a_dry_run(tmp_path):
    source = replace(SOURCE, transformer=str(packed(tmp_path / "x.safetensors", "mxfp8")))
    (said,) = missing_weights(source, "flux2", Origin("m.yaml"), needs_text=True)
    assert str(said) == (
        f"m.yaml: checkpoint.transformer: {tmp_path}/x.safetensors: quantised as mxfp8, which cannot be read; use the "
        "file with float8 or nvfp4 weights, or the bfloat16 file"
    )


@pytest.mark.parametrize(("dtype", "quantized"), [(np.float16, None), (np.float32, None)])
def test_a_gguf_file_of_full_numbers_is_not_quantised(tmp_path, dtype, quantized):
    write_gguf(tmp_path / "klein.gguf", dtype)
    found = find(tmp_path, replace(SOURCE, transformer=str(tmp_path / "klein.gguf")))
    assert found["transformer"].quantized is quantized


def test_a_gguf_file_of_8_bits_is_quantised(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "klein.gguf", "flux")
    packed = gguf.quants.quantize(np.ones((4, 32), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("img_in.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    found = find(tmp_path, replace(SOURCE, transformer=str(tmp_path / "klein.gguf")))
    assert found["transformer"].quantized == "GGUF"
