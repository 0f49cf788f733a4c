"""Text that every installation has: the docstrings of installed packages, no paragraph of which occurs twice."""

import hashlib
import inspect
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path

STANDARD_LIBRARY = "Python"
"""Stands among distribution names for the standard library of the running interpreter."""

SHORTEST_DOCSTRING = 80
LARGEST_SHARE = 20
"""No file fills more than one part in this many of a split, but for its last paragraph: a split has many authors."""

# Tests say little, and bundled copies of other packages would put one domain's text into another's.
_SKIPPED = frozenset(
    {"test", "tests", "testing", "conftest.py", "_vendor", "_vendored", "vendored", "_external", "externals", "extern"}
)
# Distributors leave these out or split them off, so that not every Python has them.
_OPTIONAL_MODULES = frozenset({"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtle", "turtledemo"})

# Enough of Python's lexical grammar to find docstrings ten times as fast as `ast.parse`: comments and all other strings
# are matched too, so that the quotes in them open nothing.
_COMMENT = r"#[^\n]*+"
_SHORT_STRING = r"""(?:"(?:[^"\\\n]++|\\.)*+"|'(?:[^'\\\n]++|\\.)*+')"""
_LONG_STRING = r'''(?:"""(?:[^"\\]++|\\.|"(?!""))*+"""|\'{3}(?:[^'\\]++|\\.|'(?!\'\'))*+\'{3})'''
_END_OF_HEADER = rf":(?:[ \t]*+(?:{_COMMENT})?\n)++[ \t]*+[rRuU]?"
_END_OF_STATEMENT = r"(?=[ \t]*+(?:[#;\n]|\Z))"
_TOKEN = re.compile(
    f"{_END_OF_HEADER}(?P<docstring>{_LONG_STRING}){_END_OF_STATEMENT}|{_COMMENT}|{_LONG_STRING}|{_SHORT_STRING}",
    re.DOTALL,
)

Splits = dict[str, list[str]]
"""Documents by split; the paragraphs of a document are separated by an empty line."""


@dataclass(frozen=True)
class Corpus:
    """What to extract: the distributions to read and how many characters each split wants."""

    name: str
    distributions: tuple[str, ...]
    characters: Mapping[str, int]


@dataclass(frozen=True)
class Source:
    """A Python file: its name inside the installation, and where it lies on this machine."""

    name: str
    path: Path

    @property
    def rank(self) -> str:
        """A place in an order that has nothing to do with the content, the same on every machine."""
        return hashlib.sha1(self.name.encode()).hexdigest()


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The installed version of every distribution. Raises ModuleNotFoundError naming all that are missing."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in distributions:
        try:
            found[name] = platform.python_version() if name == STANDARD_LIBRARY else version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise ModuleNotFoundError(
            f"the corpora are the docstrings of packages, of which {', '.join(missing)} cannot be found. "
            "Install what the benchmarks need: pip install '.[bench]'"
        )
    return found


def sources(distribution: str) -> list[Source]:
    """The Python files that a distribution installed; no tests, no bundled copies of other packages."""
    if distribution == STANDARD_LIBRARY:
        root = Path(sysconfig.get_path("stdlib"))
        modules = sys.stdlib_module_names - _OPTIONAL_MODULES
        paths = (path for name in modules for path in (root / f"{name}.py", *(root / name).rglob("*.py")))
        found = [Source(path.relative_to(root).as_posix(), path) for path in paths if path.is_file()]
    else:
        listed = files(distribution)
        if listed is None:
            raise ModuleNotFoundError(
                f"{distribution} is installed without a list of its files. "
                f"Install it again: pip install --force-reinstall {distribution}"
            )
        found = [Source(file.as_posix(), Path(str(file.locate()))) for file in listed if file.suffix == ".py"]
    return [source for source in found if not _is_skipped(source.name)]


def _is_skipped(name: str) -> bool:
    parts = name.split("/")
    return not _SKIPPED.isdisjoint(parts) or parts[-1].startswith("test_")


def docstrings(source: str) -> Iterator[str]:
    """The triple-quoted docstrings of a module, its classes and its functions, in order, without their indentation.

    Escape sequences stay as the source writes them.
    """
    # A module's docstring follows the beginning of its source as others follow the colon of a header.
    for token in _TOKEN.finditer(":\n" + source):
        if token["docstring"]:
            yield inspect.cleandoc(token["docstring"][3:-3])


def fingerprint(paragraph: str) -> str:
    """The paragraph's letters in lower case, word by word: what two paragraphs share that say the same."""
    return " ".join(re.findall(r"[^\W\d_]+", paragraph.lower()))


def _novel_documents(source: Source, characters: float, seen: set[str]) -> Iterator[str]:
    """A file's docstrings without the paragraphs whose fingerprint was `seen`, until they fill `characters`."""
    for docstring in docstrings(source.path.read_text(encoding="utf-8", errors="replace")):
        if len(docstring) < SHORTEST_DOCSTRING:
            continue
        novel: list[str] = []
        for paragraph in re.split(r"\n\s*\n", docstring):
            mark = fingerprint(paragraph)
            if characters > 0 and mark and mark not in seen:
                seen.add(mark)
                novel.append(paragraph)
                characters -= len(paragraph)
        if novel:
            yield "\n\n".join(novel)
        if characters <= 0:
            return


def extract(corpora: Sequence[Corpus]) -> Iterator[tuple[Corpus, Splits]]:
    """Each corpus with its documents by split, read no further than its splits want.

    A corpus's files come in an order drawn by a hash of their names, and each goes whole to the split that is furthest
    from the characters it wants. A paragraph is kept where it occurs first, over all corpora: what one split has, no
    other split and no other corpus has.
    Raises ValueError if a corpus has too little text.
    """
    seen: set[str] = set()
    for corpus in corpora:
        documents: Splits = {split: [] for split in corpus.characters}
        filled = dict.fromkeys(corpus.characters, 0.0)
        every = [source for distribution in corpus.distributions for source in sources(distribution)]
        for source in sorted(every, key=lambda source: source.rank):
            split = min(filled, key=filled.__getitem__)
            if filled[split] >= 1:
                break
            wanted = corpus.characters[split]
            for document in _novel_documents(source, wanted / LARGEST_SHARE, seen):
                documents[split].append(document)
                filled[split] += len(document) / wanted
        short = min(filled, key=filled.__getitem__)
        if filled[short] < 1:
            raise ValueError(
                f"{', '.join(corpus.distributions)}: the docstrings fill only {filled[short]:.0%} of the "
                f"{corpus.characters[short]} characters that {corpus.name}/{short} wants"
            )
        yield corpus, documents
