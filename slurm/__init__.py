"""Where submission to a cluster will live: sweeps of `benchmarks` runs as Slurm jobs. Nothing is here yet."""
