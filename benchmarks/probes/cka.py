"""Linear CKA (Kornblith et al. 2019, Eq. 12): how alike two models' representations of the same examples are."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from benchmarks.checkpoint import set_weights
from benchmarks.evaluation import evaluation_mode
from benchmarks.probes.examples import Batches, test_sets
from benchmarks.probes.probe import Measured, Work
from benchmarks.probes.representation import Site, representation, site_of
from benchmarks.probes.trained import Trained
from benchmarks.task import Batch, Task


@dataclass
class Moments:
    """Of rows (x, y) that arrive in pieces: their number, means, and sums of centred products, in float64.

    Pieces are merged as Chan et al. (1979) do: nothing is lost where the means are large.
    """

    count: int = 0
    means: list[Tensor] = field(default_factory=list)
    products: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def add(self, x: Tensor, y: Tensor) -> None:
        """x (rows, p) and y (rows, q)."""
        pieces = [x.double(), y.double()]
        new, means = len(x), [piece.mean(0) for piece in pieces]
        centred = [piece - mean for piece, mean in zip(pieces, means, strict=True)]
        if not self.count:
            self.means = [torch.zeros_like(mean) for mean in means]
        total = self.count + new
        moves = [mean - old for mean, old in zip(means, self.means, strict=True)]
        for i, j in ((0, 0), (0, 1), (1, 1)):
            product = centred[i].T @ centred[j] + torch.outer(moves[i], moves[j]) * (self.count * new / total)
            self.products[i, j] = self.products[i, j] + product if self.count else product
        self.means = [old + move * (new / total) for old, move in zip(self.means, moves, strict=True)]
        self.count = total

    def cka(self, centred: bool = True) -> float:
        """||X'Y||_F^2 / (||X'X||_F ||Y'Y||_F), of the columns less their means unless not `centred`."""
        xx, xy, yy = (self._product(i, j, centred) for i, j in ((0, 0), (0, 1), (1, 1)))
        return float(xy.square().sum() / (xx.norm() * yy.norm()))

    def _product(self, i: int, j: int, centred: bool) -> Tensor:
        product = self.products[i, j]
        return product if centred else product + self.count * torch.outer(self.means[i], self.means[j])


@dataclass(frozen=True)
class CKA:
    """Between the model before fine-tuning and after, of what comes before the head, on every domain's test set.

    Of each domain `examples` are taken, `blocks` where they are blocks of text, all if None. `module` names the one
    whose input is compared; found by itself if None.
    """

    examples: int | None = 512
    blocks: int | None = 32
    module: str | None = None

    def measure(self, model: Trained, work: Work) -> Measured:
        task, earlier = model.task, model_before(model)
        sets = test_sets(task, self.examples if model.row.metric == "accuracy" else self.blocks)
        metrics: dict[str, float] = {}
        with evaluation_mode(task.model), evaluation_mode(earlier):
            site = self.site(task, next(iter(Batches(task, next(iter(sets.values())), 1))))
            for done, (domain, examples) in enumerate(sets.items()):
                work.report("cka", done, len(sets))
                found = moments(task, earlier, site, Batches(task, examples, model.batch_size))
                metrics[f"test/cka/{domain}"] = found.cka()
                metrics[f"test/cka-uncentred/{domain}"] = found.cka(centred=False)
        return Measured(metrics, resolved={"representation": str(site)})

    def site(self, task: Task, batch: Batch) -> Site:
        return site_of(task, batch) if self.module is None else Site(self.module)


def model_before(model: Trained) -> nn.Module:
    """A second model, at the weights before fine-tuning."""
    earlier = copy.deepcopy(model.task.model)
    set_weights(earlier, model.before)
    return earlier


def moments(task: Task, earlier: nn.Module, site: Site, data: Iterable[Batch]) -> Moments:
    """Of the representations of `data` by the earlier model and by the task's."""
    found = Moments()
    for batch in data:
        found.add(*(representation(task, model, site, batch) for model in (earlier, task.model)))
    return found
