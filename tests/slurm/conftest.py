"""A real Slurm for the tests that need one. Each worker of pytest-xdist has its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.slurm.sweep import References, Sweep
from tests.slurm_cluster.cluster import Cluster, clusters_folder
from tests.slurm_cluster.configuration import Setup
from tests.slurm_cluster.daemons import INSTALL, ClusterError, missing, wait_for

PREFIX = "pytest-"


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown must not depend on where the tests are run from."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[Cluster]:
    if os.environ.get("TRAM_SLURM_TESTS") != "1":
        pytest.skip("takes a real Slurm and minutes of the machine for itself: make test-slurm")
    if reason := os.environ.get("TRAM_WITHOUT_SLURM"):
        pytest.skip(f"there is no real Slurm: {reason}")
    if missing():
        pytest.skip(f"Slurm is not installed here ({', '.join(missing())}): {INSTALL}")
    for left_behind in clusters_folder().glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(left_behind.name.removeprefix(PREFIX).partition("-")[0])):
            Cluster(left_behind.name).down()
    cluster = Cluster(f"{PREFIX}{os.getpid()}")
    cluster.up(Setup())
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def cluster_with_accounts(session_cluster: Cluster) -> Iterator[Cluster]:
    """Two nodes and a database; Slurm forgets a job seconds after its end, and accounting does not."""
    if lacking := missing(accounting=True):
        pytest.skip(f"Slurm's accounting is not installed here ({', '.join(lacking)}): {INSTALL}")
    cluster = Cluster(f"{PREFIX}{os.getpid()}-accounts")
    try:
        cluster.up(Setup(nodes=2, min_job_age=2, accounting=True))
    except ClusterError as error:
        pytest.skip(f"a Slurm with accounts does not come up on this machine: {error}")
    yield cluster
    cluster.down()


@pytest.fixture
def slurm_cluster(session_cluster: Cluster) -> Iterator[Cluster]:
    """Four nodes of two CPUs and one of four GPUs that are none, all idle before the test and after it."""
    yield session_cluster
    session_cluster.reset()


@pytest.fixture
def sweep(slurm_cluster: Cluster, tmp_path: Path) -> Sweep:
    """An empty results folder, and commands that know the tiny benchmarks and find the cluster."""
    return Sweep(tmp_path, slurm_cluster)


@pytest.fixture
def sweep_with_accounts(cluster_with_accounts: Cluster, tmp_path: Path) -> Iterator[Sweep]:
    """Nothing is counted from earlier: Slurm counts jobs that have ended until it forgets them."""
    wait_for(lambda: not cluster_with_accounts.command("squeue", "--noheader", "--states=all"), "Slurm forgets jobs")
    yield Sweep(tmp_path, cluster_with_accounts)
    cluster_with_accounts.reset()


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> References:
    return References(tmp_path_factory.mktemp("references"))
