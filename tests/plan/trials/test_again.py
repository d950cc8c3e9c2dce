"""The experiment that `darkroom again` writes for one picture."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.examples.record import LORA, REQUEST, embedded

from darkroom.errors import ConfigError, ImageError, Problems
from darkroom.files.images.image_file import write_image
from darkroom.plan.trials.again import forget_unbegun, write_again
from darkroom.record.circumstances import LoraUse
from darkroom.store import RESULTS

SKS = {"path": LORA.path, "network_multiplier": 1.0}  # times the prompt's 0.5


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def picture(record, name="000_7.png"):
    write_image(Path(name), np.zeros((48, 64, 3), np.uint8), record.to_json(), "png", 100)
    return Path(name)


def written(again, group):
    return yaml.safe_load((RESULTS / again.name / "conf" / group / f"{again.name}.yaml").read_text(encoding="utf-8"))


def test_a_picture_becomes_an_experiment_of_its_own_in_results():
    again = write_again(picture(embedded()), [], RESULTS)
    assert again.name.startswith("again_000_7_")
    assert not again.is_changed
    assert again.overrides == (f'hydra.searchpath=["file://{Path.cwd()}/results/{again.name}/conf"]',)
    experiment = written(again, "experiment")
    assert experiment["matrix"] == {"model": ["demo"], "lora": [again.name], "prompts": [again.name]}
    assert experiment["model"]["lora_merge"] == "merged"
    assert experiment["output"] == {"format": "png"}
    assert written(again, "lora") == {"loras": [SKS]}
    (prompt,) = written(again, "prompts")["prompts"]
    assert (prompt["prompt"], prompt["seed"], prompt["network_multiplier"]) == (REQUEST.text.prompt, 7, 0.5)
    assert not Path("conf").exists(), "nobody's own conf/ is written to"


def test_changes_go_where_conf_has_them():
    words = ["seed=8", "prompt=a cat: 1, [two]", "model.numerics=fast", "network_multiplier.anna=0.25", "lora=none"]
    again = write_again(picture(embedded()), words, RESULTS)
    assert again.is_changed
    assert again.overrides[1:] == ("model.numerics=fast",)
    experiment = written(again, "experiment")
    assert experiment["matrix"]["network_multiplier.anna"] == [0.25]
    assert experiment["matrix"]["lora"] == ["none"]
    assert "lora_merge" not in experiment["model"]
    (prompt,) = written(again, "prompts")["prompts"]
    assert (prompt["prompt"], prompt["seed"]) == ("a cat: 1, [two]", 8)


def test_the_same_change_is_the_same_experiment_and_another_one_another():
    image = picture(embedded())
    names = [write_again(image, words, RESULTS).name for words in ([], ["seed=8"], ["seed=8"], ["seed=9"])]
    assert names[1] == names[2]
    assert len(set(names)) == 3


@pytest.mark.parametrize(("own", "of_prompt"), [(0.1, 3.0), (1 / 3, 0.7), (0.8, 1.0)])
def test_strengths_in_effect_are_exactly_those_of_the_picture(own, of_prompt):
    in_effect = own * of_prompt
    request = REQUEST.changed(network_multiplier=of_prompt)
    use = LoraUse(LORA.path, LORA.sha256, in_effect, LORA.format, LORA.matched_keys)
    again = write_again(picture(embedded(request, (use,))), [], RESULTS)
    (prompt,), (lora,) = written(again, "prompts")["prompts"], written(again, "lora")["loras"]
    assert lora["network_multiplier"] * prompt["network_multiplier"] == in_effect


def test_a_picture_of_the_base_model_has_no_lora():
    record = embedded(REQUEST.changed(loras=(), lora_merge=None), ())
    assert written(write_again(picture(record), [], RESULTS), "experiment")["matrix"]["lora"] == ["none"]


def test_every_word_that_says_nothing_is_told_at_once():
    with pytest.raises(Problems) as caught:
        write_again(picture(embedded()), ["steps=9", "seed", "colour=red"], RESULTS)
    said = str(caught.value)
    assert "steps: unknown key; here it is sample_steps" in said
    assert "seed: expected key=value, such as seed=7" in said
    assert "colour: unknown key; " in said
    assert not RESULTS.exists(), "nothing is half written"


def test_a_value_that_no_prompt_takes_is_refused_by_the_key_that_was_typed():
    with pytest.raises(Problems) as caught:
        write_again(picture(embedded()), ["seed=x", "sample_steps=0", "network_multiplier.anna=[1, 2]"], RESULTS)
    assert str(caught.value).splitlines()[1:] == [
        "  - seed: expected a whole number, got 'x'",
        "  - sample_steps: 0 is out of range: 1 to 150",
        "  - network_multiplier.anna: expected a number, got [1, 2]; several values are an axis of the matrix",
    ]
    assert not RESULTS.exists(), "nothing is half written"


def test_a_run_that_was_refused_leaves_nothing_and_one_that_began_stays():
    again = write_again(picture(embedded()), ["model.numerics=exakt"], RESULTS)
    forget_unbegun(again, RESULTS)
    assert not any(RESULTS.iterdir())
    again = write_again(picture(embedded()), ["model.numerics=fast"], RESULTS)
    (RESULTS / again.name / "contents.json").touch()
    forget_unbegun(again, RESULTS)
    assert (RESULTS / again.name / "conf/experiment").is_dir()


def test_a_lora_that_a_public_record_knows_by_its_name_alone_is_asked_for():
    use = LoraUse("anna.safetensors", LORA.sha256, 0.5, LORA.format, LORA.matched_keys)
    image = picture(embedded(REQUEST, (use,)))
    with pytest.raises(ConfigError, match=r"does not say in which folder anna\.safetensors lies; .* lora=NAME takes"):
        write_again(image, [], RESULTS)
    assert not RESULTS.exists()
    assert write_again(image, ["lora=anna"], RESULTS).is_changed


def test_what_is_no_render_is_refused():
    Image.new("RGB", (8, 8)).save("foreign.png")
    for name in ("foreign.png", "missing.png", os.curdir):
        with pytest.raises(ImageError):
            write_again(Path(name), [], RESULTS)
