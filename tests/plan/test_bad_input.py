"""What bad configuration gets: a sentence with file and key, all problems at once."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.examples.small_project import BUILT_IN
from tests.plan.weights.model_files import put

from darkroom.errors import ConfigError
from darkroom.plan.load import load_experiment

MATRIX = "matrix: {model: [m], lora: [l], prompts: [p]}\n"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint: {repo: a/b}\nstepz: 4\n",
            "conf/model/m.yaml: stepz: unknown key; known: attn_masking, batched_guidance, checkpoint, "
            "compiled_blocks, defaults, distilled, dtype, family, guidance, guidance_rule, imported, lora_merge, "
            "max_sequence_length, noise_device, numerics, "
            "quantize, resolution_divisor, schedule, text_encoder_cast, timestep_rounding, "
            "trained_sequence_length",
        ),
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint: {repo: a/b}\ndefaults: {sample_step: 4}\n",
            "conf/model/m.yaml: defaults.sample_step: unknown key; did you mean 'sample_steps'? "
            "known: guidance_scale, height, neg, sample_steps, seed, width",
        ),
        ("conf/model/m.yaml", "family: flux2\n", "conf/model/m.yaml: checkpoint is missing"),
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint: {repo: black-forest-labs/FLUX.2-klein-4B}\n",
            "conf/model/m.yaml: distilled: FLUX.2-klein-4B is the klein that was distilled to 4 steps, which no "
            "trainer previews: expected true, got false",
        ),
        (
            "conf/model/m.yaml",
            "family: flux1\ncheckpoint: {repo: a/b}\n",
            "conf/model/m.yaml: family: 'flux1' is not one of: flux2, flux, flex2, zimage",
        ),
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint:\n  repo: ???\n",
            "conf/model/m.yaml: checkpoint.repo: a value is needed in place of ???",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts:\n  - a\n  - {prompt: b, width: 8000}\n",
            "conf/prompts/p.yaml: prompts[1].width: 8000 is out of range: 64 to 4096",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, sample_steps: many}]\n",
            "conf/prompts/p.yaml: prompts[0].sample_steps: expected a whole number, got 'many'",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: 7}]\n",
            "conf/prompts/p.yaml: prompts[0].prompt: expected text, got 7; put it in quotes",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, guidance_scale: .nan}]\n",
            "conf/prompts/p.yaml: prompts[0].guidance_scale: nan is out of range: 0 to 20",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, aspect_ratio: '2:1'}]\n",
            "conf/prompts/p.yaml: prompts[0].aspect_ratio: '2:1' is not one of: "
            "1:1, 16:9, 21:9, 3:2, 2:3, 4:5, 5:4, 3:4, 4:3, 9:16, 9:21",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, aspect_ratio: '1:1', width: 64}]\n",
            "conf/prompts/p.yaml: prompts[0].aspect_ratio: takes the place of width and height; give one or the other",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, aspect_ratio: '21:9'}]\ndefaults: {width: 4096, height: 4096}\n",
            "conf/prompts/p.yaml: prompts[0]: aspect_ratio 21:9 with the pixels of 4096x4096 makes 6256x2672, "
            "out of range: 64 to 4096 in steps of 16; write width: 4096 and height: 1744 in its place",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: b, aspect_ratio: '3:4'}]\ndefaults: {width: 64, height: 64}\n",
            "conf/prompts/p.yaml: prompts[0]: aspect_ratio 3:4 with the pixels of 64x64 makes 48x64, "
            "out of range: 64 to 4096 in steps of 16; write width: 64 and height: 80 in its place",
        ),
        ("conf/prompts/p.yaml", "prompts: a cat\n", "conf/prompts/p.yaml: prompts: expected a list, got 'a cat'"),
        (
            "conf/prompts/p.yaml",
            "prompts: []\n",
            "conf/prompts/p.yaml: prompts: the set is empty; it needs prompts, templates or a text file",
        ),
        (
            "conf/prompts/p.yaml",
            "file: gone.txt\n",
            "conf/prompts/p.yaml: file: gone.txt: no such file (paths start at the working directory)",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [a]\ntrigger_word: x\ndefaults: {trigger_word: y}\n",
            "conf/prompts/p.yaml: defaults.trigger_word: the set itself has a trigger_word already",
        ),
        ("conf/prompts/p.yaml", "- a\n", "conf/prompts/p.yaml: expected keys and values, got a list"),
        ("conf/prompts/p.yaml", "prompts: [a\n", "conf/prompts/p.yaml: line 2, column 1: expected ',' or ']'"),
        (
            "conf/prompts/p.yaml",
            "prompts: [a]\nprompts: [b]\n",
            "conf/prompts/p.yaml: line 2, column 1: found duplicate key prompts; give it once",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [a]\n---\nprompts: [b]\n",
            "conf/prompts/p.yaml: line 2, column 1: but found another document; --- begins a second document: take it "
            "out, or put the text in quotes",
        ),
        (
            "conf/prompts/p.yaml",
            "prompts: [{prompt: a, aspect_ratio: 16:9, width: 8:32}]\n",
            "conf/prompts/p.yaml: line 1: 8:32 is 512 to YAML",
        ),
        ("conf/prompts/p.yaml", "prompts: ['${lora.x']\n", "conf/prompts/p.yaml: "),
        (
            "conf/prompts/p.yaml",
            "prompts: ['${lora.triger}']\n",
            "conf/prompts/p.yaml: prompts[0]: Interpolation key 'lora.triger' not found",
        ),
        ("conf/lora/l.yaml", "trigger_word: sks\n", "conf/lora/l.yaml: loras is missing"),
        (
            "conf/lora/l.yaml",
            "loras: [{path: sks.safetensors, network_multiplier: .inf}]\n",
            "conf/lora/l.yaml: loras[0].network_multiplier: inf is out of range: expected a finite number",
        ),
        (
            "conf/lora/l.yaml",
            "loras: [gone.safetensors]\n",
            "conf/lora/l.yaml: loras[0].path: gone.safetensors: no such file",
        ),
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint: {repo: ./models/klein}\n",
            "conf/model/m.yaml: checkpoint.repo: ./models/klein: neither a folder nor a hub id such as",
        ),
        (
            "conf/model/m.yaml",
            "family: flux2\ncheckpoint: {repo: a/b, transformer: ./gone.safetensors}\n",
            "conf/model/m.yaml: checkpoint.transformer: ./gone.safetensors: no such file",
        ),
        (
            "conf/experiment/e.yaml",
            "matrx: {}\n",
            "conf/experiment/e.yaml: matrx: unknown key; did you mean 'matrix'? "
            "known: compare, exclude, lora, machine, matrix, model, output, prompts",
        ),
        (
            "conf/experiment/e.yaml",
            "defaults: [override /output: jpg]\n",
            "conf/experiment/e.yaml: output: there is no conf/output/jpg.yaml; known: default",
        ),
        (
            "conf/experiment/e.yaml",
            "defaults: [bsae]\nmatrix: {}\n",
            "conf/experiment/e.yaml: defaults: there is no conf/experiment/bsae.yaml; known: demo, demo_nightly, "
            "demo_training, e",
        ),
        ("conf/experiment/e.yaml", "defaults: [e]\n", "conf/experiment/e.yaml: defaults: includes itself"),
        (
            "conf/experiment/e.yaml",
            "hydra: {run: {dir: out}}\n",
            "conf/experiment/e.yaml: hydra: unknown key; what comes of",
        ),
        (
            "conf/experiment/e.yaml",
            "lora: [l]\n",
            "conf/experiment/e.yaml: lora: expected keys and values, got ['l']; choices go to matrix.lora",
        ),
        (
            "conf/config.yaml",
            "defaults: [schema]\n",
            "conf/config.yaml: defaults: needs an entry experiment@_global_: NAME; "
            "or leave defaults out, and the rest goes over Darkroom's own config.yaml",
        ),
        (
            "conf/output/default.yaml",
            "format: [png\n",
            "conf/output/default.yaml: line 2, column 1: expected ',' or ']'",
        ),
        (
            "conf/output/default.yaml",
            "format: ${x}\n",
            "conf/output/default.yaml: format: Interpolation key 'x' not found",
        ),
        ("conf/lora/l.yaml", f"folder: {'a' * 300}", f"{'a' * 300}: File name too long"),
        ("conf/lora/l.yaml", "1e999", "conf/lora/l.yaml: expected keys and values, got '1e999'"),
        ("conf/lora/l.yaml", "2026-01-01", "conf/lora/l.yaml: expected keys and values, got '2026-01-01'"),
        ("conf/lora/l.yaml", "loras: &x [*x]\n", "conf/lora/l.yaml: line 1: contains itself by an alias"),
        (
            "conf/lora/l.yaml",
            "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(6)),
            "conf/lora/l.yaml: line 4: aliases repeat more than 5000 values",
        ),
        (
            "conf/lora/l.yaml",
            "[" * 20_000,
            "conf/lora/l.yaml: line 1: more than 100 lists and mappings inside each other",
        ),
        (
            "conf/experiment/e.yaml",
            MATRIX + "output: {format: gif, quality: 0}\n",
            "2 problems:\n"
            "  - conf/experiment/e.yaml: output.format: 'gif' is not one of: png, jpeg, webp\n"
            "  - conf/experiment/e.yaml: output.quality: 0 is out of range: 1 to 100",
        ),
        (
            "conf/experiment/e.yaml",
            MATRIX + "model: {defaults: {width: 8000}}\n",
            "conf/experiment/e.yaml: model.defaults.width: 8000 is out of range: 64 to 4096",
        ),
    ],
)
def test_the_message_names_file_key_and_what_is_allowed(project, file, text, message):
    project.write(file, text)
    assert project.error().startswith(message)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "lora/l.yaml",
            "loras: sks.safetensors\n",
            "loras: expected a list, got 'sks.safetensors'; write loras: [\"sks",
        ),
        (
            "lora/l.yaml",
            "loras: [{path: sks.safetensors, network_multiplier: 0,8}]\n",
            "loras[0].8: is no key; a decimal point is a dot, and a comma begins the next key",
        ),
        (
            "lora/l.yaml",
            "loras: [{path: sks.safetensors, network_multiplier: [0.5, 1]}]\n",
            "loras[0].network_multiplier: expected a number, got [0.5, 1]; several values are an axis of the matrix",
        ),
        (
            "lora/l.yaml",
            'loras: [{path: "C:\\loras\\sks.safetensors"}]\n',
            "line 1, column 20: found unknown escape character 'l'; in double quotes a \\ begins an escape: put the "
            "text in single quotes",
        ),
        ("prompts/p.yaml", "- a cat\n- a dog\n", "expected keys and values, got a list; begin it with prompts:"),
        (
            "experiment/e.yaml",
            "matrix:\n\tmodel: m\n",
            "line 2, column 1: found character '\\t' that cannot start any token; line 2 has a tab; YAML wants spaces",
        ),
        (
            "experiment/e.yaml",
            "matrix:\n\u00a0 model: m\n  lora: l\n",
            "line 3, column 7: mapping values are not allowed here; line 2 has U+00A0, which looks like a space; write "
            "a plain one",
        ),
        ("experiment/e.yaml", "# later\n", "is empty; expected what to render, such as `matrix: {lora: my_lora}`"),
    ],
)
def test_what_people_in_a_hurry_write_is_told_how_it_is_written(project, file, text, said):
    project.write(f"conf/{file}", text)
    assert project.error().startswith(f"conf/{file}: {said}")


def test_a_file_that_ends_in_yml_is_told_its_name(project):
    project.write("conf/lora/mine.yml", "loras: [sks.safetensors]\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [mine], prompts: [p]}\n")
    assert project.error().endswith("there is no conf/lora/mine.yaml; rename conf/lora/mine.yml to mine.yaml")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [l], prompts: [p.yaml]}\n")
    assert project.error().endswith("there is no conf/prompts/p.yaml.yaml; write its name without an ending: p")
    project.write("conf/model/big.yml", "family: flux2\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [big.yml], lora: [l], prompts: [p]}\n")
    assert project.error().endswith(
        "there is no conf/model/big.yml.yaml; rename conf/model/big.yml to big.yaml, and write its name without: big"
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("e.yaml", "'e.yaml': expected its name alone, without folder and ending: e"),
        ("conf/experiment/e.yaml", "'conf/experiment/e.yaml': expected its name alone, without folder and ending: e"),
        ("conf/lora", "'conf/lora' is a folder; a training job's is imported first: darkroom import aitk conf/lora"),
    ],
)
def test_what_is_typed_in_place_of_an_experiments_name(project, typed, said):
    with pytest.raises(ConfigError, match=re.escape(f"experiment: {said}")):
        load_experiment(typed, [Path("conf"), BUILT_IN], [])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("model: [m, m], lora: [l], prompts: [p]", "matrix.model[1]: 'm' is on the axis twice"),
        ("model: [m], lora: [l], prompts: [p], seed: [1, 1]", "matrix.seed[1]: 1 is on the axis twice"),
        ("model: [m], lora: [], prompts: [p]", "matrix.lora: expected a value or a list of values, got []"),
        ("model: [m], lora: {l: 1}, prompts: [p]", "matrix.lora: expected a value or a list of values, got {'l': 1}"),
        ("model: [m], lora: [l], prompts: [p], sed: [1]", "matrix.sed: unknown axis; did you mean 'seed'? known: "),
        ("model: [m], lora: [l], prompts: [p], steps: [4]", "matrix.steps: unknown axis; here it is sample_steps"),
        (
            "model: [m], lora: [l], prompts: [p], prompt: [7]",
            "matrix.prompt[0]: expected text, got 7; put it in quotes",
        ),
        ("model: [m], lora: ['-l'], prompts: [p]", "matrix.lora[0]: '-l' is not a usable name: "),
        ("model: [m], lora: ['../l'], prompts: [p]", "matrix.lora[0]: ../l: no such file or folder"),
        ("model: [m], lora: [a..b], prompts: [p]", "matrix.lora[0]: 'a..b' is not a usable name: "),
        ("model: [m], lora: [on], prompts: [p]", "matrix.lora[0]: expected a name, got True; put it in quotes"),
        ("model: [m], lora: [l], prompts: [p], width: [10]", "matrix.width[0]: 10 is out of range: 64 to 4096"),
        (
            "model: [m], lora: [l], prompts: [p], seed: ['4']",
            "matrix.seed[0]: expected a whole number, got '4'; write 4",
        ),
        ("model: [m], lora: [l], prompts: [p], seed: 4.0", "matrix.seed: expected a whole number, got 4.0; write 4"),
        (
            "model: [m], lora: [l], prompts: [p], seed: 1-4",
            "matrix.seed: expected a whole number, got '1-4'; several values are a list, [1, 2], or a range, 1..4",
        ),
        (
            "model: [m], lora: [l], prompts: [p], network_multiplier: 80%",
            "matrix.network_multiplier: expected a number, got '80%'; write 0.8",
        ),
        (
            "model: [m], lora: [l], prompts: [p], network_multiplier: ['0,8']",
            "matrix.network_multiplier[0]: expected a number, got '0,8'; write 0.8",
        ),
        (
            "model: [m], lora: [l], prompts: [p], guidance_scale: 3,5",
            "matrix.5: is no name of an axis; several values go in brackets, [1, 2], and a decimal point is a dot",
        ),
        (
            "model: [m], lora: [l], prompts: [p], seed: 0123",
            'line 1: 0123 is 83 to YAML, as it begins with 0; write 123 for the number, or "0123" where it is a name',
        ),
        (
            "model: [m], lora: [l], prompts: [p], seed: 1:30",
            "line 1: 1:30 is 90 to YAML, which counts in sixties there; a range is 1..30; put the text in quotes, if "
            "it is one (line 1)",
        ),
        ("model: [/klein], lora: [l], prompts: [p]", "matrix.model[0]: '/klein' is not a usable name: "),
        (
            "model: [m], lora: [l], prompts: [a cat]",
            "matrix.prompts[0]: 'a cat' is not a usable name: letters, digits, '.', '_' and '-' only, a letter or "
            "digit first, no '..'; it names files of conf/prompts/: texts are the axis prompt, matrix.prompt: ",
        ),
        (
            "model: [m], lora: [l], prompts: [p], width: [64], aspect_ratio: ['1:1']",
            "matrix.aspect_ratio: cannot be an axis beside width or height",
        ),
    ],
)
def test_a_bad_axis(project, matrix, message):
    project.write("conf/experiment/e.yaml", f"matrix: {{{matrix}}}\n")
    assert project.error().startswith(f"conf/experiment/e.yaml: {message}")


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ("[{lora: l}]", "exclude: leaves out everything"),
        ("[{seed: 1}]", "exclude[0].seed: not an axis of the matrix; known: lora, model, prompts"),
        ("[{lora: k}]", "exclude[0].lora: 'k' is not on that axis: l"),
        ("[{}]", "exclude[0]: expected axes and values, got {}"),
        ("[l]", "exclude[0]: expected axes and values, got 'l'"),
    ],
)
def test_a_bad_exclude(project, exclude, message):
    project.write("conf/experiment/e.yaml", f"{MATRIX}exclude: {exclude}\n")
    assert project.error() == f"conf/experiment/e.yaml: {message}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.numerics=exakt", "override model.numerics: 'exakt' is not one of: exact, fast"),
        ("model.numeric=fast", "override model.numeric: unknown key; did you mean 'numerics'?"),
        ("output.quality=0", "override output.quality: 0 is out of range: 1 to 100"),
        ("output.qualty=1", "override output.qualty: unknown key; did you mean 'quality'?"),
        ("steps=4", "override steps=4: unknown key; here it is matrix.sample_steps, or prompts.defaults."),
        ("+seed=4", "override +seed=4: unknown key; here it is matrix.seed, or prompts.defaults.seed for"),
        ("matrix.cfg=[4]", "override matrix.cfg: unknown axis; here it is guidance_scale"),
        ("prompts.defaults.steps=4", "override prompts.defaults.steps: unknown key; here it is sample_steps"),
        ("model=other", "override model=other: has no effect: conf/experiment/e.yaml lists matrix.model; "),
        ("experiment=f", "override experiment=f: choose the experiment with --config experiment=NAME"),
        ("~lora.trigger_word", "override ~lora.trigger_word: a key cannot be taken away; give it another value"),
        (
            "model.numerics=exact,fast",
            "override model.numerics=exact,fast: one value or a [list] is needed: model.numerics=[…, …]",
        ),
        ("model.numerics=[", "override model.numerics=[: cannot be read ("),
        ("hydra.run.dir=there", "override hydra.run.dir=there: unknown key; "),
        ("hydra.searchpath=[file:///nowhere]", "override hydra.searchpath: file:///nowhere: expected file:// and an"),
        ("hydra.searchpath=[pkg://os]", "override hydra.searchpath: pkg://os: expected file:// and an existing folder"),
    ],
)
def test_a_bad_override(project, override, message):
    assert project.error(override).startswith(message)


def test_a_text_that_an_override_cannot_hold_bare_is_told_how_it_is_written(project):
    said = "; a text with quotes, brackets, braces or commas is written matrix.prompt='\"…\"'"
    assert project.error("matrix.prompt=it's a cat").endswith(said)
    assert project.error("matrix.prompt={red|green} cat").endswith(said)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("conf/model/m.yaml", "quantize: {transformer: int3}", "quantize.transformer: 'int3' is not one of: qfloat8"),
        (
            "conf/model/m.yaml",
            "quantize: {transformer: qint8}\nlora_merge: merged",
            "lora_merge: merged needs a base in full precision, but quantize.transformer is qint8; expected",
        ),
        ("conf/model/m.yaml", "\ufeffdefaults: &defaults {seed: 42}", "line 5, column 2: did not find expected key"),
        ("conf/model/m.yaml", "!!binary seed: 42", "b'\\xb1\\xe7\\x9d': unknown key; known: "),
        (
            "conf/model/m.yaml",
            "batched_guidance: true",
            "batched_guidance: belongs to numerics: fast, got exact; leave it out, or set model.numerics=fast",
        ),
        (
            "conf/model/m.yaml",
            "numerics: fast\nguidance: embedded\nbatched_guidance: true",
            "batched_guidance: guidance takes one forward pass here (guidance: embedded); leave it out",
        ),
        (
            "conf/model/m.yaml",
            "numerics: fast\nquantize: {transformer: qint8}\ncompiled_blocks: true",
            "compiled_blocks: blocks with quantised weights are not compiled (quantize.transformer: qint8);",
        ),
        (
            "conf/model/m.yaml",
            "numerics: fast\nlora_merge: live\ncompiled_blocks: true",
            "compiled_blocks: adapters that run beside layers are not compiled with them; expected lora_merge: auto or",
        ),
        ("conf/prompts/p.yaml", "  - {neg: blurry}", "prompts[2]: expected either prompt or prompt_embeds"),
        (
            "conf/prompts/p.yaml",
            "  - {prompt: a, prompt_embeds: e.safetensors}",
            "prompts[2]: expected either prompt or",
        ),
        ("conf/prompts/p.yaml", "  - {prompt_embeds: gone}", "prompts[2].prompt_embeds: gone: no such file"),
        ("conf/prompts/p.yaml", "  - {prompt: a, ctrl_img: gone.png}", "prompts[2].ctrl_img: gone.png: no such file"),
        ("conf/prompts/p.yaml", "defaults: {ctrl_img_3: gone.png}", "prompts[0] by defaults.ctrl_img_3: gone.png: no"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(project, file, line, message):
    project.write(file, f"{Path(file).read_text()}{line}\n")
    assert project.error().startswith(f"{file}: {message}")


def test_an_encoded_prompt_is_one_tensor_of_one_prompt(project):
    save_file({"prompt_embeds": np.zeros((2, 512, 96), np.float32)}, "two.safetensors")
    save_file({"EMBEDS": np.zeros((1, 512, 96), np.float32)}, "other.safetensors")
    project.write(
        "conf/prompts/p.yaml", "prompts: [{prompt_embeds: two.safetensors}, {prompt_embeds: other.safetensors}]"
    )
    assert (
        project.error()
        == """2 problems:
  - conf/prompts/p.yaml: prompts[0].prompt_embeds: two.safetensors: prompt_embeds: expected shape \
