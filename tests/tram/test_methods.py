"""Every method against an independent naive implementation, and against what the paper says of it."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.problems import Problem, classification, language_modelling
from tests.tram.naive import Naive
from tram import (
    L2,
    METHODS,
    MMD,
    TRAM,
    Adaptive,
    Ascent,
    Euclidean,
    Fisher,
    Method,
    NoisyInput,
    PastWeights,
    Renyi,
    ReverseKL,
    TrustRegion,
)
from tram._noise import InputNoise

PUBLISHED = Path(__file__).parents[2] / "results" / "published"


def fixed_noise(output: Tensor) -> Tensor:
    """A z that both implementations can make: what is compared is everything around it."""
    return 0.1 * torch.sin(torch.arange(output.numel(), dtype=output.dtype)).reshape(output.shape)


def naive(name: str, problem: Problem, language: bool) -> Naive:
    if language:

        def loss_of(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
            return F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten())

        return Naive(
            name,
            problem.model,
            problem.input_module,
            loss_of,
            inputs_of=lambda b: b["tokens"],
            cut=lambda x: x[:, :-1],
            z=fixed_noise,
        )
    return Naive(
        name,
        problem.model,
        problem.input_module,
        loss_of=lambda logits, b: F.cross_entropy(logits, b["y"]),
        inputs_of=lambda b: b["x"],
        cut=lambda x: x,
        z=fixed_noise,
    )


@pytest.mark.parametrize("language", [False, True], ids=["classification", "language model"])
@pytest.mark.parametrize("name", METHODS)
def test_twelve_steps_equal_the_naive_implementation(
    name: str, language: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InputNoise, "_draw", lambda self, noise, output, seed: fixed_noise(output))
    problem = language_modelling() if language else classification()
    other = naive(name, problem, language)
    expected = other.run(problem.batches)

    tram = TRAM(problem.model, name, input_module=problem.input_module)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    distances: list[float] = []
    for batch in problem.batches:
        tram.backward(problem.forward, batch)
        if tram.distance is not None:
            distances.append(tram.distance.item())
        optimizer.step()
        optimizer.zero_grad()
    assert len(distances) == (12 if METHODS[name].trust_region else 0)
    assert distances == pytest.approx(other.distances[: len(distances)], abs=1e-12)
    for parameter, value in problem.model.named_parameters():
        torch.testing.assert_close(value, expected[parameter], rtol=1e-6, atol=1e-9)


# Tables 1 and 2 of the paper, and for the combinations what their two passes need: (forward, backward).
COSTS = {
    "SGD": (1, 1),
    "Adam": (1, 1),
    "SAM": (2, 2),
    "ASAM": (2, 2),
    "FSAM": (2, 2),
    "TRPO": (2, 1),
    "R3F": (2, 1),
    "MESA": (2, 1),
    "ASAM+TRPO": (3, 2),
    "ASAM+R3F": (4, 2),
    "ASAM+MESA": (3, 2),
    "TRAM-prev": (3, 2),
    "TRAM-pre": (3, 2),
    "TRAM-x": (3, 2),
    "TRAM-Fisher": (2, 2),
    "TRAM-x-MMD": (3, 2),
    "TRAM-x-L2": (3, 2),
}


@pytest.mark.parametrize("name", METHODS)
def test_passes_are_those_of_the_paper(name: str) -> None:
    counted = count_passes(METHODS[name])
    assert counted == COSTS[name]
    assert METHODS[name].passes == COSTS[name]


def test_fisher_to_the_letter_costs_three_and_three() -> None:
    method = METHODS["TRAM-Fisher"]
    assert method.ascent is not None
    separate = Method(ascent=Ascent(method.ascent.geometry, 0.1, noise_std=0.1, fisher_gradient="separate"))
    assert count_passes(separate) == separate.passes == (3, 3)


def count_passes(method: Method) -> tuple[int, int]:
    """Calls of the model, and gradients arriving at a parameter: one a backward pass, however many its branches."""
    problem = classification(batches=2)
    passes = {"forward": 0, "backward": 0}

    def count(kind: str) -> None:
        passes[kind] += 1

    tram = TRAM(problem.model, method, input_module=problem.input_module)
    tram.backward(problem.forward, problem.batches[0])
    problem.model.zero_grad()
    problem.model.register_forward_hook(lambda *_: count("forward"))
    problem.model.head.bias.register_hook(lambda _: count("backward"))  # type: ignore[union-attr]
    tram.backward(problem.forward, problem.batches[1])
    return passes["forward"], passes["backward"]


def published_methods(table: str) -> list[str]:
    with (PUBLISHED / f"{table}.tsv").open() as file:
        return [row["method"] for row in csv.DictReader(file, delimiter="\t")]


def test_methods_are_the_rows_of_the_published_tables() -> None:
    named = {
        name
        for path in PUBLISHED.glob("*.tsv")
        if "method" in path.read_text().split("\n")[0]
        for name in published_methods(path.stem)
    }
    assert named - {"GPT-2", "GPT2-XL", "TRAM-x-KL"} == set(METHODS)
    extra = [name for name in published_methods("table_14_xnli_distance") if name != "TRAM-x-KL"]
    assert list(METHODS) == ["SGD", *published_methods("table_12_xnli"), *extra]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Method(TrustRegion(PastWeights())), "consumes"),
        (lambda: Method(penalty=0.1), "trust_region"),
        (lambda: Method(ascent=Ascent(Adaptive(), "d")), "trust_region"),
        (lambda: Method(penalty=-1.0), "-1.0"),
        (lambda: Ascent(Euclidean(), -0.1), "-0.1"),
        (lambda: Ascent(Euclidean(), "rho"), "rho"),  # type: ignore[arg-type]
        (lambda: Ascent(Euclidean(), 0.1, noise_std=-1.0), "noise_std"),
        (lambda: Ascent(Euclidean(), 0.1, noise_std=0.1, fisher_gradient="separate"), "Fisher"),
        (lambda: TrustRegion(PastWeights(), scale=0.0), "scale"),
        (lambda: TrustRegion(PastWeights(), floor=-1.0), "floor"),
        (lambda: TrustRegion(PastWeights(), floor=2.0, maximum=1.0), "maximum"),
        (lambda: TrustRegion(PastWeights(), reduction="tokens"), "no reduction='tokens'"),
        (lambda: TrustRegion(PastWeights(), divergence=ReverseKL), "ReverseKL"),
        (lambda: TrustRegion("prev"), "PastWeights, NoisyInput"),
        (lambda: TrustRegion(PastWeights(), divergence=MMD(), reduction="sequence"), "batchmean"),
        (lambda: Ascent("Euclidean", 0.05), "Euclidean, Adaptive"),
        (lambda: Ascent(Euclidean(), float("inf")), "inf"),
        (lambda: Ascent(Fisher(), 0.1, noise_std=0.1, fisher_gradient="seperate"), "nearest is 'separate'"),
        (lambda: Method(ascent=Euclidean()), "Ascent"),
        (
            lambda: Method(TrustRegion(NoisyInput()), ascent=Ascent(Fisher(), "d", noise_std=0.1)),
            "no clean logits",
        ),
        (lambda: PastWeights(dropout="none"), "nearest is"),
        (lambda: NoisyInput(distribution="gaussian"), "no distribution='gaussian'"),
        (lambda: L2(space="probs"), "nearest is 'probabilities'"),
        (lambda: TrustRegion(PastWeights(), scale=True), "scale > 0: True"),
        (lambda: TrustRegion(PastWeights(), maximum=True), "maximum .*: True"),
        (lambda: Ascent(Euclidean(), True), "radius >= 0.*: True"),
        (lambda: MMD(max_rows=2.5), "whole number max_rows"),  # type: ignore[arg-type]
        (lambda: MMD(bandwidths=(True,)), "bandwidths"),
        (lambda: PastWeights(decay=1.5), "1.5"),
        (lambda: NoisyInput(std=-0.1), "-0.1"),
    ],
)
def test_impossible_methods_are_refused(make, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("TRAM-previous", "TRAM-prev"),
        ("sam", "SAM"),
        ("asam", "ASAM"),
        ("tram_x", "TRAM-x"),
        ("sgd", "SGD"),
        ("mesa", "MESA"),
    ],
)
def test_an_unknown_method_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"nearest is '{meant}'"):
        TRAM(torch.nn.Linear(2, 2), typed)


@pytest.mark.parametrize("method", [None, Ascent(Euclidean(), 0.1)])
def test_what_is_no_method_is_told(method: object) -> None:
    with pytest.raises(TypeError, match="Method"):
        TRAM(torch.nn.Linear(2, 2), method)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    assert Ascent(Euclidean(), np.float32(0.05)).radius == np.float32(0.05)


@pytest.mark.parametrize(
    "row",
    [
        lambda number: TrustRegion(PastWeights(), scale=number(2), floor=number(0), maximum=number(1)),
        lambda number: Ascent(Euclidean(), radius=number(1), noise_std=number(1)),
        lambda number: Method(TrustRegion(PastWeights()), penalty=number(1)),
        lambda number: PastWeights(decay=number(1)),
        lambda number: NoisyInput(std=number(1)),
        lambda number: Adaptive(eta=number(1)),
        lambda number: Fisher(eta=number(1)),
        lambda number: Renyi(alpha=number(2)),
        lambda number: MMD(bandwidths=(number(1), number(2))),
    ],
)
def test_a_row_is_written_alike_whatever_its_numbers_are_of(row) -> None:  # type: ignore[no-untyped-def]
    """A state is that of the same method if its repr is the same."""
    assert repr(row(int)) == repr(row(np.float64)) == repr(row(np.int64)) == repr(row(float))


def test_rows_and_seeds_of_numpy_are_whole_numbers_of_python() -> None:
    assert repr(MMD(max_rows=np.int64(8), bandwidths=[1.0])) == repr(MMD(max_rows=8, bandwidths=(1.0,)))  # type: ignore[arg-type]
    assert type(TRAM(torch.nn.Linear(2, 2), "SAM", seed=np.int64(3)).seed) is int
    for seed in (True, 1.5, "3"):
        with pytest.raises(TypeError, match="seed must be a whole number"):
            TRAM(torch.nn.Linear(2, 2), "SAM", seed=seed)  # type: ignore[arg-type]
