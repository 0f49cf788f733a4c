"""Which methods a correlation over methods is over: the same in Table 9, in its claims and in Figure 2."""

from analysis.methods import in_order
from analysis.paper.sections import is_combination, trained
from analysis.sheets import Sheet, counterparts

NOT_THE_PAPERS = "not in the paper's table"
LACKS_SEEDS = "lacks seeds"


def wanted_methods(sheet: Sheet) -> tuple[str, ...]:
    """The paper's on its own such benchmarks, but for the model before training and the combinations: its Table 9's."""
    beside = counterparts(sheet) or [sheet]
    return in_order(method for paper in beside for method in paper.methods if _may_be_correlated(method))


def correlated_methods(sheet: Sheet) -> tuple[str, ...]:
    """The wanted ones that are there; of ours, those that were run with every seed."""
    complete = sheet.complete if sheet.seeds else set(sheet.methods)
    return tuple(method for method in wanted_methods(sheet) if method in complete)


def left_out(sheet: Sheet) -> dict[str, str]:
    """Why each other method that has scores is not among them; nothing of combinations and of the model before."""
    wanted, correlated = wanted_methods(sheet), correlated_methods(sheet)
    return {
        method: LACKS_SEEDS if method in wanted else NOT_THE_PAPERS
        for method in sheet.methods
        if method not in correlated and _may_be_correlated(method)
    }


def _may_be_correlated(method: str) -> bool:
    return trained(method) and not is_combination(method)
