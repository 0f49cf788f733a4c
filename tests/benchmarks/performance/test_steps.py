"""What is timed is what it is said to be: passes as counted, peers as SAM is defined, weights where they were."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from benchmarks.performance.models import TINY, Outputs, Work, work_of
from benchmarks.performance.plan import EVERY
from benchmarks.performance.steps import KEPT, PEERS, PLAIN, Passes, candidates, passes_of
from tram import METHODS, TRAM

CPU = torch.device("cpu")


class Counted:
    """A work whose forwards and backwards are counted."""

    def __init__(self) -> None:
        work = work_of(TINY[1], CPU, torch.float32)
        self.ungraded = self.graded = self.backward = 0

        def forward(batch: Mapping[str, Tensor]) -> Outputs:
            loss, logits, mask = work.forward(batch)
            self.graded += torch.is_grad_enabled()
            self.ungraded += not torch.is_grad_enabled()
            if logits.requires_grad:
                logits.register_hook(self._seen)
            return loss, logits, mask

        self.work = Work(work.model, forward, work.micro_batches, work.input_module)

    def _seen(self, gradient: Tensor) -> None:
        self.backward += 1


@pytest.mark.parametrize("name", EVERY)
def test_the_floor_has_the_passes_that_a_step_makes(name: str) -> None:
    counted = Counted()
    if name.startswith("pytorch_optimizer"):
        pytest.importorskip("pytorch_optimizer")
    step = candidates(counted.work, [name])[name]
    step()  # the first may keep logits
    counted.ungraded = counted.graded = counted.backward = 0
    step()
    passes = Passes(0, 2) if name in PEERS else passes_of(METHODS["TRAM-pre" if name == KEPT else name], name == KEPT)
    each = len(counted.work.micro_batches)
    assert (counted.ungraded, counted.graded, counted.backward) == (
        passes.ungraded * each,
        passes.graded * each,
        passes.graded * each,
    )


@pytest.mark.parametrize("peer", PEERS)
def test_peers_compute_what_our_method_computes(peer: str) -> None:
    """The gradient that Adam is given: by its first moment, which is a tenth of it after one step."""
    if peer.startswith("pytorch_optimizer"):
        pytest.importorskip("pytorch_optimizer")
    adaptive = peer.endswith("ASAM")
    work = work_of(TINY[0], CPU, torch.float32)
    before = [param.detach().clone() for param in work.model.parameters()]
    tram = TRAM(work.model, "ASAM" if adaptive else "SAM")
    tram.backward(work.forward, *work.micro_batches)
    ours = [param.grad.clone() for param in work.model.parameters() if param.grad is not None]
    work.model.zero_grad()
    optimizers: list[torch.optim.Optimizer] = []
    register = torch.optim.Adam.step

    def remember(self: torch.optim.Adam, *args: object) -> object:
        optimizers.append(self)
        return register(self, *args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", remember)
        step = candidates(work, [peer])[peer]
        step()
    theirs = [optimizers[-1].state[param]["exp_avg"] / 0.1 for param in work.model.parameters()]
    for one, other, start in zip(ours, theirs, before, strict=True):
        # Their ASAM adds 0.01 to |theta| in some versions; a tenth of a percent is far below what another rho gives.
        torch.testing.assert_close(one, other, rtol=2e-2 if adaptive else 1e-3, atol=1e-4)
        assert one.shape == start.shape


def test_weights_hardly_move_while_steps_are_timed() -> None:
    work = work_of(TINY[2], CPU, torch.float32)
    before = [param.detach().clone() for param in work.model.parameters()]
    for step in candidates(work, [PLAIN, "SAM", "TRAM-x"]).values():
        for _ in range(3):
            step()
    for one, other in zip(before, work.model.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=0, atol=1e-5)
