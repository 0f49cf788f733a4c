"""Forgetting: how far fine-tuning went from the pre-trained model, in weights and on what it was pre-trained on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.evaluation import evaluation_mode
from benchmarks.probes.cka import CKA, model_before, moments
from benchmarks.probes.examples import Batches
from benchmarks.probes.pretraining import pretraining_examples
from benchmarks.probes.probe import Measured, Work
from benchmarks.probes.trained import Trained
from benchmarks.task import Batch, Task


@dataclass(frozen=True)
class Forgetting:
    """From theta_0, the pre-trained weights with the head as it began, to theta.

    In weights: ||theta - theta_0||, the same over ||theta_0||, and the largest change of one weight. In predictions, on
    `examples` that the model was pre-trained on (`blocks` where they are blocks of text): the mean of
    KL(p(.|x, theta_0) || p(.|x, theta)) in nats, and the percentage of predictions that have the same first choice. In
    representations, which no new head blurs: linear CKA. Of a language model also its nll there, before and after.
    """

    examples: int = 512
    blocks: int = 128

    def measure(self, model: Trained, work: Work) -> Measured:
        task, earlier = model.task, model_before(model)
        is_text = model.row.metric == "perplexity"
        name, examples = pretraining_examples(model.row, task, self.blocks if is_text else self.examples)
        data = Batches(task, examples, model.batch_size)
        work.report("forgetting", 0, 1)
        metrics = weight_distances(task.model, model.before)
        with evaluation_mode(task.model), evaluation_mode(earlier):
            predictions = compared(task, earlier, data)
            site = CKA().site(task, next(iter(Batches(task, examples, 1))))
            predictions["cka"] = moments(task, earlier, site, data).cka()
        kept = predictions if is_text else {key: value for key, value in predictions.items() if "nll" not in key}
        metrics |= {f"pretraining/{key}/all": value for key, value in kept.items()}
        return Measured(metrics, resolved={"data": name})


@torch.no_grad()
def weight_distances(model: nn.Module, before: Mapping[str, Tensor]) -> dict[str, float]:
    """`weights/.../all`, over all parameters, in float64."""
    changes = [(param - before[name]).double() for name, param in model.named_parameters()]
    began = [before[name].double() for name, _ in model.named_parameters()]
    distance, size = norm(changes), norm(began)
    return {
        "weights/distance/all": distance,
        "weights/relative-distance/all": distance / size,
        "weights/largest-change/all": max(float(change.abs().max()) for change in changes),
    }


def norm(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm of all of them together."""
    return float(torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt())


@torch.no_grad()
def compared(task: Task, earlier: nn.Module, data: Iterable[Batch]) -> dict[str, float]:
    """Over all predictions of `data`, by the earlier model and the task's: kl, agreement, nll before and after."""
    sums = torch.zeros(5, dtype=torch.float64)
    for batch in data:
        (before, old, *_), (after, new, *mask) = task.forward(earlier, batch), task.forward(task.model, batch)
        chosen = mask[0] if mask else torch.ones(new.shape[:-1], dtype=torch.bool, device=new.device)
        target, estimate = (logits[chosen].double().log_softmax(-1) for logits in (old, new))
        kl = (target.exp() * (target - estimate)).sum()
        same = (target.argmax(-1) == estimate.argmax(-1)).sum()
        count = chosen.sum()
        sums += torch.stack([kl, same, before * count, after * count, count]).double().cpu()
    kl, same, nll_before, nll_after, count = sums.tolist()
    return {
        "kl": kl / count,
        "agreement": 100 * same / count,
        "nll-before": nll_before / count,
        "nll": nll_after / count,
    }
