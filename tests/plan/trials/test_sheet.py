"""Which trials are planned to explain a picture: recorded facts first, then guesses, each picture once."""

import json
from dataclasses import replace

import pytest
from tests.places import DATA

from darkroom.plan.trials.factors import Factor, consistent, trials_of
from darkroom.plan.trials.lora_steps import nearest, other_steps
from darkroom.plan.trials.recorded import Recorded
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.request.speedups import speedups_of

REQUEST_FILE = DATA / "record/request.json"
REQUEST = Request.from_json(json.loads(REQUEST_FILE.read_text())).changed(axes=(), image_name="0000_7")


def tried(request, *recorded, steps=None):
    return {trial.factor: trial for trial in trials_of(request, recorded, steps or {})}


class TestNearest:
    RUN = ("a_000000250.safetensors", "a_000000500.safetensors", "a_000000750.safetensors", "a_000001000.safetensors")

    def test_two_on_each_side_nearest_first_and_the_last(self):
        names = [*self.RUN, "a_000001250.safetensors", "a_000001500.safetensors", "a.safetensors"]
        assert nearest("a_000000750.safetensors", names) == [
            "a_000000500.safetensors",
            "a_000001000.safetensors",
            "a_000000250.safetensors",
            "a_000001250.safetensors",
            "a.safetensors",
        ]

    def test_of_the_last_those_before_it(self):
        assert nearest("a.safetensors", [*self.RUN, "a.safetensors"]) == [
            "a_000001000.safetensors",
            "a_000000750.safetensors",
        ]

    def test_another_run_is_none_of_its_steps(self):
        names = ["a_b_000000250.safetensors", "ab.safetensors", "a_000000250.txt", "a.safetensors"]
        assert nearest("a.safetensors", names) == []
        assert nearest("a.bin", [*names, "b.bin"]) == []

    def test_a_folder_that_is_gone_has_none(self, tmp_path):
        assert other_steps(tmp_path / "gone" / "a.safetensors") == []


