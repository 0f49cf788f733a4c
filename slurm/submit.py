"""From arrays to jobs: a submission is written down, then handed to Slurm, to this machine, or made right here.

submitit writes the batch script and hands it to sbatch. What the job runs is a command line, not one of its pickles: a
job that waits for days then runs the code as it is, and its signals and requeues are those of `slurm.work`.
"""

import re
import shlex
import subprocess
import sys
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from slurm.alive import process_name
from slurm.ledger import Ledger, Submission
from slurm.plan import Need
from slurm.profile import Profile
from slurm.queue import Entry, outside_of_allocations
from slurm.units import memory_text, time_text

EXPORTED = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV",
    "CONDA_PREFIX", "MODULEPATH", "MODULESHOME", "LOADEDMODULES", "BASH_ENV", "SLURM_CONF", "XDG_CACHE_HOME",
    "TRAM_CACHE", "TRAM_DATA", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_CACHE",
)  # fmt: skip
"""Variables of the environment that jobs get, if they are set: what finds programs and data. Scripts hold their names,
never their values; tokens and keys are not among them, and a profile's `export` adds others."""


class SubmissionError(Exception):
    """sbatch did not take an array; the message has its words."""


LATER = (
    ". What was submitted before stays: launch again when jobs have ended, --pack several runs into a job, or set "
    "submit_limit in the profile"
)


class _Arrays(submitit.SlurmExecutor):
    """submitit's batch scripts and its call of sbatch, for a command line and always as an array, of one task too."""

    def script(self, command: str) -> str:
        return self._make_submission_file_text(command, "")

    def submit_command(self, command: str) -> str:
        (self.folder).mkdir(parents=True, exist_ok=True)
        return str(self._submit_command(command).job_id)

    @classmethod
    def affinity(cls) -> int:
        """A script can be shown where there is no Slurm."""
        return 2


def _arrays(ledger: Ledger, submission: Submission, profile: Profile) -> _Arrays:
    executor = _Arrays(ledger.jobs)
    executor.update_parameters(**parameters(submission, profile))
    executor.parameters["map_count"] = len(submission.tasks)
    return executor


def command_of(ledger: Ledger, submission: Submission) -> str:
    return shlex.join(["exec", sys.executable, "-m", "slurm.work", str(ledger.path(submission))])


def parameters(submission: Submission, profile: Profile) -> dict[str, Any]:
    """submitit's words for what the array needs."""
    need = submission.need
    said = {
        "partition": need.partition,
        "account": need.account,
        "qos": need.qos,
        "constraint": need.constraint,
    }
    return {
        "job_name": submission.name,
        "time": time_text(need.seconds),
        "nodes": need.nodes,
        "ntasks_per_node": -(-need.processes // need.nodes),
        "cpus_per_task": need.cpus,
        "mem": memory_text(-(-need.memory // need.nodes)),
        "array_parallelism": submission.max_parallel or len(submission.tasks),
        "setup": [*profile.setup, f"cd {shlex.quote(submission.root)}"],
        "stderr_to_stdout": True,
        "use_srun": False,
        "wckey": None,
        **{name: value for name, value in said.items() if value is not None},
        "additional_parameters": {
            "signal": f"B:USR1@{need.lead}",
            "requeue": True,
            "export": ",".join(dict.fromkeys((*EXPORTED, *profile.export))),
            **({"reservation": need.reservation} if need.reservation else {}),
            **_gpus(need),
            **dict(need.options),
        },
    }


def _gpus(need: Need) -> dict[str, str]:
    """The three ways to ask for GPUs, of which a site knows one or two."""
    if not need.gpus:
        return {}
    kind = f"{need.gpu_type}:" if need.gpu_type else ""
    match need.gpu_style:
        case "gres":
            return {"gres": f"gpu:{kind}{-(-need.gpus // need.nodes)}"}
        case "gpus":
            return {"gpus": f"{kind}{need.gpus}"}
        case "gpus-per-task":
            return {"gpus-per-task": f"{kind}{-(-need.gpus // need.processes)}"}


def script_of(ledger: Ledger, submission: Submission, profile: Profile) -> str:
    """The batch script."""
    return _arrays(ledger, submission, profile).script(command_of(ledger, submission))


def to_slurm(ledger: Ledger, submission: Submission, profile: Profile) -> None:
    """Write the submission down, hand it to sbatch, write down its job id. Raises SubmissionError."""
    ledger.add(submission)
    try:
        with outside_of_allocations():
            job = _arrays(ledger, submission, profile).submit_command(command_of(ledger, submission))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        said = re.sub(r"\s*sbatch: (error: )?", " ", str(error)).strip()
        if isinstance(error, FailedSubmissionError) or "timed out" in said:
            # It may be in the queue: `settle` finds out.
            raise SubmissionError(f"sbatch: {said}. `launch` finds out whether the array was taken") from error
        ledger.drop(submission)
        raise SubmissionError(f"sbatch: {said}{advice(said)}") from error
    ledger.set_job(submission, job)


def advice(said: str) -> str:
    """What to do about limits, which may be of many kinds, and of others' jobs too."""
    if "temporarily unavailable" in said or "queue full" in said:
        return " (MaxJobCount of the cluster is reached)" + LATER
    return LATER if re.search(r"Submit\w*Limit|job submit limit", said) else ""


def to_this_machine(ledger: Ledger, submission: Submission, jobs: int) -> None:
    """Start a process that outlives this one and its terminal, and makes the runs, `jobs` at a time."""
    path = ledger.add(submission)
    ledger.jobs.mkdir(parents=True, exist_ok=True)
    with (ledger.jobs / f"{submission.id}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "slurm.local", str(path), str(jobs)],
            cwd=submission.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    ledger.set_job(submission, process_name(process.pid))


def settle(ledger: Ledger, entries: dict[str, Entry]) -> None:
    """Find the job ids that a killed `launch` did not live to write down, and forget what it did not submit."""
    open_ones = [item for item in ledger.submissions() if ledger.job(item) is None and item.cluster == "slurm"]
    by_name = {entry.name: entry.id.partition("_")[0] for entry in entries.values()}
    for submission in open_ones:
        notes = [
            note for run, _ in submission.all_runs if (note := ledger.note(run)) and note.submission == submission.id
        ]
        if submission.name in by_name:
            ledger.set_job(submission, by_name[submission.name])
        elif notes:
            ledger.set_job(submission, notes[0].job.partition("_")[0])
        else:
            ledger.drop(submission)
