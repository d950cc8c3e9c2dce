"""What pictures took is known to later attempts, whatever became of the one that rendered them."""

from dataclasses import replace

from tests.examples.record import COST

from darkroom.render.attempts.costs import note_cost, read_costs


def test_what_several_processes_noted_is_read_together_and_a_line_that_was_cut_off_counts_for_nothing(tmp_path):
    folder = tmp_path / "costs/demo/none/cats"
    assert read_costs(folder) == {}
    note_cost(folder, "aa", replace(COST, started_at="2026-02-01T00:00:00Z", seconds_save=None))
    note_cost(folder, "aa", COST)
    note_cost(folder, "bb", replace(COST, host="node1"))
    (mine,) = folder.iterdir()
    line = mine.read_bytes().splitlines()[1].replace(b'"aa"', b'"cc"')
    (folder / "another.jsonl").write_bytes(line + b"\n" + line[:-9])
    assert read_costs(folder) == {"aa": COST, "bb": replace(COST, host="node1"), "cc": COST}
