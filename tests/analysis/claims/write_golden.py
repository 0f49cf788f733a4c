"""python -m tests.analysis.claims.write_golden: write the golden files of the claims anew. Then read them."""

from analysis import render
from analysis.claims.table import claims_table
from tests.analysis.claims.test_output import GOLDEN, judged_on, shown

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in ("mini", "published"):
        judged = judged_on(name)
        table = claims_table(judged)
        files = {"md": render.markdown(table), "csv": render.comma_separated(table), "txt": shown(judged, 80)}
        for suffix, content in files.items():
            (GOLDEN / f"{name}.{suffix}").write_text(content, encoding="utf-8")
