"""Many cells: in single processes and pairs of processes that are started once, with what was finished kept."""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance.cells import CELLS
from tests.conformance.check import Verdict
from tests.conformance.origin import ROOT
from tests.conformance.rules import FAILED

POLL_SECONDS = 0.2

Verdicts = dict[int, Verdict]
"""By the number of the cell in CELLS."""


def run(numbers: list[int], workers: int, kept: Path | None, report: Callable[[Verdicts], None]) -> Verdicts:
    """Verdicts of the cells with these numbers; those in the file `kept` are taken from it, others are added to it.

    `workers` processes check the cells of one process, then one pair those of two. `report` is told of all verdicts so
    far, now and then. An interruption ends the processes, and loses the cells that they were at.
    """
    verdicts = _read(kept) if kept is not None and kept.is_file() else {}

    def finished(more: Verdicts) -> None:
        verdicts.update(more)
        if kept is not None and more:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with kept.open("a") as file:
                file.writelines(
                    json.dumps({"cell": number, **vars(verdict)}) + "\n" for number, verdict in more.items()
                )
        report(verdicts)

    for processes, teams in ((1, workers), (2, 1)):
        while left := [n for n in numbers if CELLS[n].processes == processes and n not in verdicts]:
            before = len(verdicts)
            # A resumed cell comes after its straight one, in the same process, which keeps that one's weights.
            shares = [[number for number in left if number // 2 % teams == index] for index in range(teams)]
            _work([share for share in shares if share], processes, finished)
            if len(verdicts) == before:
                raise RuntimeError(f"no process began with {CELLS[left[0]]}: run it by itself to see why")
    return {number: verdicts[number] for number in numbers}


def _work(shares: list[list[int]], processes: int, finished: Callable[[Verdicts], None]) -> None:
    """Check each share in `processes` of its own, until all are through or have given up."""
    with tempfile.TemporaryDirectory() as folder:
        teams = [_Team(Path(folder) / str(index), share, processes) for index, share in enumerate(shares)]
        try:
            while any(team.is_running() for team in teams):
                time.sleep(POLL_SECONDS)
                for team in teams:
                    finished(team.news())
            for team in teams:
                finished(team.news())
        finally:
            for team in teams:
                team.kill()


class _Team:
    """The processes that check the same cells."""

    def __init__(self, folder: Path, numbers: list[int], processes: int) -> None:
        self.folder, self.numbers = folder, numbers
        folder.mkdir()
        (folder / "cells.json").write_text(json.dumps(numbers))
        self.files = [folder / f"{rank}.jsonl" for rank in range(processes)]
        self.told, self.has_given_up = 0, False
        self.errors = [(folder / f"{rank}.err").open("w") for rank in range(processes)]
        self.members = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.conformance.worker", str(folder), str(rank), str(processes)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
                stdout=subprocess.DEVNULL,
                stderr=self.errors[rank],
                start_new_session=True,  # Ctrl-C is for the parent, which ends them
            )
            for rank in range(processes)
        ]

    def is_running(self) -> bool:
        return any(member.poll() is None for member in self.members)

    def news(self) -> Verdicts:
        """Verdicts since the last time, of cells that all members have checked; and of one that a member died at."""
        running = self.is_running()
        lines = [_lines(file) for file in self.files]
        done = min(len(said) for said in lines)
        more = {self.numbers[index]: _worst([said[index] for said in lines]) for index in range(self.told, done)}
        self.told = done
        if not running and done < len(self.numbers) and not self.has_given_up:
            self.has_given_up = True
            said = [said[done] for said in lines if len(said) > done]
            more[self.numbers[done]] = _worst(said) if said else Verdict(FAILED, why=self._last_words())
        return more

    def _last_words(self) -> str:
        said = [(self.folder / f"{rank}.err").read_text() for rank in range(len(self.members))]
        return "a process ended: " + "\n".join(words[-2000:] for words in said)

    def kill(self) -> None:
        for member in self.members:
            member.kill()
            member.wait()
        for errors in self.errors:
            errors.close()


def _lines(file: Path) -> list[Verdict]:
    if not file.is_file():
        return []
    return [_verdict(json.loads(line)) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def _read(file: Path) -> Verdicts:
    rows = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return {row["cell"]: _verdict(row) for row in rows}


def _verdict(row: dict[str, Any]) -> Verdict:
    return Verdict(row["outcome"], row["difference"], row["why"], row["in_step"])


def _worst(verdicts: list[Verdict]) -> Verdict:
    """Of several processes' verdicts on one cell: the one that failed, else the one that differs most, or is NaN."""

    def badness(verdict: Verdict) -> tuple[bool, float]:
        difference = verdict.difference or 0.0
        return verdict.outcome == FAILED, math.inf if math.isnan(difference) else difference

    return max(verdicts, key=badness)
