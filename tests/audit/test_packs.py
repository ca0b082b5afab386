"""The shipped policy packs: what they ask for exists, is shown in an annex, and is never more than the rule says."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit import Dataset, Evidence, UserError, registry, run
from fairwitness.audit.plan import PolicyFile
from fairwitness.audit.policy import extended, packs
from fairwitness.audit.rejudging import judged_again
from fairwitness.reports.annex import AnnexTable, annex_views
from fairwitness.reports.html import render

LEGAL = ["lending", "nyc-ll144", "ugesp"]
RATIO = "fairness.impact.impact_ratio"


def policy(*names: str) -> PolicyFile:
    return extended(PolicyFile.parse({"policy": {"extends": list(names)}}))


def text(name: str) -> str:
    return (files("fairwitness.audit.policies") / f"{name}.toml").read_text("utf-8")


def applicants(n: int = 1500, seed: int = 0, gap: float = 0.1) -> pd.DataFrame:
    """Logged decisions of a hiring tool; a category under 2 %, some unknown, and no true labels."""
    rng = np.random.default_rng(seed)
    race = rng.choice(["Asian", "Black", "White", "Native"], n, p=[0.2, 0.3, 0.49, 0.01]).astype(object)
    race[:20] = None
    sex = rng.choice(["F", "M"], n)
    score = rng.random(n) + gap * (race == "White")
    return pd.DataFrame({"sex": sex, "race": race, "score": score, "yhat": (score > 0.5).astype(int)})


def audited(frame: pd.DataFrame, *names: str, score: bool = True) -> Evidence:
    model = {"adapter": "logged", "prediction": "yhat"} | ({"score": "score"} if score else {})
    data = Dataset(frame, sensitive=["sex", "race"], positive=1)
    return run(model, data, checks=[], policy={"extends": list(names)})


@pytest.fixture(scope="module")
def hired() -> Evidence:
    return audited(applicants(), *LEGAL)


def table(evidence: Evidence, title: str, attribute: str) -> AnnexTable:
    (found,) = (
        table
        for view in annex_views(evidence)
        for table in view.tables
        if title in view.annex.title and table.attribute == attribute
    )
    return found


def test_they_are_all_there() -> None:
    assert set(LEGAL) | {"four-fifths"} <= set(packs())


@pytest.mark.parametrize("name", LEGAL)
def test_what_a_pack_names_exists(name: str, hired: Evidence) -> None:
    """Metrics are those of checks, and every fact that an annex shows is said of real data."""
    full = policy(name)
    said: dict[str, set[str]] = {}
    for m in hired.measurements():
        beside = m.details.facts.keys() if m.details else ()
        columns = m.details.table.columns if m.details and m.details.table else ()
        said.setdefault(m.metric, set()).update(beside, columns)
    for metric in [
        *(gate.metric for gate in full.gates),
        *(metric for annex in full.annex for metric in annex.metrics),
    ]:
        registry.check_of_metric(metric, where=name)
    for annex in full.annex:
        assert annex.source
        for column in (*annex.columns, *annex.below):
            assert column.fact is None or column.fact in said[column.metric]


@pytest.mark.parametrize("name", packs())
def test_gates_have_names_of_their_own(name: str) -> None:
    gates = [gate.name for gate in policy(*packs()).gates]
    assert len(set(gates)) == len(gates)
    assert all(gate.name in gates for gate in policy(name).gates)


@pytest.mark.parametrize("name", ["lending", "nyc-ll144"])
def test_no_bound_is_invented(name: str) -> None:
    for gate in policy(name).gates:
        assert (gate.min, gate.max, gate.required) == (None, None, True)


def test_the_only_bound_is_the_rule_of_thumb() -> None:
    bounded = [gate for name in LEGAL for gate in policy(name).gates if gate.min is not None or gate.max is not None]
    assert [(gate.id, gate.min, gate.on_inconclusive) for gate in bounded] == [("ugesp-four-fifths", 0.8, "warn")]


def test_every_mention_of_a_bound_says_what_it_is() -> None:
    for name in LEGAL:
        for annex in policy(name).annex:
            for sentence in annex.note.split(". "):
                if "0.8" in sentence or "0.3" in sentence:
                    assert "rule of thumb" in sentence or "in practice" in sentence, sentence
    for annex in policy("nyc-ll144").annex:
        assert "UGESP rule of thumb, not an LL144 threshold" in annex.note
    for annex in policy("lending").annex:
        assert "not law" in annex.note
        assert "sets no" in annex.note or "sets none" in annex.note


def test_local_law_144(hired: Evidence) -> None:
    """Three tables, each with its own highest; the small category printed and left out; the unknown counted."""
    frame = applicants()
    for names in (["sex"], ["race"], ["sex", "race"]):
        found = table(hired, "selection rates", " & ".join(names))
        joined = frame[names].fillna("").agg(" & ".join, axis=1).where(frame[names].notna().all(axis=1))
        by = frame.groupby(joined)["yhat"].agg(["size", "sum", "mean"])
        small = set(by.index[by["size"] < 0.02 * len(frame)])
        highest = by.loc[[name not in small for name in by.index], "mean"].max()
        titles = [column.title for column in found.columns]
        shown = {group: dict(zip(titles, cells, strict=True)) for group, cells in found.rows}
        assert list(shown) == list(by.index)
        for name, size, selected, rate in by.itertuples():
            cells = shown[name]
            assert (cells["Number of applicants"], cells["Number selected"]) == (size, selected)
            assert cells["Selection rate"] == pytest.approx(rate)
            assert cells["Impact ratio"] == (None if name in small else pytest.approx(rate / highest))
        below = {line.title: cell for line, cell in found.below}
        assert below["Applicants of unknown category, left out of the table"] == (0 if names == ["sex"] else 20)
        assert {group for group, _ in found.absent} == small
    assert table(hired, "scoring rates", "race").rows
    report = render(hired)
    assert "under 2%, so it is left out of the ratios" in report
    assert "UGESP rule of thumb, not an LL144 threshold" in report


def test_a_measured_audit_blocks_nothing_under_local_law_144(hired: Evidence) -> None:
    assert audited(applicants(), "nyc-ll144").exit_code == 0
    assert {gate.verdict for gate in hired.gates if gate.gate == "nyc-ll144"} == {"pass", "inconclusive"}


def test_an_audit_without_scores_has_the_selection_table_alone() -> None:
    evidence = audited(applicants(), "nyc-ll144", score=False)
    assert [bool(view.tables) for view in annex_views(evidence)] == [True, False]
    assert {gate.where["rate"] for gate in evidence.gates} == {"selection"}
    assert evidence.exit_code == 0


def test_what_was_not_measured_blocks() -> None:
    """One category alone has no ratio."""
    evidence = audited(applicants().assign(sex="F", race="White"), "nyc-ll144")
    assert evidence.verdict == "not_assessed"
    assert evidence.exit_code == 1


@pytest.mark.parametrize(("gap", "verdict"), [(0.6, "fail"), (0.0, "pass")])
def test_four_fifths_of_large_numbers(gap: float, verdict: str) -> None:
    evidence = audited(applicants(20_000, gap=gap).query("race in ['White', 'Black']"), "ugesp")
    (gate,) = (g for g in evidence.gates if g.gate == "ugesp-four-fifths" and g.attribute == "race")
    assert gate.verdict == verdict
    assert gate.blocking is (verdict == "fail")


def test_four_fifths_of_small_numbers_warns() -> None:
    evidence = audited(applicants(60, gap=0.2).query("race in ['White', 'Black']"), "ugesp")
    (gate,) = (g for g in evidence.gates if g.gate == "ugesp-four-fifths" and g.attribute == "race")
    assert (gate.verdict, gate.blocking) == ("inconclusive", False)


def test_lending_shows_both_measures(hired: Evidence) -> None:
    found = table(hired, "standardized mean differences", "sex")
    difference = hired.find("fairness.score.standardized_mean_difference", attribute="sex")
    assert found.below[0][1] == difference.value
    place = [column.show for column in found.columns].index("row")
    shown = [cells[place] for _, cells in found.rows]
    assert min(x for x in shown if isinstance(x, float)) == pytest.approx(-(difference.value or 0))
    assert table(hired, "adverse impact ratios", "race").rows


def test_annexes_are_recorded_once_and_in_order(hired: Evidence) -> None:
    titles = [annex.title for annex in hired.annexes]
    assert len(titles) == len(set(titles)) == 5
    assert hired.annexes == policy(*LEGAL).annex
    assert policy("ugesp", "ugesp").annex == policy("ugesp").annex
    assert Evidence.model_validate_json(hired.to_json()).annexes == hired.annexes


def test_a_plan_without_a_pack_has_no_annex() -> None:
    assert audited(applicants()).annexes == ()


def test_judging_again_adds_the_annexes_of_the_policy() -> None:
    evidence = audited(applicants(), "nyc-ll144")
    again = judged_again(evidence, PolicyFile.parse({"policy": {"extends": ["ugesp", "nyc-ll144"]}}))
    assert again.annexes == (*evidence.annexes, *policy("ugesp").annex)
    assert table(again, "Uniform Guidelines", "race").rows


def own(tmp_path: Path, **changes: Any) -> str:
    column = {"title": "Rate", "metric": "fairness.impact.selection_rate"} | changes
    keys = ", ".join(f'{key} = "{value}"' for key, value in column.items())
    path = tmp_path / "own.toml"
    path.write_text(f'[[annex]]\ntitle = "House rule"\nsource = "none"\ncolumns = [{{ {keys} }}]\n')
    return str(path)


def test_a_pack_of_ones_own(tmp_path: Path) -> None:
    """It selects the check that it shows, although it has no gate."""
    evidence = audited(applicants(), own(tmp_path))
    assert [check.id for check in evidence.checks] == ["fairness.impact"]
    assert len(table(evidence, "House rule", "sex").rows) == 2
    assert evidence.verdict is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "fairness.impact.selection_rates"}, r"policy\.extends: .*selection_rate"),
        ({"show": "values"}, r"own\.toml: annex\.0\.columns\.0\.show: .*'value'"),
        ({"show": "fact"}, r"own\.toml: .*go together"),
        ({"titel": "x"}, r"own\.toml: .*titel"),
    ],
)
def test_a_mistake_in_it_is_one_line(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        audited(applicants(50), own(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", packs())
def test_a_pack_says_where_it_comes_from(name: str) -> None:
    content = text(name)
    assert content.startswith("#")
    assert tomllib.loads(content)["gates"]
