"""Gates: data that enter training are checked first, and bad data stop the pipeline with a readable message.

    check(file_or_frame, suite, docs=Path("reports/data_docs"))        one data set
    with gates(docs) as g: g.check(...); g.check(...)                   several, one site built at the end

A suite per kind of data set (`task_sets`, `pass_rates`, `rollouts`, `bank_snapshots`), made from a run's parameters. Great
Expectations evaluates them and draws the data docs; it is imported at the first check (4 s, 280 MB), never by importing this
package.
"""

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when Great Expectations is imported

from flows.gates.docs_site import Entry
from flows.gates.gate import Gates, check, gates
from flows.gates.message import GateFailed
from flows.gates.rules import Rule, Suite

__all__ = ["Entry", "GateFailed", "Gates", "Rule", "Suite", "check", "gates"]