[1, tokens, features], got [2, 512, 96]
  - conf/prompts/p.yaml: prompts[1].prompt_embeds: other.safetensors: expected one tensor prompt_embeds, got EMBEDS"""
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompts: [{prompt: a, widht: 1}]\n", "conf/prompts/p.yaml: prompts[0].widht: unknown key"),
        ("\tprompts: [a]\n", "conf/prompts/p.yaml: line 1"),
        ('prompts: ["\\ud800"]\n', "conf/prompts/p.yaml: prompts[0].prompt: expected text that UTF-8 can hold"),
    ],
)
def test_a_broken_prompt_set_beside_a_lora_without_trigger_word(project, text, said):
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [none], prompts: [p]}\n")
    project.write("conf/prompts/p.yaml", text)
    assert said in project.error()


def test_a_prompt_set_that_is_not_there_beside_a_lora_without_trigger_word(project):
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [none], prompts: [q]}\n")
    assert "matrix.prompts: there is no conf/prompts/q.yaml" in project.error()


def test_a_divisor_that_no_token_has(project):
    project.write("conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: a/b}\nresolution_divisor: 8\n")
    assert "conf/model/m.yaml: resolution_divisor: 8 is not one of: 16, 32, 48, 64" in project.error()


def test_independent_problems_are_reported_together(project):
    project.write("conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: a/b}\nnumerics: 1\nstepz: 4\n")
    project.write("conf/prompts/p.yaml", "prompts:\n  - {prompt: a, seed: -2}\n  - {prompt: b, widht: 64}\n")
    project.write("conf/lora/l.yaml", "loras: [gone.safetensors]\n")
    project.write(
        "conf/experiment/e.yaml", "matrix: {model: [m], lora: [l, tiny], prompts: [p]}\noutput: {quality: 0}\n"
    )
    assert (
        project.error()
        == """7 problems:
  - conf/experiment/e.yaml: output.quality: 0 is out of range: 1 to 100
  - conf/model/m.yaml: numerics: expected text, got 1; put it in quotes
  - conf/model/m.yaml: stepz: unknown key; known: attn_masking, batched_guidance, checkpoint, compiled_blocks, \
