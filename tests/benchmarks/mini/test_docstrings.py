"""The corpora: exact docstrings, whole files to one split, no paragraph twice, nothing that is not installed by us."""

import ast
import inspect
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.mini import docstrings
from benchmarks.mini.docstrings import Corpus, Source, Splits
from benchmarks.mini.m2d2 import PRETRAINING

ROOT = Path(__file__).parents[3]

# Every line that says NOT is a string that a docstring finder could take for a docstring.
SOURCE = r'''#!/usr/bin/env python
# A comment with """ in it.
"""The module.

Two paragraphs, and a "quoted" word."""
import os  # don't

QUOTES = ['"""', "it's", '\'', "#", r"\""]
TEXT = """
def f():
    'NOT'
"""
ODD = 1  # one """ that nothing ends


def plain(a="x:\n", b={"k": 1}):  # why: "noqa"

    # and a second comment, it's long
    r"""Raw \alpha.
      Indented."""
    return f"""NOT {a}"""


class Some:
    \'\'\'Single "quotes" that don\'t end.\'\'\'

    async def method(
        self,
    ) -> dict[str, int]:
        """Ends in a quote \"."""  # after it
        table = {
            "a":
            """NOT""",
        }
        if table:
            return """NOT"""

    if True:

        def conditional(self):
            """Found too."""

    def none(self):
        return """NOT"""
'''.replace("\\'\\'\\'", "'''").replace("don\\'t", "don't")


def test_a_source_full_of_traps() -> None:
    expected = [
        'The module.\n\nTwo paragraphs, and a "quoted" word.',
        "Raw \\alpha.\nIndented.",
        'Single "quotes" that don\'t end.',
        'Ends in a quote \\".',
        "Found too.",
    ]
    assert list(docstrings.docstrings(SOURCE)) == expected


def _parsed(source: str) -> Iterator[str]:
    """What the parser says: the docstrings written in triple quotes."""
    lines = source.splitlines()
    with warnings.catch_warnings(action="ignore"):
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and lines[node.body[0].lineno - 1].lstrip(" \trRuU").startswith(('"""', "'''")):
                yield docstring


def test_agrees_with_the_parser_on_whole_packages() -> None:
    """All but two in a thousand: the parser tells a docstring from a string that is an `if` block's first statement."""
    found, expected = Counter[str](), Counter[str]()
    for distribution in ("networkx", "click", "accelerate", "fsspec"):
        for source in docstrings.sources(distribution):
            text = source.path.read_text(encoding="utf-8")
            if "\\" not in text:  # the parser replaces escape sequences
                found += Counter(docstrings.docstrings(text))
                expected += Counter(_parsed(text))
    assert expected.total() > 1000
    assert (found - expected).total() + (expected - found).total() <= expected.total() / 500


@pytest.fixture(scope="module")
def real() -> dict[str, Splits]:
    """The corpora of the benchmark itself."""
    return {corpus.name: splits for corpus, splits in docstrings.extract(PRETRAINING.corpora)}


def test_no_paragraph_occurs_twice_in_any_two_splits(real: dict[str, Splits]) -> None:
    places: dict[str, str] = {}
    compared = 0
    for corpus, splits in real.items():
        for split, documents in splits.items():
            for paragraph in "\n\n".join(documents).split("\n\n"):
                letters = "".join(character for character in paragraph.lower() if character.isalpha())
                place = f"{corpus}/{split}"
                # Words run together here: short paragraphs may agree that the extraction tells apart.
                assert places.setdefault(letters, place) == place or len(letters) < 20, (paragraph, places[letters])
                compared += 1
    assert compared > 20_000


def test_every_split_is_as_long_as_it_wants_and_has_many_authors(real: dict[str, Splits]) -> None:
    for corpus in PRETRAINING.corpora:
        assert real[corpus.name].keys() == corpus.characters.keys()
        for split, documents in real[corpus.name].items():
            wanted = corpus.characters[split]
            share = wanted / docstrings.LARGEST_SHARE
            longest = max(len(paragraph) for text in documents for paragraph in text.split("\n\n"))
            assert wanted <= sum(map(len, documents)) <= wanted + share + longest + 2 * len(documents)
            assert len(documents) >= docstrings.LARGEST_SHARE


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """Forty files of a package that is not installed; every paragraph begins with the name of its file."""
    letters = [a + b for a in "abcdefgh" for b in "vwxyz"]
    made = [Source(f"package/{name}.py", tmp_path / f"{name}.py") for name in letters]
    for name, source in zip(letters, made, strict=True):
        text = "\n\n".join(f"{name} {word} " + "text " * 20 for word in ("one", "two", "three"))
        source.path.write_text(f'"""{text}\n\nThe same in every file, in 1 or 2 spellings.\n"""\n', encoding="utf-8")
    monkeypatch.setattr(docstrings, "sources", lambda distribution: made if distribution == "package" else made[:20])
    return made


