"""What to run for a claim that cannot be judged yet."""

from collections.abc import Sequence

from analysis.claims.claim import Claim, quantity_of
from analysis.claims.judged import Evidence
from analysis.claims.scores import PROBE_OF
from analysis.sheets import Sheet
from benchmarks.suites import SUITES


def command_for(claim: Claim, evidence: Evidence, sheet: Sheet, suite: str, needed: int | None) -> str | None:
    """The runs that are missing, or more seeds of those that are there; None where no number of runs would do."""
    methods = [method for method in evidence.gaps if " " not in method]
    quantity = quantity_of(claim)
    if quantity != "score" and methods:
        chosen = f"--methods {','.join(methods)} --probes {PROBE_OF[quantity]}"
        return f"python -m benchmarks probe {suite} --benchmarks {sheet.name} {chosen}"
    if methods:
        return _run(suite, sheet, methods=methods)
    return None if needed is None else _run(suite, sheet, seeds=needed)


def _run(suite: str, sheet: Sheet, methods: Sequence[str] = (), seeds: int = 0) -> str:
    chosen = f" --methods {','.join(methods)}" if methods else f" --seeds 0:{seeds}"
    if suite in SUITES:
        return f"python -m benchmarks suite {suite} --full --benchmarks {sheet.name}{chosen}"
    method, seed = methods[0] if methods else sheet.baseline, 0 if methods else len(sheet.expected_seeds)
    return f"python -m benchmarks run {sheet.name} {method} --seed {seed} --suite {suite}"
