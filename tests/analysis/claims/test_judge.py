"""Whole judgements on worlds whose truth is known."""

from dataclasses import replace

import pytest

from analysis.claims import CLAIMS, judge
from analysis.records import Results
from analysis.statistics import Interval
from analysis.statistics.families import holm
from analysis.statistics.power import minimum_detectable_effect
from tests.analysis.claims.worlds import WOBBLE, Score, probed, verdict_on, world
from tests.analysis.synthetic import record


def steady(gains: dict[str, float], wobble: float = 0.1, base: float = 60.0) -> Score:
    """Every method at `base` plus its gain, a wobble of all by seed, and one of the method's own by seed."""

    def score(method: str, seed: int, domain: str) -> float:
        own = WOBBLE[(seed + len(method)) % len(WOBBLE)] if gains.get(method, 0) else 0.0
        return base + gains.get(method, 0.0) + 5 * WOBBLE[seed] + wobble * own + len(domain)

    return score


def test_a_world_as_the_paper_has_it() -> None:
    gains = {"TRAM-x": 5.0, "TRAM-prev": 4.0, "TRAM-pre": 3.5, "TRAM-Fisher": 3.0, "TRAM-x-MMD": 3.0, "TRAM-x-L2": 2.0}
    results = world("mini-xnli", steady(gains))
    for claim in ("xnli-best-zero-shot", "xnli-significant", "xnli-every-language", "xnli-above-all-prior",
                  "xnli-divergence", "fisher-above-fsam", "above-combinations"):  # fmt: skip
        assert verdict_on(results, claim).verdict == "replicated", claim


def test_a_world_turned_around() -> None:
    gains = {
        "TRAM-x": -5.0,
        "TRAM-prev": -4.0,
        "TRAM-pre": -3.5,
        "TRAM-Fisher": -3.0,
        "TRAM-x-MMD": -4.0,
        "TRAM-x-L2": -3.0,
    }
    results = world("mini-xnli", steady(gains))
    for claim in ("xnli-best-zero-shot", "xnli-significant", "xnli-every-language", "xnli-above-all-prior",
                  "xnli-divergence", "fisher-above-fsam", "above-combinations"):  # fmt: skip
        assert verdict_on(results, claim).verdict == "contradicted", claim


def test_perplexity_is_better_when_lower() -> None:
    better = world("mini-m2d2", steady({"TRAM-prev": -5.0}))
    assert verdict_on(better, "m2d2-best-zero-shot").verdict == "replicated"
    worse = world("mini-m2d2", steady({"TRAM-prev": 5.0}))
    assert verdict_on(worse, "m2d2-best-zero-shot").verdict == "contradicted"


def test_numbers_of_a_judgement_by_hand() -> None:
    """TRAM-x is 1 ahead of ASAM, by seed 0.5 1.5 1 1 1: t = 1 / (sqrt(0.125) / sqrt(5))."""
    ahead = (0.5, 1.5, 1.0, 1.0, 1.0)

    def score(method: str, seed: int, domain: str) -> float:
        return 70 + 3 * WOBBLE[seed] + (ahead[seed] if method == "TRAM-x" else 0.0)

    judged = verdict_on(world("mini-xnli", score), "xnli-significant")
    evidence = judged.evidence
    assert evidence.finding is not None
    assert evidence.interval is not None
    assert evidence.test is not None
    assert evidence.beside is not None
    assert evidence.finding.effect == pytest.approx(1.0)
    assert evidence.differences == pytest.approx(ahead)
    assert evidence.test.statistic == pytest.approx(1 / (0.125 / 5) ** 0.5)
    assert evidence.interval.high - 1 == pytest.approx(2.776445 * (0.125 / 5) ** 0.5, rel=1e-6)
    assert evidence.detectable == pytest.approx(minimum_detectable_effect(ahead))
    # All five ahead: no rank test can say more of five seeds.
    assert evidence.beside.signed_rank.p == evidence.beside.sign_flips.p == 0.0625
    assert 0.5 <= evidence.beside.bootstrap.low < evidence.beside.bootstrap.high <= 1.5
    # Every language is ahead by the same: Wilcoxon over 14 ties.
    assert evidence.papers is not None
    assert evidence.papers.p == pytest.approx(2 / 2**14)
    # The paper: 75.2 - 74.0.
    assert judged.target == pytest.approx(1.2)
    assert [finding.effect for finding in judged.published] == pytest.approx([1.2])
    assert judged.verdict == "replicated"
    assert judged.command is None


