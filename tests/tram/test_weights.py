"""Two lists of tensors exchanged in place, through little memory and in few steps."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import tram._weights as tram_weights
from tram._weights import _lots, swapped

SHAPES = [(7, 5), (), (0, 3), (40,), (2, 3, 4, 4), (1,), (33,), (12, 2)]


def lists(dtypes: tuple[torch.dtype, ...] = (torch.float64,)) -> tuple[list[Tensor], list[Tensor]]:
    """Of all layouts: dense, transposed, channels last, and a view of something larger."""
    torch.manual_seed(0)
    left, right = (
        [torch.randn(shape).to(dtype) for shape in SHAPES for dtype in dtypes] + [torch.randn(9, 4)[::3].t()]
        for _ in range(2)
    )
    left[4 * len(dtypes)] = left[4 * len(dtypes)].to(memory_format=torch.channels_last)
    return left, right


@pytest.fixture(params=["one by one", "in parts", "in lots"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As on a CPU, tensors being small or large, and as on other devices."""
    monkeypatch.setattr(tram_weights, "_is_for_one_by_one", lambda device: request.param != "in lots")
    if request.param == "in parts":
        monkeypatch.setattr(tram_weights, "_CACHED_ELEMENTS", 8)
    return str(request.param)


def values(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.clone() for tensor in tensors]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtypes", [(torch.float64,), (torch.float32, torch.bfloat16, torch.float64)], ids=len)
def test_values_change_places_and_come_back_where_they_were(dtypes: tuple[torch.dtype, ...]) -> None:
    left, right = lists(dtypes)
    before, pointers = (values(left), values(right)), [tensor.data_ptr() for tensor in left + right]
    with swapped(left, right):
        assert same(left, before[1])
        assert same(right, before[0])
    assert same(left, before[0])
    assert same(right, before[1])
    assert [tensor.data_ptr() for tensor in left + right] == pointers


@pytest.mark.usefixtures("way")
def test_an_exception_within_brings_them_back_too() -> None:
    left, right = lists()
    before = values(left)
    with pytest.raises(KeyError), swapped(left, right):
        raise KeyError
    assert same(left, before)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("done", [False, True], ids=["before a copy", "after it"])
def test_an_interrupt_between_any_two_copies_leaves_every_value_where_it_was(
    done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way there, and on the way back."""
    copy, calls = torch._foreach_copy_, 0

    def interrupted(into: list[Tensor], source: list[Tensor]) -> None:
        nonlocal calls
        calls += 1
        if done or calls != fatal:
            copy(into, source)
        if calls == fatal:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "_foreach_copy_", interrupted)
    for fatal in range(1, 400):
        left, right = lists()
        before, calls = (values(left), values(right)), 0
        try:
            with swapped(left, right):
                assert same(left, before[1])
        except KeyboardInterrupt:
            pass
        else:
            break
        assert same(left, before[0]), fatal
        assert same(right, before[1]), fatal
    assert fatal == calls + 1 > 6


def test_two_lists_in_one_memory_come_back_in_reverse_order() -> None:
    shared = torch.randn(3)
    left, right = [shared, shared], [torch.zeros(3), torch.ones(3)]
    before = shared.clone()
    with swapped(left, right):
        assert torch.equal(shared, torch.ones(3))
    assert torch.equal(shared, before)


class Calls(TorchDispatchMode):
    """Counts operations, and the elements of memory that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[str] = Counter()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.of[name] += 1
        self.elements += made.numel() if name == "empty" else 0
        return made


@pytest.mark.parametrize("sizes", [[10] * 100, [1] * 1000, [400, *[1] * 400], [5], [1] * 7])
def test_memory_and_steps_do_not_grow_with_the_number_of_tensors(sizes: list[int], way: str) -> None:
    left, right = ([torch.randn(size) for size in sizes] for _ in range(2))
    with Calls() as calls, swapped(left, right):
        pass
    assert calls.of["copy_"] == 0
    if way == "one by one":
        assert calls.elements == max(sizes)
    elif way == "in parts":
        assert calls.elements == min(8, max(sizes))
    else:
        assert calls.elements == max(*sizes, sum(sizes) // 8, 0)
        assert calls.of["_foreach_copy_"] <= 6 * 16


def test_lots_are_as_full_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [torch.zeros(size) for size in (4, 2, 2, 3, 1, 4)]
    assert [[len(tensor) for tensor in lot[0]] for lot in _lots(left, left)] == [[4], [2], [2], [3], [1], [4]]
    monkeypatch.setattr(tram_weights, "_is_for_one_by_one", lambda device: False)
    assert [[len(tensor) for tensor in lot[0]] for lot in _lots(left, left)] == [[4], [2, 2], [3, 1], [4]]
    meta = [tensor.to("meta") for tensor in left]
    monkeypatch.undo()
    assert len(_lots(meta, meta)) == 4
