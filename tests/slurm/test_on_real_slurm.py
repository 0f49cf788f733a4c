"""Sweeps on a real Slurm, and everything that happens to sweeps: what comes out is what a quiet machine makes.

Every test ends with all records there, each made once and bit for bit that of a sequential run, and holds that
`status` told the truth all along.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cache import cache_root
from benchmarks.record import Run
from slurm.ledger import Ledger
from slurm.state import overview
from tests.slurm.sweep import COMMAND_SECONDS, ROOT, References, Sweep, check_against, runs
from tests.slurm.sweep_rows import HANGS_AT, SUITE
from tests.slurm_cluster.cluster import Cluster
from tests.slurm_cluster.daemons import PATIENCE, wait_for

ANSWERED = 10.0 + 15.0
"""Ten seconds are promised; a busy machine may take some to start two commands."""
FAILING = {
    "tiny-explodes": "loss is nan",
    "tiny-dies": "SIGKILL",
    "tiny-unprepared": "the data of this family are not there",
}
"""And what is said of it."""


def test_a_miniature_sweep(slurm_cluster: Cluster, tmp_path: Path) -> None:
    """The real thing, small: what `python -m benchmarks` prepares and makes one after the other, in one array."""
    # What others have prepared on this machine need not be made again.
    sweep = Sweep(tmp_path, slurm_cluster, suite="mini", cache=cache_root())
    sweep.configure(mem="1G")
    methods = ("SGD", "SAM", "TRAM-x")
    wanted = [Run("mini", "mini-vision-digits", method, seed) for method in methods for seed in (0, 1)]

    def benchmarks(*words: str) -> None:
        command = [sys.executable, "-m", "benchmarks", *words]
        done = subprocess.run(command, cwd=ROOT, env=sweep.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    benchmarks("prepare", "mini-vision-digits")
    with sweep.watched() as watch:
        sweep.launch(wanted, "--max-parallel", "3")
        sweep.wait_for_records(wanted)
    watch.check(wanted)
    chosen = ["--benchmarks", "mini-vision-digits", *(word for name in methods for word in ("--methods", name))]
    sequential = tmp_path / "sequential"
    benchmarks("suite", "mini", *chosen, "--seeds", "0:2", "--jobs", "1", "--results", str(sequential))
    check_against(sequential, sweep, wanted)
    assert len(sweep.submissions()) == 1
    assert {sweep.starts(run) for run in wanted} == {1}


def test_ten_thousand_runs(sweep: Sweep) -> None:
    """Launched in under 30 seconds, looked at and cancelled; starting Python is part of every time."""
    wanted = runs("tiny-points", ("SGD", "SAM", "TRAM-x", "TRAM-prev"), range(2500))
    words = ["launch", SUITE, "--benchmarks", "tiny-points", "--seeds", "0:2500"]

    with sweep.cluster.closed("low"):
        began = time.perf_counter()
        said = sweep.command(*words, "--profile", str(sweep.folder / "profile.yaml"))
        launched = time.perf_counter() - began
        assert "To submit: 10,000 runs in 10,000 jobs of 10 arrays" in said.replace("10000", "10,000")
        assert len(sweep.cluster.command("squeue", "--noheader", "--array").splitlines()) == 10_000
        began = time.perf_counter()
        status = sweep.status()
        looked = time.perf_counter() - began
        assert all(status[run]["state"] == "queued" for run in wanted)
        sweep.command("cancel", SUITE, "--yes")
        wait_for(lambda: not sweep.cluster.command("squeue", "--noheader"), "nothing is queued")
        status = sweep.status()
        assert all(status[run]["state"] == "stopped" for run in wanted)
    print(f"launch {launched:.1f} s, status {looked:.1f} s")
    # Two seconds are meant, for a machine that does nothing else.
    assert launched < 30
    assert looked < 10


def test_shells_that_die_or_compete_and_arrays_of_five(sweep: Sweep, references: References) -> None:
    """40 runs in pairs where MaxArraySize is 5: four arrays. One shell dies between them, two others then compete."""
    wanted = runs("tiny-points", ("SGD", "SAM", "TRAM-x", "TRAM-prev"), range(10))
    words = sweep.launch_words(wanted, "--pack", "2")
    with sweep.cluster.changed(max_array_size=5), sweep.watched() as watch:
        first = sweep.begin(*words)
        wait_for(lambda: sweep.cluster.command("squeue", "--noheader"), "an array in the queue")
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        others = [sweep.begin(*words) for _ in range(2)]
        for other in others:
            _, errors = other.communicate(timeout=COMMAND_SECONDS)
            assert other.returncode == 0, errors
        assert sweep.launch(wanted, "--pack", "2").count("To submit: nothing") == 1
        submissions = [json.loads(path.read_text()) for path in sweep.submissions()]
        sweep.wait_for_records(wanted)
    watch.check(wanted)
    references.check(sweep, wanted)
    assert [len(item["tasks"]) for item in submissions] == [5] * 4
    submitted = [tuple(names) for item in submissions for task in item["tasks"] for names in task]
    assert sorted(submitted) == sorted((run.benchmark, run.method, run.seed) for run in wanted)
    assert {sweep.starts(run) for run in wanted} == {1}


def test_everything_that_happens_to_jobs_and_nodes(sweep: Sweep, references: References) -> None:
    """Eight runs at once, two on a node; each meets something else, and only what is killed by hand needs a hand."""
    sweep.held.touch()
    wanted = runs("tiny-held", ("SAM", "TRAM-x"), range(4))
    cluster = sweep.cluster
    with sweep.watched() as watch:
        sweep.launch(wanted)
        sweep.wait_for_steps(wanted, 10)
        by_node: dict[str, list[Run]] = {}
        for run, row in sweep.status().items():
            if run in wanted:
                by_node.setdefault(row["node"], []).append(run)
        assert sorted(map(len, by_node.values())) == [2, 2, 2, 2]
        (killed, childless), (cancelled, requeued), (drained, _), (lost, _) = by_node.values()
        jobs = {run: sweep.job(run) for run in wanted}
        _, _, draining, losing = by_node

        sweep.process(killed).send_signal(signal.SIGKILL)
        sweep.job_process(childless).send_signal(signal.SIGKILL)
        cluster.command("scancel", jobs[cancelled])
        with cluster.closed("low"):
            cluster.command("scontrol", "requeue", jobs[requeued])
            wait_for(lambda: watch.last(requeued) == "requeued", "the requeued run is called so")
            wait_for(lambda: watch.last(cancelled) == "stopped", "the cancelled run is called stopped")
            cluster.command("scontrol", "update", f"NodeName={draining}", "State=DRAIN", "Reason=test")
            cluster.kill_node(draining)
            cluster.stop_controller()
            cluster.lose_node(losing)
            wait_for(lambda: watch.answers_without_slurm, "an answer while the controller is gone")
            told = sweep.status()
            cluster.start_controller()
        assert (told[requeued]["state"], told[cancelled]["state"]) == ("requeued", "stopped")
        cluster.start_node(draining)
        with cluster.closed("low"):
            wait_for(lambda: watch.last(lost) == "requeued", "the run of the lost node is called requeued")
        sweep.held.unlink()
        hopeless = {killed, childless, cancelled}
        sweep.wait_for_records(set(wanted) - hopeless)

        status = sweep.status()
        assert status[killed]["state"] == status[childless]["state"] == "failed"
        assert "SIGKILL" in status[killed]["cause"]
        assert status[cancelled]["state"] == "stopped"
        assert sweep.command("retry", SUITE, "--match", "SIGKILL", "--yes").count("To submit: 1 run") == 1
        sweep.launch(wanted)
        sweep.command("retry", SUITE, "--yes")
        sweep.wait_for_records(wanted)
    watch.check(wanted, also={killed: {"failed"}, childless: {"failed"}, cancelled: {"stopped"}})
    references.check(sweep, wanted)
    interrupted = hopeless | {requeued, *by_node[losing]}
    assert {run for run in wanted if sweep.record(run)["environment"]["resumed"]} == interrupted
    assert {run for run in wanted if sweep.starts(run) == 2} == interrupted
    assert {run for run in wanted if sweep.starts(run) == 1} == set(wanted) - interrupted
    assert watch.seen[drained][-2:] == ["running", "done"]


def test_status_is_true_at_every_moment(sweep: Sweep, references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is cancelled by hand and one requeued, while status is asked as fast as it answers."""
    sweep.held.touch()
    cancelled, requeued = wanted = runs("tiny-held", ("SAM",), range(2))
    sweep.launch(wanted)
    sweep.wait_for_steps(wanted, 10)
    jobs = {run: sweep.job(run) for run in wanted}
    for name, value in sweep.cluster.environment.items():
        monkeypatch.setenv(name, value)
    ledger = Ledger(sweep.results, SUITE)
    seen: dict[Run, list[str]] = {run: [] for run in wanted}
    looks = 0

    def look() -> None:
        nonlocal looks
        found = overview(ledger, wanted)
        looks += 1
        assert found.warning is None
        for item in found.standings:
            said = "ending" if item.is_ending else item.state
            if seen[item.run][-1:] != [said]:
                seen[item.run].append(said)
                assert said in ("running", "ending") or item.run not in sweep.alive(), f"{item.run} is {said} and alive"

    def look_until(ends: dict[Run, list[str]]) -> None:
        """Until each run was last called so."""
        deadline = time.monotonic() + PATIENCE
        while any(seen[run][-len(last) :] != last for run, last in ends.items()):
            assert time.monotonic() < deadline, seen
            look()

    look()
    sweep.cluster.command("scancel", jobs[cancelled])
    look_until({cancelled: ["stopped"]})
    sweep.cluster.command("scontrol", "requeue", jobs[requeued])
    look_until({requeued: ["requeued", "running"]})
    wait_for(lambda: jobs[cancelled] not in sweep.cluster.command("squeue", "--noheader", "--array"), "it is gone")
    look()
    assert seen == {cancelled: ["running", "ending", "stopped"], requeued: ["running", "ending", "requeued", "running"]}
    assert looks > 50
    sweep.held.unlink()
    sweep.launch(wanted)
    sweep.wait_for_records(wanted)
    references.check(sweep, wanted)


