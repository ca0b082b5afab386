"""A report format: one line a gate, for the agenda of a committee."""

import csv
from io import StringIO

from fairwitness.audit.evidence import Evidence
from fairwitness.reports.messages import sentence
from fairwitness.reports.visible import visible

FILE = "committee.csv"


def render(evidence: Evidence, locale: str = "en") -> str:
    """Give the list: the same text for the same evidence.

    Args:
        evidence: the record of the audit.
        locale: not used; the committee reads English.
    """
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["gate", "verdict", "value", "why"])
    for gate in evidence.gates:
        rows.writerow([visible(gate.id), gate.verdict, "" if gate.value is None else gate.value, sentence(gate.why)])
    return text.getvalue()
