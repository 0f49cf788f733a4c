"""Options of sbatch that a profile may hold: none that the batch scripts write, and none that is none."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from slurm.__main__ import app
from slurm.options import NOT_HERE, OF_SBATCH, refusal
from slurm.profile import Profile

EVERYTHING = (
    "{partition: a, account: b, qos: c, constraint: d, reservation: e, gpu_type: f, export: [A], time: '60', mem: 1G, "
    "cpus: 2, gpus: 2, processes: 2, submit_limit: 5, max_array_size: 5, setup: [module load g], gpu_style: STYLE}"
)


@pytest.mark.parametrize("style", ["gres", "gpus", "gpus-per-task"])
def test_what_a_batch_script_writes_is_refused(tmp_path: Path, style: str) -> None:
    profile = tmp_path / "site.yaml"
    profile.write_text(EVERYTHING.replace("STYLE", style))
    words = ["launch", "mini", "--benchmarks", "mini-m2d2", "--methods", "SAM", "--seeds", "0", "--dry-run"]
    done = CliRunner().invoke(app, [*words, "--profile", str(profile), "--results", str(tmp_path / "results")])
    written = re.findall(r"^#SBATCH --([a-z-]+)", done.stdout, re.MULTILINE)
    assert {"array", "export", "output", "reservation", style} <= set(written), done.output
    assert [option for option in written if refusal(option) is None] == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("error", "logs are found by it"),
        ("no-requeue", "runs are stopped in time, and go on, by it"),
        ("ntasks", "`processes`"),
        ("mem-per-cpu", "`mem`"),
        ("gpus-per-node", "`gpu_style`"),
        ("export-file", "`export`"),
        ("parsable", "it changes what sbatch does or answers"),
        ("Partition", "the nearest is 'partition', which is not for `options`"),
        ("wait-all-node", "the nearest is 'wait-all-nodes'"),
    ],
)
def test_what_would_contradict_a_script_is_refused_too(option: str, words: str) -> None:
    why = refusal(option)
    assert why is not None
    assert words in why


@pytest.mark.parametrize("option", ["exclude", "nodelist", "exclusive", "licenses", "nice", "dependency", "mail-user"])
def test_what_concerns_no_script_is_taken(option: str) -> None:
    assert refusal(option) is None


def test_what_is_refused_is_an_option_and_what_is_named_instead_a_key() -> None:
    assert set(NOT_HERE) <= OF_SBATCH
    keys = {key for text in NOT_HERE.values() if "key" in text for key in re.findall(r"`([a-z_]+)`", text)}
    assert keys <= set(Profile.model_fields)
    assert {"partition", "mem", "cpus", "gpu_style", "processes", "export", "max_array_size"} <= keys


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="no sbatch here")
def test_options_of_the_sbatch_of_this_machine_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slurm.conf").write_text("ClusterName=none\nSlurmctldHost=localhost\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    told = subprocess.run(["sbatch", "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^ *(?:-\w,? +)?--([a-z][a-z-]+)", told, re.MULTILINE))
    assert len(options) > 80
    assert options <= OF_SBATCH
