"""Measurements as comma-separated values: every number is there, stays a number, and no text becomes a formula."""

import csv
from io import StringIO
from typing import Any

import pytest

from fairwitness.audit.evidence import CheckResult, Evidence, Interval, Measurement, Reason
from fairwitness.reports import csv as exporter
from fairwitness.reports.formats import exporter as found

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "-",
]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text, newline="")))


def test_every_measurement_is_a_row(evidence: Evidence) -> None:
    rows = read(exporter.render(evidence))
    measurements = evidence.measurements()
    assert len(rows) == len(measurements)
    for row, m in zip(rows, measurements, strict=True):
        assert list(row) == list(exporter.COLUMNS)
        assert row["metric"] == m.metric
        assert (row["attribute"] or None, row["group"] or None) == (m.attribute, m.group)
        assert (float(row["value"]) if row["value"] else None) == m.value
        limits = [float(row[key]) if row[key] else None for key in ("low", "high", "level")]
        assert limits == ([m.interval.low, m.interval.high, m.interval.level] if m.interval else [None] * 3)
        assert int(row["n"]) == m.n
        assert (row["status"], bool(row["reason"])) == (m.status, m.reason is not None)
    small = next(row for row in rows if row["group"] == "Pacific Islander" and row["reason"])
    assert small["reason"] == "Too few rows: 12 found, 30 needed."


def test_it_is_rfc_4180_in_utf_8(evidence: Evidence) -> None:
    text = exporter.render(evidence)
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") == len(evidence.measurements()) + 1
    assert text.encode().decode("utf-8") == text
    assert text == exporter.render(Evidence.model_validate_json(evidence.to_json()))


def with_group(evidence: Evidence, group: str) -> Evidence:
    check = evidence.checks[0]
    m = Measurement(
        metric=f"{check.id}.accuracy",
        value=-0.25,
        interval=Interval(low=-0.5, high=1e-9, level=0.95, method="Wilson"),
        n=3,
        attribute=group,
        group=group,
        where={group: group},
    )
    changed: CheckResult = check.model_copy(update={"measurements": (m,)})
    return evidence.model_copy(update={"checks": (changed,)})


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_is_a_formula(evidence: Evidence, formula: str) -> None:
    (row,) = read(exporter.render(with_group(evidence, formula)))
    for key in ("attribute", "group", "where"):
        assert row[key].startswith("'")
    assert (row["value"], row["low"], row["high"]) == ("-0.25", "-0.5", "1e-09")  # these are numbers


@pytest.mark.parametrize("name", ["-1", "+2.5", "-3e4", "1-2", "a=b", " =1+1", "", "'quoted'"])
def test_other_text_stays_what_it_is(evidence: Evidence, name: str) -> None:
    (row,) = read(exporter.render(with_group(evidence, name)))
    assert row["group"] == name


@pytest.mark.parametrize("poison", ['a "b", c', "a\nb", "名", "\u202eevil\u200b", "\ud800", "\x00\x1b[31m"])
def test_any_text_can_be_written_and_read(evidence: Evidence, poison: str) -> None:
    text = exporter.render(with_group(evidence, f"x{poison}"))
    text.encode()
    (row,) = read(text)
    assert row["group"].startswith("x")
    assert not {"\u202e", "\u200b", "\x00", "\x1b"} & set(text)


def test_exact_values_have_no_interval(evidence: Evidence) -> None:
    row = next(row for row in read(exporter.render(evidence)) if row["metric"].endswith("duplicates"))
    assert (row["value"], row["low"], row["level"], row["method"]) == ("0.0", "", "", "")


def test_dimensions_share_a_cell() -> None:
    assert exporter.paired({"b": "2", "a": "1"}) == "a=1; b=2"
    assert exporter.paired({}) == ""


def test_reasons_are_in_the_report_s_words(evidence: Evidence) -> None:
    check = evidence.checks[0]
    reason = Reason(code="under_share", params={"found": 4, "rows": 274, "needed": 0.02})
    m = Measurement(metric=f"{check.id}.accuracy", n=4, status="not_estimable", reason=reason)
    changed: Any = check.model_copy(update={"measurements": (m,)})
    (row,) = read(exporter.render(evidence.model_copy(update={"checks": (changed,)})))
    assert row["reason"] == "It has 4 of 274 rows, which is under 2%, so it is left out of the ratios."


def test_it_is_a_format_of_the_report() -> None:
    assert found("csv", where="") is exporter
    assert exporter.FILE == "measurements.csv"