class TestFactors:
    def test_what_the_issue_names_is_tried(self):
        named = tried(REQUEST)
        assert [name for name in named if name.startswith(("schedule", "LoRA", "timestep", "noise", "numerics"))] == [
            "schedule: diffusers",
            "timestep_rounding: diffusers",
            "LoRA live",
            "LoRA merged_in_dtype",
            "noise_device: cuda",
            "numerics: fast",
        ]
        assert named["schedule: diffusers"].change == "schedule: diffusers in conf/model/demo.yaml"
        assert named["sample_steps: 7"].change == "sample_steps: 7 in conf/prompts/portraits.yaml, prompt 0"
        assert {"sample_steps: 9", "seed: 6", "seed: 8", 'neg: ""', "no LoRA", "guidance_scale: 1"} <= named.keys()
        assert {"[trigger] left in the prompt", "no trigger word", "text_encoder_cast: true"} <= named.keys()

    def test_each_differs_from_the_request_and_from_the_others(self):
        trials = trials_of(REQUEST, (), {})
        ids = [trial.request.request_id for trial in trials]
        assert len({*ids, REQUEST.request_id}) == len(ids) + 1

    def test_the_trigger_word_is_written_put_away_or_put_in_front(self):
        named = tried(REQUEST)
        assert named["[trigger] left in the prompt"].request.text.prompt == "[trigger] a photo of a person"
        assert named["no trigger word"].request.text.prompt == "a photo of a person"
        plain = REQUEST.changed(prompt="a dog", prompt_template="a dog")
        assert tried(plain)["trigger word before the prompt"].request.text.prompt == "sks a dog"
        imported = REQUEST.changed(prompt_template=REQUEST.text.prompt)
        assert tried(imported)["[trigger] left in the prompt"].request.text.prompt == "[trigger] a photo of a person"

    def test_strengths_are_those_in_effect_and_full_strength_is_among_them(self):
        strengths = {
            trial.request.adapters.loras[0].network_multiplier
            for name, trial in tried(REQUEST).items()
            if name.startswith("network_multiplier")
        }
        assert strengths == {0.25, 0.4, 0.45, 0.55, 0.6, 1.0}

    def test_strengths_are_said_where_they_stand(self):
        """0.72 is in effect: 0.9 in conf/lora, times the prompt's 0.8."""
        lora = replace(REQUEST.adapters.loras[0], network_multiplier=0.72)
        named = tried(REQUEST.changed(loras=(lora,), network_multiplier=0.8))
        strengths = {
            name: (trial.request.adapters.loras[0].network_multiplier, trial.change)
            for name, trial in named.items()
            if name in ("network_multiplier: 0.4", "network_multiplier: 1", "network_multiplier: 1 of the LoRA's file")
        }
        prompt = "conf/prompts/portraits.yaml, prompt 0"
        assert strengths == {
            "network_multiplier: 0.4": (0.36, f"network_multiplier: 0.4 in {prompt}"),
            "network_multiplier: 1": (0.9, f"network_multiplier: 1 in {prompt}"),
            "network_multiplier: 1 of the LoRA's file": (0.8, "network_multiplier: 1 in conf/lora/anna.yaml"),
        }

    def test_without_one_of_the_prompt_the_strength_is_the_file_s(self):
        named = tried(REQUEST.changed(network_multiplier=1.0))
        assert named["network_multiplier: 0.45"].change == "network_multiplier: 0.45 in conf/lora/anna.yaml"
        axis = tried(REQUEST.changed(network_multiplier=1.0, axes=(("network_multiplier", 1.0),)))
        assert axis["network_multiplier: 0.9"].change == (
            "network_multiplier: 0.9 in matrix.network_multiplier in conf/experiment/strength.yaml"
        )

    def test_one_part_is_quantised_at_a_time_or_both_as_in_the_trainers_interface(self):
        both = "quantize: {transformer: qfloat8, text_encoder: qfloat8}"
        live = " (so the LoRA is live)"
        named = {name: trial for name, trial in tried(REQUEST).items() if name.startswith("quantize")}
        quantised = {
            name: (trial.request.base.quantize_transformer, trial.request.encoder.quantize_text_encoder)
            for name, trial in named.items()
        }
        assert quantised == {
            f"{both}, both, as the trainer's interface has it{live}": ("qfloat8", "qfloat8"),
            f"quantize.transformer: qfloat8{live}": ("qfloat8", None),
            "quantize.text_encoder: qfloat8": (None, "qfloat8"),
        }
        assert [trial.change for trial in named.values()] == [
            f"{both} in conf/model/demo.yaml{live}",
            f"quantize.transformer: qfloat8 in conf/model/demo.yaml{live}",
            "quantize.text_encoder: qfloat8 in conf/model/demo.yaml",
        ]

    def test_a_quantised_base_has_its_adapters_live(self):
        quantised = tried(REQUEST)["quantize.transformer: qfloat8 (so the LoRA is live)"].request
        assert quantised.adapters.lora_merge == "live"
        back = tried(quantised)["quantize.transformer: null (so the LoRA is merged)"].request
        assert back.request_id == REQUEST.request_id, "and an unquantised one merged"
        assert "LoRA merged" not in tried(quantised)
        assert [name for name in tried(quantised) if name.startswith("quantize")] == [
            "quantize.transformer: null (so the LoRA is merged)",
            "quantize.text_encoder: qfloat8",
        ]

    def test_without_an_adapter_nothing_is_said_of_adapters(self):
        base = consistent(REQUEST.changed(loras=(), trigger_word=None, prompt="a", prompt_template="a"))
        assert base.adapters.lora_merge is None
        assert [name for name in tried(base) if "LoRA" in name or "multiplier" in name or "trigger" in name] == []

    def test_other_steps_of_the_same_run(self):
        path = REQUEST.adapters.loras[0].path
        other = Lora("jobs/anna/anna_000000250.safetensors", 0.5, "c" * 64)
        trial = tried(REQUEST, steps={path: [other]})["LoRA anna_000000250.safetensors"]
        assert trial.request.adapters.loras == (other,)
        assert trial.change == "path: jobs/anna/anna_000000250.safetensors in conf/lora/anna.yaml"

    def test_what_is_recorded_comes_first_and_at_once(self):
        recorded = (
            Factor("seed: 8", {"seed": 8}, "seed: 8 in a", then=True),
            Factor("neg: ''", {"neg": ""}, "neg: '' in a", then=True),
        )
        trials = trials_of(REQUEST, recorded, {})
        assert [trial.factor for trial in trials[:3]] == [
            "seed: 8 (as recorded)",
            "neg: '' (as recorded)",
            "all that is recorded otherwise, at once",
        ]
        assert (trials[2].request.sampling.seed, trials[2].request.text.neg) == (8, "")
        assert "seed: 8" not in [trial.factor for trial in trials], "not twice"

    def test_an_axis_of_the_matrix_is_changed_there(self):
        request = REQUEST.changed(axes=(("seed", 7),))
        assert tried(request)["seed: 8"].change == "seed: 8 in matrix.seed in conf/experiment/strength.yaml"

    def test_flux1_has_one_schedule_and_one_rounding(self):
        flux = REQUEST.changed(family="flux", guidance="embedded")
        named = tried(flux)
        assert "attn_masking: true" in named
        assert not [n for n in named if n.startswith(("schedule", "timestep", "numerics", "text_encoder_cast", "neg"))]