def test_one_of_several_is_corrected_for_the_choice() -> None:
    """Four variants of TRAM could be the best: 1 - 0.05 / 4."""
    evidence = verdict_on(world("mini-vision-letters", steady({"TRAM-x": 0.5}, wobble=1.0)), "vision-best").evidence
    assert evidence.finding is not None
    assert evidence.finding.what.startswith("TRAM-x and ")
    assert isinstance(evidence.interval, Interval)
    assert evidence.test is not None
    assert evidence.choices == 4
    assert evidence.p == pytest.approx(4 * evidence.test.p)
    assert evidence.interval.confidence == pytest.approx(0.9875)
    assert evidence.detectable == pytest.approx(minimum_detectable_effect(evidence.differences, 0.9875))


def test_the_papers_effect_is_scaled_for_perplexity() -> None:
    """Wiki 25.9 - 22.5 and S2ORC 26.8 - 26.2, each as a share of ASAM's, of our 60."""
    judged = verdict_on(world("mini-m2d2", lambda *_: 60.0), "m2d2-significant")
    assert judged.target == pytest.approx((3.4 / 25.9 + 0.6 / 26.8) / 2 * 60)


def test_too_noisy_is_told_from_no_effect() -> None:
    def noisy(wobble: float) -> Score:
        return lambda method, seed, domain: 70 + (wobble * WOBBLE[seed] if method == "TRAM-x" else 0.0)

    few = verdict_on(world("mini-xnli", noisy(8.0)), "xnli-significant")
    assert few.verdict == "not enough runs"
    assert few.needed is not None
    assert few.needed > 5
    assert few.command == f"python -m benchmarks suite mini --full --benchmarks mini-xnli --seeds 0:{few.needed}"
    assert f"{few.needed} seeds would show that." in few.why
    enough = verdict_on(world("mini-xnli", noisy(1.0)), "xnli-significant")
    assert enough.verdict == "undecided"
    assert enough.command is None
    assert "covers 0" in enough.why


def test_equal_differences_of_few_seeds_decide_nothing() -> None:
    few = verdict_on(world("mini-xnli", steady({"TRAM-x": 5.0}, wobble=0.0), seeds=range(5)), "xnli-significant")
    assert few.verdict == "not enough runs"
    assert few.evidence.interval is None
    assert few.evidence.p is None
    assert "All 5 differences are equal, which tells nothing of their spread." in few.why
    assert verdict_on(
        world("mini-xnli", steady({"TRAM-x": 5.0}, wobble=0.0), seeds=range(6)), "xnli-significant"
    ).verdict == ("replicated")


def test_one_seed_gives_a_sign_only() -> None:
    judged = verdict_on(world("mini-xnli", steady({"TRAM-x": 5.0}), seeds=(0,)), "xnli-significant")
    assert judged.verdict == "not enough runs"
    assert judged.evidence.interval is None
    assert judged.evidence.p is None
    assert "One seed gives a sign and no interval." in judged.why


def test_without_all_rivals_the_best_is_not_known_but_may_be_refuted() -> None:
    methods = ("Adam", "ASAM", "R3F", "TRAM-x")
    ahead = verdict_on(world("mini-xnli", steady({"TRAM-x": 5.0}), methods), "xnli-best-zero-shot")
    assert ahead.verdict == "not run"
    assert "SAM" in ahead.evidence.gaps
    assert ahead.evidence.finding is not None
    assert ahead.command is not None
    assert ahead.command.startswith(
        "python -m benchmarks suite mini --full --benchmarks mini-xnli --methods SAM,FSAM,TRPO"
    )
    assert f"To run: {ahead.command}" in ahead.why
    behind = verdict_on(world("mini-xnli", steady({"TRAM-x": -5.0}), methods), "xnli-best-zero-shot")
    assert behind.verdict == "contradicted"


