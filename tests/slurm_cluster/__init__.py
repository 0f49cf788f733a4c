"""A whole Slurm on this machine, for tests and for trying things out: daemons on loopback, nodes that are virtual."""
