"""How far a model went, against numbers computed by hand."""

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmarks.evaluation import evaluation_mode
from benchmarks.mini import rows as mini_rows
from benchmarks.probes.examples import Batches
from benchmarks.probes.forgetting import Forgetting, compared, weight_distances
from benchmarks.probes.pretraining import _MAKERS, pretraining_examples
from benchmarks.probes.probe import Work
from benchmarks.task import Batch, Outputs, Task, TensorExamples
from tests.benchmarks import tiny_rows, tiny_tasks
from tests.benchmarks.probes.problems import Weights, trained

WORK = Work(Path("never-written.json"))


def test_distances_of_weights_by_hand() -> None:
    model = Weights(w=torch.tensor([3.0, 4.0]), b=torch.tensor([[1.0]]))
    before = {"w": torch.tensor([0.0, 4.0]), "b": torch.tensor([[5.0]])}
    assert weight_distances(model, before) == {
        "weights/distance/all": 5.0,
        "weights/relative-distance/all": pytest.approx(5 / 41**0.5),
        "weights/largest-change/all": 4.0,
    }


class Table(torch.nn.Module):
    """The logits of example i are row i."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits).log())


def test_predictions_by_hand_over_those_that_count() -> None:
    """Of three the last does not count, and the second did not change: half of KL((1/2, 1/2) || (1/4, 3/4))."""
    earlier, now = Table([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]), Table([[0.25, 0.75], [0.25, 0.75], [0.1, 0.9]])
    examples = TensorExamples({"index": torch.tensor([0, 1, 2]), "counts": torch.tensor([True, True, False])})

    def forward(model: torch.nn.Module, batch: Batch) -> Outputs:
        logits, counts = model.get_parameter("logits")[batch["index"]], batch["counts"]
        loss = F.cross_entropy(logits[counts], torch.zeros(int(counts.sum()), dtype=torch.long))
        return (loss if counts.any() else torch.zeros(())), logits, counts

    task = Task(now, forward, examples, None, {"home": examples})
    kl = (math.log(2) + math.log(2 / 3)) / 2
    for batch_size in (1, 2, 3):
        found = compared(task, earlier, Batches(task, examples, batch_size))
        assert found["kl"] == pytest.approx(kl / 2, rel=1e-6)
        assert found["nll-before"] == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)
        assert found["nll"] == pytest.approx(math.log(4), rel=1e-6)


def test_agreement_is_the_share_of_equal_first_choices() -> None:
    task, other = tiny_tasks.points(seed=0), tiny_tasks.points(seed=3)
    points = task.test["home"].tensors["points"]
    with evaluation_mode(task.model), evaluation_mode(other.model):
        same = (task.model(points).argmax(1) == other.model(points).argmax(1)).double().mean()
        found = compared(task, other.model, Batches(task, task.test["home"], 8))
    assert found["agreement"] == pytest.approx(100 * float(same))
    assert 0 < found["agreement"] < 100


def test_what_did_not_move_forgot_nothing() -> None:
    metrics = Forgetting().measure(trained(tiny_tasks.points(seed=0)), WORK).metrics
    assert metrics == {
        "weights/distance/all": 0,
        "weights/relative-distance/all": 0,
        "weights/largest-change/all": 0,
        "pretraining/kl/all": 0,
        "pretraining/agreement/all": 100,
        "pretraining/cka/all": pytest.approx(1),
    }


def test_without_data_of_its_own_the_training_domain_stands_in_and_the_record_says_so() -> None:
    task = tiny_tasks.points(seed=0)
    measured = Forgetting(examples=10).measure(trained(task, dict(copy.deepcopy(task.model).state_dict())), WORK)
    assert measured.resolved == {"data": "test set of home"}
    _, examples = pretraining_examples(tiny_rows.row("tiny-points"), task, 10)
    assert len(examples) == 10  # type: ignore[arg-type]


def test_every_miniature_knows_what_it_was_pretrained_on() -> None:
    assert {row.family for row in mini_rows.ROWS} == set(_MAKERS)


def test_glyphs_are_images_like_those_of_the_pretraining() -> None:
    """Standardised, of the size that the model takes, the same in every call, and not of one class."""
    row = next(row for row in mini_rows.ROWS if row.family == "mini-vision")
    (name, first), (_, again) = (pretraining_examples(row, tiny_tasks.points(0), 24) for _ in range(2))
    assert name == "glyphs of the source alphabet"
    images = first.tensors["images"]  # type: ignore[attr-defined]
    assert images.shape == (24, 1, 28, 28)
    assert torch.equal(images, again.tensors["images"])  # type: ignore[attr-defined]
    assert len({image.numpy().tobytes() for image in images}) == 24
    assert -0.6 < images.min() < -0.5 < images.max() < 2.4
