"""Test cases that need two processes. To import torch takes seconds, so one pair runs all cases of a file, in turn.

    CASES = Cases()

    @CASES.add("name")
    def _(rank: int) -> None: ...       # runs in both processes, within one gloo group; fails by raising

    def test_every_case_in_two_processes() -> None:
        CASES.check(__name__)

`python -m tests.tram.pair MODULE FOLDER RANK` is one process of the pair. Each writes what became of every case into
FOLDER; the first case to fail ends the run, for the processes may be out of step after it.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

ROOT = Path(__file__).parents[2]
PASSED = "passed"


class Cases(dict[str, Callable[[int], None]]):
    """Functions of the rank, by name."""

    def add(self, name: str) -> Callable[[Callable[[int], None]], Callable[[int], None]]:
        def register(case: Callable[[int], None]) -> Callable[[int], None]:
            assert name not in self, f"two cases are named {name}"
            self[name] = case
            return case

        return register

    def check(self, module: str) -> None:
        """Run the cases of `module` in a pair of processes; fail unless both passed every one."""
        assert self
        for rank, outcomes in enumerate(_outcomes(module)):
            failed = {name: outcome for name, outcome in outcomes.items() if outcome != PASSED}
            assert not failed, f"process {rank}:\n" + "\n".join(f"{name}: {why}" for name, why in failed.items())
            assert list(outcomes) == list(self), f"process {rank} left out {sorted(set(self) - set(outcomes))}"


def _outcomes(module: str) -> list[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.tram.pair", module, folder, str(rank)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for rank in range(2)
        ]
        try:
            for process in processes:
                process.wait(timeout=300)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(2)]


def _run(module: str, folder: str, rank: int) -> None:
    outcomes: dict[str, str] = {}
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=30)
    )
    try:
        for name, case in importlib.import_module(module).CASES.items():
            torch.manual_seed(0)
            try:
                case(rank)
                outcomes[name] = PASSED
            except (Exception, pytest.fail.Exception):  # the latter is none of the former
                outcomes[name] = traceback.format_exc()
            # Together they go on, or neither does.
            passed = torch.tensor(int(outcomes[name] == PASSED))
            dist.all_reduce(passed)
            if passed < 2:
                break
    finally:
        (Path(folder) / f"{rank}.json").write_text(json.dumps(outcomes))
    dist.destroy_process_group()


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
