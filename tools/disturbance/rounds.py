"""Rounds of faults: one kind at a random moment in each, and what has to hold after it."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pyarrow.parquet as pq

from disturbance.kinds import KINDS, Kind
from disturbance.project import PICTURES, Project

MOST_RUNS = 2  # after the disturbed one, by which all has to be well again
_SPOKEN = ("Traceback", "internal error")  # which no run may say, whatever happens to it


@dataclass(frozen=True)
class Round:
    """What came of one."""

    kind: str
    number: int
    seconds: float
    runs: int  # after the disturbed one, until all was well
    wrong: tuple[str, ...]
    said: tuple[str, ...] = ()  # what the runs that failed told


class Ground:
    """A folder with the undisturbed run that all others are compared with."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root)
        self.project.make()
        if self.project.run() != 0:
            raise SystemExit(f"the undisturbed run failed:\n{self.project.said[-1]}")
        self.shown, self.stored, self.files = self.project.shown(), self.project.stored(), self.project.files()
        self._undisturbed = root / "undisturbed"
        shutil.copytree(self.project.folder, self._undisturbed, symlinks=True)

    def play(self, kind: Kind, number: int, seed: str) -> Round:
        """One round; the same kind, number and seed make the same choices, but for how quick the machine is."""
        began, chance, project = time.monotonic(), Random(f"{seed} {number} {kind.name}"), self.project
        for folder in {*project.root.iterdir()} - {self._undisturbed}:  # what an earlier round left
            shutil.rmtree(folder, ignore_errors=True)
        project.said.clear()
        if kind.finished:
            subprocess.run(["cp", "-a", str(self._undisturbed), str(project.folder)], check=True)
            project.temporary.mkdir()
        else:
            project.make()
        try:
            excused = kind.act(project, chance)
            wrong, runs = self._look(kind, excused)
        finally:
            for process in project.processes():
                process.kill()
            for place in project.mounts():
                subprocess.run(["umount", "--lazy", place], check=True)  # of processes that are still ending
        said = tuple(line for text in project.said for line in text.splitlines() if line.startswith("darkroom: "))
        return Round(kind.name, number, time.monotonic() - began, runs, tuple(wrong), said)

    def _look(self, kind: Kind, excused: Sequence[str]) -> tuple[list[str], int]:
        """All that is wrong after a fault, and how many runs it took to come to that."""
        project = self.project
        wrong = [f"outlives the disturbed run: {each}" for each in project.lingering()]
        whole = {
            name: file
            for name, (file, data) in project.stored().items()
            if data == self.stored.get(name, (None, None))[1] and not any(each in name for each in excused)
        }
        runs = 0
        while (found := self._unlike()) and runs < MOST_RUNS:
            if runs == 0 and kind.at_once:
                wrong.append(f"the disturbed run did not end well: {found[0]}")
            runs += 1
            project.run()
        wrong += found
        again = [name for name, file in whole.items() if project.stored().get(name, (None, b""))[0] != file]
        wrong += [f"rendered again though it was whole: {name}" for name in again]
        if project.left():
            project.run()  # what cannot go with a run goes as the next one begins
        wrong += [f"left behind: {each}" for each in project.left()]
        wrong += [
            f"a run says {word}: {_line_with(word, said)}" for said in project.said for word in _SPOKEN if word in said
        ]
        return wrong, runs

    def _unlike(self) -> list[str]:
        """Where the project is not that of the undisturbed run; the store may have more, of what a swap asked for."""
        shown, files = self.project.shown(), self.project.files()
        missing = [f"not there: {name}" for name in sorted(self.files - files)]
        besides = [f"there besides: {name}" for name in sorted(files - self.files) if not name.startswith("store/")]
        other = [f"otherwise than undisturbed: {name}" for name in self.shown if shown.get(name) != self.shown[name]]
        return [*missing, *besides, *other, *([] if missing else self._of_manifest())]

    def _of_manifest(self) -> list[str]:
        path = self.project.results / "faults/manifest.parquet"
        try:
            rows = pq.read_table(path, columns=["status"]).to_pylist()
        except (OSError, ValueError) as error:
            return [f"the manifest: {error}"]
        done = sum(row["status"] == "done" for row in rows)
        return [] if done == len(rows) == PICTURES else [f"the manifest: {done} of {len(rows)} pictures are done"]


def played(ground: Ground, rounds: int, seed: str, words: str) -> list[Round]:
    """Round after round, of kinds whose names have `words` in them, each kind before any a second time."""
    known = [kind for kind in KINDS if words in kind.name and (os.getuid() == 0 or not kind.needs_root)]
    if not known:
        raise SystemExit(f"--kind: expected words of one of these, got {words!r}: {', '.join(k.name for k in KINDS)}")
    chance, made, order = Random(seed), list[Round](), list[Kind]()
    for number in range(1, rounds + 1):
        order = order or chance.sample(known, len(known))
        result = ground.play(order.pop(), number, seed)
        print(f"{number:4d}  {result.seconds:5.0f} s  {result.runs} more  {result.kind}", flush=True)
        for each in (*result.said, *(f"WRONG: {each}" for each in result.wrong)):
            print(f"      {each[:300]}", flush=True)
        made.append(result)
    return made


def table(rounds: Sequence[Round]) -> str:
    """Kinds, how often each was played, the most runs that it took after the disturbed one, and rounds with faults."""
    lines = ["| kind | rounds | runs after it, at most | faults |", "|---|---:|---:|---:|"]
    for kind in KINDS:
        own = [each for each in rounds if each.kind == kind.name]
        if own:
            most, faults = max(each.runs for each in own), sum(bool(each.wrong) for each in own)
            lines.append(f"| {kind.name} | {len(own)} | {most} | {faults} |")
    return "\n".join(lines)


def _line_with(word: str, said: str) -> str:
    """That line, and where it begins a traceback, the two at its end: where the error was, and which."""
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if word in line)
    end = next((number for number, line in enumerate(lines[at + 1 :], at + 1) if not line.startswith(" ")), at)
    return " / ".join(line.strip() for line in (lines[at], *lines[max(at + 1, end - 2) : end + 1]))[:300]
