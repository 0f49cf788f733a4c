"""How runs are submitted: arrays of jobs on a Slurm cluster, or processes of one machine; docs/slurm.md tells how."""
