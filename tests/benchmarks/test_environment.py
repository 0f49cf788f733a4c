"""What a record says of where it was made, and what it must not say."""

import os
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks import environment as module
from benchmarks.environment import environment, peak_memory_bytes, reset_peak_memory

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    module.git_commit.cache_clear()
    module.git_dirty.cache_clear()


def test_versions_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in module.SLURM_IDS:
        monkeypatch.delenv(name, raising=False)
    found = environment(CPU)
    assert found["torch"] == torch.__version__
    assert found["python"] == platform.python_version()
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["cuda"] is None
    assert not any(name.startswith("slurm") for name in found)


def test_no_secret_no_host_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_SUBMIT_DIR", "/home/someone")
    found = environment(CPU)
    assert (found["slurm_job_id"], found["slurm_array_task_id"]) == ("17", "3")
    text = " ".join(str(value) for value in found.values())
    for private in ("hf_secret", "/home", platform.node(), str(Path.home()), str(module.REPOSITORY)):
        assert private not in text


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_commit_and_whether_the_code_differs_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    assert module.git_commit() is None
    assert module.git_dirty() is None
    git(tmp_path, "init", "-q")
    (tmp_path / "tram").mkdir()
    (tmp_path / "tram" / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "c")

    def dirty() -> bool | None:
        module.git_dirty.cache_clear()
        return module.git_dirty()

    module.git_commit.cache_clear()
    assert module.git_commit() == git(tmp_path, "rev-parse", "HEAD").strip()
    assert dirty() is False
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "seed-0.json").write_text("{}")
    assert dirty() is False
    (tmp_path / "tram" / "new.py").write_text("2")
    assert dirty() is True
    (tmp_path / "tram" / "new.py").unlink()
    (tmp_path / "tram" / "code.py").write_text("3")
    assert dirty() is True


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system cannot reset the peak")
def test_peak_memory_is_since_the_reset() -> None:
    reset_peak_memory(CPU)
    start = peak_memory_bytes(CPU)
    large = torch.ones(64 * 2**20 // 4)
    del large
    peak = peak_memory_bytes(CPU)
    assert 60 * 2**20 < peak - start < 80 * 2**20
    reset_peak_memory(CPU)
    assert peak_memory_bytes(CPU) < peak - 50 * 2**20
