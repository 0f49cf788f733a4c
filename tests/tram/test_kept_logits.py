"""Reference logits kept per example: the same steps with a forward less."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.problems import Batch, Problem, classification, same_bits, weights
from tests.tram.several import NoHostSync
from tram import METHODS, TRAM, KeptLogits, Method, NoisyInput, PastWeights, TrustRegion

EXAMPLES = 48
PRE = METHODS["TRAM-pre"]
PENALISED = replace(METHODS["ASAM+TRPO"], trust_region=PRE.trust_region)


class Counted:
    """The problem's forward, counting calls with and without a gradient."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.graded = self.reference = 0

    def __call__(self, batch: Batch) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            self.graded += 1
        else:
            self.reference += 1
        return self.problem.forward(batch)


def epochs(problem: Problem, shuffled: bool, count: int = 3, size: int = 16) -> Iterator[Batch]:
    """The first 48 examples, `count` times, in batches that repeat or that are drawn anew."""
    data = {name: torch.cat([batch[name] for batch in problem.batches[:3]]) for name in ("x", "y")}
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        order = torch.randperm(EXAMPLES, generator=generator) if shuffled else torch.arange(EXAMPLES)
        for index in order.split(size):
            yield {"index": index, "x": data["x"][index], "y": data["y"][index]}


