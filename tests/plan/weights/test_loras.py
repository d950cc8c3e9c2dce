"""What a dry run says of LoRA files: everything that their headers decide, and nothing that rendering has to decide."""

import json
import struct
from pathlib import Path

import pytest
from tests.examples.small_project import BUILT_IN, Project

from darkroom.errors import ConfigError, DarkroomError
from darkroom.plan.load import load_experiment

KLEIN_4B, KLEIN_9B = "flux2_klein_4b", "flux2_klein_9b"
PROJ = "diffusion_model.double_blocks.0.img_attn.proj"
LATE = "diffusion_model.single_blocks.23.linear2"  # klein-4B has 20
Shapes = dict[str, tuple[int, int]]


def lora(layer: str, rows: int, columns: int) -> Shapes:
    return {f"{layer}.lora_A.weight": (1, columns), f"{layer}.lora_B.weight": (rows, 1)}


def write(path: str, shapes: Shapes, **metadata: str) -> None:
    """A whole file whose tensors nobody has to read."""
    entries: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for key, (rows, columns) in shapes.items():
        entries[key] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [end, end + 2 * rows * columns]}
        end += 2 * rows * columns
    header = json.dumps(entries).encode()
    Path(path).write_bytes(struct.pack("<Q", len(header)) + header + bytes(end))


def on(project: Project, *models: str) -> str:
    """What is wrong with a LoRA on models, "" for nothing."""
    try:
        project.load(f"matrix.model=[{','.join(models)}]")
    except DarkroomError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("shapes", "metadata", "said"),
    [
        (lora(PROJ, 3072, 3072), {"ss_base_model_version": KLEIN_4B}, ""),
        (
            {**lora(PROJ, 4096, 4096), **lora(LATE, 4096, 16384)},
            {"ss_base_model_version": KLEIN_9B},
            "this LoRA is for FLUX.2 klein-9B: hidden size 4096, the base has 3072 (its header says flux2_klein_9b). 4 "
            f"of 4 keys cannot be applied: {PROJ}.lora_A.weight, {PROJ}.lora_B.weight, {LATE}.lora_A.weight, … (4 in "
            "all)",
        ),
        (
            {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4, 3072)},
            {},
            "double_blocks_0_img_attn_proj: lora_A without lora_B: type fullrank cannot be applied",
        ),
        (
            lora("transformer.transformer_blocks.0.attn.to_q", 3072, 3072),
            {"ss_base_model_version": "flux.1"},
            "this LoRA is for Flex.1 or FLUX.1, the base is FLUX.2 klein-4B (its header says flux.1). All of its keys "
            "would fit",
        ),
        (
            lora(PROJ, 3072, 4096),
            {},
            "this LoRA is for another base: hidden size 4096, the base has 3072. 2 of 2 keys cannot be applied: "
            f"{PROJ}.lora_A.weight, {PROJ}.lora_B.weight",
        ),
        ({}, {}, "holds no tensors; train or save it again"),
    ],
)
def test_a_known_base_of_the_hub_is_judged_as_if_it_were_here(
    project: Project, shapes: Shapes, metadata: dict[str, str], said: str
) -> None:
    write("sks.safetensors", shapes, **metadata)
    place = f"conf/lora/l.yaml: loras[0].path: on model {KLEIN_4B}: sks.safetensors: "
    assert on(project, KLEIN_4B) == (f"{place}{said}" if said else "")


