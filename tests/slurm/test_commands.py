"""The command line as its users meet it, on a cluster that takes jobs and never runs them."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.record import Run
from benchmarks.suites import SUITES, runs_of
from slurm.__main__ import app
from slurm.ledger import Beat, Ledger, Note
from tests.slurm import fake_slurm as fakes
from tests.slurm.fake_slurm import FakeSlurm

ROOT = Path(__file__).parents[2]
fake_slurm = fakes.fake_slurm
PROFILE = "partition: low\nmem: 1G\ntime: '00:10:00'\n"
KILLED = "its process was killed by SIGKILL (signal 9): out of memory? `mem` in the profile gives more"
QUICK = runs_of("mini", SUITES["mini"].quick)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(PROFILE)
    return tmp_path / "results"


def call(results: Path, *words: str, code: int = 0) -> Result:
    """`python -m slurm ...`; launches have the profile of the test."""
    profile = ["--profile", str(results.parent / "site.yaml")]
    more = profile if words[0] == "launch" and "--profile" not in words else []
    done = CliRunner().invoke(app, [*words, *more, "--results", str(results)])
    assert done.exit_code == code, f"{done.exit_code}: {done.output} {done.exception!r}"
    return done


def states(results: Path, suite: str = "mini") -> dict[str, int]:
    counts = json.loads(call(results, "status", suite, "--json").stdout)["counts"]
    return {state: number for state, number in counts.items() if number}


def rows(results: Path) -> dict[Run, dict[str, object]]:
    found = json.loads(call(results, "status", "mini", "--json").stdout)["runs"]
    return {Run("mini", row["benchmark"], row["method"], row["seed"]): row for row in found}


def record(run: Run, results: Path) -> None:
    run.path(results).parent.mkdir(parents=True, exist_ok=True)
    run.path(results).write_text("{}")


def noted(results: Path, run: Run, outcome: str, task: int, **more: object) -> Note:
    """As the job of the first submission would tell."""
    ledger = Ledger(results, "mini")
    submission = ledger.submissions()[-1]
    note = Note("running", submission.id, f"{ledger.job(submission)}_{task}", "n1", 1, time.time(), time.time())
    note = replace(note, outcome=outcome, **more)  # type: ignore[arg-type]
    ledger.set_note(run, note)
    return note


# -------------------------------------------------------------------------------------------------------------- launch


def test_a_launch_submits_what_is_pending_and_says_so(fake_slurm: FakeSlurm, results: Path) -> None:
    record(QUICK[0], results)
    said = call(results, "launch", "mini").stdout
    assert "30 runs: 1 done, 29 not launched" in said
    assert "To submit: 29 runs in 29 jobs of 1 array, 0 GPU-hours" in said
    assert len(fake_slurm.jobs) == 29
    assert states(results) == {"done": 1, "queued": 29}


def test_what_is_submitted_is_not_submitted_twice(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--methods", "SAM")
    assert "25 runs in 25 jobs" in call(results, "launch", "mini").stdout
    said = call(results, "launch", "mini").stdout
    assert "To submit: nothing" in said
    assert len(fake_slurm.jobs) == 30
    assert len(fake_slurm.calls("sbatch")) == 2


def test_two_shells_at_once_submit_once(fake_slurm: FakeSlurm, results: Path) -> None:
    fake_slurm.slow(1.0)
    words = [sys.executable, "-m", "slurm", "launch", "mini", "--profile", str(results.parent / "site.yaml")]
    shells = [
        subprocess.Popen(
            [*words, "--results", str(results)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [shell.communicate(timeout=60) for shell in shells]
    assert [shell.returncode for shell in shells] == [0, 0]
    assert len(fake_slurm.calls("sbatch")) == 1
    assert len(fake_slurm.jobs) == 30
    assert sorted("To submit: nothing" in out for out, _ in said) == [False, True]
    assert sum("Another command is changing this suite" in errors for _, errors in said) == 1


def test_a_dry_run_shows_scripts_and_leaves_no_trace(fake_slurm: FakeSlurm, results: Path) -> None:
    said = call(results, "launch", "mini", "--dry-run").stdout
    assert "#SBATCH --array=0-29" in said
    assert "Nothing was submitted." in said
    assert not results.exists()
    assert fake_slurm.calls("sbatch") == []


def test_a_dry_run_needs_no_slurm(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "#SBATCH --time=00:10:00" in call(results, "launch", "mini", "--dry-run").stdout
    assert "no sbatch here" in call(results, "launch", "mini", code=2).stderr


def test_a_suite_that_is_none_is_answered_with_a_similar_one_or_with_all(results: Path) -> None:
    assert "no suite 'papr'; the nearest is 'paper'." in call(results, "launch", "papr", code=2).stderr
    for command in ("launch", "status"):
        said = call(results, command, "nope", code=2).stderr
        assert f"no suite 'nope'; there are {', '.join(SUITES)}." in said


def test_jobs_side_by_side_are_for_this_machine(fake_slurm: FakeSlurm, results: Path) -> None:
    said = call(results, "launch", "mini", "--jobs", "3", code=2).stderr
    assert said == "Error: --jobs is for --cluster local; on Slurm, --max-parallel 3\n"
    said = call(results, "launch", "mini", "--jobs", "3", "--cluster", "debug", code=2).stderr
    assert said == "Error: --jobs is for --cluster local; debug makes one run after the other\n"
    assert fake_slurm.jobs == {}


def test_the_script_asks_for_what_the_plan_says(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--max-parallel", "4")
    options = fake_slurm.options(101)
    assert options["array"] == "0-29%4"
    assert options["time"] == "00:10:00"
    assert options["mem"] == "1G"
    assert options["partition"] == "low"
    assert options["signal"] == "B:USR1@120"
    assert "requeue" in options
    assert "wckey" not in options
    assert "gres" not in options
    last = fake_slurm.script(101).rstrip().splitlines()[-1]
    assert last.startswith("exec ")
    assert "-m slurm.work" in last


@pytest.mark.parametrize(
    ("style", "option"),
    [("gres", ("gres", "gpu:a100:2")), ("gpus", ("gpus", "a100:4")), ("gpus-per-task", ("gpus-per-task", "a100:1"))],
)
def test_four_gpus_on_two_nodes(fake_slurm: FakeSlurm, results: Path, style: str, option: tuple[str, str]) -> None:
    (results.parent / "site.yaml").write_text(
        f"gpu_style: {style}\ngpu_type: a100\ngpus_per_node: 2\nsetup: [module load cuda]\n"
        "options: {exclude: n7, exclusive: true}\n"
    )
    call(results, "launch", "paper", "--benchmarks", "m2d2-s2orc-xl", "--methods", "SAM")
    options = fake_slurm.options(101)
    assert options[option[0]] == option[1]
    assert (options["nodes"], options["ntasks-per-node"], options["cpus-per-task"]) == ("2", "2", "4")
    # 16 GiB a GPU and 20 bytes for each of 1.56e9 parameters, halved between the nodes.
    assert options["mem"] == "47G"
    assert (options["exclude"], "exclusive" in options) == ("n7", True)
    assert fake_slurm.script(101).index("module load cuda") < fake_slurm.script(101).index("exec ")


def test_arrays_stay_below_the_largest_index(fake_slurm: FakeSlurm, results: Path) -> None:
    fake_slurm.configure(MaxArraySize=5)
    call(results, "launch", "mini", "--benchmarks", "mini-m2d2", "--methods", "SAM", "--seeds", "0:40")
    assert [fake_slurm.options(number)["array"] for number in range(101, 109)] == ["0-4%5"] * 8
    assert len(fake_slurm.jobs) == 40
    ledger = Ledger(results, "mini")
    seeds = [run.seed for submission in ledger.submissions() for run, _ in submission.all_runs]
    assert seeds == list(range(40))


def test_a_submit_limit_leaves_the_rest_for_later(fake_slurm: FakeSlurm, results: Path) -> None:
    (results.parent / "site.yaml").write_text(PROFILE + "submit_limit: 12\n")
    said = call(results, "launch", "mini").stdout
    assert "18 runs left out: submit_limit is 12" in said
    assert len(fake_slurm.jobs) == 12
    assert "To submit: nothing" in call(results, "launch", "mini").stdout
    fake_slurm.forget("101_0", "101_1")
    for run in QUICK[:2]:
        record(run, results)
    call(results, "launch", "mini")
    assert len(fake_slurm.jobs) == 12
    assert states(results) == {"done": 2, "queued": 12, "not launched": 16}


def test_a_cluster_that_is_full_is_left_alone(fake_slurm: FakeSlurm, results: Path) -> None:
    """Also by jobs that have ended: Slurm forgets them minutes later, and refuses what reaches the number."""
    fake_slurm.configure(MaxJobCount=21)
    fake_slurm.set("55_0", "COMPLETED")
    said = call(results, "launch", "mini").stdout
    assert "11 runs left out: MaxJobCount of the cluster, less one, is 20. Launch again when jobs have ended" in said
    assert states(results) == {"queued": 19, "not launched": 11}


def test_limits_of_a_user_are_read_and_kept(fake_slurm: FakeSlurm, results: Path) -> None:
    """Those of the account and the QOS that jobs ask for, unless the profile says otherwise."""
    fake_slurm.configure(AccountingStorageEnforce="associations,limits,qos")
    fake_slurm.accounts(user="lab", assoc="lab|25||normal,big\nother|3||normal", qos="normal|7\nbig|")
    fake_slurm.set("9", "RUNNING", account="lab", qos="normal")
    fake_slurm.set("8", "COMPLETED", account="lab", qos="normal")
    assert "24 runs left out: MaxSubmitJobsPerUser of QOS normal is 7." in call(results, "launch", "mini").stdout
    assert states(results) == {"queued": 6, "not launched": 24}

    (results.parent / "site.yaml").write_text(PROFILE + "qos: big\n")
    for job in list(fake_slurm.jobs):
        fake_slurm.set(job, "PENDING", account="lab", qos="normal")
    # 6 of ours and, since it waits again, both others' are in the account's 25.
    assert "7 runs left out: MaxSubmitJobs of account lab is 25." in call(results, "launch", "mini").stdout
    assert states(results) == {"queued": 23, "not launched": 7}

    (results.parent / "site.yaml").write_text(PROFILE + "account: other\nqos: big\n")
    assert "4 runs left out: MaxSubmitJobs of account other is 3." in call(results, "launch", "mini").stdout
    (results.parent / "site.yaml").write_text(PROFILE + "submit_limit: 1000\n")
    assert "left out" not in call(results, "launch", "mini").stdout
    assert states(results) == {"queued": 30}


@pytest.mark.parametrize("enforced", ["none", "associations"])
def test_limits_that_are_not_enforced_are_not_asked_for(fake_slurm: FakeSlurm, results: Path, enforced: str) -> None:
    fake_slurm.configure(AccountingStorageEnforce=enforced)
    fake_slurm.accounts(user="lab", assoc="lab|1||normal", qos="normal|1")
    call(results, "launch", "mini")
    assert fake_slurm.calls("sacctmgr") == []
    assert states(results) == {"queued": 30}


def test_accounts_that_do_not_answer_limit_nothing(fake_slurm: FakeSlurm, results: Path) -> None:
    fake_slurm.configure(AccountingStorageEnforce="associations,limits,qos")
    fake_slurm.fault("sacctmgr", "sacctmgr: error: slurmdbd: Access denied")
    call(results, "launch", "mini")
    assert states(results) == {"queued": 30}


def test_several_runs_share_a_job(fake_slurm: FakeSlurm, results: Path) -> None:
    assert "30 runs in 8 jobs of 1 array" in call(results, "launch", "mini", "--pack", "4").stdout
    assert (fake_slurm.options(101)["mem"], fake_slurm.options(101)["cpus-per-task"]) == ("4G", "4")
    (submission,) = Ledger(results, "mini").submissions()
    assert [len(task) for task in submission.tasks] == [4] * 7 + [2]


def test_from_inside_an_allocation(fake_slurm: FakeSlurm, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {"SLURM_JOB_ID": "7", "SLURM_MEM_PER_NODE": "1", "SLURM_MEM_PER_CPU": "2", "SBATCH_PARTITION": "x"}
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    call(results, "launch", "mini")
    seen = fake_slurm.environment(101)
    assert not set(inside) & set(seen)
    assert seen["SLURM_CONF"] == "/etc/slurm/slurm.conf"
    assert os.environ["SLURM_JOB_ID"] == "7", "this process keeps its own"


def test_no_credential_is_written_down(fake_slurm: FakeSlurm, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("WANDB_API_KEY", "wandb_secret")
    said = call(results, "launch", "mini").output
    exported = fake_slurm.options(101)["export"].split(",")
    assert not {"ALL", "HF_TOKEN", "WANDB_API_KEY"} & set(exported)
    assert {"PATH", "HOME", "TRAM_CACHE"} <= set(exported)
    assert not any("=" in name for name in exported)
    files = [path for path in results.rglob("*") if path.is_file()]
    assert len(files) > 2
    for text in [said, fake_slurm.script(101), *(path.read_text() for path in files)]:
        assert "secret" not in text


def test_a_snapshot_is_what_jobs_run(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--snapshot")
    (submission,) = Ledger(results, "mini").submissions()
    root = Path(submission.root)
    assert root.is_relative_to(results)
    assert f"cd {root}" in fake_slurm.script(101)
    code = "import slurm.work, benchmarks.run, tram; print(benchmarks.run.__file__, slurm.work.__file__, tram.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert all(Path(file).is_relative_to(root) for file in done.stdout.split())
    assert not list(root.rglob("seed-*.json")), "stored results would be taken for this suite's"


# ------------------------------------------------------------------------------------------------- when things go wrong


def test_a_refused_array_is_told_and_forgotten(fake_slurm: FakeSlurm, results: Path) -> None:
    fake_slurm.fault("sbatch", "sbatch: error: Batch job submission failed: Invalid account or partition specified")
    said = call(results, "launch", "mini", code=1).stderr
    assert "Error: sbatch: Batch job submission failed: Invalid account" in said
    assert states(results) == {"not launched": 30}
    fake_slurm.fault("sbatch", None)
    call(results, "launch", "mini")
    assert states(results) == {"queued": 30}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
            "accounting/QOS policy (job submit limit, user's size and/or time limits)",
            "QOSMaxSubmitJobPerUserLimit",
        ),
        (
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
            "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
            "MaxJobCount of the cluster is reached",
        ),
    ],
)
def test_a_limit_that_only_sbatch_knows_is_named(fake_slurm: FakeSlurm, results: Path, words: str, answer: str) -> None:
    fake_slurm.fault("sbatch", words)
    said = call(results, "launch", "mini", code=1).stderr
    assert answer in said
    assert "launch again when jobs have ended" in said
    assert states(results) == {"not launched": 30}
    fake_slurm.fault("sbatch", None)
    call(results, "launch", "mini")
    assert states(results) == {"queued": 30}


def test_an_sbatch_that_got_no_answer_may_have_submitted(fake_slurm: FakeSlurm, results: Path) -> None:
    """The array counts as on its way until a launch has looked for it."""
    fake_slurm.fault("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")
    said = call(results, "launch", "mini", code=1).stderr
    assert "`launch` finds out whether the array was taken" in said
    assert states(results) == {"queued": 30}
    (submission,) = Ledger(results, "mini").submissions()
    fake_slurm.fault("sbatch", None)
    for task in range(30):
        fake_slurm.set(f"77_{task}", "PENDING", name=submission.name)
    assert "To submit: nothing" in call(results, "launch", "mini").stdout
    assert Ledger(results, "mini").job(submission) == "77"


def test_arrays_before_a_refused_one_stay(fake_slurm: FakeSlurm, results: Path) -> None:
    (results.parent / "site.yaml").write_text(PROFILE + "max_array_size: 20\n")
    fake_slurm.takes(1)
    assert "Error: sbatch: full" in call(results, "launch", "mini", code=1).stderr
    assert states(results) == {"queued": 20, "not launched": 10}


def test_a_launch_that_was_killed_before_it_wrote_the_job_down(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    (job,) = (results / "mini" / ".slurm" / "submissions").glob("*.job")
    job.unlink()
    assert states(results) == {"queued": 30}
    assert "To submit: nothing" in call(results, "launch", "mini").stdout
    assert job.read_text() == "101"
    assert len(fake_slurm.calls("sbatch")) == 1


def test_a_launch_that_was_killed_and_whose_jobs_began_and_ended(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--methods", "SAM")
    ran = next(run for run in QUICK if run.method == "SAM")
    noted(results, ran, "failed", 0, cause="broken")
    (job,) = (results / "mini" / ".slurm" / "submissions").glob("*.job")
    job.unlink()
    fake_slurm.forget(*fake_slurm.jobs)
    call(results, "launch", "mini", "--benchmarks", "mini-m2d2")
    assert job.read_text() == "101"
    assert rows(results)[ran]["state"] == "failed"


def test_a_launch_that_was_killed_before_it_submitted(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    (job,) = (results / "mini" / ".slurm" / "submissions").glob("*.job")
    job.unlink()
    fake_slurm.forget(*fake_slurm.jobs)
    call(results, "launch", "mini")
    assert len(fake_slurm.calls("sbatch")) == 2
    assert states(results) == {"queued": 30}


def test_a_queue_that_does_not_answer(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    noted(results, QUICK[0], "running", 0)
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    fake_slurm.fault("squeue", words)
    why = f"slurmctld does not answer (squeue: {words})"
    said = call(results, "launch", "mini", code=1).stderr
    assert said == f"Error: {why}. Nothing was changed; try again later\n"
    assert len(fake_slurm.calls("squeue")) == 4, "one look, then three tries"
    shown = " ".join(call(results, "status", "mini").stdout.split())
    assert f"Warning: {why}. States are as jobs told them last." in shown
    assert "queued: no reason known (29)" in shown
    assert states(results) == {"running": 1, "queued": 29}


def test_a_queue_that_never_answers_is_not_waited_for(
    fake_slurm: FakeSlurm, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """squeue itself would try for minutes. What changes things says so and ends, and status shows what jobs told."""
    call(results, "launch", "mini")
    noted(results, QUICK[0], "running", 0)
    noted(results, QUICK[1], "failed", 1, cause="broken")
    before = sorted((path, path.stat().st_mtime_ns) for path in results.rglob("*") if path.name != "lock")
    fake_slurm.silence("squeue")
    monkeypatch.setattr("slurm.queue.ANSWER_SECONDS", 0.5)
    asked = len(fake_slurm.calls("squeue"))
    for words in (["launch"], ["retry", "--yes"], ["cancel", "--yes"], ["clean", "--yes"]):
        began = time.monotonic()
        said = call(results, words[0], "mini", *words[1:], code=1)
        assert said.stderr == (
            "Error: slurmctld does not answer (squeue: timed out after 0.5 s). Nothing was changed; try again later\n"
        )
        assert "To submit" not in said.stdout
        assert time.monotonic() - began < 10
    assert states(results) == {"running": 1, "queued": 28, "failed": 1}
    assert "Warning: slurmctld does not answer" in call(results, "status", "mini").stdout
    assert len(fake_slurm.calls("squeue")) - asked <= 6, "none was asked a second time"
    assert sorted((path, path.stat().st_mtime_ns) for path in results.rglob("*") if path.name != "lock") == before
    assert len(fake_slurm.calls("sbatch")) == 1
    assert fake_slurm.calls("scancel") == []


def test_status_does_not_wait_for_accounts(
    fake_slurm: FakeSlurm, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(results, "launch", "mini")
    noted(results, QUICK[0], "running", 0)
    fake_slurm.forget("101_0")
    fake_slurm.silence("sacct")
    monkeypatch.setattr("slurm.queue.ended_as", fakes.ENDED_AS)
    monkeypatch.setattr("slurm.queue.ANSWER_SECONDS", 3.0)
    began = time.monotonic()
    assert states(results) == {"failed": 1, "queued": 29}
    assert time.monotonic() - began < 20
    assert len(fake_slurm.calls("sacct")) == 1


def test_one_failed_run_is_left_to_retry(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.forget("101_0", "101_1")
    noted(results, QUICK[0], "failed", 0, cause="CUDA out of memory")
    noted(results, QUICK[1], "timed out", 1, cause="reached its time limit 9 times")
    said = call(results, "launch", "mini").stdout
    assert "To submit: nothing" in said
    line = f"Left alone: 2 runs that failed or timed out; `python -m slurm retry mini --results {results}`"
    assert line in said
    assert "Nothing to retry" in call(results, "retry", "mini", "--match", "disk", "--yes").stdout
    said = call(results, "retry", "mini", "--match", "OUT OF", "--yes").stdout
    assert "To submit: 1 run in 1 job of 1 array" in said
    assert fake_slurm.options(102)["array"] == "0-0%1", "an array even of one"
    assert states(results) == {"queued": 29, "timed out": 1}


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("killed", {0}),
        ("Killed", {0}),
        ("SIGKILL", {0}),
        ("signal 9", {0}),
        ("out of memory", {0, 1, 2}),
        ("OUT_OF_MEMORY", {0, 1, 2}),
        ("cuda out", {1}),
        ("timed out", {3}),
        ("", {0, 1, 2, 3}),
    ],
)
def test_reasons_are_found_by_the_words_that_people_use(
    fake_slurm: FakeSlurm, results: Path, text: str, matched: set[int]
) -> None:
    call(results, "launch", "mini")
    fake_slurm.forget(*(f"101_{task}" for task in range(4)))
    noted(results, QUICK[0], "failed", 0, cause=KILLED)
    noted(results, QUICK[1], "failed", 1, cause="CUDA out of memory. Tried to allocate 2.00 GiB")
    noted(results, QUICK[2], "failed", 2, cause="its job ended without a word (OUT_OF_MEMORY)")
    noted(results, QUICK[3], "timed out", 3, cause="reached its limit 9 times")
    said = call(results, "retry", "mini", "--match", text, "--yes").stdout
    assert {task for task in range(4) if f"  {QUICK[task]}, " in said} == matched
    assert len(Ledger(results, "mini").submissions()[-1].all_runs) == len(matched)


def test_when_nothing_matches_the_reasons_are_shown(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.forget(*(f"101_{task}" for task in range(25)))
    for task in range(3):
        noted(results, QUICK[task], "failed", task, cause=("no disk", KILLED, KILLED)[task])
    said = call(results, "retry", "mini", "--match", "segmentation", "--yes").stdout
    assert said.splitlines() == [
        "Nothing to retry: 'segmentation' is in none of the reasons, which are",
        "  22 runs stopped: its job is gone, and never began",
        f"  2 runs failed: {KILLED}",
        "  1 run failed: no disk",
    ]
    for task in range(25):
        noted(results, QUICK[task], "failed", task, cause=f"reason {task}")
    lines = call(results, "retry", "mini", "--match", "segmentation", "--yes").stdout.splitlines()
    assert (len(lines), lines[-1]) == (1 + 20 + 1, "  and 5 more")
    assert len(fake_slurm.calls("sbatch")) == 1


def test_retry_asks_first_and_repeats_how_it_was(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--pack", "2", "--max-parallel", "3")
    fake_slurm.forget(*fake_slurm.jobs)
    for task, run in enumerate(QUICK):
        noted(results, run, "failed", task // 2, cause="no luck")
    refused = CliRunner().invoke(app, ["retry", "mini", "--results", str(results)], input="n\n")
    assert refused.exit_code == 1
    assert len(fake_slurm.calls("sbatch")) == 1
    accepted = CliRunner().invoke(app, ["retry", "mini", "--results", str(results)], input="y\n")
    assert accepted.exit_code == 0
    assert fake_slurm.options(102) == fake_slurm.options(101) | {"job-name": fake_slurm.options(102)["job-name"]}


def test_retry_with_another_profile(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.forget("101_3")
    noted(results, QUICK[3], "failed", 3, cause="out of memory")
    (results.parent / "more.yaml").write_text("mem: 64G\n")
    call(results, "retry", "mini", "--yes", "--profile", str(results.parent / "more.yaml"))
    assert fake_slurm.options(102)["mem"] == "64G"


# ---------------------------------------------------------------------------------------------------- cancel and clean


def test_cancel_ends_this_suites_jobs_only(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.set("55", "RUNNING", name="somebody-elses")
    call(results.parent / "elsewhere" / "results", "launch", "mini", "--profile", str(results.parent / "site.yaml"))
    assert CliRunner().invoke(app, ["cancel", "mini", "--results", str(results)], input="n\n").exit_code == 1
    assert fake_slurm.calls("scancel") == []
    assert "30 runs cancelled" in call(results, "cancel", "mini", "--yes").stdout
    assert fake_slurm.calls("scancel") == [["101"]]
    assert {job.partition("_")[0] for job in fake_slurm.jobs} == {"55", "102"}
    assert states(results) == {"stopped": 30}
    assert {row["cause"] for row in rows(results).values()} == {"cancelled"}, "a job that is asked to stop reads why"
    assert "Nothing to cancel" in call(results, "cancel", "mini", "--yes").stdout
    call(results, "launch", "mini")
    assert states(results) == {"queued": 30}


def test_a_cancel_that_slurm_does_not_answer_leaves_no_trace(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.fault("scancel", "scancel: error: Unable to contact slurm controller (connect failure)")
    assert "Error: scancel: " in call(results, "cancel", "mini", "--yes", code=1).stderr
    ledger = Ledger(results, "mini")
    assert not ledger.is_cancelled(ledger.submissions()[0]), "its jobs would not start again after they give way"
    assert states(results) == {"queued": 30}


def test_clean_keeps_what_is_queued_running_or_done(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--benchmarks", "mini-m2d2")
    runs = [run for run in QUICK if run.benchmark == "mini-m2d2"]
    done, running, failed = runs[:3]
    for task, run in enumerate((done, running, failed)):
        run.checkpoints(results).mkdir(parents=True)
        outcome = {done: "done", running: "running", failed: "failed"}[run]
        noted(results, run, outcome, task, cause="broken" if run is failed else None)
    record(done, results)
    fake_slurm.forget("101_0", "101_2")
    fake_slurm.set("101_1", "RUNNING", name=fake_slurm.jobs["101_3"]["name"])
    assert "1 run cleaned" in call(results, "clean", "mini", "--yes").stdout
    (script,) = (results / "mini" / ".slurm" / "jobs").glob(".submission_file_*")
    assert script.exists(), "Slurm says that this is what its jobs run"
    assert [run.checkpoints(results).exists() for run in (done, running, failed)] == [True, True, False]
    assert {run: rows(results)[run]["state"] for run in runs} == dict(
        zip(runs, ["done", "running", "not launched", "queued", "queued", "queued"], strict=True)
    )
    assert "Nothing to clean" in call(results, "clean", "mini", "--yes").stdout
    call(results, "launch", "mini", "--benchmarks", "mini-m2d2")
    assert rows(results)[failed]["state"] == "queued"


def test_clean_keeps_what_a_process_works_on(fake_slurm: FakeSlurm, results: Path) -> None:
    """Its job may be unknown to Slurm, as one that was begun by hand."""
    call(results, "launch", "mini")
    fake_slurm.forget("101_0")
    noted(results, QUICK[0], "failed", 0, cause="broken")
    QUICK[0].checkpoints(results).mkdir(parents=True)
    lock = Ledger(results, "mini").claimed(QUICK[0])
    assert lock is not None
    call(results, "clean", "mini", "--yes")
    assert QUICK[0].checkpoints(results).exists()
    lock.release()
    call(results, "clean", "mini", "--yes")
    assert not QUICK[0].checkpoints(results).exists()


def test_clean_of_all_that_failed_leaves_an_empty_ledger(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini", "--methods", "SAM", "--snapshot")
    fake_slurm.fault("sbatch", "sbatch: error: no")
    call(results, "launch", "mini", code=1)
    fake_slurm.forget(*fake_slurm.jobs)
    call(results, "clean", "mini", "--yes")
    folder = results / "mini" / ".slurm"
    assert not list((folder / "jobs").iterdir())
    assert not list((folder / "submissions").iterdir())
    assert not list((folder / "code").iterdir())
    assert states(results) == {"not launched": 30}


# -------------------------------------------------------------------------------------------------------------- status


def test_status_tells_how_far_a_run_is(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.set("101_0", "RUNNING", node="node17", name="x")
    note = noted(results, QUICK[0], "running", 0)
    Ledger(results, "mini").set_beat(QUICK[0], Beat("train", 60, 100, note.began, 10, note.began + 25))
    row = rows(results)[QUICK[0]]
    assert (row["state"], row["step"], row["steps"], row["node"], row["job"]) == ("running", 60, 100, "node17", "101_0")
    assert row["steps_per_second"] == 2.0
    assert row["expected_end"] == pytest.approx(note.began + 25 + 20)
    shown = call(results, "status", "mini").stdout
    assert re.search(r"mini-vision-digits SGD seed 0 +train 60/100 +2/s +\d\d:\d\d +node17 +101_0", shown)


def test_status_tells_that_a_run_is_ending_and_why(fake_slurm: FakeSlurm, results: Path) -> None:
    """Before its job knows whether it starts again, it is neither called requeued nor stopped."""
    call(results, "launch", "mini")
    for state in ("RUNNING", "COMPLETING"):
        fake_slurm.set("101_0", state, node="node17", name="x")
        note = noted(results, QUICK[0], "stopping", 0, cause="ended by Slurm (SIGTERM)")
        Ledger(results, "mini").set_beat(QUICK[0], Beat("train", 60, 100, note.began, 10, note.began + 25))
        row = rows(results)[QUICK[0]]
        assert (row["state"], row["ending"], row["cause"]) == ("running", True, "ended by Slurm (SIGTERM)")
        assert "expected_end" not in row
        shown = call(results, "status", "mini").stdout
        assert re.search(r"SGD seed 0 +ending: ended by Slurm \(SIGTERM\) +node17 +101_0", shown)
    fake_slurm.set("101_0", "PENDING", name="x")
    row = rows(results)[QUICK[0]]
    assert (row["state"], "ending" in row) == ("requeued", False)
    fake_slurm.set("101_0", "COMPLETING", name="x")
    noted(results, QUICK[0], "stopped", 0, cause="ended by Slurm (SIGTERM)")
    row = rows(results)[QUICK[0]]
    assert (row["state"], "ending" in row) == ("stopped", False)


def test_a_stage_of_one_step_is_named_without_a_count(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.set("101_0", "RUNNING", node="node17", name="x")
    note = noted(results, QUICK[0], "running", 0)
    Ledger(results, "mini").set_beat(QUICK[0], Beat("load", 0, 1, note.began, 0, note.began))
    assert re.search(r"SGD seed 0 +load +node17 +101_0", call(results, "status", "mini").stdout)


def test_a_beat_of_an_earlier_start_is_not_taken_for_one_of_this(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.set("101_0", "RUNNING", name="x")
    note = noted(results, QUICK[0], "running", 0)
    Ledger(results, "mini").set_beat(QUICK[0], Beat("train", 60, 100, 0.0, 10, note.began - 5))
    row = rows(results)[QUICK[0]]
    assert row["state"] == "running"
    assert "steps" not in row


def test_json_is_json_alone(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    done = call(results, "status", "mini", "--json")
    assert set(json.loads(done.stdout)) == {"suite", "warning", "counts", "runs"}
    assert done.stderr == ""


def test_other_code_than_was_submitted_is_shown(fake_slurm: FakeSlurm, results: Path) -> None:
    call(results, "launch", "mini")
    fake_slurm.set("101_0", "RUNNING", name="x")
    submitted = Ledger(results, "mini").submissions()[0].code
    noted(results, QUICK[0], "running", 0, code=submitted)
    assert "other code" not in call(results, "status", "mini").stdout
    noted(results, QUICK[0], "running", 0, code=replace(submitted, digest="other"))
    assert "1 run with other code than was submitted" in call(results, "status", "mini").stdout
    assert rows(results)[QUICK[0]]["code_changed"] is True


@pytest.mark.parametrize("width", [80, 120])
def test_screens_fit_the_terminal(
    fake_slurm: FakeSlurm, results: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = call(results, "launch", "mini", "--full").stdout
    for task in range(3):
        fake_slurm.set(f"101_{task}", "RUNNING", node="node-with-a-long-name-017", name="x")
        noted(results, QUICK[0], "running", task)
    fake_slurm.forget("101_5")
    shown = call(results, "status", "mini", "--full").stdout
    lines = [line for line in [*said.splitlines(), *shown.splitlines()] if str(results) not in line]
    assert max(map(len, lines)) <= width


# --------------------------------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("launch mni", "'mini'"),
        ("launch mini --methods TRAMx", "'TRAM-x'"),
        ("launch mini --benchmarks mini-m2d", "'mini-m2d2'"),
        ("launch mini --benchmarks xnli", "xnli is not in suite mini"),
        ("launch mini --seeds 3:1", "--seeds 3:1"),
        ("launch mini --profile gpu-grs", "'gpu-gres'"),
        ("launch mini --cluster slrm", "slurm"),
        ("launch mini --pack 0", "--pack"),
        ("launch mini --max-paralel 3", "--max-parallel"),
        ("status mni", "'mini'"),
        ("retry mni", "'mini'"),
        ("cancel mni", "'mini'"),
        ("clean mni", "'mini'"),
        ("statu mini", "'status'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest(
    fake_slurm: FakeSlurm, results: Path, words: str, answer: str
) -> None:
    assert answer in call(results, *words.split(), code=2).stderr
    assert not results.exists()


def test_a_launch_needs_a_profile(fake_slurm: FakeSlurm, results: Path) -> None:
    done = CliRunner().invoke(app, ["launch", "mini", "--results", str(results)])
    assert done.exit_code == 2
    assert "--profile: name a file" in done.stderr


def test_nothing_here_loads_torch() -> None:
    code = "import sys, slurm.__main__, slurm.work, slurm.local, slurm.one; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# --------------------------------------------------------------------------------------------------------------- scale


def work_seconds() -> float:
    """That this process and its children have computed: other work on the machine is not theirs."""
    return sum(os.times()[:4])


def test_ten_thousand_runs(fake_slurm: FakeSlurm, results: Path) -> None:
    """Launched in under 30 seconds, and looked at in under two, while a third has told how it stands."""
    started = work_seconds()
    call(results, "launch", "mini", "--full", "--seeds", "0:125")
    launched = work_seconds() - started
    jobs = fake_slurm.jobs
    assert len(jobs) == 10_000
    ledger = Ledger(results, "mini")
    for submission in ledger.submissions():
        for run, task in submission.all_runs[::3]:
            note = Note("running", submission.id, f"{ledger.job(submission)}_{task}", "n1", 1, time.time(), time.time())
            path = ledger.of(run, ".note")
            path.parent.mkdir(parents=True, exist_ok=True)
            ledger.set_note(run, note)
            jobs[note.job]["state"] = "RUNNING"
        for run, _ in submission.all_runs[1::3]:
            record(run, results)
    fake_slurm._write("jobs", jobs)
    started = work_seconds()
    counts = states(results)
    looked = work_seconds() - started
    assert counts["running"] + counts["queued"] + counts["done"] == 10_000
    print(f"launch {launched:.1f} s, status {looked:.2f} s")
    assert launched < 30
    assert looked < 2