THEN = {
    "prompt": "sks a photo of a person",
    "neg": "blurry",
    "seed": 7,
    "sample_steps": 8,
    "guidance_scale": 4.0,
    "loras": [{"path": "gone.safetensors", "sha256": "5555555555aaaaaa", "network_multiplier": 0.5}],
    "lora_merge": "merged",
    "quantize_transformer": None,
    "schedule": "aitk",
    "family": "flux2",
}


class TestRecorded:
    def recorded(self, request=REQUEST, **then):
        return Recorded(request, {**THEN, **then}, lambda path: path.read_text())

    def test_what_is_alike_is_no_factor(self):
        found = self.recorded()
        assert (found.factors, found.not_tried) == ((), ())

    def test_plain_values_are_set_back(self):
        found = self.recorded(seed=8, quantize_transformer="qfloat8", lora_merge="live")
        assert [(factor.name, dict(factor.changes)) for factor in found.factors] == [
            ("seed: 8", {"seed": 8}),
            ("quantize.transformer: qfloat8", {"quantize_transformer": "qfloat8"}),
            ("lora_merge: live", {"lora_merge": "live"}),
        ]

    def test_a_value_that_is_not_built_is_said(self):
        found = self.recorded(quantize_transformer="float8")
        assert found.factors == ()
        assert found.not_tried == ("quantize_transformer: float8, as recorded: not built",)

    def test_a_lora_of_then_is_found_by_its_digest_at_another_step(self, tmp_path):
        other = tmp_path / "a_000000250.safetensors"
        other.write_text("d" * 64)
        then = [{"path": str(tmp_path / "a.safetensors"), "sha256": "d" * 64, "network_multiplier": 1.0}]
        (factor,) = self.recorded(loras=then).factors
        assert factor.changes["loras"] == (Lora(str(other), 1.0, "d" * 64),)

    def test_of_a_folder_of_loras_the_run_s_own_are_read(self, tmp_path):
        for name in ("a_000000250", "b", "b_000000250", "base_model"):
            (tmp_path / f"{name}.safetensors").write_text("e" * 64)
        read = []
        then = [{"path": str(tmp_path / "a.safetensors"), "sha256": "d" * 64, "network_multiplier": 1.0}]
        Recorded(REQUEST, {**THEN, "loras": then}, lambda path: read.append(path.name) or path.read_text())
        assert read == ["a_000000250.safetensors"]

    @pytest.mark.parametrize(
        ("then", "strength", "change"),
        [
            # 0.5 of the prompt's times 1 of the file's now
            (1.0, 1.0, "network_multiplier: 1 in {prompt}"),
            (0.5, 0.4, "loras: {path} at 0.8 in conf/lora/anna.yaml"),
            (0.8, 0.72, "network_multiplier: 0.8 in {prompt}; loras: {path} at 0.9 in conf/lora/anna.yaml"),
            (0, 0, "network_multiplier: 0 in {prompt}"),
        ],
    )
    def test_a_recorded_strength_is_said_where_it_stands(self, tmp_path, then, strength, change):
        path = tmp_path / "anna.safetensors"
        path.write_text("d" * 64)
        request = REQUEST.changed(loras=(Lora(str(path), 0.5, "d" * 64),))
        loras = [{"path": str(path), "sha256": "d" * 64, "network_multiplier": strength}]
        (factor,) = self.recorded(request, loras=loras, network_multiplier=then).factors
        assert factor.change == change.format(prompt="conf/prompts/portraits.yaml, prompt 0", path=path)
        assert [lora.network_multiplier for lora in factor.changes["loras"]] == ([strength] if strength else [])

    def test_a_recorded_quantisation_is_said_as_conf_has_it(self):
        (factor,) = self.recorded(quantize_transformer="qfloat8").factors
        (trial,) = [trial for name, trial in tried(REQUEST, factor).items() if "as recorded" in name]
        assert trial.factor == "quantize.transformer: qfloat8 (as recorded) (so the LoRA is live)"
        assert trial.change == "quantize.transformer: qfloat8 in conf/model/demo.yaml (so the LoRA is live)"

    def test_without_the_quantisation_the_lora_is_merged_again(self):
        now = REQUEST.changed(quantize_transformer="qfloat8", lora_merge="live")
        found = self.recorded(now, quantize_transformer=None, lora_merge="merged").factors
        assert dict(found[0].changes) == {"quantize_transformer": None, "lora_merge": "merged"}
        assert found[0].change == "quantize.transformer: null in conf/model/demo.yaml"

    def test_a_lora_that_was_overwritten_is_said(self, tmp_path):
        path = tmp_path / "a.safetensors"
        path.write_text("e" * 64)
        found = self.recorded(loras=[{"path": str(path), "sha256": "d" * 64, "network_multiplier": 1.0}])
        assert found.factors == ()
        assert found.not_tried == (f"LoRA: {path}, as recorded, is another one now (sha256 dddddddddddddddd…)",)

    def test_the_base_model_of_a_step_0_preview(self):
        (factor,) = self.recorded(loras=[], lora_merge=None).factors
        assert factor.name == "LoRA none"
        assert consistent(REQUEST.changed(**factor.changes)).adapters.lora_merge is None

    @pytest.mark.parametrize(
        ("then", "said"),
        [
            ({"family": "flux"}, "family: flux then, flux2 now: another kind of model"),
            (
                {"checkpoint_digest": "ab" * 32},
                "checkpoint: other files then (abababababababab…) than now: a request names no second one",
            ),
        ],
    )
    def test_what_cannot_be_set_back_is_said(self, then, said):
        assert self.recorded(**then).not_tried == (said,)


def test_a_trial_keeps_the_speedups_that_go_with_what_it_changes():
    fast = REQUEST.changed(numerics="fast", batched_guidance=True, compiled_blocks=True)
    assert speedups_of(consistent(fast.changed(quantize_transformer="qfloat8")).base) == ("batched_guidance",)
    assert speedups_of(consistent(fast.changed(numerics="exact")).base) == ()