def test_files_go_whole_to_one_split_and_repeated_paragraphs_go_once(written: list[Source]) -> None:
    corpus = Corpus("c", ("package",), {"train": 6_600, "validation": 800, "test": 800})
    ((_, splits),) = docstrings.extract([corpus])
    owners = {split: {text.split()[0] for text in documents} for split, documents in splits.items()}
    assert not owners["train"] & owners["test"]
    assert not owners["train"] & owners["validation"]
    assert not owners["validation"] & owners["test"]
    assert len(owners["train"]) > len(owners["test"]) > 1
    everything = "\n".join(text for documents in splits.values() for text in documents)
    assert everything.count("The same in every file") == 1


def test_the_order_of_corpora_decides_who_keeps_a_shared_paragraph(written: list[Source]) -> None:
    first, second = Corpus("first", ("half",), {"test": 5_000}), Corpus("second", ("package",), {"train": 5_000})
    (_, kept), (_, left) = docstrings.extract([first, second])
    mine = {text.split()[0] for text in kept["test"]}
    rank = {source.path.stem: source.rank for source in written}
    assert sorted(mine, key=rank.__getitem__) == [text.split()[0] for text in kept["test"]]
    shared = {paragraph for text in kept["test"] for paragraph in text.split("\n\n")}
    assert not shared & {paragraph for text in left["train"] for paragraph in text.split("\n\n")}


def test_the_order_in_which_files_are_listed_does_not_matter(
    written: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus("c", ("package",), {"train": 5_000, "test": 1_000})
    expected = list(docstrings.extract([corpus]))
    monkeypatch.setattr(docstrings, "sources", lambda _: written[::-1])
    assert list(docstrings.extract([corpus])) == expected


def test_too_little_text_is_an_error_that_says_how_much(written: list[Source]) -> None:
    with pytest.raises(ValueError, match=r"package: the docstrings fill only \d\d% of the 100000 .* c/test wants"):
        list(docstrings.extract([Corpus("c", ("package",), {"test": 100_000})]))


def test_paragraphs_that_differ_in_case_figures_and_layout_are_one() -> None:
    same = ["Returns the 1st value.", "returns the\n    2nd  VALUE", "``Returns`` the 3_rd value"]
    assert docstrings.fingerprint(same[0]) == "returns the st value"
    assert docstrings.fingerprint(same[1]) == "returns the nd value"
    assert docstrings.fingerprint("-" * 10 + " 0.5\n") == ""
    assert docstrings.fingerprint("x = 1") == docstrings.fingerprint("X: 22 ")


@pytest.mark.parametrize("distribution", ["sympy", "numpy", "joblib", docstrings.STANDARD_LIBRARY])
def test_sources_are_readable_and_have_no_tests_and_no_bundled_copies(distribution: str) -> None:
    names = [source.name for source in docstrings.sources(distribution)]
    assert len(names) == len(set(names)) > 20
    assert all(source.path.is_file() and source.name.endswith(".py") for source in docstrings.sources(distribution))
    assert not [name for name in names if re.search(r"(^|/)(tests?|externals|_vendor|site-packages)/|(^|/)test_", name)]


def test_the_standard_library_is_what_every_distributor_ships() -> None:
    names = {source.name for source in docstrings.sources(docstrings.STANDARD_LIBRARY)}
    assert {"argparse.py", "json/decoder.py", "email/mime/text.py"} <= names
    assert not [name for name in names if name.split("/")[0] in ("idlelib", "tkinter", "ensurepip", "lib2to3")]


def test_missing_packages_are_all_named_with_the_command_that_installs_them() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no-such-one, no-such-two cannot .* pip install '\.\[bench\]'"):
        docstrings.versions(["numpy", "no-such-one", "no-such-two"])


def test_docstrings_are_cleaned_as_the_standard_library_does() -> None:
    text = "One.\n\n        Two\n          three\n        "
    assert list(docstrings.docstrings(f'def f():\n    """{text}"""\n')) == [inspect.cleandoc(text)]


def _unconditional_closure(requirements: list[Requirement]) -> set[str]:
    """The packages that `requirements` bring on every platform and Python version."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is None and name not in found:
            found.add(name)
            waiting += [Requirement(text) for text in requires(name) or []]
    return found


def test_the_extra_bench_brings_every_package_that_is_read_on_every_platform() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["bench"]]
    read = {name for corpus in PRETRAINING.corpora for name in corpus.distributions} - {docstrings.STANDARD_LIBRARY}
    assert read <= _unconditional_closure([Requirement(text) for text in asked])
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert read <= set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))


def test_general_text_comes_from_no_package_of_a_domain() -> None:
    domains = [name for corpus in PRETRAINING.domains for name in corpus.distributions]
    assert not set(domains) & set(PRETRAINING.general.distributions)
    assert len(set(domains)) == len(domains) == 11
