"""What is written down is read as it was, whole or not at all, and by one at a time."""

import errno
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.record import Run
from slurm import ledger as module
from slurm.code import Code, code_at, digest_of, freeze
from slurm.launching import How, submissions
from slurm.ledger import PADDED, Beat, Ledger, LedgerError, Note, checkpoint_step, read_submission
from slurm.plan import arrays_of
from slurm.profile import Profile, profile_of

RUN = Run("mini", "mini-m2d2", "TRAM-x@std=0.03", 12)
NOTE = Note("running", "0001-a", "17_3", "n1", 7, 1.5, 2.5, restarts=2, step=40, cause="x", code=Code("c", None, "d"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "mini")


def test_notes_and_beats_come_back(ledger: Ledger) -> None:
    assert ledger.note(RUN) is None
    assert ledger.beat(RUN) is None
    ledger.set_note(RUN, NOTE)
    ledger.set_beat(RUN, Beat("train", 3, 9, 1.0, 1, 2.0, "é"))
    assert ledger.note(RUN) == NOTE
    assert ledger.beat(RUN) == Beat("train", 3, 9, 1.0, 1, 2.0, "é")
    assert ledger.noted() == {("mini-m2d2", "TRAM-x@std=0.03", 12)}


def test_submissions_come_back(ledger: Ledger) -> None:
    profile = profile_of({"options": {"exclude": "n1", "exclusive": True}, "time": "1:00:00", "gpu_type": "a100"}, "")
    how = How("slurm", profile, pack=2, max_parallel=3, data="/data")
    runs = [replace(RUN, seed=seed) for seed in range(5)]
    (made,) = submissions(ledger, arrays_of(runs, profile, pack=2, max_array_size=9), how, Code("c", True, "d"))
    assert read_submission(ledger.add(made)) == made
    assert How.of(made) == how
    assert [run for run, _ in made.all_runs] == runs
    assert [task for _, task in made.all_runs] == [0, 0, 1, 1, 2]


def test_submissions_are_in_the_order_that_they_were_made(ledger: Ledger) -> None:
    for _ in range(12):
        for made in submissions(
            ledger, arrays_of([RUN], Profile(), max_array_size=9), How("slurm", Profile()), NOTE.code
        ):  # type: ignore[arg-type]
            ledger.add(made)
    assert [item.id[:4] for item in ledger.submissions()] == [f"{number:04d}" for number in range(1, 13)]
    assert len({item.id[5:] for item in ledger.submissions()}) == 12


def test_a_submission_of_another_version_is_named(ledger: Ledger) -> None:
    path = ledger.folder / "submissions" / "0001-a.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"id": "0001-a"}')
    with pytest.raises(LedgerError, match=r"0001-a\.json: cannot be read \(KeyError"):
        ledger.submissions()


def test_a_note_can_be_changed_on_a_full_disk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.set_note(RUN, NOTE)
    size = ledger.of(RUN, ".note").stat().st_size

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    changed = replace(NOTE, outcome="failed", cause="disk " * 1_000)
    ledger.set_note(RUN, changed)
    found = ledger.note(RUN)
    assert found is not None
    assert (found.outcome, found.cause) == ("failed", ("disk " * 1_000)[:1_000])
    assert ledger.of(RUN, ".note").stat().st_size == size == PADDED, "a longer file would need a new block"
    with pytest.raises(OSError, match="No space"):
        ledger.set_note(replace(RUN, seed=13), NOTE)


def test_one_at_a_time(ledger: Ledger) -> None:
    waited, entered = threading.Event(), threading.Event()

    def second() -> None:
        with Ledger(ledger.results, "mini").locked(waited.set):
            entered.set()

    with ledger.locked():
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        assert not entered.wait(0.3)
    assert entered.wait(10)
    thread.join()


def test_a_run_is_claimed_once(ledger: Ledger) -> None:
    lock = ledger.claimed(RUN)
    assert lock is not None
    assert Ledger(ledger.results, "mini").claimed(RUN) is None
    assert ledger.claimed(replace(RUN, seed=13)) is not None
    lock.release()
    assert ledger.claimed(RUN) is not None


def test_records_and_nothing_else_count_as_done(ledger: Ledger) -> None:
    RUN.path(ledger.results).parent.mkdir(parents=True)
    RUN.path(ledger.results).write_text("{}")
    for name in (".seed-1.json.abc", "seed-2.metrics.jsonl", "seed-x.json", "seed-3.checkpoint"):
        (RUN.path(ledger.results).parent / name).write_text("{}")
    ledger.set_note(replace(RUN, seed=4), NOTE)
    assert ledger.recorded() == {("mini-m2d2", "TRAM-x@std=0.03", 12)}
    assert not list(ledger.folder.glob("**/seed-*.json")), "they would be read as records"


def test_the_newest_checkpoint(tmp_path: Path) -> None:
    folder = RUN.checkpoints(tmp_path)
    assert checkpoint_step(RUN, tmp_path) == 0
    for name in ("step-00000080", "step-00000120", ".step-00000160", "step-junk"):
        (folder / name).mkdir(parents=True)
    assert checkpoint_step(RUN, tmp_path) == 120


def test_a_rate_is_of_the_steps_since_the_stage_was_first_heard_of() -> None:
    assert Beat("train", 60, 100, 10.0, 40, 20.0).steps_per_second == 2.0
    assert Beat("train", 40, 100, 10.0, 40, 20.0).steps_per_second is None
    assert Beat("train", 60, 100, 10.0, 40, 10.0).steps_per_second is None


# ---------------------------------------------------------------------------------------------------------------- code


def test_the_digest_sees_every_change_that_numbers_depend_on(tmp_path: Path) -> None:
    (tmp_path / "tram").mkdir()
    (tmp_path / "tram" / "a.py").write_text("1")
    before = digest_of(tmp_path)
    assert digest_of(tmp_path) == before
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "b.py").write_text("1")
    assert digest_of(tmp_path) == before, "how runs are submitted changes no number"
    (tmp_path / "tram" / "a.py").write_text("2")
    changed = digest_of(tmp_path)
    (tmp_path / "tram" / "a.py").rename(tmp_path / "tram" / "b.py")
    assert len({before, changed, digest_of(tmp_path)}) == 3


def test_a_frozen_copy_is_the_same_code(tmp_path: Path) -> None:
    freeze(module.Path(__file__).parents[2], tmp_path / "copy")
    assert digest_of(tmp_path / "copy") == code_at(Path(__file__).parents[2]).digest
    assert (tmp_path / "copy" / "slurm" / "work.py").exists()
    assert code_at(tmp_path / "copy").commit is None
