"""One sweep on a real Slurm, as its user sees it: the commands, the status all along, the records, the references."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.record import Run
from tests.slurm.sweep_rows import SUITE
from tests.slurm_cluster.cluster import Cluster
from tests.slurm_cluster.daemons import wait_for

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS = 600
ACTIVE = {"queued", "running", "requeued"}
PROFILE = {"partition": "low", "mem": "200M", "time": "00:10:00", "export": ["TINY_HOLD"]}


def runs(benchmark: str, methods: Iterable[str], seeds: Iterable[int]) -> list[Run]:
    return [Run(SUITE, benchmark, method, seed) for method in methods for seed in seeds]


@dataclass
class Sweep:
    """A results folder, and a shell in which the tiny benchmarks are known and the cluster is found."""

    folder: Path
    cluster: Cluster
    suite: str = SUITE
    cache: Path | None = None
    """Of prepared data and models; a new one if None."""

    def __post_init__(self) -> None:
        site = self.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text("from tests.slurm.sweep_rows import install\ninstall()\n")
        self.configure()
        self.results.mkdir()

    def configure(self, **changes: Any) -> None:
        """Write the profile, with other values for some of its keys."""
        (self.folder / "profile.yaml").write_text(json.dumps(PROFILE | changes))

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def held(self) -> Path:
        """While this file is there, runs of tiny-held take a minute or more, otherwise no time at all."""
        return self.folder / "hold"

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TINY_"))}
        return (
            ours
            | self.cluster.environment
            | {
                "PYTHONPATH": f"{self.folder / 'site'}{os.pathsep}{ROOT}",
                "TRAM_CACHE": str(self.cache or self.folder / "cache"),
                "TINY_HOLD": str(self.held),
                "OMP_NUM_THREADS": "1",
            }
        )

    # The user's commands

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """`python -m slurm ...` in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "slurm", *words, "--results", str(self.results)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def shell_line(self, words: Iterable[str]) -> str:
        """`python -m slurm ...` for a script, with the environment that `begin` gives it."""
        names = ("PYTHONPATH", "TRAM_CACHE", "TINY_HOLD")
        variables = [f"{name}={self.environment[name]}" for name in names]
        command = [sys.executable, "-m", "slurm", *words, "--results", str(self.results)]
        return f"cd {shlex.quote(str(ROOT))} && {shlex.join(['env', *variables, *command])}"

    def command(self, *words: str) -> str:
        """The output of `python -m slurm ...`, which has to succeed."""
        process = self.begin(*words)
        output, errors = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == 0, f"{words} ended with {process.returncode}:\n{output}\n{errors}"
        return output

    def launch_words(self, wanted: Iterable[Run], *options: str) -> list[str]:
        """A launch of the product of all benchmarks, methods and seeds in `wanted`."""
        wanted = list(wanted)
        seeds = ",".join(str(seed) for seed in dict.fromkeys(run.seed for run in wanted))
        named = [("--benchmarks", run.benchmark) for run in wanted] + [("--methods", run.method) for run in wanted]
        chosen = [word for pair in dict.fromkeys(named) for word in pair]
        return [
            "launch",
            self.suite,
            *chosen,
            "--seeds",
            seeds,
            "--profile",
            str(self.folder / "profile.yaml"),
            *options,
        ]

    def launch(self, wanted: Iterable[Run], *options: str) -> str:
        return self.command(*self.launch_words(wanted, *options))

    def refused(self, wanted: Iterable[Run]) -> str:
        """What a launch says that has to fail."""
        process = self.begin(*self.launch_words(wanted))
        output, errors = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == 1, f"the launch ended with {process.returncode}:\n{output}\n{errors}"
        return errors

    def status(self) -> dict[Run, dict[str, Any]]:
        return self.answer()[0]

    def answer(self) -> tuple[dict[Run, dict[str, Any]], str | None]:
        """How every run stands, and the warning if there is one."""
        output = self.command("status", self.suite, "--json")
        return self.rows(output), json.loads(output)["warning"]

    def rows(self, output: str) -> dict[Run, dict[str, Any]]:
        """Of `status --json`, by run."""
        rows = json.loads(output)["runs"]
        return {Run(self.suite, row["benchmark"], row["method"], row["seed"]): row for row in rows}

    # What is true, whatever the commands say

    def record(self, run: Run) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run.path(self.results).read_text())
        return found

    def submissions(self) -> list[Path]:
        return sorted((self.results / self.suite / ".slurm" / "submissions").glob("*.json"))

    def recorded(self, run: Run) -> bool:
        return run.path(self.results).exists()

    def processes(self) -> list[tuple[Run, psutil.Process]]:
        """Those that make runs at this moment, found by their command line: submission, task, position."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if "slurm.one" not in words or words[0] == "srun" or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                path, task, position = words[words.index("slurm.one") + 1 :]
                if Path(path).is_relative_to(self.results):
                    names = json.loads(Path(path).read_bytes())["tasks"][int(task)][int(position)]
                    found.append((Run(self.suite, *names), process))
            except (psutil.Error, OSError):
                continue
        return found

    def process(self, run: Run) -> psutil.Process:
        """The one that makes the run."""
        (process,) = (process for other, process in self.processes() if other == run)
        return process

    def job_process(self, run: Run) -> psutil.Process:
        """The one that looks after it, which is the job's own."""
        found = self.process(run).parent()
        assert found is not None
        return found

    def alive(self) -> set[Run]:
        """The runs that a process makes at this moment."""
        return {run for run, _ in self.processes()}

    def job(self, run: Run) -> str:
        """The task of an array that makes the run, as `123_4`."""
        return str(self.status()[run]["job"])

    def checkpoint(self, run: Run) -> int:
        """The step of the newest checkpoint; 0 if there is none."""
        path = run.path(self.results)
        steps = path.with_name(f"{path.stem}.checkpoint").glob("step-*")
        return max((int(step.name.removeprefix("step-")) for step in steps if step.name[5:].isdigit()), default=0)

    def starts(self, run: Run) -> int:
        """How often a job began the run, as its log says."""
        log = self.results / self.suite / ".slurm" / "runs" / run.benchmark / run.method / f"{run.seed}.log"
        return sum(line.startswith("--- ") for line in log.read_text().splitlines()) if log.exists() else 0

    def wait_for_records(self, wanted: Iterable[Run], seconds: float = 900) -> None:
        wanted = list(wanted)
        try:
            wait_for(lambda: all(map(self.recorded, wanted)), "records", seconds, pause=0.3)
        except Exception as error:
            missing = [run for run in wanted if not self.recorded(run)]
            said = {str(run): self.status()[run] for run in missing}
            raise AssertionError(f"without a record: {json.dumps(said, indent=1)}") from error

    def wait_for_steps(self, wanted: Iterable[Run], steps: int) -> None:
        wanted = list(wanted)
        wait_for(lambda: all(self.checkpoint(run) >= steps for run in wanted), f"step {steps}")

    @contextmanager
    def watched(self) -> Iterator["Watch"]:
        """Ask for the status again and again, as long as the context lasts."""
        watch = Watch(self)
        watch.start()
        try:
            yield watch
        finally:
            watch.stop()