def test_every_file_is_told_of_with_the_models_that_it_is_not_for(project: Project) -> None:
    write("nine.safetensors", lora(PROJ, 4096, 4096))
    Path("cut.safetensors").write_bytes(Path("sks.safetensors").read_bytes()[:-1])
    project.write("conf/lora/l.yaml", "loras: [sks.safetensors, nine.safetensors, cut.safetensors]\n")
    unfit = f"2 of 2 keys cannot be applied: {PROJ}.lora_A.weight, {PROJ}.lora_B.weight"
    assert on(project, KLEIN_4B, f"{KLEIN_4B}_distilled", KLEIN_9B).splitlines() == [
        "3 problems:",
        "  - conf/lora/l.yaml: loras[2].path: cut.safetensors: truncated: expected 12558 bytes by its header, got "
        "12557; copy it again",
        f"  - conf/lora/l.yaml: loras[1].path: on model {KLEIN_4B}, {KLEIN_4B}_distilled: nine.safetensors: "
        f"this LoRA is for FLUX.2 klein-9B: hidden size 4096, the base has 3072. {unfit}",
        f"  - conf/lora/l.yaml: loras[0].path: on model {KLEIN_9B}: sks.safetensors: "
        f"this LoRA is for FLUX.2 klein-4B: hidden size 3072, the base has 4096. {unfit}",
    ]


def test_of_an_unknown_base_only_what_no_base_of_the_family_would_take_is_refused(project: Project) -> None:
    """The model m is of the hub, and nobody knows its size."""
    for shapes in (
        lora(PROJ, 3072, 3072),
        lora(PROJ, 5120, 5120),
        lora("diffusion_model.single_blocks.99.linear2", 96, 384),
    ):
        write("sks.safetensors", shapes, ss_base_model_version=KLEIN_9B)
        assert on(project, "m") == ""
    write("sks.safetensors", lora("diffusion_model.double_blocks.0.attn", 96, 96))
    none = "this LoRA is for another model: none of its layers is one of FLUX.2. 2 of 2 keys cannot be applied: "
    assert f"sks.safetensors: {none}" in on(project, "m")
    write("sks.safetensors", {"lora_unet_double_blocks_0_img_attn_proj.hada_w1_a": (4, 3072)})
    assert "on model m: sks.safetensors: is LoHa" in on(project, "m")


def test_a_kindred_base_may_be_allowed(project: Project) -> None:
    to_q = lora("transformer.transformer_blocks.0.attn.to_q", 3072, 3072)
    write("sks.safetensors", to_q, ss_base_model_version="flex2")
    assert on(project, "flux").endswith(
        "this LoRA is for Flex.2, the base is FLUX.1 (its header says flex2). All of its keys would fit; "
        "allow_foreign_lora: true applies it all the same"
    )
    project.write("conf/model/m.yaml", "family: flux\nguidance: embedded\ncheckpoint: {repo: someone/flux}\n")
    assert on(project, "m").endswith(
        "this LoRA is for Flex.2, the base is Flex.1 or FLUX.1 (its header says flex2); allow_foreign_lora: true "
        "applies what of it fits"
    )
    project.write("conf/lora/l.yaml", "allow_foreign_lora: true\nloras: [sks.safetensors]\n")
    assert (on(project, "m"), on(project, "flux")) == ("", "")


