"""Every table of the paper: its name, its number, the settings it is about, and the function that makes it."""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.cells import Table
from analysis.paper.correlation import table_09_domain_correlation
from analysis.paper.deviations import table_13_xnli_std
from analysis.paper.language import (
    table_04_m2d2_s2orc,
    table_04_m2d2_wiki,
    table_05_xnli,
    table_10_m2d2_gpt2xl,
    table_11_m2d2_s2orc,
    table_11_m2d2_wiki,
    table_12_xnli,
    table_14_xnli_distance,
)
from analysis.paper.material import Material
from analysis.paper.sharpness import table_06_sharpness_cka
from analysis.paper.splits import table_07_m2d2_splits, table_08_xnli_splits
from analysis.paper.vision import table_03_vision
from analysis.sheets import Family


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, named as in `results/published/`. `make` gives none where there is nothing to say."""

    name: str
    number: int
    families: tuple[Family, ...]
    make: Callable[[Material], list[Table]]


TABLES = (
    PaperTable("table_03_vision", 3, ("vision",), table_03_vision),
    PaperTable("table_04_m2d2_wiki", 4, ("m2d2",), table_04_m2d2_wiki),
    PaperTable("table_04_m2d2_s2orc", 4, ("m2d2",), table_04_m2d2_s2orc),
    PaperTable("table_05_xnli", 5, ("xnli",), table_05_xnli),
    PaperTable("table_06_sharpness_cka", 6, ("vision", "m2d2", "xnli"), table_06_sharpness_cka),
    PaperTable("table_07_m2d2_splits", 7, ("m2d2",), table_07_m2d2_splits),
    PaperTable("table_08_xnli_splits", 8, ("xnli",), table_08_xnli_splits),
    PaperTable("table_09_domain_correlation", 9, ("m2d2",), table_09_domain_correlation),
    PaperTable("table_10_m2d2_gpt2xl", 10, ("m2d2",), table_10_m2d2_gpt2xl),
    PaperTable("table_11_m2d2_wiki", 11, ("m2d2",), table_11_m2d2_wiki),
    PaperTable("table_11_m2d2_s2orc", 11, ("m2d2",), table_11_m2d2_s2orc),
    PaperTable("table_12_xnli", 12, ("xnli",), table_12_xnli),
    PaperTable("table_13_xnli_std", 13, ("xnli",), table_13_xnli_std),
    PaperTable("table_14_xnli_distance", 14, ("xnli",), table_14_xnli_distance),
)


def paper_tables(material: Material) -> tuple[Table, ...]:
    """Every table of the paper that the material has something to say of, in the paper's order."""
    return tuple(table for row in TABLES for table in row.make(material))
