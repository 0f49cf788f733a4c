"""A cluster that keeps accounts: how jobs ended that Slurm has forgotten, and how many a user may submit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slurm.state import State
from tests.slurm.sweep import ROOT, References, Sweep, runs
from tests.slurm.sweep_rows import SUITE
from tests.slurm_cluster.accounting import ACCOUNT
from tests.slurm_cluster.daemons import PATH, wait_for

HELD = runs("tiny-held", ("SGD",), range(2))


def states(sweep: Sweep, path: str = PATH) -> list[tuple[State, str | None]]:
    """Of seeds 0, 1, ... of tiny-held with SGD, and why."""
    command = [sys.executable, "-m", "slurm", "status", SUITE, "--json", "--results", str(sweep.results)]
    done = subprocess.run(
        command, cwd=ROOT, env=sweep.environment | {"PATH": path}, check=True, capture_output=True, text=True
    )
    rows = sweep.rows(done.stdout)
    return [(row["state"], row.get("cause")) for run, row in rows.items() if run in HELD]


def test_accounts_know_how_a_job_ended_without_a_word(
    sweep_with_accounts: Sweep, references: References, tmp_path: Path
) -> None:
    """One job is killed, one is cancelled when its node is gone; later only accounting can tell them apart."""
    sweep = sweep_with_accounts
    sweep.configure(account=ACCOUNT, cpus=2)
    sweep.held.touch()
    killed, cancelled = HELD
    sweep.launch(HELD)
    sweep.wait_for_steps(HELD, 10)
    row = sweep.status()[cancelled]
    sweep.cluster.lose_node(row["node"])
    sweep.cluster.command("scancel", row["job"])
    sweep.cluster.start_node(row["node"])
    sweep.job_process(killed).kill()
    wait_for(lambda: not sweep.alive(), "both have ended")
    wait_for(lambda: not sweep.cluster.command("squeue", "--noheader", "--states=all"), "Slurm has forgotten them")
    said = [
        ("failed", "its job ended without a word (FAILED)"),
        ("stopped", "its job ended without a word (CANCELLED)"),
    ]
    wait_for(lambda: states(sweep) == said, "accounting tells how they ended")

    without = tmp_path / "without"
    without.mkdir()
    for name in ("squeue", "scontrol", "git"):
        (without / name).symlink_to(shutil.which(name, path=PATH) or "")
    assert states(sweep, str(without)) == [("failed", "its job ended without a word")] * 2

    sweep.held.unlink()
    sweep.launch(HELD)
    sweep.command("retry", SUITE, "--match", "FAILED", "--yes")
    sweep.wait_for_records(HELD)
    references.check(sweep, HELD)
    assert [sweep.starts(run) for run in HELD] == [2, 2]


def set_limit(sweep: Sweep, kind: str, name: str, most: int) -> None:
    """Of a `user` or a `qos`, as the controller has it too; -1 is none."""
    user = os.environ.get("USER") or "root"
    who = [f"name={user}", f"account={ACCOUNT}"] if kind == "user" else ["name=normal"]
    sweep.cluster.accounts("modify", kind, "where", *who, "set", f"{name}={most}")
    flag = "assoc" if kind == "user" else "qos"
    wait_for(
        lambda: (
            (f" {name}={most}(" in sweep.cluster.command("scontrol", "show", "assoc_mgr", f"flags={flag}"))
            == (most >= 0)
        ),
        f"the controller knows {name}",
    )


def test_limits_of_a_user_and_of_the_cluster(sweep_with_accounts: Sweep, references: References) -> None:
    """Eight runs, of which four limits in turn let some into the queue: none is lost, none is submitted twice."""
    sweep, cluster = sweep_with_accounts, sweep_with_accounts.cluster
    sweep.configure(account=ACCOUNT)
    wanted = runs("tiny-points", ("SGD",), range(8))

    def queued() -> int:
        return len(cluster.command("squeue", "--noheader", "--array").splitlines())

    try:
        with cluster.closed("low"):
            set_limit(sweep, "user", "MaxSubmitJobs", 3)
            assert f"5 runs left out: MaxSubmitJobs of account {ACCOUNT} is 3." in sweep.launch(wanted)
            assert "To submit: nothing" in sweep.launch(wanted)
            assert queued() == 3

            # Whoever says otherwise hears it from Slurm.
            sweep.configure(account=ACCOUNT, submit_limit=100)
            assert "AssocMaxSubmitJobLimit" in sweep.refused(wanted)
            assert queued() == 3
            sweep.configure(account=ACCOUNT)
            set_limit(sweep, "user", "MaxSubmitJobs", -1)

            cluster.accounts("modify", "qos", "where", "name=normal", "set", "MaxSubmitJobsPerUser=5")
            assert "3 runs left out: MaxSubmitJobsPerUser of QOS normal is 5." in sweep.launch(wanted)
            assert queued() == 5
            cluster.accounts("modify", "qos", "where", "name=normal", "set", "MaxSubmitJobsPerUser=-1")

            # The jobs of others count too, so only sbatch knows.
            set_limit(sweep, "qos", "GrpSubmitJobs", 5)
            said = sweep.refused(wanted)
            assert "QOSGrpSubmitJobsLimit" in said
            assert "launch again when jobs have ended" in said
            set_limit(sweep, "qos", "GrpSubmitJobs", -1)
            with cluster.changed(max_job_count=8), cluster.closed("low"):
                assert "1 run left out: MaxJobCount of the cluster, less one, is 7." in sweep.launch(wanted)
            assert queued() == 7
        sweep.wait_for_records(wanted[:7])
        assert "To submit: 1 run in 1 job of 1 array" in sweep.launch(wanted)
        sweep.wait_for_records(wanted)
    finally:
        set_limit(sweep, "user", "MaxSubmitJobs", -1)
        set_limit(sweep, "qos", "GrpSubmitJobs", -1)
    references.check(sweep, wanted)
    assert {sweep.starts(run) for run in wanted} == {1}
