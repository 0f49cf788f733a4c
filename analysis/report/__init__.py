"""The report: one self-contained page with claims, tables, figures and the record behind each number."""

from analysis.report.folder import write_report
from analysis.report.summary import print_summary

__all__ = ["print_summary", "write_report"]