def train(
    method: Method, lookup: Callable[[Any], Tensor | None] | None, shuffled: bool, **options: Any
) -> tuple[Problem, Counted, list[Tensor]]:
    problem = classification(dropout=0.3, **options)
    forward, distances = Counted(problem), []
    torch.manual_seed(2)
    tram = TRAM(problem.model, method, reference_logits=lookup)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    for batch in epochs(problem, shuffled):
        tram.backward(forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        assert tram.distance is not None
        distances.append(tram.distance)
    return problem, forward, distances


@pytest.mark.parametrize("method", [PRE, PENALISED], ids=["TRAM-pre", "a penalty"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_kept_logits_change_nothing_but_the_forwards(method: Method, shuffled: bool) -> None:
    without, forward, distances = train(method, None, shuffled)
    assert (forward.graded, forward.reference) == (18, 9)
    kept, fewer, found = train(method, KeptLogits(EXAMPLES), shuffled)
    assert (fewer.graded, fewer.reference) == (18, 3)
    if shuffled:
        # In another batch an example's logits may be rounded otherwise.
        for name, weight in weights(without.model).items():
            torch.testing.assert_close(weights(kept.model)[name], weight, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(torch.stack(found), torch.stack(distances), rtol=1e-9, atol=1e-13)
    else:
        assert same_bits(weights(kept.model), weights(without.model))
        assert torch.equal(torch.stack(found), torch.stack(distances))
    assert distances[-1] > 0.01


@pytest.mark.parametrize("method", [PRE, PENALISED], ids=["TRAM-pre", "a penalty"])
def test_the_first_weights_are_dropped_when_every_example_was_seen(method: Method) -> None:
    problem, kept = classification(), KeptLogits(EXAMPLES)
    tram = TRAM(problem.model, method, reference_logits=kept)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    stored = []
    for batch in epochs(problem, shuffled=False, count=2):
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        stored.append(sum(key.startswith("reference.") for key in tram.state_dict()))
    parameters = len(list(problem.model.parameters()))
    assert stored == [parameters] * 2 + [0] * 4
    assert kept.complete


def by_hand(problem: Problem) -> KeptLogits:
    """The logits that the present weights give every example."""
    kept = KeptLogits(EXAMPLES)
    with torch.no_grad():
        for batch in epochs(problem, shuffled=False, count=1):
            kept.keep(batch, problem.forward(batch)[1])
    return kept


def test_logits_kept_by_hand_serve_several_runs_from_the_same_weights() -> None:
    expected, _, _ = train(PRE, None, shuffled=False)
    filled = by_hand(classification())
    loaded = KeptLogits(EXAMPLES)
    loaded.load_state_dict(filled.state_dict())
    for kept in (filled, filled, loaded):
        assert not any(key.startswith("reference.") for key in estimator(kept).state_dict())
        problem, forward, _ = train(PRE, kept, shuffled=False)
        assert forward.reference == 0
        assert same_bits(weights(problem.model), weights(expected.model))


def estimator(kept: Any) -> TRAM:
    return TRAM(classification().model, PRE, reference_logits=kept)


@pytest.mark.parametrize("seen", [1, 3])
@pytest.mark.parametrize("way", ["the object", "its state", "filled up by it"])
def test_the_logits_of_another_run_are_refused(seen: int, way: str) -> None:
    """They are those of its first weights. It may itself go on, and begin again a step that failed."""
    problem, other = classification(), classification()
    kept = KeptLogits(EXAMPLES)
    batches = list(epochs(problem, shuffled=False, count=1))
    if way == "filled up by it":
        with torch.no_grad():
            kept.keep({"index": [EXAMPLES - 1]}, problem.forward(batches[2])[1][-1:])
    tram = TRAM(problem.model, PRE, reference_logits=kept)

    def failing(batch: Batch) -> tuple[Any, ...]:
        if torch.is_grad_enabled():
            raise KeyError
        return problem.forward(batch)

    with pytest.raises(KeyError):
        tram.backward(failing, batches[0])
    for batch in batches[:seen]:
        tram.backward(problem.forward, batch)
        problem.model.zero_grad()
    given = kept
    if way == "its state":
        given = KeptLogits(EXAMPLES)
        given.load_state_dict(kept.state_dict())
    fresh = TRAM(other.model, PRE, reference_logits=given)
    with pytest.raises(ValueError, match=r"the logits of another run.*make a new KeptLogits"):
        fresh.backward(other.forward, batches[1])
    # That run itself goes on, here and resumed.
    tram.backward(problem.forward, batches[0])
    fresh.load_state_dict(tram.state_dict())
    fresh.backward(other.forward, batches[0])


def test_a_state_without_a_reference_says_whose_it_is() -> None:
    problem, kept = classification(), KeptLogits(EXAMPLES)
    tram = TRAM(problem.model, PRE, reference_logits=kept)
    for batch in epochs(problem, shuffled=False, count=1):
        tram.backward(problem.forward, batch)
        problem.model.zero_grad()
    for other, told in [(None, r"give TRAM\(\.\.\., reference_logits"), (KeptLogits(EXAMPLES), "kept: load the state")]:
        with pytest.raises(ValueError, match=told):
            estimator(other).load_state_dict(tram.state_dict())


@pytest.mark.parametrize("lookup", [torch.zeros(3, 2), {}, KeptLogits])
def test_what_cannot_be_asked_for_logits_is_told(lookup: Any) -> None:
    with pytest.raises(TypeError, match="reference_logits is called with a batch"):
        estimator(lookup)


def test_numbers_of_numpy_number_examples() -> None:
    kept = KeptLogits(np.int64(5))
    kept.keep({"index": np.array([3, 1])}, torch.tensor([[3.0], [1.0]]))
    found = kept({"index": [np.int32(1), 3]})
    assert found is not None
    assert found.tolist() == [[1.0], [3.0]]
    torch.save(kept.state_dict(), file := io.BytesIO())
    file.seek(0)
    KeptLogits(5).load_state_dict(torch.load(file, weights_only=True))


@pytest.mark.parametrize("examples", [0, -1, 2.5, True, "5", None])
def test_a_number_of_examples_that_is_none_is_told(examples: Any) -> None:
    with pytest.raises(ValueError, match=f"a whole number of examples >= 1: {examples!r}"):
        KeptLogits(examples)


@pytest.mark.parametrize("state", [{}, {"seen": torch.zeros(5)}, {"method": "SAM"}])
def test_what_is_no_state_is_told(state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no state of KeptLogits, which has seen and logits"):
        KeptLogits(5).load_state_dict(state)


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_run_that_keeps_logits_resumes_with_the_same_bits(stop: int) -> None:
    """Before, when and after the last example was seen."""
    expected, _, _ = train(PRE, KeptLogits(EXAMPLES), shuffled=False)
    problem = classification(dropout=0.3)
    torch.manual_seed(2)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    kept = KeptLogits(EXAMPLES)
    tram = TRAM(problem.model, PRE, reference_logits=kept)
    for step, batch in enumerate(epochs(problem, shuffled=False)):
        if step == stop:
            state, old = tram.state_dict(), kept.state_dict()
            kept = KeptLogits(EXAMPLES)
            tram = TRAM(problem.model, PRE, reference_logits=kept)
            if stop >= 3:
                with pytest.raises(ValueError, match="load the state of reference_logits before this one"):
                    tram.load_state_dict(state)
            kept.load_state_dict(old)
            tram.load_state_dict(state)
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
    assert same_bits(weights(problem.model), weights(expected.model))


def test_logits_that_are_taken_away_again_are_told() -> None:
    problem, kept = classification(), KeptLogits(EXAMPLES)
    tram = TRAM(problem.model, PRE, reference_logits=kept)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    for batch in epochs(problem, shuffled=False, count=1):
        tram.backward(problem.forward, batch)
        optimizer.step()
        optimizer.zero_grad()
    kept.load_state_dict(KeptLogits(EXAMPLES).state_dict())
    with pytest.raises(RuntimeError, match="weights were dropped"):
        tram.backward(problem.forward, batch)


def test_a_lookup_of_ones_own_needs_no_keep() -> None:
    table = {}
    problem = classification()
    with torch.no_grad():
        for batch in epochs(problem, shuffled=False, count=1):
            table[batch["index"][0].item()] = problem.forward(batch)[1]
    lookup = lambda batch: table.get(batch["index"][0].item())  # noqa: E731
    kept, forward, _ = train(PRE, lookup, shuffled=False)
    assert forward.reference == 0
    del table[16]
    forgetful, forward, _ = train(PRE, lookup, shuffled=False)
    assert forward.reference == 3
    assert same_bits(weights(kept.model), weights(forgetful.model))
    assert same_bits(weights(kept.model), weights(train(PRE, None, shuffled=False)[0].model))


def test_a_batch_with_one_new_example_is_computed_whole() -> None:
    kept = KeptLogits(6)
    kept.keep({"index": torch.tensor([4, 0])}, torch.tensor([[4.0, 1.0], [0.0, 2.0]]))
    assert kept({"index": torch.tensor([0, 3])}) is None
    found = kept({"index": [0, 4, 0]})
    assert found is not None
    assert found.tolist() == [[0.0, 2.0], [4.0, 1.0], [0.0, 2.0]]
    assert KeptLogits(6)({"index": torch.tensor([], dtype=torch.long)}) is None


def test_logits_keep_their_dtype_and_shape_and_no_graph() -> None:
    kept = KeptLogits(3, key="row", device="cpu")
    logits = torch.randn(2, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    kept.keep({"row": [2, 1]}, logits)
    found = kept({"row": torch.tensor([1, 2])})
    assert found is not None
    assert torch.equal(found, logits.flip(0))
    assert (found.dtype, found.requires_grad) == (torch.bfloat16, False)


def test_neither_filling_nor_reading_waits_for_the_device() -> None:
    problem = classification()
    tram = TRAM(problem.model, PRE, reference_logits=KeptLogits(EXAMPLES))
    batches = list(epochs(problem, shuffled=True, count=2))
    with NoHostSync():
        for batch in batches:
            for param in problem.model.parameters():
                param.grad = None
            tram.backward(problem.forward, batch)


def test_resumed_logits_are_the_same_bits() -> None:
    kept = KeptLogits(5)
    logits = torch.randn(2, 3)
    kept.keep({"index": [3, 1]}, logits)
    fresh = KeptLogits(5)
    fresh.load_state_dict(kept.state_dict())
    kept.keep({"index": [3, 0]}, torch.zeros(2, 3))
    found = fresh({"index": [3, 1]})
    assert found is not None
    assert torch.equal(found, logits)
    assert fresh({"index": [0]}) is None
    empty = KeptLogits(5)
    empty.load_state_dict(KeptLogits(5).state_dict())
    assert empty({"index": [0]}) is None
    with pytest.raises(ValueError, match="of 5 examples, and there are 6"):
        KeptLogits(6).load_state_dict(kept.state_dict())


@pytest.mark.parametrize(
    ("batch", "rows", "named"),
    [
        ({"x": [0]}, 1, r"no batch\['index'\]"),
        ([0.0], 1, r"no batch\['index'\]"),
        ({"index": [5]}, 1, "5, which numbers none of 5"),
        ({"index": [-1]}, 1, "-1, which numbers none of 5"),
        ({"index": torch.tensor([0.5])}, 1, "0.5, which numbers none"),
        ({"index": torch.tensor([True])}, 1, "True, which numbers none"),
        ({"index": [False]}, 1, "False, which numbers none"),
        ({"index": torch.zeros(1, dtype=torch.long, device="meta")}, 1, "is on meta: leave it on the CPU"),
        ({"index": [0, 1, 2]}, 2, "numbers 3 examples, and there are 2 logits"),
    ],
)
def test_batches_that_do_not_number_their_examples_are_told(batch: Any, rows: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        KeptLogits(5).keep(batch, torch.zeros(rows, 2))


def test_logits_of_changing_shape_are_told() -> None:
    kept = KeptLogits(5)
    kept.keep({"index": [0]}, torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"are \(3,\) of torch.float32, and earlier ones \(2,\)"):
        kept.keep({"index": [1]}, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="one shape"):
        kept.keep({"index": [1]}, torch.zeros(1, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="examples >= 1"):
        KeptLogits(0)


@pytest.mark.parametrize(
    "method",
    [
        *(method for name, method in METHODS.items() if name != "TRAM-pre"),
        replace(PRE, trust_region=TrustRegion(PastWeights(1.0, dropout="fresh"))),
        replace(PRE, trust_region=TrustRegion(PastWeights(1.0, dropout="shared"))),
        replace(PRE, trust_region=TrustRegion(NoisyInput(0.0))),
    ],
    ids=str,
)
def test_methods_whose_reference_changes_are_refused(method: Method) -> None:
    with pytest.raises(ValueError, match="never change"):
        TRAM(classification().model, method, input_module=torch.nn.Identity(), reference_logits=KeptLogits(4))


def test_logits_that_depend_on_the_whole_batch_are_refused() -> None:
    problem = classification(norm=True)
    tram = TRAM(problem.model, PRE, reference_logits=KeptLogits(EXAMPLES))
    batch = next(epochs(problem, shuffled=False))
    with pytest.raises(ValueError, match="BatchNorm in training mode"):
        tram.backward(problem.forward, batch)
    problem.model.norm.eval()  # type: ignore[union-attr]
    tram.backward(problem.forward, batch)
