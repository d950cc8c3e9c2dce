"""What the door refuses before anything is imported for it."""

import pytest

from darkroom.__main__ import main


@pytest.mark.parametrize(
    "command",
    [
        "encode choice.json checkpoint.json embeddings.json",
        "render requests.json checkpoint.json records.parquet",
        "explain picture.png",
        "floor demo",
    ],
)
def test_a_memory_mode_that_there_is_not_is_refused_with_those_there_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--offload", "blok"])
    assert end.value.code == 2
    said = "argument --offload: invalid choice: 'blok' (choose from 'auto', 'none', 'model', 'block')"
    assert said in capsys.readouterr().err