class Watch:
    """`status --json`, asked all along and held against what is true before and after each answer."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.seen: dict[Run, list[str]] = {}
        """The states of every run, in order, each once in a row."""
        self.lies: list[str] = []
        self.answers = 0
        self.answers_without_slurm = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_until_over)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After one last look."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            self._ask()

    def _ask_until_over(self) -> None:
        while not self._over.is_set():
            self._ask()
            self._over.wait(2)

    def _ask(self) -> None:
        sweep = self.sweep
        try:
            before = set(sweep.processes())
            status, warning = sweep.answer()
            done_before = {run for run in status if self.last(run) == "done"}
            # The very same process, and not that of a later start.
            at_work = {run for run, _ in before.intersection(sweep.processes())}
        except Exception as error:
            self.lies.append(f"status did not answer: {error}")
            return
        self.answers += 1
        self.answers_without_slurm += warning is not None
        for run, row in status.items():
            state = row["state"]
            # Without the queue only what is at work is known for sure.
            if self.last(run) != state and warning is None:
                self.seen.setdefault(run, []).append(state)
            if run in at_work and state not in ("running", "done"):
                self.lies.append(f"{run} was at work and called {state}: {row}")
            if run in done_before and state != "done":
                self.lies.append(f"{run} was done and is called {state}: {row}")
            if state == "done" and not sweep.recorded(run):
                self.lies.append(f"{run} has no record and is called done")

    def last(self, run: Run) -> str | None:
        """What the run was called in the last answer."""
        return self.seen[run][-1] if run in self.seen else None

    def check(self, launched: Iterable[Run], also: dict[Run, set[str]] | None = None) -> None:
        """That no answer was untrue, and that runs were only ever in the cluster's hands or done.

        `also` has other states that some of them may have been in.
        """
        assert not self.lies, "\n".join(self.lies)
        assert self.answers >= 2
        for run in launched:
            after_launch = self.seen[run][self.seen[run][0] == "not launched" :]
            fine = ACTIVE | {"done"} | (also or {}).get(run, set())
            assert set(after_launch) <= fine, f"{run} was called {after_launch}"


def comparable(path: Path) -> tuple[dict[str, Any], str]:
    """What a record and its curve say of the run itself, and not of the time and the job that it was made in."""
    record = json.loads(path.read_text())
    del record["seconds"], record["peak_memory_bytes"]
    circumstances = ("slurm_", "submitted_", "git_", "code_", "resumed")
    record["environment"] = {
        name: value for name, value in record["environment"].items() if not name.startswith(circumstances)
    }
    return record, path.with_name(f"{path.stem}.metrics.jsonl").read_text()


def check_against(results: Path, sweep: Sweep, wanted: Iterable[Run]) -> None:
    """That every run of `wanted` has its record, bit for bit that in `results`, and that nothing else is left."""
    wanted = list(wanted)
    for run in wanted:
        assert comparable(run.path(sweep.results)) == comparable(run.path(results)), str(run)
    folders = {sweep.results / sweep.suite / run.benchmark for run in wanted}
    expected = {run.path(sweep.results) for run in wanted}
    expected |= {path.with_name(f"{path.stem}.metrics.jsonl") for path in expected}

    def is_all() -> bool:
        walked = (walk for folder in folders for walk in os.walk(folder))
        return {Path(place, name) for place, _, names in walked for name in names} == expected

    # A checkpoint goes when the record is there.
    wait_for(is_all, "records and curves, and nothing else", seconds=30)


PROGRAM = """
import sys
from pathlib import Path
from benchmarks.execution import Execution
from benchmarks.processes import processes
from benchmarks.record import Run
from benchmarks.run import execute
results, *names = sys.argv[1:]
for name in names:
    suite, benchmark, method, seed = name.split("/")
    run = Run(suite, benchmark, method, int(seed))
    execute(run, Path(results), Execution(processes=processes()), lambda stage, done, total: None)
"""


class References:
    """Records made one after the other, in one process and far from any Slurm, when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, sweep: Sweep, wanted: Iterable[Run], processes: int = 1) -> None:
        """`check_against` what is made here."""
        wanted = list(wanted)
        results = self.folder / str(processes)
        self._make(sweep, [run for run in wanted if not run.path(results).exists()], results, processes)
        check_against(results, sweep, wanted)

    def _make(self, sweep: Sweep, missing: list[Run], results: Path, processes: int) -> None:
        if not missing:
            return
        names = [f"{run.suite}/{run.benchmark}/{run.method}/{run.seed}" for run in missing]
        several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        subprocess.run(
            [sys.executable, *(several if processes > 1 else []), str(program), str(results), *names],
            cwd=ROOT,
            env={**sweep.environment, "TINY_HOLD": ""},
            check=True,
            capture_output=True,
        )
