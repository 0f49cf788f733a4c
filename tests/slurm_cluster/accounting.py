"""Accounts for a cluster: MariaDB and slurmdbd, so that sacct and sacctmgr answer and limits are kept."""

import getpass
import secrets
import subprocess

from tests.slurm_cluster.configuration import CLUSTER, Folder, Ports, slurmdbd_conf
from tests.slurm_cluster.daemons import PATH, ClusterError, start, wait_for

ACCOUNT = "lab"
"""Of this user, and of jobs that name none."""


def start_accounting(folder: Folder, ports: Ports, environment: dict[str, str]) -> None:
    """Make an empty database, start what keeps it, and enter this cluster and this user. Raises ClusterError."""
    password = secrets.token_hex(16)
    _start_database(folder, ports, password)
    configuration = folder.root / "slurmdbd.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(slurmdbd_conf(folder, ports, password))
    start("slurmdbd", environment=environment)
    wait_for(lambda: _answers(environment), "slurmdbd answers")
    user = getpass.getuser()
    for entry in (
        ["cluster", CLUSTER],
        ["account", ACCOUNT, f"cluster={CLUSTER}"],
        ["user", user, f"account={ACCOUNT}", f"cluster={CLUSTER}"],
    ):
        manage(environment, "add", *entry)


def manage(environment: dict[str, str], *words: str) -> None:
    """Change the accounts. Raises ClusterError; that nothing is to be changed is no error."""
    done = _ran(environment, "sacctmgr", "--immediate", *words)
    said = done.stdout + done.stderr
    if done.returncode and "Nothing new added" not in said:
        raise ClusterError(f"sacctmgr {' '.join(words)}: {said.strip()}")


def _start_database(folder: Folder, ports: Ports, password: str) -> None:
    folder.database.mkdir()
    data, user = folder.database / "data", getpass.getuser()
    start("mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", environment={})
    # One statement in each line.
    first = folder.database / "first.sql"
    first.touch(mode=0o600)
    first.write_text(
        "CREATE DATABASE accounts;\n"
        f"CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON accounts.* TO 'slurm'@'127.0.0.1';\n"
    )
    start(
        "setsid",
        "--fork",
        "mariadbd",
        "--no-defaults",
        f"--user={user}",
        f"--datadir={data}",
        f"--init-file={first}",
        f"--socket={folder.database / 'socket'}",
        f"--pid-file={folder.database / 'pid'}",
        f"--log-error={folder.logs / 'mariadbd.log'}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        f"--port={ports.database}",
        environment={},
    )
    log = folder.logs / "mariadbd.log"
    wait_for(lambda: log.exists() and "ready for connections" in log.read_text(), "mariadbd is ready")


def _answers(environment: dict[str, str]) -> bool:
    return _ran(environment, "sacctmgr", "--noheader", "show", "cluster").returncode == 0


def _ran(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, env=environment | {"PATH": PATH}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