def test_a_controller_that_is_away_is_not_waited_for(sweep: Sweep, references: References) -> None:
    """It is gone, then it hangs: commands say so within seconds, change nothing, and the runs go on."""
    sweep.held.touch()
    wanted = runs("tiny-held", ("SAM",), range(2))
    sweep.launch(wanted)
    sweep.wait_for_steps(wanted, 10)

    def hears_nothing(*words: str) -> None:
        """`words` that change something, and status beside them."""
        began = time.monotonic()
        changing, looking = sweep.begin(*words), sweep.begin("status", SUITE, "--json")
        _, errors = changing.communicate(timeout=COMMAND_SECONDS)
        output, _ = looking.communicate(timeout=COMMAND_SECONDS)
        assert time.monotonic() - began < ANSWERED
        assert (changing.returncode, looking.returncode) == (1, 0)
        assert errors.startswith("Error: slurmctld does not answer (squeue: ")
        assert errors.endswith("). Nothing was changed; try again later\n")
        assert errors.count("\n") == 1
        assert json.loads(output)["warning"].endswith("). States are as jobs told them last.")
        rows = sweep.rows(output)
        assert [rows[run]["state"] for run in wanted] == ["running"] * 2

    sweep.cluster.stop_controller()
    try:
        hears_nothing(*sweep.launch_words(runs("tiny-points", ("SGD",), range(2))))
        hears_nothing("retry", SUITE, "--yes")
    finally:
        sweep.cluster.start_controller()
    with sweep.cluster.frozen_controller():
        hears_nothing("cancel", SUITE, "--yes")
    assert len(sweep.submissions()) == 1
    sweep.held.unlink()
    sweep.wait_for_records(wanted)
    references.check(sweep, wanted)
    assert {sweep.starts(run) for run in wanted} == {1}


