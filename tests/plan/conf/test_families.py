"""What each family asks of conf/: its parts, its keys, its reference images; and what is said of all else."""

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.utils import filter_repo_objects
from PIL import Image
from safetensors.numpy import save_file
from tests.places import DATA
from tests.plan.weights.model_files import find, put, refusal

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, TOKENIZER
from darkroom.errors import ImageError
from darkroom.names import Names
from darkroom.plan.conf.families import FAMILIES, check_image
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.checkpoint_files import local_files
from darkroom.render.family import MODULES

FLUX1 = DATA / "parity/flux1/flux"
FLUX1_PARTS = {
    "transformer": DIFFUSERS,
    "vae": DIFFUSERS,
    "text_encoder": DIFFUSERS,
    "text_encoder_2": DIFFUSERS,
    "tokenizer": TOKENIZER,
    "tokenizer_2": TOKENIZER,
}


def write_model(project, family, *lines):
    guidance = "" if family == "flux2" else "guidance: embedded\n"
    model = "\n".join([f"family: {family}", "checkpoint: {repo: someone/model}", *lines])
    project.write("conf/model/m.yaml", f"{guidance}{model}\n")
    project.write_weights("sks.safetensors", family)


def write_prompt(project, settings):
    project.write("conf/prompts/p.yaml", f"prompts: [{{prompt: a, {settings}}}]\n")


def planned(project):
    """The request for the first prompt."""
    return project.load().combination(Names("m", "l", "p")).requests[0]


def write_image(name, mode="RGB", size=(64, 64)):
    Image.new(mode, size).save(name)


def test_each_family_has_a_module_that_renders_it():
    assert FAMILIES.keys() == MODULES.keys()


