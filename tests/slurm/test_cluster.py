"""The cluster that the tests run on behaves as clusters do: otherwise what they show would mean nothing."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.slurm_cluster.cluster import Cluster
from tests.slurm_cluster.configuration import Setup
from tests.slurm_cluster.daemons import ClusterError, jobs, processes, start, wait_for

ROOT = Path(__file__).parents[2]
UNTIL_SIGNALLED = """
trap 'echo "signalled restart=${SLURM_RESTART_COUNT:-0}" >> $FILE; exit 0' USR1 TERM
echo "began restart=${SLURM_RESTART_COUNT:-0}" >> $FILE
while sleep 0.1; do :; done
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def begun(cluster: Cluster, file: Path, *options: str) -> str:
    """A job that writes to `file` what happens to it, once it has begun to."""
    number = cluster.submit(UNTIL_SIGNALLED, f"--export=ALL,FILE={file}", *options)
    wait_for(lambda: lines(file), "the job began")
    return number


def test_a_batch_script_runs_on_a_node(slurm_cluster: Cluster, tmp_path: Path) -> None:
    number = slurm_cluster.submit(f"echo $SLURM_JOB_ID $SLURMD_NODENAME > {tmp_path}/said")
    slurm_cluster.wait_for_state(number, "COMPLETED")
    assert lines(tmp_path / "said") == [f"{number} n1"]


def test_an_array_runs_every_index(slurm_cluster: Cluster, tmp_path: Path) -> None:
    number = slurm_cluster.submit(f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID", "--array=0-9%3")
    wait_for(lambda: len(list(tmp_path.iterdir())) == 10, "ten files")
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(10))
    slurm_cluster.wait_for_state(f"{number}_9", "COMPLETED")


def test_a_larger_index_than_allowed_is_refused(slurm_cluster: Cluster) -> None:
    with slurm_cluster.changed(max_array_size=5):
        assert "MaxArraySize            = 5" in slurm_cluster.command("scontrol", "show", "config")
        slurm_cluster.submit("true", "--array=0-4")
        with pytest.raises(ClusterError, match="Invalid job array specification"):
            slurm_cluster.submit("true", "--array=0-5")
        with pytest.raises(ClusterError, match="Invalid job array specification"):
            slurm_cluster.submit("true", "--array=5-6")


def test_a_requeued_job_starts_again(slurm_cluster: Cluster, tmp_path: Path) -> None:
    number = begun(slurm_cluster, tmp_path / "said")
    slurm_cluster.command("scontrol", "requeue", number)
    wait_for(lambda: "began restart=1" in lines(tmp_path / "said"), "second start")
    assert lines(tmp_path / "said")[0] == "began restart=0"
    assert slurm_cluster.job(number)["Restarts"] == "1"


def test_a_time_limit_is_announced_and_kept(slurm_cluster: Cluster, tmp_path: Path) -> None:
    told, deaf = tmp_path / "told", tmp_path / "deaf"
    first = begun(slurm_cluster, told, "--time=1", "--signal=B:USR1@30")
    second = slurm_cluster.submit(f"trap '' TERM; touch {deaf}; sleep 120", "--time=1")
    wait_for(deaf.exists, "the second job began")
    for number in (first, second):
        slurm_cluster.end_in(number, 1)
    # Slurm looks at the clock every 30 seconds.
    slurm_cluster.wait_for_state(second, "TIMEOUT")
    assert slurm_cluster.job(first)["JobState"] in ("COMPLETED", "TIMEOUT")
    began_first, *signals = lines(told)
    # On a busy machine the first limit's signal may have come before the limit was lowered, which has another.
    assert (began_first, set(signals)) == ("began restart=0", {"signalled restart=0"})


def test_a_job_of_high_priority_preempts_and_requeues(slurm_cluster: Cluster, tmp_path: Path) -> None:
    low = begun(slurm_cluster, tmp_path / "low", "--nodelist=n1", "--exclusive", "--signal=B:USR1@5")
    high = slurm_cluster.submit("sleep 1", "--partition=high", "--nodelist=n1", "--exclusive")
    slurm_cluster.wait_for_state(high, "COMPLETED")
    wait_for(lambda: "began restart=1" in lines(tmp_path / "low"), "the preempted job came back")
    assert slurm_cluster.job(low)["Restarts"] == "1"


def test_gpus_are_given_out(slurm_cluster: Cluster, tmp_path: Path) -> None:
    script = f"echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES >> {tmp_path}/said; sleep 0.5"
    numbers = [slurm_cluster.submit(script, "--gres=gpu:2") for _ in range(2)]
    for number in numbers:
        slurm_cluster.wait_for_state(number, "COMPLETED")
    assert sorted(lines(tmp_path / "said")) == ["g1 0,1", "g1 2,3"]