def test_limits_of_a_minute(sweep: Sweep, references: References) -> None:
    """One run is longer than its limit and goes on after it; one hangs, twice at the same step, and is given up."""
    sweep.configure(time="00:01:00")
    sweep.held.touch()
    (longer,), (hanging,) = runs("tiny-held", ("SGD",), (0,)), runs("tiny-hangs", ("SGD",), (0,))
    with sweep.watched() as watch:
        sweep.launch([longer])
        sweep.launch([hanging])
        wait_for(lambda: {watch.last(longer), watch.last(hanging)} == {"running"}, "both run")
        with sweep.cluster.closed("low"):
            wait_for(lambda: watch.last(longer) == "requeued", "the longer run is called requeued")
        wait_for(lambda: sweep.starts(longer) == 2, "started again")
        sweep.held.unlink()
        sweep.wait_for_records([longer])
        wait_for(lambda: sweep.status()[hanging]["state"] == "failed", "the hanging run is given up", 600)
    watch.check([longer, hanging], also={hanging: {"failed"}})
    references.check(sweep, [longer])
    # A busy machine may need one more.
    assert sweep.starts(longer) == 1 + sweep.status()[longer]["timeouts"] >= 2
    given_up = sweep.status()[hanging]
    assert given_up["step"] in range(0, HANGS_AT, 10)
    assert "no progress" in given_up["cause"]
    assert not sweep.cluster.command("squeue", "--noheader")