class TestParts:
    @pytest.mark.parametrize("family", ["flux", "flex2"])
    def test_two_text_encoders_each_with_its_tokenizer(self, tmp_path, family):
        source = CheckpointSource(repo=str(FLUX1))
        found = find(tmp_path, source, family=family)
        assert {part: component.layout for part, component in found.components.items()} == FLUX1_PARTS
        assert {part: Path(component.path).name for part, component in found.components.items()} == {
            part: part for part in FLUX1_PARTS
        }
        names = {str(path.relative_to(FLUX1)) for path in local_files(source, family, needs_text=True)}
        assert {"text_encoder_2/model.safetensors", "tokenizer_2/tokenizer.json"} < names
        assert sorted(find(tmp_path, source, needs_text=False, family=family).components) == ["transformer", "vae"]

    def test_single_files_of_comfyui_with_the_tokenizers_of_the_repository(self, tmp_path):
        models = put(
            tmp_path / "models", "text_encoders/clip_l.safetensors", "text_encoders/t5xxl_fp16.safetensors", "vae/a"
        )
        source = CheckpointSource(
            repo=str(FLUX1),
            text_encoder="clip_l.safetensors",
            text_encoder_2="t5xxl_fp16.safetensors",
            comfyui_models=str(models),
        )
        found = find(tmp_path, source, family="flux")
        assert (found["text_encoder"].layout, found["text_encoder_2"].layout) == (SINGLE_FILE, SINGLE_FILE)
        assert (found["tokenizer"].path, found["tokenizer_2"].path) == (
            str(FLUX1 / "tokenizer"),
            str(FLUX1 / "tokenizer_2"),
        )

    def test_a_t5_of_its_own_brings_its_tokenizer(self, tmp_path):
        t5 = put(tmp_path / "t5", "config.json", "model.safetensors", "tokenizer.json")
        found = find(tmp_path, CheckpointSource(repo=str(FLUX1), text_encoder_2=str(t5)), family="flux")
        assert found["tokenizer_2"].path == str(t5)
        assert found["tokenizer"].path == str(FLUX1 / "tokenizer")

    def test_spiece_model_alone_is_no_tokenizer(self, tmp_path):
        t5 = put(tmp_path / "t5", "config.json", "model.safetensors", "tokenizer_config.json", "spiece.model")
        tokenizer = put(tmp_path / "t5_tokenizer", "spiece.model")
        source = CheckpointSource(repo=str(FLUX1), text_encoder_2=str(t5), tokenizer_2=str(tokenizer))
        assert refusal(tmp_path, source, family="flux") == (
            f"m.yaml: checkpoint.tokenizer_2: {tokenizer}: expected tokenizer.json, or vocab.json and merges.txt, got "
            "spiece.model; checkpoint.tokenizer_2 can name another: ostris/Flex.1-alpha (FLUX.1 and Flex)"
        )

    def test_flux2_has_no_second_text_encoder(self, tmp_path):
        source = CheckpointSource(repo=str(FLUX1), text_encoder_2="google/t5-v1_1-xxl")
        assert refusal(tmp_path, source) == (
            "m.yaml: checkpoint.text_encoder_2: google/t5-v1_1-xxl: has no effect: a model of the family flux2 has no "
            "text_encoder_2"
        )

    def test_gguf_is_not_for_the_vae(self, tmp_path):
        source = CheckpointSource(repo=str(FLUX1), vae="ae-Q8_0.gguf")
        assert "checkpoint.vae: ae-Q8_0.gguf: GGUF is not read for the vae" in refusal(tmp_path, source, family="flux")

    def test_of_the_hub_only_what_loading_reads_is_asked_for(self, tmp_path, monkeypatch):
        asked: list[str] = []

        def recorded(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
            asked.extend(allow_patterns)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("huggingface_hub.snapshot_download", recorded)
        refusal(tmp_path, CheckpointSource(repo="black-forest-labs/FLUX.1-dev"), family="flux")
        read = [
            "transformer/config.json",
            "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
            "transformer/diffusion_pytorch_model.safetensors.index.json",
            "vae/diffusion_pytorch_model.safetensors",
            "text_encoder/model.safetensors",
            "text_encoder_2/model-00001-of-00002.safetensors",
            "text_encoder_2/model.safetensors.index.json",
            "tokenizer/vocab.json",
            "tokenizer/merges.txt",
            "tokenizer_2/tokenizer.json",
        ]
        not_read = ["flux1-dev.safetensors", "ae.safetensors", "pipeline.py", "tokenizer_2/spiece.model", "README.md"]
        assert list(filter_repo_objects([*read, *not_read], allow_patterns=asked)) == read


class TestKeys:
    @pytest.mark.parametrize(
        ("family", "line", "message"),
        [
            (
                "flux",
                "schedule: diffusers",
                "schedule: in flux the trainer's schedule is diffusers' own: expected aitk, got diffusers",
            ),
            ("flex2", "schedule: diffusers", "schedule: in flex2 the trainer's schedule is diffusers' own: expected"),
            (
                "flux",
                "timestep_rounding: diffusers",
                "timestep_rounding: in flux the trainer's timestep_rounding is diffusers' own: expected aitk",
            ),
            (
                "flux",
                "distilled: true",
                "distilled: has no meaning for flux, whose guidance is embedded whatever it was trained from",
            ),
            (
                "flex2",
                "attn_masking: true",
                "attn_masking: the trainer knows it of the family flux only, got true for flex2",
            ),
            ("flux2", "attn_masking: true", "attn_masking: the trainer knows it of the family flux only, got true for"),
        ],
    )
    def test_a_key_that_a_family_lacks(self, project, family, line, message):
        write_model(project, family, line)
        assert project.error().startswith(f"conf/model/m.yaml: {message}")

    def test_guidance_is_embedded(self, project):
        project.write("conf/model/m.yaml", "family: flex2\ncheckpoint: {repo: someone/model}\n")
        project.write_weights("sks.safetensors", "flex2")
        assert project.error() == (
            "conf/model/m.yaml: guidance: flex2 has its guidance embedded in the transformer: expected embedded, "
            "got cfg"
        )

    def test_attn_masking_makes_another_embedding(self, project):
        write_model(project, "flux")
        plain, digest = planned(project), project.load().text_digest("m")
        write_model(project, "flux", "attn_masking: true")
        masked = planned(project)
        assert (plain.encoder.attn_masking, masked.encoder.attn_masking) == (False, True)
        assert plain.encoder.embedding_id("a") != masked.encoder.embedding_id("a")
        assert project.load().text_digest("m") != digest

    def test_allow_foreign_lora_is_the_stacks(self, project):
        assert planned(project).adapters.allow_foreign_lora is False
        project.write("conf/lora/l.yaml", "allow_foreign_lora: true\nloras: [sks.safetensors]\n")
        assert planned(project).adapters.allow_foreign_lora is True

    def test_both_text_encoders_are_named_where_they_differ(self, project):
        write_model(project, "flux")
        assert planned(project).source.text_encoder == "someone/model"
        project.write(
            "conf/model/m.yaml",
            "family: flux\nguidance: embedded\ncheckpoint: {repo: someone/model, text_encoder_2: someone/t5}\n",
        )
        assert planned(project).source.text_encoder == "someone/model + someone/t5"

    def test_a_negative_prompt_is_not_used(self, project):
        write_model(project, "flux")
        write_prompt(project, "neg: blurry")
        request = planned(project)
        assert (request.uses_neg, request.texts) == (False, ("a",))
        assert request.remarks.warnings == (
            "neg is not used: this model has its guidance embedded, and no negative side",
        )

    def test_an_encoded_prompt_is_what_both_encoders_make(self, project):
        write_model(project, "flux")
        project.write("conf/prompts/p.yaml", "prompts: [{prompt_embeds: e.safetensors}]\n")
        tokens, pooled = np.zeros((1, 512, 48), np.float32), np.zeros((1, 24), np.float32)
        save_file({"prompt_embeds": tokens}, "e.safetensors")
        place = "conf/prompts/p.yaml: prompts[0].prompt_embeds: e.safetensors"
        assert project.error() == (
            f"{place}: expected the tensors prompt_embeds and pooled_prompt_embeds, got prompt_embeds"
        )
        save_file({"prompt_embeds": tokens, "pooled_prompt_embeds": pooled[0]}, "e.safetensors")
        assert project.error() == f"{place}: pooled_prompt_embeds: expected shape [1, features], got [24]"
        save_file({"prompt_embeds": tokens, "pooled_prompt_embeds": pooled}, "e.safetensors")
        assert planned(project).text.prompt_embeds == "e.safetensors"


class TestReferenceImages:
    def test_flux_sees_none_and_says_so(self, project):
        write_model(project, "flux")
        write_prompt(project, "ctrl_img: gone.png, ctrl_idx: 1")
        request = planned(project)
        assert (request.sampling.ctrl_images, request.sampling.ctrl_idx) == ((), None)
        assert request.remarks.warnings == (
            "ctrl_img gone.png is not used: flux sees no reference image",
            "ctrl_idx 1 is not used: flux has no such slots",
        )

    def test_flex2_sees_ctrl_img_only(self, project):
        write_model(project, "flex2")
        write_image("a.inpaint.png", "RGBA")
        write_prompt(project, "ctrl_img: a.inpaint.png, ctrl_img_1: a.inpaint.png, ctrl_img_2: c.png")
        request = planned(project)
        assert [image.path for image in request.sampling.ctrl_images] == ["a.inpaint.png"]
        assert request.sampling.ctrl_idx == 0
        assert request.remarks.warnings == (
            "ctrl_img_2 c.png is not used: flex2 sees ctrl_img only, as in the trainer",
        )
        assert request.remarks.not_comparable == ()
        write_prompt(project, "ctrl_img_1: c.png")
        assert (planned(project).sampling.ctrl_images, planned(project).sampling.ctrl_idx) == ((), None)

    def test_flux2_has_no_slots(self, project):
        write_image("a.png")
        write_prompt(project, "ctrl_img: a.png, ctrl_idx: 0")
        request = planned(project)
        assert (len(request.sampling.ctrl_images), request.sampling.ctrl_idx) == (1, None)
        assert request.remarks.warnings == ("ctrl_idx 0 is not used: flux2 has no such slots",)

    def test_a_slot_without_an_image_is_warned_of(self, project):
        write_model(project, "flex2")
        write_prompt(project, "ctrl_idx: 1")
        assert planned(project).sampling.ctrl_idx is None
        assert planned(project).remarks.warnings == ("ctrl_idx 1 is not used: there is no ctrl_img",)

    def test_inpainting_needs_an_alpha_channel(self, project):
        write_model(project, "flex2")
        write_image("a.png")
        write_prompt(project, "ctrl_img: a.png")
        assert project.error() == (
            "conf/prompts/p.yaml: prompts[0].ctrl_img: a.png: has no alpha channel (it is RGB), and ctrl_idx 0 is for "
            "inpainting: alpha 255 keeps, 0 repaints; set ctrl_idx: 1 for a control image"
        )
        write_prompt(project, "ctrl_img: a.png, ctrl_idx: 1")
        request = planned(project)
        assert (request.sampling.ctrl_idx, request.remarks.warnings, request.remarks.not_comparable) == (1, (), ())

    def test_the_slot_can_be_an_axis(self, project):
        write_model(project, "flex2")
        write_image("a.png", "RGBA")
        write_prompt(project, "ctrl_img: a.png")
        requests = project.load("+matrix.ctrl_idx=[0, 1]").combination(Names("m", "l", "p")).requests
        assert [(r.title.image_name, r.sampling.ctrl_idx) for r in requests] == [("000_42_0", 0), ("000_42_1", 1)]
        assert requests[0].request_id != requests[1].request_id

    @pytest.mark.parametrize(
        ("name", "mode", "slot", "found"),
        [("a.png", "RGBA", 0, "another name"), ("a.inpaint.png", "LA", 0, "LA")],
    )
    def test_what_the_trainer_could_not_have_inpainted(self, project, name, mode, slot, found):
        write_model(project, "flex2")
        write_image(name, mode)
        write_prompt(project, f"ctrl_img: {name}, ctrl_idx: {slot}")
        reason = (
            f"{name}: the trainer inpaints only with RGBA files that have .inpaint. in their name, and would have "
            f"failed on {found}"
        )
        assert (planned(project).remarks.warnings, planned(project).remarks.not_comparable) == ((reason,), (reason,))

    def test_a_control_image_loses_its_transparency(self, project):
        write_model(project, "flex2")
        write_image("a.inpaint.png", "RGBA")
        write_prompt(project, "ctrl_img: a.inpaint.png, ctrl_idx: 1")
        reason = "a.inpaint.png: the trainer would have failed: .inpaint. in a name goes with ctrl_idx 0"
        assert planned(project).remarks.warnings == (
            "a.inpaint.png: its transparency is dropped: with ctrl_idx 1 it is a control image",
            reason,
        )
        assert planned(project).remarks.not_comparable == (reason,)

    @pytest.mark.parametrize(
        ("family", "size", "message"),
        [
            ("flex2", (1, 640), None),
            ("flux2", (64, 512), None),
            ("flux2", (63, 64), "63x64: each side needs 64 pixels at least"),
            ("flux2", (64, 513), "64x513: one side may be at most 8 times the other"),
        ],
    )
    def test_sizes_are_those_that_the_family_takes(self, tmp_path, family, size, message):
        write_image(tmp_path / "a.png", size=size)
        if message is None:
            assert check_image(str(tmp_path / "a.png"), family, 1).mode == "RGB"
            return
        with pytest.raises(ImageError, match=message):
            check_image(str(tmp_path / "a.png"), family, 1)


@pytest.mark.parametrize(("model", "size"), [("flex2", (992, 832)), ("flex1", (1008, 848)), ("flux", (1008, 848))])
def test_sizes_are_floored_to_the_documented_divisor(project, model, size):
    write_prompt(project, "width: 1008, height: 850")
    experiment = project.load(f"matrix.model=[{model}]", "matrix.lora=[none]")
    (request,) = experiment.combination(Names(model, "none", "p")).requests
    assert (request.sampling.width, request.sampling.height) == size