def test_nothing_run_says_what_to_run() -> None:
    judged = verdict_on(world("mini-xnli", steady({}), ("Adam",)), "xnli-divergence")
    assert judged.verdict == "not run"
    assert judged.why.startswith("Missing: TRAM-x, TRAM-x-MMD, TRAM-x-L2.")


def test_what_is_missing_because_files_are_left_out_is_said_so() -> None:
    lost = {("mini-xnli", "TRAM-x", seed): "left out: it holds a list and no record" for seed in (0, 1)}
    judged = verdict_on(replace(world("mini-xnli", steady({}), ("Adam",)), lost=lost), "xnli-divergence")
    assert judged.why.startswith("Missing: TRAM-x (2 files left out), TRAM-x-MMD, TRAM-x-L2. To run: python")


def test_no_command_runs_a_suite_of_ones_own_and_that_is_said() -> None:
    results = replace(world("mini-xnli", steady({}), ("Adam",), seeds=(0, 2)), suite="mine")
    judged = verdict_on(results, "xnli-divergence")
    assert judged.command is None
    assert judged.why == (
        "Missing: TRAM-x, TRAM-x-MMD, TRAM-x-L2. "
        "No command here makes runs of mini-xnli in the suite mine, which is one of your own."
    )


@pytest.mark.parametrize(("gain", "verdict"), [(-1.0, "replicated"), (1.0, "contradicted")])
def test_sharpness_from_probes(gain: float, verdict: str) -> None:
    """Lower is flatter; the wobble differs by method."""
    methods = ("Adam", "SAM", "ASAM", "FSAM", "TRPO", "R3F", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")

    def sharpness(method: str, seed: int, domain: str) -> float:
        wobble = 0.1 * WOBBLE[seed] * (1 + 0.1 * methods.index(method))
        return 3 + (gain if method == "TRAM-prev" else 0.0) + wobble + 0.01 * len(domain)

    assert verdict_on(probed("mini-xnli", "sharpness", sharpness, methods), "sharpness-zero-shot").verdict == verdict
    # CKA is closeness: higher is better.
    opposite = {"replicated": "contradicted", "contradicted": "replicated"}[verdict]
    assert verdict_on(probed("mini-xnli", "cka", sharpness, methods), "cka-zero-shot").verdict == opposite


def test_probes_of_some_methods_name_the_rest() -> None:
    both = probed("mini-xnli", "sharpness", lambda *_: 3.0, ("Adam", "TRAM-prev"))
    judged = verdict_on(both, "sharpness-zero-shot")
    assert judged.verdict == "not run"
    assert "ASAM" in judged.evidence.gaps
    rest = "SAM,ASAM,FSAM,TRPO,R3F,MESA,TRAM-pre,TRAM-x,TRAM-Fisher"
    probe = f"python -m benchmarks probe mini --benchmarks mini-xnli --methods {rest} --probes sharpness"
    run = f"python -m benchmarks suite mini --full --benchmarks mini-xnli --methods {rest}"
    assert judged.command == f"{run} && {probe}"
    # What was run and not probed is probed only.
    all_run = replace(both, records=world("mini-xnli", lambda *_: 50.0).records)
    assert verdict_on(all_run, "sharpness-zero-shot").command == probe


def test_more_seeds_of_a_probed_quantity_are_run_and_then_probed() -> None:
    methods = ("Adam", "SAM", "ASAM", "FSAM", "TRPO", "R3F", "MESA", "TRAM-prev", "TRAM-pre", "TRAM-x", "TRAM-Fisher")
    noisy = probed("mini-xnli", "sharpness", lambda method, seed, _: 3 + WOBBLE[(seed * len(method)) % 8], methods)
    judged = verdict_on(noisy, "sharpness-zero-shot")
    assert judged.verdict == "not enough runs"
    assert judged.needed is not None
    run, probe = (judged.command or "").split(" && ")
    assert run == f"python -m benchmarks suite mini --full --benchmarks mini-xnli --seeds 0:{judged.needed}"
    assert probe == (
        f"python -m benchmarks probe mini --benchmarks mini-xnli --methods {','.join(methods)} --probes sharpness"
    )


def test_a_probe_without_a_language_has_no_average() -> None:
    results = probed("mini-xnli", "sharpness", lambda *_: 3.0, ("Adam", "TRAM-prev"))
    holed = tuple(
        probe.model_copy(update={"metrics": {key: value for key, value in probe.metrics.items() if "/Sw" not in key}})
        for probe in results.probes
    )
    judged = verdict_on(replace(results, probes=holed), "sharpness-zero-shot")
    assert judged.evidence.finding is None
    assert judged.verdict == "not run"


def test_real_benchmarks_stand_beside_their_own_table() -> None:
    records = tuple(record("m2d2-wiki", method, 0, lambda *_: 25.0, suite="paper") for method in ("Adam", "TRAM-prev"))
    judged = {one.claim.id: one for one in judge(Results("paper", records, ()))}
    assert {claim.id for claim in CLAIMS if "m2d2-wiki" in claim.sheets} == set(judged)
    assert [finding.benchmark for finding in judged["m2d2-best-zero-shot"].published] == ["m2d2-wiki"]


def test_a_gain_is_scaled_by_the_score_and_not_by_another_gain() -> None:
    """Of ours the gain on the training domain is 0; the paper's are 2.4 of Adam's 19.6, and 0.4."""

    def score(method: str, seed: int, domain: str) -> float:
        return 40.0 - 5 * (method == "TRAM-prev" and domain != "Math") * (1 + WOBBLE[seed])

    records = tuple(
        record("m2d2-s2orc-xl", method, seed, score, suite="paper")
        for method in ("Adam", "TRAM-prev")
        for seed in (0, 1)
    )
    (judged,) = [one for one in judge(Results("paper", records, ())) if one.claim.id == "xl-gains-farther"]
    assert judged.evidence.finding is not None
    assert judged.evidence.finding.values == pytest.approx((5.75, 0.0))
    assert judged.target == pytest.approx(2.0 / 19.6 * 40)


def test_benchmarks_without_a_table_have_no_claims() -> None:
    convnet = record("vision-cifar100-resnet50", "SGD", 0, lambda *_: 50.0, suite="convnets")
    assert judge(Results("convnets", (convnet,), ())) == ()


def test_holm_is_over_the_tests_of_a_family() -> None:
    xnli, m2d2 = (world(name, steady({"TRAM-x": 0.3})) for name in ("mini-xnli", "mini-m2d2"))
    judged = judge(Results("mini", (*xnli.records, *m2d2.records), ()))
    for family in ("xnli", "m2d2"):
        tested = [one for one in judged if one.family == family and one.evidence.p is not None]
        assert len(tested) > 5
        ps = [one.evidence.p for one in tested if one.evidence.p is not None]
        assert [one.corrected for one in tested] == pytest.approx(holm(ps))
        assert {one.tested for one in tested} == {len(tested)}
    assert all(one.corrected is None for one in judged if one.evidence.p is None)


def test_only_the_named_benchmarks_in_the_order_of_the_rows() -> None:
    xnli, m2d2 = (world(name, steady({}), ("Adam",), (0,)) for name in ("mini-xnli", "mini-m2d2"))
    both = Results("mini", (*xnli.records, *m2d2.records), ())
    assert {one.benchmark for one in judge(both, ["mini-xnli"])} == {"mini-xnli"}
    order = [claim.id for claim in CLAIMS]
    places = [order.index(one.claim.id) for one in judge(both)]
    assert places == sorted(places)
