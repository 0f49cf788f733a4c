"""torch.compile: the numbers of the model as it is, no graph break of ours, nothing compiled after the first step."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
import torch
import torch._dynamo
import torch._inductor.config
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.utils import counters

from tests.problems import Batch, Problem, classification, weights
from tram import METHODS, TRAM, Ascent, Euclidean, Method

STEPS = 4


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def hard() -> Problem:
    """Dropout and BatchNorm: what the passes treat differently is compiled differently."""
    return classification(dropout=0.3, norm=True)


def train(problem: Problem, called: nn.Module, tram: TRAM, after_step: Callable[[], None] = lambda: None) -> None:
    def forward(batch: Batch) -> tuple[Tensor, Tensor]:
        logits = called(batch["x"])
        return F.cross_entropy(logits, batch["y"]), logits

    torch.manual_seed(2)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    for batch in problem.batches[:STEPS]:
        tram.backward(forward, batch)
        optimizer.step()
        optimizer.zero_grad()
        after_step()


def everything(problem: Problem) -> dict[str, Tensor]:
    return {**weights(problem.model), **{name: value.clone() for name, value in problem.model.named_buffers()}}


# How many variants of the model a step has. The second pass is the first once more, but for a noisy first pass.
VARIANTS = {name: 1 if method.trust_region is None else 2 for name, method in METHODS.items()} | {"TRAM-Fisher": 2}


@pytest.mark.parametrize("name", METHODS)
def test_a_compiled_model_trains_as_the_model_and_is_compiled_in_the_first_step(name: str) -> None:
    plain = hard()
    train(plain, plain.model, TRAM(plain.model, name, input_module=plain.input_module))

    problem = hard()
    compiled = torch.compile(problem.model, backend="eager")
    tram = TRAM(compiled, name, input_module=problem.input_module)
    graphs: list[int] = []
    train(problem, compiled, tram, lambda: graphs.append(counters["stats"]["unique_graphs"]))
    assert graphs == [VARIANTS[name]] * STEPS
    assert not counters["graph_break"]
    expected = everything(plain)
    for key, value in everything(problem).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-11)
    assert int(expected["norm.num_batches_tracked"]) == STEPS


@pytest.mark.parametrize("name", ["ASAM+R3F", "TRAM-prev"])
@pytest.mark.parametrize("when", ["compiled after", "called before", "compiled in place"])
def test_the_order_does_not_matter(name: str, when: str) -> None:
    """Code that was compiled without noise, before the estimator was made, must not be run where noise is asked for."""
    plain, problem = hard(), hard()
    train(plain, plain.model, TRAM(plain.model, name, input_module=plain.input_module))
    if when == "compiled after":
        tram = TRAM(problem.model, name, input_module=problem.input_module)
        called = torch.compile(problem.model, backend="eager")
    elif when == "called before":
        called = torch.compile(problem.model, backend="eager")
        with torch.no_grad():
            called.eval()(problem.batches[0]["x"])
        called.train()
        tram = TRAM(called, name, input_module=problem.input_module)
    else:
        problem.model.compile(backend="eager")
        called = problem.model
        tram = TRAM(problem.model, name, input_module=problem.input_module)
    train(problem, called, tram)
    expected = everything(plain)
    for key, value in everything(problem).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["ASAM+R3F", "TRAM-Fisher"])
def test_a_graph_with_a_backward_of_its_own_differentiates_through_noise(name: str) -> None:
    """AOTAutograd traces forward and backward; noise is one operator in it, with a shape but without a gradient."""
    plain, problem = classification(), classification()
    train(plain, plain.model, TRAM(plain.model, name, input_module=plain.input_module))
    compiled = torch.compile(problem.model, backend="aot_eager", fullgraph=True)
    train(problem, compiled, TRAM(compiled, name, input_module=problem.input_module))
    expected = everything(plain)
    for key, value in everything(problem).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-11)


@pytest.fixture
def _inductor() -> Iterator[None]:
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("inductor needs a C++ compiler")
    with torch._inductor.config.patch(compile_threads=1):
        yield


@pytest.mark.usefixtures("_inductor")
@pytest.mark.parametrize(("name", "mode"), [("TRAM-prev", "default"), ("ASAM+R3F", "reduce-overhead")])
def test_machine_code_of_inductor_trains_as_the_model(name: str, mode: str) -> None:
    plain, problem = classification(norm=True), classification(norm=True)
    train(plain, plain.model, TRAM(plain.model, name, input_module=plain.input_module))
    compiled = torch.compile(problem.model, mode=mode, fullgraph=True)
    train(problem, compiled, TRAM(compiled, name, input_module=problem.input_module))
    assert counters["inductor"]
    expected = everything(plain)
    for key, value in everything(problem).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-11)


@pytest.mark.usefixtures("_inductor")
def test_dropout_of_inductors_own_has_the_same_masks_in_both_passes() -> None:
    """An ascent of radius 0 then changes nothing; the masks are not those of the model as it is."""
    found = []
    for method in (Method(), Method(ascent=Ascent(Euclidean(), 0.0))):
        problem = classification(dropout=0.5)
        compiled = torch.compile(problem.model, fullgraph=True)
        train(problem, compiled, TRAM(compiled, method))
        found.append(everything(problem))
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-12, atol=1e-14)


def test_the_noise_operator_is_what_torch_asks_of_one() -> None:
    like = torch.zeros(3, 4)
    for uniform in (False, True):
        torch.library.opcheck(torch.ops.tram.noise.default, (like, torch.tensor(5), 1, uniform))
    draw = torch.ops.tram.noise
    assert torch.equal(draw(like, torch.tensor(5), 0, False), torch.randn(3, 4, generator=torch.manual_seed(5)))
    assert not torch.equal(draw(like, torch.tensor(5), 0, False), draw(like, torch.tensor(5), 1, False))
    assert draw(like, torch.tensor(2**63 - 1), 3, True).abs().max() <= 1
