"""docs/conventions.md: every number on the page, from the formula beside it, from the code, and from other tools."""

import ast
import importlib.util
import re
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fairwitness.audit import Dataset, run
from fairwitness.audit.statistics.multiplicity import homogeneity

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
OTHERS = ("fairlearn", "vfairness", "aif360", "aequitas", "smclarify", "oxonfair", "holisticai")
OPTIONS: dict[str, dict[str, Any]] = {
    "fairness.group": {},
    "fairness.impact": {},
    "fairness.conditional": {"strata": "stratum"},
    "fairness.score": {},
}


@pytest.fixture(scope="module")
def definitions() -> ModuleType:
    """What the tools' metrics are; confirmed by the tools themselves in benchmarks/fairness_vs_peers.py."""
    path = ROOT / "benchmarks" / "peer_definitions.py"
    spec = importlib.util.spec_from_file_location("peer_definitions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def told(definitions: ModuleType) -> Any:
    """The audit of the worked table."""
    case = definitions.worked()
    data = Dataset(
        case.rows, target="y", positive=1, sensitive=["group", "stratum"], reference={"group": case.reference}
    )
    model = {"adapter": "logged", "prediction": "yhat", "score": "score"}
    return definitions.Told(run(model, data, checks=list(OPTIONS), options=OPTIONS), case)


def table(first: str) -> list[list[str]]:
    """The cells of the table whose heading begins with a word."""
    lines = PAGE.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def computed(formula: str) -> Fraction:
    """The value of a formula of integers, + − × / and brackets."""

    def of(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(value)):
                return Fraction(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return of(left) + of(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return of(left) - of(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return of(left) * of(right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return of(left) / of(right)
        raise ValueError(formula)

    return of(ast.parse(formula.replace("−", "-").replace("×", "*"), mode="eval").body)


def numbers() -> list[tuple[str, str, str, float]]:
    """Tool, name, formula and number of every entry of the large table."""
    found = []
    for _, _, names, formula, value in table("criterion"):
        tool = ""
        for word in re.finditer(rf"(Fairwitness|{'|'.join(OTHERS)})(?= `)|`([^`]+)`", names):
            tool = word[1] or tool
            if word[2]:
                found.append((tool, word[2], formula, number(value)))
    return found


def test_the_counts_are_those_of_the_worked_table(definitions: ModuleType) -> None:
    for group, stratum, *cells in table("group"):
        tp, fn, fp, tn, selected, rejected = map(int, cells)
        assert definitions.WORKED[group, stratum] == (tp, fn, fp, tn)
        assert (selected, rejected) == (tp + fp, fn + tn)


def test_rates_by_group(told: Any) -> None:
    rows = table("rate")
    assert len(rows) == 8
    for name, *cells in rows:
        for group, cell in zip("ab", cells, strict=True):
            formula, value = cell.split(" = ")
            assert float(computed(formula)) == pytest.approx(float(value), abs=5e-5)
            assert told.rate(name.strip("`"), group) == pytest.approx(float(computed(formula)), abs=1e-12)
            assert f"/{told.size(group, name.strip('`'))}" in formula


@pytest.mark.parametrize("entry", numbers(), ids=lambda entry: f"{entry[0]}-{entry[1]}")
def test_a_number(entry: tuple[str, str, str, float], definitions: ModuleType, told: Any) -> None:
    tool, name, formula, printed = entry
    exact = float(computed(formula))
    assert printed == pytest.approx(exact, abs=5e-5)
    if tool != "Fairwitness":
        assert definitions.DEFINITIONS[tool][name].of(told) == pytest.approx(exact, abs=1e-12)
        return
    check = next(check for check in told.evidence.checks if check.id == name.rpartition(".")[0])
    assert check.status == "ok", check.reason
    found = [
        m
        for m in check.measurements
        if m.metric == name and m.attribute == "group" and m.group in (None, "a") and m.where.get("rate") != "scoring"
    ]
    # A number of the whole attribute goes before that of the group which is not the reference.
    chosen = [m for m in found if m.group is None] or found
    assert [m.value for m in chosen] == [pytest.approx(exact, abs=1e-9)]


def test_every_definition_is_on_the_page_once(definitions: ModuleType) -> None:
    there = sorted((tool, name) for tool, name, *_ in numbers() if tool != "Fairwitness")
    assert there == sorted((tool, name) for tool, names in definitions.DEFINITIONS.items() for name in names)


def test_fairlearn_itself(definitions: ModuleType) -> None:
    from fairlearn import metrics

    rows = definitions.worked().rows
    given = {"y_true": rows["y"], "y_pred": rows["yhat"], "sensitive_features": rows["group"]}
    named = {name: value for tool, name, _, value in numbers() if tool == "fairlearn" and name.isidentifier()}
    assert len(named) == 6
    for name, value in named.items():
        assert getattr(metrics, name)(**given) == pytest.approx(value, abs=5e-5), name


def test_the_numbers_in_the_text(told: Any) -> None:
    assert "12/40 − 56/100 =\n−0.2600" in PAGE
    assert number("−0.2600") == pytest.approx(float(computed("12/40 − 56/100")))
    assert "They cross at\n2/7; before it a is above by an area of 3/140, behind it b by 1/14." in PAGE
    # a: y = .6 + (x - .2) / 2, b: y = 9/4 x
    assert Fraction(6, 10) + (Fraction(2, 7) - Fraction(2, 10)) / 2 == Fraction(9, 4) * Fraction(2, 7)
    assert Fraction(1, 14) - Fraction(3, 140) == Fraction(5, 100)
    assert "equal groups of 50 rows, at a rate of 0.3, a spread of 0.24 is to be expected" in PAGE
    spread = homogeneity([(np.full(20, 15), np.full(20, 50))], np.random.default_rng(0)).expected_spread
    assert spread == pytest.approx(0.24, abs=0.005)