def test_what_is_not_applied_need_not_fit(project: Project) -> None:
    """A strength of 0 is the base."""
    write("sks.safetensors", lora(PROJ, 4096, 4096))
    project.write("conf/lora/l.yaml", "loras: [{path: sks.safetensors, network_multiplier: 0}]\n")
    assert on(project, KLEIN_4B) == ""
    project.write("conf/lora/l.yaml", "loras: [sks.safetensors]\n")
    project.write("conf/prompts/p.yaml", "prompts: [{prompt: a, network_multiplier: 0}]\n")
    assert on(project, KLEIN_4B) == ""
    project.write("conf/prompts/p.yaml", "prompts: [{prompt: a, network_multiplier: 0}, b]\n")
    assert "hidden size 4096, the base has 3072" in on(project, KLEIN_4B)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"r": 1, "lora_alpha": 1, "use_rslora": false, "rank_pattern": {}}', ""),
        ('{"r": 1, "lora_alpha": 2}', "has r 1, lora_alpha 2, which is not in the .safetensors"),
        ('{"r": 1, "lora_alpha": 2}', "or multiply its network_multiplier by lora_alpha / r and rename adapter_config"),
        ('{"r": 8, "alpha": 16}', "has r 8, alpha 16, which"),
        ('{"r": 4, "lora_alpha": 4, "use_rslora": true}', "has r 4, lora_alpha 4 and use_rslora, which"),
        ('{"r": 4, "lora_alpha": 4, "use_dora": true}', "has r 4, lora_alpha 4 and use_dora, which"),
        ('{"r": 4, "lora_alpha": 4, "alpha_pattern": {"to_k": 8}}', "has r 4, lora_alpha 4 and alpha_pattern, which"),
        ('{"r": 4, "lora_alpha": 4, "rank_pattern": {"to_k": 8}}', "has r 4, lora_alpha 4 and rank_pattern, which"),
        ("[]", "expected the config that PEFT saves beside a LoRA, as a JSON object (got list)"),
        ('{"r": 1', "as a JSON object (column 8: "),
        (" " * 2_000_000, "as a JSON object (more than 1048576 bytes)"),
    ],
)
def test_a_strength_that_only_the_config_beside_a_file_has_is_refused(project: Project, config: str, said: str) -> None:
    """What PEFT's save_pretrained leaves, named by its folder or by its file."""
    Path("saved").mkdir()
    write("saved/adapter_model.safetensors", lora(PROJ, 3072, 3072))
    Path("saved/adapter_config.json").write_text(config)
    for path in ("saved", "saved/adapter_model.safetensors"):
        project.write("conf/lora/l.yaml", f"loras: [{path}]\n")
        found = on(project, KLEIN_4B)
        assert said in found
        assert ("saved/adapter_config.json" in found) == bool(said)


def test_a_file_that_has_its_own_alphas_needs_no_config(project: Project) -> None:
    Path("adapter_config.json").write_text('{"r": 1, "lora_alpha": 2}')
    write("sks.safetensors", lora(PROJ, 3072, 3072), lora_adapter_metadata='{"transformer.lora_alpha": 2}')
    assert on(project, KLEIN_4B) == ""
    write("sks.safetensors", {**lora(PROJ, 3072, 3072), f"{PROJ}.alpha": (1, 1)})
    assert on(project, KLEIN_4B) == ""


def test_a_damaged_file_in_a_folder_fails_its_own_pictures(project: Project) -> None:
    """As it does where its path says the file itself: the run goes on, with the file as the path of the LoRA."""
    Path("saved").mkdir()
    Path("saved/cut.safetensors").write_bytes(Path("sks.safetensors").read_bytes()[:-1])
    project.write("conf/lora/l.yaml", "loras: [saved]\n")
    told: list[ConfigError] = []
    experiment = load_experiment("e", [Path("conf"), BUILT_IN], [], tell_unfit=told.append)
    assert [str(error).partition(": expected")[0] for error in told] == [
        "conf/lora/l.yaml: loras[0].path: saved/cut.safetensors: truncated"
    ]
    requests = [request for combination in experiment.combinations for request in combination.requests]
    assert {lora.path for request in requests for lora in request.adapters.loras} == {"saved/cut.safetensors"}


def test_a_lora_of_rank_0_is_refused(project: Project) -> None:
    write("sks.safetensors", {f"{PROJ}.lora_A.weight": (0, 3072), f"{PROJ}.lora_B.weight": (3072, 0)})
    assert "double_blocks.0.img_attn.proj: has tensors without values: " in on(project, KLEIN_4B)


def test_a_picture_has_the_step_that_the_header_of_its_file_says(project: Project) -> None:
    write("sks.safetensors", lora(PROJ, 3072, 3072), training_info='{"step": 750, "epoch": 3}')
    (request, *_) = project.load(f"matrix.model={KLEIN_4B}").combinations[0].requests
    assert [(file.path, file.step) for file in request.adapters.loras] == [("sks.safetensors", 750)]
    write("sks.safetensors", lora(PROJ, 3072, 3072))
    (unsaid, *_) = project.load(f"matrix.model={KLEIN_4B}").combinations[0].requests
    assert (unsaid.adapters.loras[0].step, unsaid.request_id) == (None, request.request_id)
