"""JSON of strangers: values and nothing else, however it was made."""

import pytest

from darkroom.files.json_text import parse_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "a": 2}', r"^key 'a' is there twice in one object$"),
        ('{"a": NaN}', r"^NaN is no number of JSON$"),
        ('{"a": -Infinity}', r"^-Infinity is no number of JSON$"),
        ('{"a": 1,\n "b": }', r"^line 2, column 7: Expecting value$"),
        ("", r"^column 1: Expecting value$"),
        ("[" * 101 + "]" * 101, r"^more than 100 lists and mappings inside each other$"),
        ("[" * 100_000, r"^more than 100 lists and mappings inside each other$"),
        ('{"a":' * 100_000, r"^more than 100 lists and mappings inside each other$"),
        ("[" + "[]," * 300_000 + "1]", r"^more than 200000 values$"),
        ("1" * 301, r"^a whole number with more than 300 digits$"),
        ('["a cat \\ud800"]', r"^'a cat \\ud800' ends in half a character; expected the pair that makes one$"),
        ('{"\\uDC00": 1}', r"^'\\udc00' ends in half a character"),
    ],
)
def test_what_is_wrong_with_json(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_brackets_and_commas_in_a_text_do_not_count():
    assert parse_json('{"a": "' + '[{,\\"' * 200_000 + '"}') == {"a": '[{,"' * 200_000}


def test_as_deep_as_it_may_be():
    assert str(parse_json("[" * 100 + "]" * 100)) == "[" * 100 + "]" * 100


def test_whole_characters_and_what_only_looks_like_half_of_one():
    assert parse_json('["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]
