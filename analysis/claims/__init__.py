"""The paper's claims as data, each judged on every benchmark that it is about. No verdict is written by hand."""

from analysis.claims.judge import judge
from analysis.claims.judged import Judged, Verdict
from analysis.claims.rows import CLAIMS

__all__ = ["CLAIMS", "Judged", "Verdict", "judge"]
