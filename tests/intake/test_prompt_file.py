"""Lists of prompts: what was in the file is what conf/ says."""

from pathlib import Path

import pytest
from tests.examples.small_project import values

from darkroom.errors import DarkroomError
from darkroom.intake.options import ImportOptions
from darkroom.intake.prompt_file import import_prompts

AS_TYPED = ImportOptions(name="p")


def _requests(project):
    return project.load().combinations[0].requests


def _error(file: str, options: ImportOptions = AS_TYPED) -> list[str]:
    with pytest.raises(DarkroomError) as caught:
        import_prompts(Path(file), options)
    return [str(error) for error in getattr(caught.value, "errors", [caught.value])]


@pytest.fixture(autouse=True)
def _no_set_yet(project):
    Path("conf/prompts/p.yaml").unlink()


def test_a_prompt_a_line(project):
    text = "\ufeffa cat --fps 1\n\n   \n  a dog --w 512 --seed 3\r\n# a house\nyes --fps 1\n16:9 ${x}\n"
    project.write("my prompts.txt", text)
    assert import_prompts(Path("my prompts.txt"), AS_TYPED) == [
        "conf/prompts/p.yaml: written",
        "my prompts.txt: lines 1, 6: --fps 1 has no effect: it is no setting of these models",
    ]
    assert Path("conf/prompts/p.yaml").read_text().splitlines()[1:] == [
        "# 4 prompts; an experiment renders them with matrix.prompts: [p]",
        "prompts:",
        '  - "a cat"',
        '  - {prompt: "a dog", width: 512, seed: 3}',
        '  - "yes"',
        '  - "16:9 \\\\${x}"',
    ]
    assert [r.text.prompt for r in _requests(project)] == ["a cat", "a dog", "yes", "16:9 ${x}"]


def test_the_name_is_that_of_the_file(project):
    project.write("my prompts.txt", "a cat\n")
    assert import_prompts(Path("my prompts.txt"), ImportOptions()) == ["conf/prompts/my_prompts.yaml: written"]
    assert import_prompts(Path("my prompts.txt"), ImportOptions()) == ["conf/prompts/my_prompts.yaml: as it is"]


CSV = """prompt;neg;seed;guidance_scale;network_multiplier
"a ""red"" cat; asleep";;7;2,5;
"two
lines";blurry;;4;-0.5

null;;8.0;;
"""


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ";"), ("csv", ","), ("csv", "\t"), ("tsv", "\t")])
def test_a_row_a_prompt(project, ending, delimiter):
    project.write(f"p.{ending}", "\ufeff" + CSV.replace("2,5", "2.5").replace(";", delimiter))
    import_prompts(Path(f"p.{ending}"), AS_TYPED)
    requests = _requests(project)
    assert [values(r, "prompt", "neg", "seed", "guidance_scale", "network_multiplier") for r in requests] == [
        (f'a "red" cat{delimiter} asleep', "", 7, 2.5, 1.0),
        ("two\nlines", "blurry", 43, 4.0, -0.5),
        ("null", "", 8, 4.0, 1.0),
    ]


def test_everything_wrong_with_a_table_is_said_at_once(project):
    project.write("p.csv", "prompt,sed,width,neg,neg\na,1,8000,,\nb,1,wide,,\n\nc,1\n")
    assert _error("p.csv") == [
        "p.csv: line 1: unknown column 'sed'; did you mean 'seed'? known: aspect_ratio, ctrl_idx, ctrl_img, "
        "ctrl_img_1, ctrl_img_2, ctrl_img_3, guidance_scale, height, neg, network_multiplier, prompt, prompt_embeds, "
        "sample_steps, seed, trigger_word, width",
        "p.csv: line 1: column 'neg' is there twice",
        "p.csv: line 5: 2 cells where the first row has 5; a text with a delimiter or a line break in it "
        "goes in quotes",
        "p.csv: line 2.width: 8000 is out of range: 64 to 4096",
        "p.csv: line 3.width: expected a whole number, got 'wide'",
    ]
    project.write("p.csv", "prompt,aspect_ratio,width\na,16:9,512\n,1:1,\n")
    assert _error("p.csv") == [
        "p.csv: line 3: expected either prompt or prompt_embeds",
        "p.csv: line 2.aspect_ratio: takes the place of width and height; give one or the other",
    ]
    project.write("p.csv", 'prompt\na\n"b\nc\n')
    assert _error("p.csv") == ["p.csv: line 3: unexpected end of data"]
    project.write("p.csv", "a cat,asleep\na dog,awake\n")
    assert _error("p.csv") == ["p.csv: line 1: expected a row of keys, such as prompt,neg,seed; got a cat, asleep"]


