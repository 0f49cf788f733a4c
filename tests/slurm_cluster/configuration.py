"""What a cluster consists of, and the files that say so to Slurm."""

import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path

CPU_NODE_CPUS = 2
GPU_NODE = "g1"
GPU_DEVICES = ("null", "zero", "full", "random")
"""A GPU is a device file to Slurm, and it never opens one: these are everywhere."""
MEMORY_MB = 8000
CLUSTER = "tram"
NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={socket}
AccountingStorageEnforce=associations,limits,qos"""


@dataclass(frozen=True)
class Setup:
    """A cluster: `nodes` nodes n1, n2, ... of two CPUs each, and g1 with four GPUs that are none."""

    nodes: int = 4
    max_array_size: int = 1001
    """As Slurm counts: the largest index of an array is one less."""
    max_job_count: int = 20_000
    """Jobs that the controller keeps, those that ended within `min_job_age` seconds among them."""
    min_job_age: int = 300
    accounting: bool = False
    """Whether there is a database, so that `sacct` and `sacctmgr` answer and limits of users and QOS are kept."""

    @property
    def cpu_nodes(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))

    @property
    def all_nodes(self) -> tuple[str, ...]:
        return (*self.cpu_nodes, GPU_NODE)


@dataclass(frozen=True)
class Folder:
    """Where one cluster keeps everything: configuration, key, state, logs."""

    root: Path

    @property
    def configuration(self) -> Path:
        """What SLURM_CONF has to say for commands to find this cluster."""
        return self.root / "slurm.conf"

    @property
    def key(self) -> Path:
        return self.root / "munge" / "key"

    @property
    def socket(self) -> Path:
        return self.root / "munge" / "socket"

    @property
    def database(self) -> Path:
        return self.root / "database"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def make(self) -> None:
        """The folders, and a new key if there is none."""
        for folder in (self.key.parent, self.state, self.logs, self.root / "spool"):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        if not self.key.exists():
            self.key.write_bytes(os.urandom(128))
            self.key.chmod(0o600)


@dataclass(frozen=True)
class Ports:
    """Those of one cluster, in a row from the first on."""

    first: int

    @staticmethod
    def needed(setup: Setup) -> int:
        return 3 + len(setup.all_nodes)

    @property
    def controller(self) -> int:
        return self.first

    @property
    def accounting(self) -> int:
        return self.first + 1

    @property
    def database(self) -> int:
        return self.first + 2

    @property
    def nodes(self) -> int:
        """The first node's; the others follow."""
        return self.first + 3


def write(folder: Folder, setup: Setup, ports: Ports) -> None:
    """The files that daemons and commands read."""
    folder.configuration.write_text(slurm_conf(folder, setup, ports))
    gpus = [f"NodeName={GPU_NODE} Name=gpu File=/dev/{device}\n" for device in GPU_DEVICES]
    (folder.root / "gres.conf").write_text("".join(gpus))


def slurm_conf(folder: Folder, setup: Setup, ports: Ports) -> str:
    """Slurm as a shared cluster has it, but patient nowhere.

    Jobs wait for cores and memory, those of `low` give way to those of `high` and are requeued, and nothing but Slurm
    itself is needed: no cgroups, and a database only where it is asked for. `cred_expire` is what a requeued job waits
    for, five seconds at least.
    """
    host, user = socket.gethostname(), getpass.getuser()
    node = f"NodeHostname={host} NodeAddr=127.0.0.1 RealMemory={MEMORY_MB}"
    cpu_ports = f"[{ports.nodes}-{ports.nodes + setup.nodes - 1}]"
    gpus = len(GPU_DEVICES)
    accounting = ACCOUNTING.format(port=ports.accounting, socket=folder.socket) if setup.accounting else NO_ACCOUNTING
    return f"""\
ClusterName={CLUSTER}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports.controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder.socket},cred_expire=5
SlurmctldPidFile={folder.state}/slurmctld.pid
SlurmdPidFile={folder.state}/slurmd.%n.pid
StateSaveLocation={folder.state}
SlurmdSpoolDir={folder.root}/spool/%n
SlurmctldLogFile={folder.logs}/slurmctld.log
SlurmdLogFile={folder.logs}/slurmd.%n.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
{accounting}
SwitchType=switch/none
MpiDefault=none
GresTypes=gpu
MaxArraySize={setup.max_array_size}
MaxJobCount={setup.max_job_count}
MinJobAge={setup.min_job_age}
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
InactiveLimit=0
SlurmctldTimeout=10
SlurmdTimeout=30
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1,preempt_send_user_signal
NodeName=n[1-{setup.nodes}] {node} Port={cpu_ports} CPUs={CPU_NODE_CPUS}
NodeName={GPU_NODE} {node} Port={ports.nodes + setup.nodes} CPUs={gpus} Gres=gpu:{gpus} Weight=9
PartitionName=low Nodes=ALL Default=YES MaxTime=1-0 DefMemPerCPU=500 PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=1-0 DefMemPerCPU=500 PriorityTier=10 PreemptMode=OFF
"""


def slurmdbd_conf(folder: Folder, ports: Ports, password: str) -> str:
    """What keeps the accounts: between the controller, the commands and the database."""
    return f"""\
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.accounting}
SlurmUser={getpass.getuser()}
AuthType=auth/munge
AuthInfo=socket={folder.socket}
LogFile={folder.logs}/slurmdbd.log
PidFile={folder.state}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports.database}
StorageUser=slurm
StoragePass={password}
StorageLoc=accounts
"""
