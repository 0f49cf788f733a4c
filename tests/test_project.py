"""The repository itself: what is pinned, who imports whom, what a wheel holds, and that what is written is true."""

import ast
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tram import METHODS

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that is tracked, or that `git add` would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(sorted(ROOT / name for name in set(listing.split("\0")) if name and (ROOT / name).is_file()))


# pyproject.toml, requirements.lock and environment.yml


@dataclass(frozen=True)
class Pin:
    """One entry of requirements.lock: `name==version ; marker`, then its hashes."""

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]


def pins() -> list[Pin]:
    found = []
    for entry in (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        stated, *hashes = re.split(r"\s+--hash=", entry.rstrip())
        requirement = Requirement(stated)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{stated} is not pinned"
        found.append(Pin(canonicalize_name(requirement.name), specifier.version, requirement.marker, tuple(hashes)))
    return found


def declared(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for: the library's dependencies, and those of `extras`."""
    return [
        Requirement(line)
        for group in (PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras))
        for line in group
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("platform", "machine"), PLATFORMS)
def test_each_declared_dependency_has_one_fitting_pin(python: str, platform: str, machine: str) -> None:
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": platform.capitalize(),
        "os_name": "posix",
    }
    here = [pin for pin in pins() if pin.marker is None or pin.marker.evaluate(environment)]
    for requirement in declared("bench", "dev"):
        fitting = [pin for pin in here if pin.name == canonicalize_name(requirement.name)]
        assert len(fitting) == 1, f"{requirement.name} has {len(fitting)} pins: run `make lock`"
        assert requirement.specifier.contains(fitting[0].version), f"{requirement}: {fitting[0].version} is locked"


def test_the_lock_has_hashes_and_no_address() -> None:
    assert len(pins()) > len(declared("bench", "dev"))
    for pin in pins():
        assert pin.hashes, f"{pin.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", found) for found in pin.hashes), pin.name
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "\n--" not in f"\n{text}", "an option of pip, such as the address of an index, stands in requirements.lock"


def test_torch_and_torchvision_are_a_pair() -> None:
    """torchvision's metadata admits a range of torch; that its compiled operators load and run is the proof."""
    import torchvision  # type: ignore[import-untyped, unused-ignore]

    locked = {pin.name: pin.version for pin in pins()}
    for name in ("torch", "torchvision"):
        assert Version(importlib.metadata.version(name)).public == locked[name], f"{name}: not what is locked"
    requirements = map(Requirement, importlib.metadata.requires("torchvision") or ())
    (torch_requirement,) = (requirement for requirement in requirements if requirement.name == "torch")
    assert torch_requirement.specifier.contains(locked["torch"])
    assert Version(torch.__version__).local == Version(torchvision.__version__).local, "built for different devices"
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [20.0, 20.0, 30.0, 30.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 2]


def test_conda_users_get_the_same_environment() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, from_pip = environment["dependencies"]
    assert pip == "pip"
    assert from_pip == {"pip": ["--require-hashes", "-r requirements.lock"]}
    conda = Requirement(python)
    assert conda.name == "python"
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={PYTHONS[0]}")
    minors = [f"3.{minor}" for minor in range(8, 20)]
    assert tuple(minor for minor in minors if conda.specifier.contains(minor)) == PYTHONS
    prefix = "Programming Language :: Python :: "
    assert tuple(line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)) == PYTHONS


# The set-up: Makefile and .ci


PIP_CONFIGURATION = """
[global]
index_url = https://file.example/root
extra_index_url =
    https://b.example/root
    https://c.example/root
find_links = wheels more
cert = file.pem
proxy =
trusted_host = b.example
timeout = 20
[install]
timeout = 60
[wheel]
timeout = 90
"""


def test_uv_is_told_what_pip_is_told(tmp_path: Path) -> None:
    """Runs the script with a pip that is set up by file and by variable, and a uv that prints what it is told."""
    (tmp_path / "pip.conf").write_text(PIP_CONFIGURATION)
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "__init__.py").touch()
    (tmp_path / "uv" / "__main__.py").write_text(
        "import json, os, sys; print(json.dumps([sys.argv[1:], {**os.environ}]))"
    )
    environment = {
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PIP_INDEX_URL": "https://variable.example/root",
        "SSL_CERT_FILE": "said-to-uv.pem",
    }
    command = [sys.executable, str(ROOT / ".ci" / "uv_as_pip.py"), "pip", "sync"]
    outcome = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    arguments, told = json.loads(outcome.stdout)
    assert arguments == ["pip", "sync"]
    assert {name: value for name, value in told.items() if name.startswith(("UV_", "SSL_", "ALL_"))} == {
        "UV_DEFAULT_INDEX": "https://variable.example/root",
        "UV_INDEX": "https://b.example/root https://c.example/root",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "wheels,more",
        "UV_INSECURE_HOST": "b.example",
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CERT_FILE": "said-to-uv.pem",
    }


