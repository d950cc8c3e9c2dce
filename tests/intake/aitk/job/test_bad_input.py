"""Jobs that cannot be imported, or not whole: what is said, and what it takes."""

import base64
import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.examples.job_folder import (
    ADAPTER,
    MS,
    job_config,
    write_checkpoint,
    write_job,
)
from tests.intake.aitk.job.importing import (
    BUILT_IN,
    GREY,
    JOB,
    a_job,
    error,
    imported,
    pictures,
    reasons,
    text_of,
)

from darkroom.errors import DarkroomError
from darkroom.intake.aitk.base_model import Copies
from darkroom.plan.conf.owned_files import Writing
from darkroom.plan.load import load_experiment


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "config.yaml: is empty"),
            ("a: [", "config.yaml: line 2"),
            ("[1, 2]", "config.yaml: expected the keys and values of an ai-toolkit job, got list"),
            ("config: 5", "config.yaml: config: expected keys and values, got 5"),
            ("config: {name: 5}", "config.yaml: config.name: expected text, got 5"),
            ("config: {process: []}", "config.name: expected the name of an ai-toolkit job, got None"),
            ("config: {name: a}", "expected one process with a section model, got 0; there are: no processes"),
            ("config: {name: a, process: {a: b}}", "config.process: expected a list, got {'a': 'b'}"),
            ("config: {name: a, process: [5]}", "config.process[0]: expected keys and values, got 5"),
            ("config: {name: a, process: [{type: x}]}", "got 0; there are: process[0] (x)"),
            ("x: !!python/object/apply:os.system ['true']", "tag !!python/object/apply:os.system: expected a plain"),
            ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nc: 1", "key 'c' is there twice"),
        ],
    )
    def test_a_configuration_that_is_none(self, text: str, said: str) -> None:
        JOB.mkdir(parents=True)
        (JOB / "config.yaml").write_text(text)
        assert said in error()

    def test_an_alias_bomb(self) -> None:
        JOB.mkdir(parents=True)
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        (JOB / "config.yaml").write_text("\n".join(lines))
        assert "more than 200000 values, with those that aliases repeat" in error()

    @pytest.mark.parametrize("wrong", [5, "text", [1], {"a": 1}, True, 1.5, ["x", None]])
    @pytest.mark.parametrize(
        "key",
        [
            *("trigger_word", "network", "train", "model", "sample", "first_sample", "training_folder", "embedding"),
            *("model.name_or_path", "model.arch", "model.vae_path", "model.quantize", "model.quantize_te"),
            *("model.qtype", "model.qtype_te", "model.low_vram", "model.layer_offloading", "model.quantize_kwargs"),
            *("model.is_flux", "model.attn_masking", "model.use_flux_cfg", "train.dtype", "train.steps"),
            *("train.skip_first_sample", "train.cache_text_embeddings", "network.type", "sample.samples"),
            *("sample.prompts", "sample.walk_seed", "sample.seed", "sample.width", "sample.neg", "sample.sampler"),
            *("sample.samples.0", "sample.samples.0.prompt", "sample.samples.0.ctrl_img", "sample.samples.0.ctrl_idx"),
        ],
    )
    def test_a_wrong_type_is_told_or_harmless(self, key: str, wrong: object) -> None:
        config = job_config()
        *path, last = (int(part) if part.isdecimal() else part for part in key.split("."))
        place: Any = config["config"]["process"][0]
        for part in path:
            place = place[part]
        place[last] = wrong
        write_job(JOB, job_config(), {(0, 0): GREY})
        (JOB / "config.yaml").write_text(yaml.safe_dump(config))
        try:
            imported(copies=Copies())
        except DarkroomError as error:
            assert "config.yaml" in str(error)  # noqa: PT017 either way is right

    def test_everything_wrong_is_told_at_once(self) -> None:
        config = job_config(model={"name_or_path": "/gone", "quantize": "yes", "qtype": 8})
        write_job(JOB, config)
        said = error()
        assert "3 problems:" in said
        assert "model.quantize: expected true or false, got 'yes'" in said
        assert "model.qtype: expected text, got 8" in said
        assert "/gone: is not on this machine" in said

    @pytest.mark.parametrize(
        ("arch", "said"),
        [
            ("flux2_klein_4", "'flux2_klein_4' cannot be rendered here; did you mean 'flux2_klein_4b'? known: flex1"),
            (None, "model.arch: None cannot be rendered here; expected one of flex1, flex2, flux, flux2,"),
        ],
    )
    def test_another_architecture(self, arch: str | None, said: str) -> None:
        write_job(JOB, job_config(model={"arch": arch}))
        assert said in error()

    def test_several_processes_with_samples(self) -> None:
        config = job_config()
        config["config"]["process"] *= 2
        write_job(JOB, config)
        assert "got 2; there are: process[0] (diffusion_trainer), process[1] (diffusion_trainer)" in error()

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("gone", "gone: no such file or folder; expected an ai-toolkit job folder, or its config.yaml"),
            (".", ".: no job folder of ai-toolkit: neither config.yaml nor .job_config.json is in it"),
            ("a.txt", "a.txt: expected an ai-toolkit job folder, or a file that ends in .yaml, .yml, .json"),
        ],
    )
    def test_no_job_at_all(self, path: str, said: str) -> None:
        Path("a.txt").touch()
        assert error(Path(path)) == said

    @pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT])
    def test_what_cannot_be_read_or_goes_meanwhile(self, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(path: Path) -> str:
            raise OSError(code, os.strerror(code), str(path))

        a_job()
        monkeypatch.setattr("darkroom.intake.aitk.previews.sha256_of", failing)
        file = "output/my_job/my_job_000000250.safetensors"
        assert error() == f"{file}: {os.strerror(code)}; is it readable, and the training at rest?"

    def test_a_name_that_is_too_long_for_a_file(self) -> None:
        assert error(Path("a" * 300)).startswith(f"{'a' * 300}: File name too long")

    @pytest.mark.parametrize("key", ["guidance_scale", "seed", "width"])
    def test_a_number_that_is_too_large_for_anything(self, key: str) -> None:
        a_job(sample={key: 10**400})
        assert "a whole number with more than 300 digits" in error()
        shutil.rmtree(JOB)
        a_job(sample={"samples": [{"prompt": "a", key: 10**299}, {"prompt": "b", "seed": 1}]})
        assert "out of range" in text_of(imported(), "prompts/my_job")

    def test_no_prompt_left(self) -> None:
        write_job(JOB, job_config(sample={"samples": [{"prompt": "a --s many"}]}))
        assert "sample: no prompt of the job can be rendered: prompt 0: --s: expected a whole number" in error()

    @pytest.mark.parametrize("info", ["", "5", "[]", "{}", '{"step": "x"}', "{", '{"step": null}', "[" * 5000])
    def test_training_info_that_is_none(self, info: str) -> None:
        folder = write_job(JOB, job_config(), pictures(250))
        write_checkpoint(folder / "my_job_000000250.safetensors", ADAPTER, None, training_info=info)
        assert reasons(imported())["250", 0] is None

    def test_a_picture_that_claims_to_be_enormous(self) -> None:
        bomb = "iVBORw0KGgoAAAANSUhEUgABhqAAAYagCAIAAADV7lFcAAAAAElFTkSuQmCC"
        folder = a_job(steps=(0,))
        (folder / f"samples/{MS}__000000000_0.jpg").write_bytes(base64.b64decode(bomb))
        assert imported().previews[0].reason is None or "size" in str(imported().previews[0].reason)

    def test_prompts_with_quotes_breaks_and_braces(self) -> None:
        text = "a \"sign\" that says: 'hi'\\ #1 {x}\n[y] ${z} \U0001f600 é \x07"
        job = imported(a_job(steps=(0,), sample={"samples": [{"prompt": text}]}))
        job.write(Writing())
        combination, *_ = load_experiment("my_job", [Path("conf"), BUILT_IN], []).combinations
        assert combination.requests[0].text.prompt == text.strip()


def test_ten_times_the_samples_take_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        folder = write_job(JOB, job_config(), {(0, 0): GREY})
        source = folder / f"samples/{MS}__000000000_0.jpg"
        for number in range(1, count):
            os.link(source, folder / f"samples/{MS + number}__{number // 2:09d}_{number % 2}.jpg")
        begun = time.process_time()
        assert len(imported().previews) == count
        shutil.rmtree(folder)
        return time.process_time() - begun

    assert seconds(5_000) < 30 * seconds(500)  # a hundred times, if each were compared with all others
