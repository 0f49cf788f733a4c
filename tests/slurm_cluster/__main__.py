"""python -m tests.slurm_cluster: a Slurm of your own, in seconds and without systemd."""

from typing import Annotated

import typer

from tests.slurm_cluster.cluster import Cluster
from tests.slurm_cluster.configuration import Setup
from tests.slurm_cluster.daemons import ClusterError

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)


@app.command()
def up(
    nodes: Annotated[
        int, typer.Option(min=1, max=64, help="Nodes of two CPUs; one with four GPUs comes in addition.")
    ] = 4,
    max_array_size: Annotated[int, typer.Option(min=2, help="Slurm's MaxArraySize.")] = 1001,
    accounting: Annotated[bool, typer.Option("--accounting", help="With a database, for sacct and sacctmgr.")] = False,
) -> None:
    """Bring the cluster up; with other options than before, anew."""
    cluster = Cluster()
    try:
        begun = cluster.up(Setup(nodes, max_array_size, accounting=accounting))
    except ClusterError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"Slurm is up{'' if begun else ' already'}. In each shell that is to use it:")
    typer.echo(f"  export SLURM_CONF={cluster.folder.configuration}")


@app.command()
def down() -> None:
    """End the cluster with all its jobs, and remove its files."""
    typer.echo("Slurm is down." if Cluster().down() else "Slurm was down already.")


@app.command()
def status() -> None:
    """Say whether the cluster is up, what its nodes do and what is queued. Exits with 1 if it is not."""
    cluster = Cluster()
    if not cluster.is_up():
        typer.echo("Slurm is down." if cluster.setup is None else "Slurm is down, or half of it: `up` mends it.")
        raise typer.Exit(1)
    for node, state in cluster.node_states().items():
        typer.echo(f"{node:6} {state}")
    typer.echo(cluster.command("squeue"))
    typer.echo(f"export SLURM_CONF={cluster.folder.configuration}")


if __name__ == "__main__":
    app(prog_name="python -m tests.slurm_cluster")