JSON_LINES = r"""{"prompt": "a \"cat\" 🐈", "seed": 3, "width": 512, "neg": null}
"${oc.env:HOME} 1e3"

{"prompt": "two\nlines", "trigger_word": "no"}
"""


def test_an_object_a_line(project):
    project.write("p.jsonl", JSON_LINES)
    import_prompts(Path("p.jsonl"), AS_TYPED)
    assert [values(r, "prompt", "seed", "width", "trigger_word") for r in _requests(project)] == [
        ('a "cat" 🐈', 3, 512, "sks"),
        ("${oc.env:HOME} 1e3", 43, 512, "sks"),
        ("two\nlines", 44, 512, "no"),
    ]


def test_everything_wrong_with_json_lines_is_said_at_once(project):
    project.write("p.ndjson", '{"prompt": "a", "seeds": 1}\n{"prompt": "b"\n[1]\n{"prompt": "c", "seed": "3"}\n')
    errors = _error("p.ndjson")
    assert errors[:2] == [
        "p.ndjson: line 2: column 15: Expecting ',' delimiter",
        "p.ndjson: line 3: expected an object or a text, got '[1]'",
    ]
    assert errors[2].startswith("p.ndjson: line 1.seeds: unknown key; did you mean 'seed'?")
    assert errors[3:] == ["p.ndjson: line 4.seed: expected a whole number, got '3'; write 3"]


def test_files_lie_below_the_roots_or_beside_the_list(project, tmp_path):
    project.write(
        "lists/p.csv", "prompt,ctrl_img,prompt_embeds\na,beside.png,\nb,/etc/passwd,\n,,../../x.safetensors\n"
    )
    project.write("lists/beside.png", "")
    parent = tmp_path.parent
    assert [error.split(";")[0] for error in _error("lists/p.csv")] == [
        "lists/p.csv: line 3.ctrl_img: '/etc/passwd' lies outside ., lists",
        "lists/p.csv: line 4.prompt_embeds: '../../x.safetensors' lies outside ., lists",
    ]
    everywhere = ImportOptions(name="p", roots=(Path("/"),))
    project.write("lists/p.csv", f"prompt,ctrl_img\na,beside.png\nb,{parent}/b.png\n")
    import_prompts(Path("lists/p.csv"), everywhere)
    written = Path("conf/prompts/p.yaml").read_text()
    assert '{prompt: "a", ctrl_img: lists/beside.png}\n  - {prompt: "b", ctrl_img: "' in written


def test_a_dry_run_writes_nothing(project):
    project.write("p.txt", "a cat\n")
    assert import_prompts(Path("p.txt"), ImportOptions(dry_run=True)) == ["conf/prompts/p.yaml: would be written"]
    assert not Path("conf/prompts/p.yaml").exists()


def test_what_is_no_list(project):
    project.write("p.docx", "a cat\n")
    project.write("p.txt", "\n \n")
    assert _error("p.docx") == ["p.docx: expected a file that ends in .txt, .csv, .tsv, .jsonl, .ndjson"]
    assert _error("p.txt") == ["p.txt: prompts: the set is empty; it needs prompts, templates or a text file"]
