"""Which runs belong together: suites as rows of data. Nothing here imports torch, so that looking is fast."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmarks.record import Run
from benchmarks.registry import BENCHMARKS, PASSES, PLAIN, ZERO_SHOT
from benchmarks.variants import runs_on


@dataclass(frozen=True)
class Selection:
    """Every method with every seed on every benchmark; a benchmark runs those of the methods that it has."""

    benchmarks: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Suite:
    """What is run by default, and what in full."""

    name: str
    title: str
    quick: tuple[Selection, ...]
    full: tuple[Selection, ...]

    @property
    def benchmarks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.full for name in part.benchmarks))


FIVE = tuple(range(5))

# ----------------------------------------------------------------------------------------------------- miniature, paper

_MINI = ("mini-vision-digits", "mini-vision-mnist", "mini-vision-letters", "mini-m2d2", "mini-xnli")
_VISION = ("vision-cifar100", "vision-cars", "vision-flowers")
_CONVNETS = tuple(f"{name}-{model}" for model in ("resnet50", "convnext_tiny") for name in _VISION)

_SHARPNESS = ("SGD", "SAM", "ASAM", "FSAM")
_TRAMS = ("TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")
_TRUST_REGIONS = ("TRPO", "R3F", "MESA")
_COMBINATIONS = ("ASAM+TRPO", "ASAM+R3F", "ASAM+MESA")
_ON_LANGUAGE = ("Adam", "SAM", "ASAM", "FSAM", *_TRUST_REGIONS, *_COMBINATIONS, *_TRAMS)

_PAPER = (
    Selection(_VISION, (*_SHARPNESS, *_TRAMS), FIVE),
    Selection(("m2d2-wiki", "m2d2-s2orc"), (ZERO_SHOT, *_ON_LANGUAGE), (0,)),
    Selection(
        ("m2d2-s2orc-xl",),
        (ZERO_SHOT, "Adam", "SAM", "ASAM", "FSAM", *_TRUST_REGIONS, "TRAM-prev", "TRAM-x"),
        (0,),
    ),
    Selection(("xnli",), (*_ON_LANGUAGE, "TRAM-x-MMD", "TRAM-x-L2"), tuple(range(20))),
)

# ----------------------------------------------------------------------------------------------------------- questions

_BASELINES = (*PLAIN, "ASAM")
_SIGMA = (*_BASELINES, *(f"TRAM-x@std={std}" for std in ("0.001", "0.01", "0.03", "0.1", "0.3", "1")))
_REFERENCE = (
    *_BASELINES,
    *("TRAM-prev", "TRAM-prev@decay=0.9", "TRAM-prev@decay=0.99", "TRAM-prev@decay=0.999", "TRAM-pre", "TRAM-x"),
)
_DIVERGENCES = ("kl", "reverse-kl", "symmetric-kl", "renyi", "l2", "mmd")
_DIVERGENCE = (
    *_BASELINES,
    *(f"{method}@divergence={divergence}" for method in ("TRAM-x", "TRAM-prev") for divergence in _DIVERGENCES),
)
_BOUND = (
    *_BASELINES,
    *(
        f"{method}{setting}"
        for method in ("TRAM-x", "TRAM-prev", "TRAM-pre")
        for setting in ("", "@maximum=0.5", "@maximum=rise", "@maximum=fall", "@maximum=validation")
    ),
    *(f"TRAM-x@scale={word}" for word in ("rise", "fall", "validation")),
)
_SEQUENCE = (*PLAIN, "ASAM", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x")

_QUESTIONS = (
    # name, title, methods
    ("ablation-sigma", "how large the noise of TRAM-x should be", _SIGMA),
    ("ablation-reference", "which past weights to trust", _REFERENCE),
    ("ablation-divergence", "how to measure the distance", _DIVERGENCE),
    ("adaptive-bound", "a bound that moves during training", _BOUND),
)


def _questions() -> list[Suite]:
    suites = []
    for name, title, methods in _QUESTIONS:
        paper = Selection(("vision-cifar100", "m2d2-s2orc", "xnli"), methods, (0, 1, 2))
        mini = Selection(("mini-vision-digits", "mini-m2d2", "mini-xnli"), methods, FIVE)
        suites.append(Suite(name, title, quick=(replace(paper, seeds=(0,)),), full=(paper,)))
        suites.append(Suite(f"mini-{name}", f"{title}, in miniature", (replace(mini, seeds=(0,)),), (mini,)))
    return suites


_CONVNET_RUNS = Selection(_CONVNETS, (*_SHARPNESS, *_TRAMS), FIVE)
_SEQUENCE_RUNS = Selection(("m2d2-s2orc-sequence",), _SEQUENCE, (0, 1, 2))
_MINI_SEQUENCE_RUNS = Selection(("mini-m2d2-sequence",), _SEQUENCE, FIVE)

_ROWS = (
    Suite(
        name="mini",
        title="the paper's three settings in miniature, on a laptop",
        quick=(Selection(_MINI, (*PLAIN, "SAM", "ASAM", "R3F", "TRAM-prev", "TRAM-x"), seeds=(0,)),),
        full=(Selection(_MINI, tuple(PASSES), FIVE),),
    ),
    Suite("paper", "all of the paper, with its numbers of seeds", quick=_PAPER, full=_PAPER),
    Suite("convnets", "the vision tables with ConvNets", (replace(_CONVNET_RUNS, seeds=(0,)),), (_CONVNET_RUNS,)),
    *_questions(),
    Suite(
        name="domain-sequence",
        title="what is forgotten on the way through ever more distant domains",
        quick=(replace(_SEQUENCE_RUNS, seeds=(0,)),),
        full=(_SEQUENCE_RUNS,),
    ),
    Suite(
        name="mini-domain-sequence",
        title="what is forgotten on the way through domains, in miniature",
        quick=(replace(_MINI_SEQUENCE_RUNS, seeds=(0,)),),
        full=(_MINI_SEQUENCE_RUNS,),
    ),
)

SUITES: dict[str, Suite] = {row.name: row for row in _ROWS}


def runs_of(
    suite: str,
    selections: Iterable[Selection],
    *,
    benchmarks: Iterable[str] | None = None,
    methods: tuple[str, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
) -> list[Run]:
    """The runs of the selections, each once; only on `benchmarks`, with `methods` and `seeds` instead where given."""
    wanted = None if benchmarks is None else set(benchmarks)
    runs = [
        Run(suite, name, method, seed)
        for part in selections
        for name in part.benchmarks
        if wanted is None or name in wanted
        for method in methods or part.methods
        if runs_on(method, BENCHMARKS[name])
        for seed in dict.fromkeys(seeds or part.seeds)
    ]
    return list(dict.fromkeys(runs))