def test_what_fails_touches_nothing_else_and_says_why(sweep: Sweep, references: References) -> None:
    fine = runs("tiny-points", ("SGD", "SAM"), (0,))
    exploding, dying, unprepared = (runs(name, ("SGD",), (0,)) for name in FAILING)
    with sweep.watched() as watch:
        for group in (exploding, dying, unprepared):
            sweep.launch([*group, *runs("tiny-points", ("SGD",), (0,))], "--pack", "2")
        sweep.launch(fine)
        sweep.wait_for_records(fine)
        failed = [*exploding, *dying, *unprepared]
        wait_for(lambda: all(sweep.status()[run]["state"] == "failed" for run in failed), "all have failed")
    watch.check([*fine, *failed], also={run: {"failed"} for run in failed})
    references.check(sweep, fine)
    status = sweep.status()
    for run in failed:
        assert FAILING[run.benchmark] in status[run]["cause"]
        assert Path(status[run]["log"]).is_file()
    assert "To submit: nothing" in sweep.launch([fine[0], *exploding])
    assert "To submit: 1 run in" in sweep.command("retry", SUITE, "--match", "loss is nan", "--yes")


def test_two_tasks_share_a_run(sweep: Sweep, references: References) -> None:
    """Two processes of a Slurm step, each on a node; requeued in the middle; against two processes of torchrun."""
    sweep.configure(processes=2)
    sweep.held.touch()
    wanted = runs("tiny-held", ("TRAM-x",), (0,))
    with sweep.watched() as watch:
        sweep.launch(wanted)
        sweep.wait_for_steps(wanted, 10)
        assert len(sweep.processes()) == 2
        sweep.cluster.command("scontrol", "requeue", sweep.job(wanted[0]))
        sweep.held.unlink()
        sweep.wait_for_records(wanted)
    watch.check(wanted)
    references.check(sweep, wanted, processes=2)
    assert sweep.starts(wanted[0]) == 2
    assert sweep.record(wanted[0])["environment"]["resumed"]


@pytest.fixture
def small_disk(sweep: Sweep) -> Iterator[Sweep]:
    """A sweep whose results are on a disk of 80 megabytes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", sweep.results], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield sweep
    sweep.cluster.reset()
    subprocess.run(["umount", "--lazy", sweep.results], check=True)


def test_a_disk_that_is_full_for_a_while(small_disk: Sweep, references: References) -> None:
    sweep = small_disk
    sweep.held.touch()
    wanted = runs("tiny-held", ("SGD",), range(3))
    with sweep.watched() as watch:
        sweep.launch(wanted)
        sweep.wait_for_steps(wanted, 20)
        filler = sweep.results / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], capture_output=True)
        wait_for(lambda: not sweep.alive(), "all runs have given up")
        wait_for(lambda: not sweep.cluster.command("squeue", "--noheader"), "all jobs have ended")
        status = sweep.status()
        for run in wanted:
            assert not sweep.recorded(run)
            assert status[run]["state"] == "failed"
            assert "No space left on device" in status[run]["cause"]
        filler.unlink()
        sweep.held.unlink()
        sweep.command("retry", SUITE, "--yes")
        sweep.wait_for_records(wanted)
    watch.check(wanted, also={run: {"failed"} for run in wanted})
    references.check(sweep, wanted)


def test_preempted_and_cancelled_sweeps(sweep: Sweep, references: References) -> None:
    """A job of high priority takes a node; then the sweep is cancelled, another's jobs are not, and it is launched
    again from within an allocation."""
    sweep.held.touch()
    wanted = runs("tiny-held", ("SGD",), range(2))
    cluster = sweep.cluster
    strangers = cluster.submit("sleep 600", "--nodelist=g1")
    with sweep.watched() as watch:
        sweep.launch(wanted)
        sweep.wait_for_steps(wanted, 30)
        with cluster.closed("low"):
            high = cluster.submit("sleep 3", "--partition=high", "--nodelist=n1", "--exclusive")
            cluster.wait_for_state(high, "COMPLETED")
            wait_for(lambda: {watch.last(run) for run in wanted} == {"requeued"}, "both are called requeued")
        sweep.wait_for_steps(wanted, 60)
        sweep.command("cancel", SUITE, "--yes")
        wait_for(lambda: {watch.last(run) for run in wanted} == {"stopped"}, "all have stopped")
        assert not sweep.alive()
        assert cluster.job(strangers)["JobState"] == "RUNNING"
        sweep.held.unlink()
        within = cluster.submit(
            sweep.shell_line(sweep.launch_words(wanted)), "--nodelist=g1", "--mem=300M", "--gres=gpu:1"
        )
        cluster.wait_for_state(within, "COMPLETED")
        sweep.wait_for_records(wanted)
    watch.check(wanted, also={run: {"stopped"} for run in wanted})
    references.check(sweep, wanted)