# Stands for a Python interpreter, and for the one of the .venv that it makes: logs its arguments, and fails at `pip
# sync` while the file `offline` exists.
STAND_IN = """#!/bin/sh
echo "$*" >> "{log}"
case "$*" in
"-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"pip sync"*) test ! -e "{offline}" ;;
esac
"""


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_an_interrupted_set_up_is_made_anew_and_a_whole_one_is_kept(clone: Path) -> None:
    log, offline = clone.parent / "log", clone.parent / "offline"
    python = clone.parent / "python3"
    python.write_text(STAND_IN.format(log=log, offline=offline))
    python.chmod(0o755)

    def set_ups() -> tuple[int, int]:
        """How often make failed (0 or 2), and how many environments were begun so far."""
        outcome = make(clone, ".venv/ready", f"PYTHON={python}").returncode
        return outcome, log.read_text().splitlines().count("-m venv --clear .venv") if log.exists() else 0

    offline.touch()
    assert set_ups() == (2, 1)
    assert (clone / ".venv" / "bin" / "python").exists()
    (clone / ".venv" / "half").touch()
    offline.unlink()
    assert set_ups() == (0, 2)
    assert not (clone / ".venv" / "half").exists()
    assert set_ups() == (0, 2)
    later = (clone / ".venv" / "ready").stat().st_mtime + 10
    os.utime(clone / "requirements.lock", (later, later))
    assert set_ups() == (0, 3)
    installed = [line for line in log.read_text().splitlines() if "pip install" in line or "pip sync" in line]
    assert re.search(r" uv==\d+\.\d+\.\d+$", installed[-2])
    assert installed[-1].endswith(
        "pip sync --compile-bytecode --python .venv/bin/python --require-hashes requirements.lock"
    )


@pytest.mark.parametrize(
    "lacking", ["sys.version_info = (3, 10, 99)", "sys.modules['ensurepip'] = None", "sys.exit(127)"]
)
def test_a_python_that_will_not_do_is_passed_over(clone: Path, lacking: str) -> None:
    unfit, fit = clone.parent / "unfit", clone.parent / "fit"
    unfit.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; {lacking}; $2"\n')
    fit.write_text(STAND_IN.format(log=clone.parent / "log", offline="never"))
    for python in (unfit, fit):
        python.chmod(0o755)

    outcome = make(clone, ".venv/ready", f"PYTHON=no-such-python {unfit}")
    assert outcome.returncode == 2
    assert (
        f"No Python 3.11 or newer with the modules venv and ensurepip among: no-such-python {unfit}" in outcome.stderr
    )
    assert ".venv/bin/python" not in outcome.stderr, "went on without an interpreter"
    assert not (clone / ".venv").exists()

    outcome = make(clone, ".venv/ready", f"PYTHON=no-such-python {unfit} {fit}")
    assert outcome.returncode == 0
    assert f"Creating .venv with {fit}" in outcome.stdout


