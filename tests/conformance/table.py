"""The matrix as tables of Markdown, between the markers of README.md and docs/conformance.md."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.conformance.cells import AXES
from tests.conformance.origin import ROOT, described
from tests.conformance.record import OUTCOMES
from tests.conformance.rules import PASSED, RULES

MARKED = re.compile(r"(<!-- conformance -->\n).*?(<!-- /conformance -->)", re.DOTALL)
LETTERS = "abcdefghij"
PRECISION = {"full": "full precision", "bf16": "bf16 autocast", "fp16": "fp16 autocast, GradScaler"}
LAYOUT = {
    "one process": "one process",
    "DDP global": 'DDP, `sync="global"`',
    "DDP local": 'DDP, `sync="local"`',
    "FSDP2": "FSDP2",
}


def overview(content: dict[str, Any]) -> str:
    """Ways by layouts: for the README."""
    return _table(content, ("way",), lambda group: (group["way"],), ("",))


def details(content: dict[str, Any]) -> str:
    """Ways, precisions and numbers of micro-batches by layouts, with origin and largest differences: for the page."""
    rows = _table(
        content,
        ("way", "precision", "micro_batches"),
        lambda group: (group["way"], PRECISION[group["precision"]], str(group["micro_batches"])),
        ("", "", "micro-batches"),
    )
    return "\n\n".join([described(content), rows, _differences(content)])


def _table(
    content: dict[str, Any],
    axes: Sequence[str],
    names: Callable[[dict[str, Any]], tuple[str, ...]],
    headings: tuple[str, ...],
) -> str:
    groups: dict[tuple[str, ...], dict[str, list[dict[str, Any]]]] = {}
    for group in sorted(content["groups"], key=lambda group: [AXES[axis].index(group[axis]) for axis in axes]):
        groups.setdefault(names(group), {}).setdefault(group["layout"], []).append(group)
    columns = [*headings, *LAYOUT.values()]
    lines = [_row(columns), _row(["---"] * len(columns))]
    for key, by_layout in groups.items():
        lines.append(_row([*key, *(_entry(by_layout[layout]) for layout in LAYOUT)]))
    notes = [f"[{LETTERS[index]}] {rule.outcome}: {rule.reason}." for index, rule in enumerate(RULES)]
    return "\n".join(lines) + "\n\n" + "  \n".join(notes)


def _row(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _entry(groups: list[dict[str, Any]]) -> str:
    counts = Counter({outcome: sum(group.get(outcome, 0) for group in groups) for outcome in OUTCOMES})
    return ", ".join(
        f"{counts[outcome]} {outcome}{_letters(groups, outcome)}" for outcome in OUTCOMES if counts[outcome]
    )


def _letters(groups: list[dict[str, Any]], outcome: str) -> str:
    indices = {_rule_of(group) for group in groups}
    found = sorted(LETTERS[index] for index in indices if index is not None and RULES[index].outcome == outcome)
    return f" [{', '.join(found)}]" if found else ""


def _rule_of(group: dict[str, Any]) -> int | None:
    """The first rule that applies, which is the one that is seen."""
    applying = (all(group[axis] in values for axis, values in rule.where.items()) for rule in RULES)
    return next((index for index, applies in enumerate(applying) if applies), None)


def _differences(content: dict[str, Any]) -> str:
    lines = ["| | largest difference | tolerance |", "| --- | --- | --- |"]
    for precision, name in PRECISION.items():
        largest = max(
            group.get("largest_difference", 0.0) for group in content["groups"] if group["precision"] == precision
        )
        lines.append(f"| {name} | {largest:.0e} | {content['tolerance'][precision]:.0e} |")
    return "\n".join(lines)


def totals(content: dict[str, Any]) -> str:
    """In one line, how many cells ended how."""
    counts = {outcome: sum(group.get(outcome, 0) for group in content["groups"]) for outcome in OUTCOMES}
    said = [f"{count:,} {outcome}" for outcome, count in counts.items() if count or outcome == PASSED]
    return f"Of {sum(counts.values()):,} cells: {', '.join(said)}."


PAGES: dict[str, Callable[[dict[str, Any]], str]] = {"README.md": overview, "docs/conformance.md": details}


def rendered(page: str, content: dict[str, Any]) -> str:
    """The text of a page with its table made anew. Raises ValueError if the page has no markers."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if not MARKED.search(text):
        raise ValueError(f"{page} has no <!-- conformance --> ... <!-- /conformance -->")
    table = f"\n{totals(content)}\n\n{PAGES[page](content)}\n\n"
    return MARKED.sub(lambda match: match[1] + table + match[2], text)
