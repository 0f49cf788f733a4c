"""One process that checks cells in turn: `python -m tests.conformance.worker FOLDER RANK PROCESSES`.

FOLDER holds `cells.json`, the numbers of the cells. A line for each is appended to `RANK.jsonl`. A process that is out
of step with its partner ends with exit code 1 after the cell where that happened.
"""

import gc
import importlib
import json
import logging
import os
import sys
import warnings
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from tests.conformance.cells import CELLS
from tests.conformance.check import MODULES, check

TIMEOUT = timedelta(seconds=60)


def work(folder: Path, rank: int, processes: int) -> int:
    numbers = json.loads((folder / "cells.json").read_text())
    for way in {CELLS[number].way for number in numbers}:
        importlib.import_module(f"tests.conformance.{MODULES[way]}")
    # accelerate and Lightning collect garbage in every training, which takes a second with all their modules in it.
    gc.collect()
    gc.freeze()
    logging.disable(logging.WARNING)
    if processes > 1:
        of_torchrun = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": 1}
        os.environ |= {"MASTER_ADDR": "localhost", **{name: str(value) for name, value in of_torchrun.items()}}
        store = f"file://{folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=processes, timeout=TIMEOUT)
    parent = os.getppid()
    with (folder / f"{rank}.jsonl").open("a") as file:
        for number in numbers:
            if os.getppid() != parent:  # killed, and nobody is left to read what comes
                return 1
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                verdict = check(CELLS[number], rank)
            file.write(json.dumps({"cell": number, **asdict(verdict)}) + "\n")
            file.flush()
            if processes > 1 and not verdict.in_step:
                return 1
    return 0


if __name__ == "__main__":
    code = work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    # Not by way of destructors: those of the group wait for a partner that may be gone.
    sys.stdout.flush()
    os._exit(code)