def test_help_lists_every_target(clone: Path) -> None:
    makefile = (clone / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^  make ([a-z -]*[a-z])  ", make(clone).stdout, flags=re.MULTILINE)
    assert sorted(" ".join(listed).split()) == sorted(phony.group(1).split())


@pytest.mark.parametrize(
    ("failing", "root", "called", "without"),
    [
        ("", 0, ["tools-install", "test", "slurm-install", "slurm-up", "slurm-down", "test-slurm"], ""),
        ("tools-install", 0, ["tools-install", "test", "slurm-install", "slurm-up", "slurm-down", "test-slurm"], ""),
        ("slurm-install", 0, ["tools-install", "test", "slurm-install", "test-slurm"], "make slurm-install failed"),
        ("slurm-up", 0, ["tools-install", "test", "slurm-install", "slurm-up", "test-slurm"], "make slurm-up failed"),
        ("", 1000, ["test", "test-slurm"], "not root"),
        ("test", 0, ["tools-install", "test"], None),
        ("test-slurm", 0, ["tools-install", "test", "slurm-install", "slurm-up", "slurm-down", "test-slurm"], ""),
    ],
)
def test_ci_runs_the_tests(tmp_path: Path, failing: str, root: int, called: list[str], without: str | None) -> None:
    """All of them, those on a real Slurm too; where there can be none, these are told why, and nothing else fails."""
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    programs = {
        "make": f'echo "$1 $TRAM_WITHOUT_SLURM" >> {tmp_path}/called; test "$1" != "{failing}"',
        "id": f"echo {root}",
        "apt-get": "exit 1",
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([ROOT / ".ci" / "run"], env={"PATH": path}, capture_output=True)
    lines = [line.split(" ", 1) for line in (tmp_path / "called").read_text().splitlines()]
    assert [target for target, _ in lines] == called
    assert (done.returncode == 0) == (failing not in ("test", "test-slurm"))
    if without is not None:
        assert lines[-1][1] == without


# Imports run one way

READ_BY_ANALYSIS = ("record", "probes.record", "performance.record", "registry", "row", "sources")
READ_BY_ANALYSIS += ("paper_rows", "suites", "variants", "tree", "curve")
"""What of `benchmarks` says how records are read, and which there should be: rows, names and schemas, no model code."""

FOLDERS = {
    # folder: (what it may import of this repository, extras of pyproject.toml that it may import)
    "tram": (("tram",), ()),
    "benchmarks": (("tram", "benchmarks"), ("bench",)),
    "slurm": (("benchmarks", "slurm"), ("bench",)),
    "analysis": (
        ("analysis", *(f"benchmarks.{name}" for name in READ_BY_ANALYSIS)),
        ("bench",),
    ),
    "tests": (("tram", "benchmarks", "slurm", "analysis", "tests"), ("bench", "dev")),
    ".ci": ((), ()),
}


def imported_names(path: Path) -> Iterator[str]:
    """The dotted name of everything that the file imports, wherever the statement stands: `from a.b import c` is a.b.c.

    Relative imports come out absolute.
    """
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


@cache
def distributions() -> dict[str, set[str]]:
    """The installed distributions that provide each importable name."""
    return {
        name: {canonicalize_name(distribution) for distribution in provided_by}
        for name, provided_by in importlib.metadata.packages_distributions().items()
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_one_way_and_are_declared(folder: str) -> None:
    own, extras = FOLDERS[folder]
    allowed = {canonicalize_name(requirement.name) for requirement in declared(*extras)}
    files = [path for path in repository_files() if path.is_relative_to(ROOT / folder) and path.suffix == ".py"]
    assert files
    wrong = []
    for path in files:
        for name in imported_names(path):
            top = name.partition(".")[0]
            if top in FOLDERS:
                fine = within(name, own)
            else:
                fine = top in sys.stdlib_module_names or bool(distributions().get(top, set()) & allowed)
            if not fine:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_relative_and_absolute_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "benchmarks" / "mini" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text("import a.b, c\nfrom d.e import f\nfrom . import g\nfrom ..h import i\ndef j():\n    import k\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    expected = {"a.b", "c", "d.e.f", "benchmarks.mini.g", "benchmarks.h.i", "k"}
    assert set(imported_names(path)) == expected


def test_analysis_reads_results_only() -> None:
    """Importing all of `analysis` loads no model code, by whatever path."""
    program = """
import importlib, pkgutil, sys
import analysis
for module in pkgutil.walk_packages(analysis.__path__, "analysis."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
loaded = {name.partition(".")[0] for name in sys.modules}
print(*loaded & {"torch", "tram", "slurm", "transformers", "timm", "datasets"})
"""
    outcome = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    assert outcome.stdout.split() == []


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("tram", "benchmarks", "analysis", "slurm"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_holds_the_library_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    information = f"tram_optimizer-{PROJECT['version']}.dist-info"
    library = {name for name in names if not name.startswith(f"{information}/")}
    on_disk = (path.relative_to(ROOT).as_posix() for path in (ROOT / "tram").rglob("*.py"))
    assert library == {"tram/py.typed", *on_disk}
    assert f"{information}/licenses/LICENSE" in names


def test_the_wheel_needs_torch_alone(wheel: Path) -> None:
    information = f"tram_optimizer-{PROJECT['version']}.dist-info"
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(f"{information}/METADATA").decode())
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    hard = [str(requirement) for requirement in requirements if "extra" not in str(requirement.marker)]
    assert hard == ["torch>=2.11"]
    assert metadata.get_all("Provides-Extra") == ["bench", "dev"]
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_wheel_imports_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = "import tram; print(tram.__file__); print(*tram.METHODS)"
    outcome = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    file, methods = outcome.stdout.splitlines()
    assert Path(file).is_relative_to(tmp_path)
    assert methods.split() == list(METHODS)


# What is in the files

REGISTRIES = r"pypi\.org|pythonhosted\.org|npmjs\.\w+|anaconda\.\w+|download\.pytorch\.org|deb\.debian\.org|crates\.io"
MACHINE_BOUND = {
    "the host of a package registry": rf"\b({REGISTRIES})\b|https?://[^\s\"'<>]+/simple\b",
    "an absolute path of one machine": r"(?<![\w.~$}%/-])/(root|home|Users|work|farm|mnt|opt|srv)/(?!someone\b)\w|file:///\w|\bC:\\Users",
}


@pytest.mark.parametrize("what", MACHINE_BOUND)
def test_no_file_is_bound_to_one_machine(what: str) -> None:
    pattern = re.compile(MACHINE_BOUND[what])
    wrong = [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in repository_files()
        for found in pattern.finditer(path.read_bytes().decode("utf-8", errors="ignore"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("the host of a package registry", "--extra https://mirror.invalid/root/" + "simple/"),
        ("the host of a package registry", "files.python" + "hosted.org/packages"),
        ("an absolute path of one machine", 'cache = "/' + 'home/ada/cache"'),
        ("an absolute path of one machine", "(/" + "Users/ada"),
        ("an absolute path of one machine", "C:" + "\\Users\\ada"),
    ],
)
def test_what_is_bound_to_one_machine_is_found(what: str, text: str) -> None:
    assert re.search(MACHINE_BOUND[what], text)
    assert not re.search(
        MACHINE_BOUND[what], "https://a.example/home/simply ../home/x ~/work/x ${HOME}/opt/x /usr/bin/env"
    )


def test_no_file_is_large() -> None:
    assert len(repository_files()) > 20
    large = [f"{path.relative_to(ROOT)}" for path in repository_files() if path.stat().st_size > 2_000_000]
    assert not large, f"over 2 MB: {large}"


def slug(heading: str) -> str:
    """The anchor that a Markdown heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_in_markdown_lead_somewhere() -> None:
    files = set(repository_files())
    folders = {folder for path in files for folder in path.parents}
    pages = [path for path in files if path.suffix == ".md"]
    assert pages
    wrong = []
    for page in pages:
        text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        links = re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
        for link in links:
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if target not in files | folders:
                wrong.append(f"{page.relative_to(ROOT)}: {link} is not in the repository")
            elif anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
                if anchor not in map(slug, headings):
                    wrong.append(f"{page.relative_to(ROOT)}: {link} names no heading")
    assert not wrong, "\n".join(wrong)


def test_the_license_is_the_apache_license_to_the_letter() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert {"message", "title", "authors"} <= set(citation)
    (paper,) = citation["references"]
    assert paper["title"] == "TRAM: Bridging Trust Regions and Sharpness Aware Minimization"
    assert [author["family-names"] for author in paper["authors"]] == ["Sherborne", "Saphra", "Dasigi", "Peng"]


# The published tables

PUBLISHED = {path.stem: path for path in sorted((ROOT / "results" / "published").glob("*.tsv"))}


def published(name: str) -> pd.DataFrame:
    return pd.read_csv(PUBLISHED[name], sep="\t", index_col=0)


def test_methods_are_the_rows_of_the_published_tables() -> None:
    tables = [published(name) for name in PUBLISHED]
    rows = {method for table in tables if table.index.name == "method" for method in table.index}
    assert set(METHODS) == rows - {"GPT-2", "GPT2-XL", "TRAM-x-KL"}
    variants = [name for name in published("table_14_xnli_distance").index if name != "TRAM-x-KL"]
    assert list(METHODS) == ["SGD", *published("table_12_xnli").index, *variants]


@pytest.mark.parametrize(
    ("table", "train"),
    [
        ("table_10_m2d2_gpt2xl", "Math"),
        ("table_11_m2d2_s2orc", "Math"),
        ("table_11_m2d2_wiki", "Soc"),
        ("table_12_xnli", "En"),
        ("table_14_xnli_distance", "En"),
    ],
)
def test_a_published_average_is_that_of_its_columns(table: str, train: str) -> None:
    """Both are rounded to 0.1, so they may differ by 0.1."""
    rows = published(table)
    mean = rows.drop(columns=[train, "ZS_Avg"]).mean(axis="columns")
    assert (mean - rows["ZS_Avg"]).abs().max() <= 0.1


def test_a_row_published_twice_is_the_same() -> None:
    tram_x = published("table_12_xnli").loc["TRAM-x"]
    kl = published("table_14_xnli_distance").loc["TRAM-x-KL"]
    assert tram_x.to_dict() == kl.to_dict()
