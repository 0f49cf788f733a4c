"""The paper's tables of scores in language: 4, 5, 10, 11, 12 and 14."""

from analysis.cells import Table
from analysis.paper.material import Material
from analysis.paper.scores import score_tables
from analysis.paper.sections import base_of, is_combination

_BY_DISTANCE = ("TRAM-x", "TRAM-x-MMD", "TRAM-x-L2")


def table_04_m2d2_wiki(material: Material) -> list[Table]:
    """Table 11 without the combinations."""
    return score_tables(material, "table_04_m2d2_wiki", 4, "m2d2-wiki", _in_main_text)


def table_04_m2d2_s2orc(material: Material) -> list[Table]:
    """Table 11 without the combinations."""
    return score_tables(material, "table_04_m2d2_s2orc", 4, "m2d2-s2orc", _in_main_text)


def table_05_xnli(material: Material) -> list[Table]:
    """Table 12 without the combinations."""
    return score_tables(material, "table_05_xnli", 5, "xnli", _in_main_text)


def table_10_m2d2_gpt2xl(material: Material) -> list[Table]:
    return score_tables(material, "table_10_m2d2_gpt2xl", 10, "m2d2-s2orc-xl")


def table_11_m2d2_wiki(material: Material) -> list[Table]:
    return score_tables(material, "table_11_m2d2_wiki", 11, "m2d2-wiki")


def table_11_m2d2_s2orc(material: Material) -> list[Table]:
    return score_tables(material, "table_11_m2d2_s2orc", 11, "m2d2-s2orc")


def table_12_xnli(material: Material) -> list[Table]:
    """Every method but those of Table 14."""
    return score_tables(material, "table_12_xnli", 12, "xnli", lambda method: base_of(method) not in _BY_DISTANCE[1:])


def table_14_xnli_distance(material: Material) -> list[Table]:
    """TRAM-x by the divergence that measures d."""
    return score_tables(material, "table_14_xnli_distance", 14, "xnli", _differs_in_distance)


def _in_main_text(method: str) -> bool:
    return not is_combination(method) and base_of(method) not in _BY_DISTANCE[1:]


def _differs_in_distance(method: str) -> bool:
    return method in _BY_DISTANCE or "@divergence=" in method
