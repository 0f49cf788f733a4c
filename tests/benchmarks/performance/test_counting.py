"""Waits and launches are seen where there are some, and our own steps make none that grow."""

import torch

from benchmarks.performance.counting import _calls, counts
from benchmarks.performance.models import TINY


def test_a_wait_is_seen_and_views_are_no_launches() -> None:
    x = torch.ones(4)
    assert (_calls(lambda: x.sum().item()).waits, _calls(lambda: x.sum()).waits) == (1, 0)
    assert _calls(lambda: x.view(2, 2).t()[0]).operators == 0
    assert _calls(lambda: [x.add(1) for _ in range(5)]).operators == 5
    assert _calls(lambda: torch._foreach_add([x] * 5, 1)).operators == 1


def test_no_method_waits_and_none_launches_more_for_more_weights() -> None:
    told: list[int] = []
    found = counts(TINY[0], (64, 128), lambda step, done, total: told.append(done))
    assert set(found.host_waits.values()) == {0}
    assert told[-1] == len(found.launches)
    for name, (few, many) in found.launches.items():
        assert few == many, name
    # A backup, a restore, a norm, a mask, a scale and a sum at the least; twice SAM's passes have more than once its.
    assert found.launches["SAM"][0] > 6
    assert found.launches["ASAM+R3F"][0] > found.launches["ASAM"][0]
