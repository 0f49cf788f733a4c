"""CKA against a hand-computed case, its invariances, and one computation over all rows."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.probes.cka import CKA, Moments
from benchmarks.probes.probe import Work
from tests.benchmarks import tiny_tasks
from tests.benchmarks.probes.problems import trained

WORK = Work(Path("never-written.json"))


def cka(x: Tensor, y: Tensor, centred: bool = True, piece: int = 1000) -> float:
    moments = Moments()
    for part_x, part_y in zip(x.split(piece), y.split(piece), strict=True):
        moments.add(part_x, part_y)
    return moments.cka(centred)


def random(rows: int, columns: int, seed: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_single_features_it_is_the_squared_correlation() -> None:
    """x = 0, 1, 2 and y = 0, 1, 4: centred 4^2 / (2 * 26/3) = 12/13, uncentred 9^2 / (5 * 17)."""
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [4.0]])
    assert cka(x, y) == pytest.approx(12 / 13, rel=1e-12)
    assert cka(x, y, centred=False) == pytest.approx(81 / 85, rel=1e-12)


def test_of_two_features_by_hand() -> None:
    """X = (1, 0), (-1, 0), (0, 1), (0, -1) and y its first column: X'y = (2, 0), X'X = 2 I, y'y = 2; 4/(2 sqrt 2 2)."""
    x = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert cka(x, x[:, :1]) == pytest.approx(2**-0.5, rel=1e-12)


def test_rotation_scale_and_shift_change_nothing() -> None:
    x, y = random(40, 6, 0), random(40, 9, 1)
    rotation, _ = torch.linalg.qr(random(6, 6, 2))
    assert cka(x, x @ rotation) == pytest.approx(1, abs=1e-12)
    assert cka(x @ rotation, y) == pytest.approx(cka(x, y), rel=1e-12)
    assert cka(3 * x, y / 7) == pytest.approx(cka(x, y), rel=1e-12)
    assert cka(x + 5, y - 2) == pytest.approx(cka(x, y), rel=1e-9)
    stretched = x @ torch.diag(torch.tensor([100.0, 1, 1, 1, 1, 1], dtype=torch.float64))
    assert cka(x, stretched) < 0.9
    assert cka(x, y) < 0.6


def test_a_common_mean_inflates_the_uncentred_one() -> None:
    x, y = random(200, 6, 0), random(200, 6, 1)
    assert cka(x + 3, y + 3, centred=False) > 0.9
    assert cka(x + 3, y + 3) == pytest.approx(cka(x, y), rel=1e-9)
    assert cka(x, y) < 0.1


@pytest.mark.parametrize("piece", [1, 7, 50])
def test_pieces_give_what_all_rows_give_also_with_large_means(piece: int) -> None:
    x, y = random(50, 4, 0) + 1e6, random(50, 3, 1) - 1e6
    xc, yc = x - x.mean(0), y - y.mean(0)
    cross = (xc.T @ yc).square().sum()
    whole = float(cross / ((xc.T @ xc).norm() * (yc.T @ yc).norm()))
    assert cka(x, y, piece=piece) == pytest.approx(whole, rel=1e-6)


def test_float32_rows_are_added_up_in_float64() -> None:
    moments = Moments()
    moments.add(torch.ones(3, 2), torch.ones(3, 1))
    assert {product.dtype for product in moments.products.values()} == {torch.float64}


def test_a_model_is_like_itself_and_less_like_what_it_was() -> None:
    task = tiny_tasks.points(seed=0)
    same = CKA().measure(trained(task), WORK)
    assert same.metrics["test/cka/home"] == pytest.approx(1, abs=1e-12)
    assert same.resolved["representation"] == "input of head"
    model = trained(task, before=dict(tiny_tasks.points(seed=5).model.state_dict()))
    changed = CKA().measure(model, WORK).metrics
    assert set(changed) == {f"test/{name}/{domain}" for name in ("cka", "cka-uncentred") for domain in ("home", "away")}
    assert all(0 < changed[f"test/cka/{domain}"] < 0.999 for domain in ("home", "away"))


def test_the_numbers_are_those_of_the_features_before_the_head() -> None:
    task, earlier = tiny_tasks.points(seed=0), tiny_tasks.points(seed=5)
    features = [
        torch.tanh(task_.model.embedding(task.test["away"].tensors["points"])).detach() for task_ in (earlier, task)
    ]
    found = CKA().measure(trained(task, before=dict(earlier.model.state_dict())), WORK).metrics
    assert found["test/cka/away"] == pytest.approx(cka(*features), rel=1e-7)