def test_steps_of_several_tasks_know_each_other(slurm_cluster: Cluster, tmp_path: Path) -> None:
    say = f"srun bash -c 'echo $SLURM_PROCID/$SLURM_NTASKS $SLURMD_NODENAME >> {tmp_path}/$SLURM_PROCID'"
    number = slurm_cluster.submit(say, "--ntasks=3", "--nodes=3")
    slurm_cluster.wait_for_state(number, "COMPLETED")
    said = [line for rank in range(3) for line in lines(tmp_path / str(rank))]
    assert said == ["0/3 n1", "1/3 n2", "2/3 n3"]


def test_a_drained_node_ends_what_it_has_and_takes_nothing_new(slurm_cluster: Cluster, tmp_path: Path) -> None:
    first = begun(slurm_cluster, tmp_path / "said", "--nodelist=n2")
    slurm_cluster.command("scontrol", "update", "NodeName=n2", "State=DRAIN", "Reason=test")
    assert slurm_cluster.node_states()["n2"] == "draining"
    second = slurm_cluster.submit("true", "--nodelist=n2")
    slurm_cluster.command("scancel", "--signal=USR1", "--batch", first)
    slurm_cluster.wait_for_state(first, "COMPLETED")
    assert slurm_cluster.job(second)["JobState"] == "PENDING"
    assert slurm_cluster.node_states()["n2"] == "drained"


def test_jobs_of_a_lost_node_are_requeued(slurm_cluster: Cluster, tmp_path: Path) -> None:
    number = begun(slurm_cluster, tmp_path / "said")
    node = slurm_cluster.job(number)["BatchHost"]
    slurm_cluster.lose_node(node)
    assert not [process for process in jobs(slurm_cluster.folder.root) if process.is_running()]
    wait_for(lambda: slurm_cluster.node_states()[node].startswith("down"), "the node counts as down")
    wait_for(lambda: "began restart=1" in lines(tmp_path / "said"), "started elsewhere")
    assert slurm_cluster.job(number)["BatchHost"] != node


def test_jobs_outlive_a_node_s_daemon_and_the_controller(slurm_cluster: Cluster, tmp_path: Path) -> None:
    running = begun(slurm_cluster, tmp_path / "said")
    queued = slurm_cluster.submit("true", "--hold")
    node = slurm_cluster.job(running)["BatchHost"]
    slurm_cluster.kill_node(node)
    slurm_cluster.stop_controller()
    with pytest.raises(ClusterError):
        slurm_cluster.command("squeue")
    slurm_cluster.start_controller()
    slurm_cluster.start_node(node)
    assert slurm_cluster.job(running)["JobState"] == "RUNNING"
    assert slurm_cluster.job(queued)["JobState"] == "PENDING"
    slurm_cluster.command("scancel", "--signal=USR1", "--batch", running)
    slurm_cluster.wait_for_state(running, "COMPLETED")
    assert lines(tmp_path / "said") == ["began restart=0", "signalled restart=0"]


def command(tmp_path: Path, *words: str) -> tuple[int, str]:
    """The exit code and the output of `python -m tests.slurm_cluster`, whose clusters are below `tmp_path`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.slurm_cluster", *words],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.usefixtures("session_cluster")
def test_up_and_down_as_often_as_you_like(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("c")
    root = place / f"tram-slurm-{os.getuid()}" / "main"
    try:
        code, said = command(place, "up", "--nodes", "1")
        assert (code, said.splitlines()[-1].strip()) == (0, f"export SLURM_CONF={root / 'slurm.conf'}")
        first = {process.pid for process in processes(root)}
        assert len(first) == 4, "munged, slurmctld and two slurmd"
        assert "already" in command(place, "up", "--nodes", "1")[1]
        assert {process.pid for process in processes(root)} == first
        code, said = command(place, "status")
        assert code == 0
        assert "n1     idle" in said

        # A crash: the controller is gone, its file with a process id is not, and a job goes on.
        start("sbatch", "--output=/dev/null", "--wrap=sleep 60", environment={"SLURM_CONF": str(root / "slurm.conf")})
        wait_for(lambda: jobs(root), "the job began")
        for process in processes(root, "-f"):
            process.kill()
        psutil.wait_procs([*processes(root)], timeout=0.2)
        assert command(place, "status")[0] == 1
        code, said = command(place, "up", "--nodes", "1")
        assert code == 0
        assert "already" not in said
        assert not jobs(root)
        assert len(processes(root)) == 4
        assert not {process.pid for process in processes(root)} & first
    finally:
        assert "is down" in command(place, "down")[1]
    assert not processes(root)
    assert not root.exists()
    assert command(place, "down") == (0, "Slurm was down already.\n")
    assert command(place, "status")[0] == 1


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.slurm_cluster.daemons.PATH", "")
    with pytest.raises(ClusterError, match=r"not installed: munged, slurmctld.*make slurm-install"):
        Cluster("never").up(Setup())
