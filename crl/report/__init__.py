"""The report of a run: one Markdown page and one self-contained HTML page, made from the stages' files."""

from crl.report.facts import machine, parameters, versions
from crl.report.inputs import Parameter, ReportInputs, RunFacts, Version, read_inputs
from crl.report.page import write_report
from crl.report.verdict import Verdict, training, verdict

__all__ = [
    "Parameter",
    "ReportInputs",
    "RunFacts",
    "Verdict",
    "Version",
    "machine",
    "parameters",
    "read_inputs",
    "training",
    "verdict",
    "versions",
    "write_report",
]
