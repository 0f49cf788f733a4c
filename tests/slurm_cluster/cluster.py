"""A cluster that is brought up, asked, disturbed and taken down again."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from tests.slurm_cluster.accounting import manage, start_accounting
from tests.slurm_cluster.configuration import Folder, Ports, Setup, write
from tests.slurm_cluster.daemons import (
    INSTALL,
    PATH,
    ClusterError,
    end,
    free_ports,
    jobs,
    missing,
    processes,
    start,
    wait_for,
)


def clusters_folder() -> Path:
    """Where the clusters of this user are; the name is short, since a socket's path may have 107 characters."""
    return Path(tempfile.gettempdir()) / f"tram-slurm-{os.getuid()}"


class Cluster:
    """One Slurm on this machine, all of it below one folder: a second one beside it is another folder."""

    def __init__(self, name: str = "main") -> None:
        self.folder = Folder(clusters_folder() / name)
        self.environment = {"SLURM_CONF": str(self.folder.configuration), "PATH": PATH}
        """What has to be in the environment of a command that is to find this cluster."""

    @property
    def setup(self) -> Setup | None:
        """What was brought up here last; None if nothing is there."""
        try:
            return Setup(**json.loads((self.folder.root / "setup.json").read_text()))
        except FileNotFoundError:
            return None

    def is_up(self) -> bool:
        """Whether the controller and every daemon of a node is there and the controller answers."""
        setup = self.setup
        if setup is None or len(processes(self.folder.root, "-N")) < len(setup.all_nodes):
            return False
        if setup.accounting and self._ran("sacctmgr", "--noheader", "show", "cluster").returncode:
            return False
        return "is UP" in self._ran("scontrol", "ping").stdout

    def up(self, setup: Setup) -> bool:
        """Bring the cluster up. Returns whether there was anything to do.

        What another set-up, or one that crashed, has left behind is taken down first. Raises ClusterError, with the
        end of the logs, where a daemon does not come up.
        """
        if lacking := missing(setup.accounting):
            raise ClusterError(f"not installed: {', '.join(lacking)}. Install with {INSTALL}.")
        if self.setup == setup and self.is_up():
            return False
        self.down()
        self.folder.make()
        ports = Ports(free_ports(Ports.needed(setup)))
        write(self.folder, setup, ports)
        (self.folder.root / "setup.json").write_text(json.dumps(asdict(setup)))
        try:
            self._start_munge()
            if setup.accounting:
                start_accounting(self.folder, ports, self.environment)
            self.start_controller()
            for node in setup.all_nodes:
                self.start_node(node)
            wait_for(self._all_idle, "every node idle")
        except ClusterError as error:
            logs = self._last_lines_of_logs()
            self.down()
            raise ClusterError(f"{error}\n{logs}") from error
        return True

    def down(self) -> bool:
        """End every process of the cluster, jobs included, and remove its folder. Returns whether there was any."""
        root = self.folder.root
        controllers = processes(root, "slurmctld")
        end([*controllers, *processes(root, "-N")])
        end(jobs(root), signal.SIGKILL)
        end(processes(root))
        existed = root.exists()
        shutil.rmtree(root, ignore_errors=True)
        return existed

    def reset(self) -> None:
        """As it was when it came up, but for the numbers of the jobs: nothing queued or running, every node idle."""
        setup = self.setup
        assert setup is not None
        for node in setup.all_nodes:
            self.start_node(node)
        self.command("scancel", "--user", str(os.getuid()))
        wait_for(lambda: not self.command("squeue", "--noheader"), "jobs gone")
        wait_for(self._all_idle, "every node idle")

    def _all_idle(self) -> bool:
        """Whether every node is; those that are down or drained are told to come back."""
        states = self.node_states()
        for node, state in states.items():
            if state.startswith(("down", "drain")):
                self._ran("scontrol", "update", f"NodeName={node}", "State=RESUME")
        return set(states.values()) == {"idle"}

    # Daemons

    def _start_munge(self) -> None:
        place = self.folder
        options = {"key-file": place.key, "socket": place.socket, "pid-file": place.key.with_name("pid")}
        options |= {"log-file": place.logs / "munged.log", "seed-file": place.key.with_name("seed")}
        # Other users may write to the folder for temporary files, which munged refuses unless it is forced.
        start(
            "munged",
            "--force",
            "--num-threads=10",
            *(f"--{name}={value}" for name, value in options.items()),
            environment={},
        )

    def start_controller(self) -> None:
        """Start slurmctld, which takes up the state that it finds, and wait until it answers."""
        start("slurmctld", "-f", self.folder.configuration, environment=self.environment)
        wait_for(lambda: "is UP" in self._ran("scontrol", "ping").stdout, "slurmctld answers")

    def stop_controller(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End slurmctld: it saves its state on SIGTERM, and has saved most of it before SIGKILL."""
        end(processes(self.folder.root, "slurmctld"), by)

    @contextmanager
    def frozen_controller(self) -> Iterator[None]:
        """As long as the context lasts slurmctld takes connections and never answers, as one that is far too busy."""
        controllers = processes(self.folder.root, "slurmctld")
        for process in controllers:
            process.suspend()
        try:
            yield
        finally:
            for process in controllers:
                process.resume()

    def start_node(self, name: str) -> None:
        """Start a node's slurmd, unless it runs."""
        if not processes(self.folder.root, "-N", name):
            start("slurmd", "-N", name, "-f", self.folder.configuration, environment=self.environment)

    def kill_node(self, name: str) -> None:
        """Kill a node's slurmd, as when the machine hangs; its jobs go on and are not heard of."""
        end(processes(self.folder.root, "-N", name), signal.SIGKILL)

    def lose_node(self, name: str) -> None:
        """Kill a node's slurmd and all that runs there, as when the power goes."""
        self.kill_node(name)
        here = [process for process in jobs(self.folder.root) if process.environ().get("SLURMD_NODENAME") == name]
        # The steps' daemons first: they would report how their jobs ended.
        steps = [process for process in processes(self.folder.root) if process.name().startswith("slurmstepd")]
        owners = {parent.pid for process in here for parent in process.parents()}
        end([step for step in steps if step.pid in owners], signal.SIGKILL)
        end(here, signal.SIGKILL)

    @contextmanager
    def changed(self, **changes: int) -> Iterator[None]:
        """The same cluster with other numbers in its set-up, as long as the context lasts."""
        before = self.setup
        assert before is not None
        self._reconfigure(replace(before, **changes))  # type: ignore[arg-type]
        try:
            yield
        finally:
            self._reconfigure(before)

    def _reconfigure(self, setup: Setup) -> None:
        port = re.search(r"SlurmctldPort=(\d+)", self.folder.configuration.read_text())
        assert port is not None
        self.stop_controller()
        write(self.folder, setup, Ports(int(port[1])))
        (self.folder.root / "setup.json").write_text(json.dumps(asdict(setup)))
        self.start_controller()

    @contextmanager
    def closed(self, partition: str) -> Iterator[None]:
        """Jobs of the partition wait, as long as the context lasts, and those that run go on."""
        self.command("scontrol", "update", f"PartitionName={partition}", "State=DOWN")
        try:
            yield
        finally:
            self.command("scontrol", "update", f"PartitionName={partition}", "State=UP")

    def accounts(self, *words: str) -> None:
        """Change users, accounts and QOS, in sacctmgr's words. Raises ClusterError."""
        manage(self.environment, *words)

    # Questions and orders

    def command(self, *words: str | Path) -> str:
        """The output of one of Slurm's commands. Raises ClusterError if it fails."""
        done = self._ran(*words)
        if done.returncode:
            raise ClusterError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _ran(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        return subprocess.run(
            [str(word) for word in words],
            env=environment | self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def node_states(self) -> dict[str, str]:
        """`idle`, `mixed`, `draining`, `down*` and so on of each node, as sinfo says."""
        lines = self.command("sinfo", "--noheader", "--Node", "--partition", "low", "--format", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def submit(self, script: str, *options: str) -> str:
        """The number of a job that runs `script` in bash."""
        lines = f"#!/bin/bash\n{script}\n"
        place = self.folder.root / "scripts"
        place.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place, suffix=".sh", delete=False) as file:
            file.write(lines)
        output = f"--output={self.folder.logs}/job-%A-%a.txt"
        return self.command("sbatch", "--parsable", output, *options, file.name)

    def job(self, number: str) -> dict[str, str]:
        """What the controller knows of a job or a task of an array, by the names that it uses (JobState, Restarts)."""
        words = self.command("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for_state(self, number: str, state: str) -> None:
        wait_for(lambda: self.job(number)["JobState"] == state, f"job {number} {state}")

    def end_in(self, number: str, seconds: int) -> None:
        """Bring a running job's time limit forward: Slurm takes limits in minutes, and ends to the second."""
        self.command("scontrol", "update", f"JobId={number}", f"EndTime=now+{seconds}")

    def _last_lines_of_logs(self) -> str:
        texts = ((path.name, path.read_text(errors="replace")) for path in sorted(self.folder.logs.glob("*.log")))
        return "\n".join(f"{name}: {line}" for name, text in texts for line in text.splitlines()[-3:])
