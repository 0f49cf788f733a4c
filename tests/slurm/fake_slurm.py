"""Slurm's commands as small scripts on PATH: they answer from a folder that a test writes, and record every call."""

import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm import queue

COMMAND = """#!{python} -SE
import json, os, re, sys, time
from pathlib import Path

place, name, words = Path({place!r}), Path(sys.argv[0]).name, sys.argv[1:]

def read(file, default):
    path = place / file
    return json.loads(path.read_text()) if path.exists() else default

def write(file, content):
    (place / file).write_text(json.dumps(content))

def refuse(said):
    print(said, file=sys.stderr)
    sys.exit(1)

def submitted(script):
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))
    number = 101 + len(list(place.glob("*.sh")))
    first, last = map(int, options["array"].split("%")[0].split("-"))
    if last >= read("configuration", {{}}).get("MaxArraySize", 1001):
        refuse("sbatch: error: Batch job submission failed: Invalid job array specification")
    if number - 101 >= read("takes", 10**6):
        refuse("sbatch: error: full")
    time.sleep(read("slow", 0))
    job = {{"state": "PENDING", "reason": "Priority", "node": "", "name": options["job-name"].strip("'")}}
    write("jobs", jobs | {{f"{{number}}_{{task}}": job for task in range(first, last + 1)}})
    (place / f"{{number}}.sh").write_text(script)
    write(f"{{number}}.environment", dict(os.environ))
    print(f"Submitted batch job {{number}}")

def listed(form, asked):
    for key, job in jobs.items():
        if asked in (None, key):
            values = {{"%i": key, "%T": job["state"], "%r": job["reason"], "%N": job["node"], "%j": job["name"]}}
            values |= {{"%e": job.get("end", "N/A"), "%a": job.get("account", ""), "%q": job.get("qos", "")}}
            print(re.sub("%.", lambda found: values[found[0]], form))

with (place / "calls").open("a") as calls:
    calls.write(json.dumps([name, *words]) + "\\n")
options = dict(word.split("=", 1) for word in words if "=" in word)
jobs, fault = read("jobs", {{}}), read("faults", {{}}).get(name)
if fault:
    refuse(fault)
if name in read("silent", {{}}):
    time.sleep(600)
if name == "sbatch":
    submitted(Path(words[-1]).read_text())
elif name == "squeue":
    listed(options["--format"], options.get("--jobs"))
elif name == "scontrol" and words[:2] == ["show", "config"]:
    said = {{"MaxArraySize": 1001, "MaxJobCount": 20000, "ClusterName": "fake"}} | read("configuration", {{}})
    print("Configuration data", *(f"{{key:23}} = {{value}}" for key, value in said.items()), sep="\\n")
elif name == "sacctmgr":
    print(read("accounts", {{}}).get(words[3], ""))
elif name == "scontrol" and words[:2] == ["show", "job"]:
    print(f"JobId=1 Restarts={{jobs[words[-1]].get('restarts', 0)}} BatchFlag=1")
elif name == "scancel":
    write("jobs", {{key: job for key, job in jobs.items() if not {{key, key.split("_")[0]}} & set(words)}})
"""


@dataclass(frozen=True)
class FakeSlurm:
    """What the commands answer from, and what they recorded."""

    place: Path
    programs: Path

    @property
    def jobs(self) -> dict[str, dict[str, str]]:
        return self._read("jobs", {})

    def calls(self, name: str) -> list[list[str]]:
        path = self.place / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[1:] for call in map(json.loads, lines) if call[0] == name]

    def script(self, number: int) -> str:
        return (self.place / f"{number}.sh").read_text()

    def environment(self, number: int) -> dict[str, str]:
        """That sbatch was called in."""
        return self._read(f"{number}.environment", {})

    def options(self, number: int) -> dict[str, str]:
        found = re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", self.script(number), re.MULTILINE)
        return {name: value.strip("'") for name, value in found}

    def set(self, job: str, state: str, node: str = "n1", **more: str) -> None:
        before = self.jobs.get(job, {"name": "", "reason": "None"})
        self._write("jobs", self.jobs | {job: before | {"state": state, "node": node} | more})

    def forget(self, *jobs: str) -> None:
        """As Slurm does, minutes after a job's end."""
        self._write("jobs", {key: job for key, job in self.jobs.items() if key not in jobs})

    def configure(self, **values: object) -> None:
        """The cluster's configuration, where it is not the usual one."""
        self._write("configuration", values)

    def accounts(self, **rows: str) -> None:
        """What sacctmgr answers when it is asked for `user`, `assoc` or `qos`."""
        self._write("accounts", rows)

    def takes(self, arrays: int) -> None:
        """Refuse all that come after so many."""
        self._write("takes", arrays)

    def slow(self, seconds: float) -> None:
        self._write("slow", seconds)

    def fault(self, command: str, said: str | None) -> None:
        """From now on the command fails with those words; with None it is well again."""
        self._write("faults", {command: said})

    def silence(self, *commands: str) -> None:
        """From now on these never answer; the others do."""
        self._write("silent", dict.fromkeys(commands, True))

    def _read(self, name: str, default: dict[str, dict[str, str]]) -> dict:  # type: ignore[type-arg]
        path = self.place / name
        return json.loads(path.read_text()) if path.exists() else default

    def _write(self, name: str, content: object) -> None:
        (self.place / name).write_text(json.dumps(content))


ENDED_AS = queue.ended_as
"""As it is: a test with a fake cluster asks no accounts unless it puts this back."""


@pytest.fixture
def fake_slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster that takes jobs and never runs them, found on PATH."""
    place, programs = tmp_path_factory.mktemp("slurm"), tmp_path_factory.mktemp("programs")
    for name in ("sbatch", "squeue", "scontrol", "scancel", "sacctmgr", "sacct"):
        program = programs / name
        program.write_text(COMMAND.format(python=sys.executable, place=str(place)))
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    # A real accounting has no part in this.
    monkeypatch.setattr("slurm.queue.ended_as", lambda jobs: {})
    monkeypatch.setattr("slurm.queue.BETWEEN_TRIES", 0.0)
    return FakeSlurm(place, programs)
