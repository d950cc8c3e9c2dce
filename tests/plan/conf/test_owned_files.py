"""Files that an import writes: read back as they were meant, replaced while untouched, never once edited."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from darkroom.errors import ConfigError, Problems
from darkroom.files.yaml_text import yaml_text
from darkroom.plan.conf.owned_files import Writing, conf_file, import_name, write_conf_files

TEXTS = [
    "a cat",
    "yes",
    "null",
    "1e3",
    "16:9",
    "0x10",
    "- a: b # c",
    "say \"hi\" and 'ho'",
    "two\nlines\r\n and\ta tab",
    "${oc.env:HOME} and \\${x} and \\\\${y}",
    "C:\\new\\table",
    " spaces  around ",
    "🐈‍⬛ naïve 猫 \x85 \u2028 \x07 \ufeff",
    "word " * 60,
    "end of a line with a backslash \\ " * 8,
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_back_as_it_was(text):
    value = {
        "neg": text,
        "prompts": [text, {"prompt": text, "seed": 1}],
        "defaults": {"neg": text, "deep": {"a": text}},
    }
    written = yaml_text(value)
    assert OmegaConf.to_container(OmegaConf.create(written), resolve=True) == value
    assert written.isprintable() or all(line.replace("\u200d", "").isprintable() for line in written.splitlines())


def test_numbers_are_read_back_as_they_were():
    value = {"prompts": [{"seed": 2**62, "guidance_scale": 4.0, "network_multiplier": 1e-05, "neg": None, "x": True}]}
    read = OmegaConf.to_container(OmegaConf.create(yaml_text(value)))
    assert read == value
    assert [type(each) for each in read["prompts"][0].values()] == [int, float, float, type(None), bool]


def test_a_line_an_entry_where_that_is_wide_enough():
    words = ["0123456789"] * 20
    value = {
        "trigger_word": "sks",
        "quantize": {"transformer": "qfloat8", "text_encoder": None},
        "matrix": {"model": ["m"], "lora": ["none", "a_1"]},
        "prompts": ["a cat", {"prompt": "a dog", "seed": 7}, {"prompt": " ".join(words), "seed": 8}],
        "loras": [],
    }
    assert yaml_text(value) == (
        "trigger_word: sks\n"
        "quantize: {transformer: qfloat8, text_encoder: null}\n"
        "matrix:\n"
        "  model: [m]\n"
        "  lora: [none, a_1]\n"
        "prompts:\n"
        '  - "a cat"\n'
        '  - {prompt: "a dog", seed: 7}\n'
        f'  - prompt: "{" ".join(words[:9])}\n'
        f"      {' '.join(words[9:19])}\n"
        '      0123456789"\n'
        "    seed: 8\n"
        "loras: []\n"
    )


def test_importing_twice_changes_nothing_not_even_the_time_of_the_file(tmp_path):
    file = conf_file(tmp_path / "conf/lora/a.yaml", "job", "loras: []\n")
    assert write_conf_files([file], Writing()) == [f"{file.path}: written"]
    assert file.path.read_text() == "# Imported by darkroom from job; yours to edit. 7c71fb24\nloras: []\n"
    before = file.path.stat()
    assert write_conf_files([file], Writing(force=True)) == [f"{file.path}: as it is"]
    after = file.path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_an_untouched_file_is_replaced(tmp_path):
    path = tmp_path / "a.yaml"
    write_conf_files([conf_file(path, "job", "a: 1\n")], Writing())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # an editor or git changed nothing but line ends
    new = conf_file(path, "job", "a: 2\n")
    assert write_conf_files([new], Writing(dry_run=True)) == [f"{path}: would be written anew"]
    assert "a: 1" in path.read_text()
    assert write_conf_files([new], Writing()) == [f"{path}: written anew"]
    assert path.read_text() == new.text


def test_edited_files_are_named_together_and_nothing_is_written(tmp_path):
    edited, own, new = (tmp_path / name for name in ("edited.yaml", "own.yaml", "new.yaml"))
    write_conf_files([conf_file(edited, "job", "a: 1\n")], Writing())
    edited.write_text(edited.read_text() + "b: 2\n")
    own.write_text("a: 1\n")
    files = [conf_file(path, "job", "a: 3\n") for path in (new, edited, own)]
    with pytest.raises(Problems) as caught:
        write_conf_files(files, Writing())
    assert [str(error).split(": ")[0] for error in caught.value.errors] == [str(edited), str(own)]
    assert "--force" in str(caught.value)
    assert not new.exists()
    assert "would be left, and stop the import" in write_conf_files(files, Writing(dry_run=True))[1]
    assert write_conf_files(files, Writing(force=True)) == [
        f"{new}: written",
        f"{edited}: overwritten",
        f"{own}: overwritten",
    ]


def test_names():
    assert import_name(None, "My job (v2)", "request.json") == "My_job_v2"
    assert import_name("a-b", "…", "request.json") == "a-b"
    with pytest.raises(ConfigError, match="--name: 'a/b' is not a usable name"):
        import_name("a/b", "…", "request.json")
    with pytest.raises(ConfigError, match=r"猫\.json: as a name for the imported files: '' is not a usable name"):
        import_name(None, "猫", "猫.json")
    with pytest.raises(ConfigError, match="'none' means no LoRA"):
        import_name(None, "none", "none.json")


def test_a_source_cannot_break_out_of_its_comment():
    text = conf_file(Path("a.yaml"), "job\nfamily: flux2 \x1b[2J", "a: 1\n").text
    assert text.splitlines()[0].startswith("# Imported by darkroom from job\\nfamily: flux2 \\x1b[2J; yours")


def test_a_file_of_another_import_stands_in_the_way(tmp_path):
    path = tmp_path / "conf/model/my_lora.yaml"
    write_conf_files([conf_file(path, "A/my_lora", "family: flux2\n")], Writing())
    other = conf_file(path, "B/my_lora", "family: flux\n")
    with pytest.raises(ConfigError, match=r"my_lora\.yaml: comes from another import, or one with other options"):
        write_conf_files([other], Writing())
    assert write_conf_files([other], Writing(force=True)) == [f"{path}: overwritten"]
    assert path.read_text() == other.text


def test_an_edited_file_may_stay_while_the_rest_is_written(tmp_path):
    edited, new = tmp_path / "experiment.yaml", tmp_path / "lora.yaml"
    write_conf_files([conf_file(edited, "job", "lora: [a]\nseed: 1\n")], Writing())
    edited.write_text(edited.read_text() + "# mine\n")
    before = edited.read_text()
    files = [conf_file(edited, "job", "lora: [a, b]\nseed: 1\n"), conf_file(new, "job", "loras: [b]\n")]
    assert write_conf_files(files, Writing(keep_edited=True)) == [
        f"{edited}: edited, so it stays as it is; an import would have changed:",
        "    -lora: [a]",
        "    +lora: [a, b]",
        "    -# mine",
        f"{new}: written",
    ]
    assert (edited.read_text(), new.exists()) == (before, True)
