"""The options of sbatch that a profile's `options` may hold: all, but for those that the batch scripts need."""

from collections.abc import Mapping

from benchmarks.variants import near

OF_SBATCH = frozenset({
    "account", "acctg-freq", "array", "batch", "bb", "bbf", "begin", "chdir", "cluster-constraint", "clusters",
    "comment", "consolidate-segments", "constraint", "container", "container-id", "contiguous", "core-spec",
    "cores-per-socket", "cpu-freq", "cpus-per-gpu", "cpus-per-task", "deadline", "delay-boot", "dependency",
    "distribution", "error", "exclude", "exclusive", "export", "export-file", "extra", "extra-node-info",
    "get-user-env", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task", "gres",
    "gres-flags", "help", "hint", "hold", "ignore-pbs", "input", "job-name", "kill-on-invalid-dep", "licenses",
    "mail-type", "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mincpus", "network",
    "nice", "no-kill", "no-requeue", "nodefile", "nodelist", "nodes", "ntasks", "ntasks-per-core", "ntasks-per-gpu",
    "ntasks-per-node", "ntasks-per-socket", "oom-kill-step", "open-mode", "output", "overcommit", "oversubscribe",
    "parsable", "partition", "power", "prefer", "priority", "profile", "propagate", "qos", "quiet", "reboot",
    "requeue", "reservation", "resv-ports", "segment", "signal", "sockets-per-node", "spread-job", "spread-segments",
    "stepmgr", "switches", "tasks-per-node", "test-only", "thread-spec", "threads-per-core", "time", "time-min", "tmp",
    "tres-bind", "tres-per-task", "uid", "usage", "use-min-nodes", "verbose", "version", "wait", "wait-all-nodes",
    "wckey", "wrap",
})  # fmt: skip
"""Long options of Slurm 22.05 and later. One that the site's Slurm lacks is refused by its sbatch."""

_GPUS = "use the keys `gpus`, `gpu_style` and `gpu_type`"
_PROCESSES = "use the key `processes`"
_VARIABLES = "use the key `export`, which adds variables by their names"
_FOUND = "jobs and their logs are found by it"
_STOPPED = "runs are stopped in time, and go on, by it"
_ANSWER = "it changes what sbatch does or answers, and `launch` could not tell that the jobs are there"

NOT_HERE: Mapping[str, str] = {
    **{key: f"use the key `{key}`" for key in ("partition", "account", "qos", "constraint", "reservation", "time")},
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), "use the key `mem`"),
    **dict.fromkeys(("cpus-per-task", "cpus-per-gpu"), "use the key `cpus`"),
    **dict.fromkeys(("gres", "gpus", "gpus-per-node", "gpus-per-socket", "gpus-per-task"), _GPUS),
    **dict.fromkeys(("ntasks", "ntasks-per-node", "ntasks-per-gpu", "tasks-per-node"), _PROCESSES),
    "tres-per-task": "use the keys `cpus` and `gpus`",
    "nodes": "it follows from the keys `gpus` and `gpus_per_node`",
    **dict.fromkeys(("export", "export-file", "get-user-env"), _VARIABLES),
    "array": "its tasks are the runs; `launch --max-parallel N` has N at once, the key `max_array_size` smaller arrays",
    **dict.fromkeys(("job-name", "output", "error", "open-mode", "clusters"), _FOUND),
    **dict.fromkeys(("signal", "requeue", "no-requeue"), _STOPPED),
    **dict.fromkeys(("help", "parsable", "quiet", "test-only", "usage", "version", "wait", "wrap"), _ANSWER),
}
"""What to do instead, or why there is nothing: what the batch scripts write, and what contradicts it."""


def refusal(option: str) -> str | None:
    """Why a profile may not have the option, in words; None if it may."""
    if option not in OF_SBATCH:
        meant = near(option, OF_SBATCH)
        if meant is None:
            return f"sbatch has no {option!r}; `man sbatch` shows all"
        return f"sbatch has no {option!r}; the nearest is {meant!r}" + (
            f", which is not for `options`: {NOT_HERE[meant]}" if meant in NOT_HERE else ""
        )
    return f"{option!r} is not for `options`: {NOT_HERE[option]}" if option in NOT_HERE else None