defaults, distilled, dtype, family, guidance, guidance_rule, imported, lora_merge, max_sequence_length, \
noise_device, numerics, quantize, \
resolution_divisor, schedule, text_encoder_cast, timestep_rounding, trained_sequence_length
  - conf/experiment/e.yaml: matrix.lora: there is no conf/lora/tiny.yaml; known: demo_lokr, demo_lora, \
demo_training, l, none
  - conf/prompts/p.yaml: prompts[0].seed: -2 is out of range: -1 to 9223372036854775807
  - conf/prompts/p.yaml: prompts[1].widht: unknown key; did you mean 'width'? known: aspect_ratio, ctrl_idx, \
ctrl_img, ctrl_img_1, ctrl_img_2, ctrl_img_3, guidance_scale, height, neg, network_multiplier, prompt, prompt_embeds, \
sample_steps, seed, trigger_word, width
  - conf/lora/l.yaml: loras[0].path: gone.safetensors: no such file"""
    )


def test_a_bad_axis_hides_no_bad_option(project):
    project.write("conf/prompts/p.yaml", "prompts: []\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: {l: 1}, prompts: [p]}\n")
    assert (
        project.error()
        == """2 problems:
  - conf/experiment/e.yaml: matrix.lora: expected a value or a list of values, got {'l': 1}
  - conf/prompts/p.yaml: prompts: the set is empty; it needs prompts, templates or a text file"""
    )


def test_a_misspelt_option_gets_the_closest_name_and_the_list(project):
    project.write("conf/lora/portrait.yaml", "loras: []\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [potrait], prompts: [p]}\n")
    assert project.error() == (
        "conf/experiment/e.yaml: matrix.lora: there is no conf/lora/potrait.yaml; "
        "did you mean 'portrait'? known: demo_lokr, demo_lora, demo_training, l, none, portrait"
    )


def test_a_truncated_lora_is_found_without_loading_it(project):
    whole = Path("sks.safetensors").read_bytes()
    Path("sks.safetensors").write_bytes(whole[:-1])
    assert project.error() == (
        f"conf/lora/l.yaml: loras[0].path: sks.safetensors: truncated: "
        f"expected {len(whole)} bytes by its header, got {len(whole) - 1}; copy it again"
    )


def test_a_local_checkpoint_needs_whole_files_in_its_folders(project):
    project.write("conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: models/klein}\n")
    for part in ("transformer", "vae"):
        project.write(f"models/klein/{part}/config.json", "{}")
        put(Path("models/klein"), f"{part}/diffusion_pytorch_model.safetensors")
    project.write("models/klein/text_encoder/config.json", "{}")
    place = "conf/model/m.yaml: checkpoint.repo: models/klein"
    said = project.error()
    assert f"{place}/text_encoder: expected config.json and model.safetensors or diffusion_pytorch_model" in said
    assert f"{place}/tokenizer: no such folder; checkpoint.tokenizer can name another: Qwen/Qwen3-4B" in said
    project.write("models/klein/tokenizer/tokenizer.json", "{}")
    Path("models/klein/text_encoder/model.safetensors").write_bytes(struct.pack("<Q", 9999))
    assert "text_encoder/model.safetensors: truncated" in project.error()
    put(Path("models/klein"), "text_encoder/model.safetensors")
    assert project.load().models["m"].checkpoint.repo == "models/klein"


def test_a_file_that_is_not_utf8(project):
    Path("conf/prompts/p.yaml").write_bytes(b"prompts: [\xff]\n")
    assert project.error() == "conf/prompts/p.yaml: line 1: not UTF-8 text: invalid start byte; save it as UTF-8"
