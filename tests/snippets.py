"""The snippets of the pages in docs/training/, which tests run as printed."""

import re
from pathlib import Path
from typing import Any

TRAINING = Path(__file__).parents[1] / "docs" / "training"


def snippets(page: str) -> list[str]:
    """The page's blocks of Python, in turn."""
    text = (TRAINING / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def run(page: str, number: int, names: dict[str, Any]) -> None:
    """The page's snippet of this number, with these names; it leaves its own among them."""
    exec(compile(snippets(page)[number], f"{page}.md, snippet {number}", "exec"), names)


def run_all(page: str, **names: Any) -> dict[str, Any]:
    """All snippets of the page in turn, and the names that they leave."""
    for number in range(len(snippets(page))):
        run(page, number, names)
    return names
