"""mini-m2d2-sequence: four domains with splits of their own, and the model of mini-m2d2."""

from pathlib import Path

import pytest
import torch

from benchmarks.execution import Execution
from benchmarks.mini import m2d2, m2d2_sequence
from benchmarks.mini.docstrings import Corpus
from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS
from benchmarks.run import execute
from benchmarks.task import TensorExamples, silent
from tests.benchmarks.mini.test_m2d2 import TINY

ROW = BENCHMARKS["mini-m2d2-sequence"]
SPLITS = {"math": ("train", "validation", "test")} | dict.fromkeys(ROW.sequence, ("train", "test"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _tiny(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one package, and a paragraph that one corpus has no other has: what is left is enough for four."""
    corpora = tuple(
        Corpus(corpus.name, ("networkx",), dict.fromkeys(corpus.characters, 2_500)) for corpus in m2d2_sequence.CORPORA
    )
    monkeypatch.setattr(m2d2, "PRETRAINING", TINY)
    monkeypatch.setattr(m2d2_sequence, "CORPORA", corpora)
    monkeypatch.setenv("TRAM_CACHE", str(cache))
    m2d2_sequence.prepare(ROW, silent)


def test_the_row_trains_on_what_the_corpora_have() -> None:
    assert (ROW.train_domain, *ROW.sequence) == ROW.domains
    assert {corpus.name: tuple(corpus.characters) for corpus in m2d2_sequence.CORPORA} == SPLITS


def test_the_model_is_that_of_mini_m2d2_and_nothing_is_made_twice() -> None:
    before = m2d2.task(BENCHMARKS["mini-m2d2"], 0).model.state_dict()
    task = m2d2_sequence.task(ROW, 0)
    assert all(torch.equal(weight, before[name]) for name, weight in task.model.state_dict().items())
    m2d2_sequence.prepare(ROW, lambda *_: pytest.fail("something was made again"))


def test_a_sequence_trains_on_each_domain_in_turn_and_scores_all_after_each(tmp_path: Path) -> None:
    task = m2d2_sequence.task(ROW, 0)
    assert tuple(task.sequence) == ROW.sequence
    assert all(isinstance(examples, TensorExamples) for examples in (task.train, *task.sequence.values()))
    record = execute(Run("mini-domain-sequence", ROW.name, "Adam", 0), tmp_path, Execution(), silent)
    stages = [f"after {domain}" for domain in ROW.domains]
    assert {key for key in record.metrics if key.startswith("after")} == {
        f"{stage}/{metric}/{domain}" for stage in stages for metric in ("nll", "perplexity") for domain in ROW.domains
    }
    for domain in ROW.domains:
        assert record.metrics[f"{stages[-1]}/nll/{domain}"] == record.metrics[f"test/nll/{domain}"]
    assert record.selected_step == 4 * ROW.recipe.steps
