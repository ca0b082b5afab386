"""Impact ratios by hand, on Ricci v. DeStefano as the court had it, and on COMPAS against fairlearn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate
from scipy import stats

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.audit.statistics.intervals import critical_value, mover_difference, mover_ratio, wilson

Real = Callable[[str], Path]
Predicted = Callable[[str], pd.DataFrame]
IMPACT = "fairness.impact"


def people(**cells: tuple[int, int]) -> pd.DataFrame:
    """Rows of race and decision: so many selected of so many."""
    rows = [(race, int(i < selected)) for race, (selected, n) in cells.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["race", "yhat"])


def audited(frame: pd.DataFrame, *, score: str | None = None, options: Any = None, **meaning: Any) -> Evidence:
    """Audit logged decisions; no true labels unless they are named."""
    model = {"adapter": "logged", "prediction": "yhat"} | ({} if score is None else {"score": score})
    given = {"sensitive": ["race"]} | meaning
    evidence = run(model, Dataset(frame, **given), checks=[IMPACT], options={IMPACT: options or {}})
    assert [check.traceback for check in evidence.checks] == [None]
    return evidence


def ratio(evidence: Evidence, group: str | None, attribute: str = "race", rate: str = "selection") -> Measurement:
    return evidence.find(f"{IMPACT}.impact_ratio", attribute=attribute, group=group, rate=rate)


def facts(measurement: Measurement) -> dict[str, Any]:
    assert measurement.details is not None
    return dict(measurement.details.facts)


HAND = people(White=(60, 120), Black=(30, 100), Asian=(26, 50), Native=(1, 4))


def test_by_hand() -> None:
    """Highest: Asian, 26 of 50. White: .5/.52. Black: .3/.52; .8 x .52 x 100 = 41.6 selections needed, 30 there."""
    evidence = audited(HAND)
    rates = {"White": 0.5, "Black": 0.3, "Asian": 0.52, "Native": 0.25}
    for group, rate in rates.items():
        found = evidence.find(f"{IMPACT}.selection_rate", attribute="race", group=group)
        assert found.value == pytest.approx(rate)
        assert facts(found)["Selected"] == {"White": 60, "Black": 30, "Asian": 26, "Native": 1}[group]
    for group, value in {"White": 0.5 / 0.52, "Black": 0.3 / 0.52, "Asian": 1.0}.items():
        assert ratio(evidence, group).value == pytest.approx(value)
    black = facts(ratio(evidence, "Black"))
    assert (black["Highest category"], black["Its rows"]) == ("Asian", 50)
    assert black["Selections to four fifths"] == 12
    assert black["Ratio if one selection had gone the other way"] == pytest.approx((31 / 100) / (25 / 50))
    assert black["One selection would reverse it"] is False
    expected = stats.fisher_exact(np.array([[30, 70], [26, 24]])).pvalue
    assert ratio(evidence, "Black").p_value == pytest.approx(expected)
    assert black["Fisher's exact p"] == pytest.approx(expected)
    assert black["Standard deviations (pooled z)"] == pytest.approx(
        -(stats.chi2_contingency([[30, 70], [26, 24]], correction=False).statistic ** 0.5)
    )
    assert facts(ratio(evidence, "White"))["One selection would reverse it"] is True  # 61/120 against 25/50
    shortfalls = {
        group: evidence.find(f"{IMPACT}.shortfall", attribute="race", group=group).value
        for group in ("White", "Black", "Asian")
    }
    assert shortfalls == pytest.approx({"White": 2.4, "Black": 22.0, "Asian": 0.0})
    worst = evidence.find(f"{IMPACT}.shortfall", attribute="race", group=None)
    assert worst.value == pytest.approx(22.0)
    assert facts(worst)["Category"] == "Black"
    overall = ratio(evidence, None)
    assert overall.value == pytest.approx(0.3 / 0.52)
    assert facts(overall)["Rows of the highest group"] == 50


def test_holm_over_the_categories() -> None:
    evidence = audited(HAND)
    p = {group: stats.fisher_exact(np.array(table)).pvalue for group, table in {
        "White": [[60, 60], [26, 24]], "Black": [[30, 70], [26, 24]],
    }.items()}  # fmt: skip
    adjusted = {group: facts(ratio(evidence, group))["Fisher's p adjusted for the categories (Holm)"] for group in p}
    assert adjusted == pytest.approx({"Black": 2 * p["Black"], "White": max(p["White"], 2 * p["Black"])})


def test_a_small_category_is_left_out_and_printed() -> None:
    """4 of 274 rows are under 2 %; were it in, its ratio would be .25/.52."""
    evidence = audited(HAND)
    native = ratio(evidence, "Native")
    assert native.reason is not None
    assert (native.reason.code, native.reason.params) == ("under_share", {"found": 4, "rows": 274, "needed": 0.02})
    assert facts(native) == {"Ratio if it were included": pytest.approx(0.25 / 0.52)}
    overall = ratio(evidence, None)
    assert overall.details is not None
    assert [(e.group, e.n, e.reason.code) for e in overall.details.excluded] == [("Native", 4, "under_share")]
    kept = audited(HAND, options={"smallest_share": 0.0})
    assert ratio(kept, "Native").value == pytest.approx(0.25 / 0.52)
    assert ratio(kept, None).value == pytest.approx(0.25 / 0.52)


def test_a_small_category_with_the_highest_rate_is_not_the_measure() -> None:
    evidence = audited(people(White=(60, 120), Black=(30, 100), Native=(4, 4)))
    assert ratio(evidence, "White").value == 1
    assert facts(ratio(evidence, "Native")) == {"Ratio if it were included": 1.0}
    kept = audited(people(White=(60, 120), Black=(30, 100), Native=(4, 4)), options={"smallest_share": 0.01})
    assert ratio(kept, "White").value == pytest.approx(0.5)


def test_exactly_two_per_cent_is_not_under_it() -> None:
    evidence = audited(people(White=(49, 98), Native=(1, 2)))
    assert ratio(evidence, "Native").value == 1


def test_unknown_categories_are_counted_and_left_out() -> None:
    """Also by a name of their own; an intersection is unknown where either part is."""
    frame = people(White=(60, 120), Black=(30, 100), Declined=(10, 10)).assign(sex="F")
    frame.loc[frame.index % 2 == 0, "sex"] = "M"
    frame.loc[frame.index[:5], "race"] = None
    frame.loc[frame.index[3:9], "sex"] = None
    options = {"unknown": ["Declined"]}
    evidence = audited(frame, sensitive=["sex", "race"], options=options)
    unknown = {a: facts(ratio(evidence, None, a))["Unknown category (rows)"] for a in ("sex", "race", "sex & race")}
    assert unknown == {"sex": 6, "race": 15, "sex & race": 6 + 15 - 2}
    groups = {m.group for m in evidence.measurements() if m.attribute == "sex & race"}
    assert groups == {None, "F & White", "F & Black", "M & White", "M & Black"}
    # The unknown have the highest rate, and are not the measure.
    assert ratio(evidence, "White").value == 1
    overall = ratio(evidence, None).details
    assert overall is not None
    assert not overall.excluded


def test_a_category_whose_name_looks_like_an_intersection_is_known() -> None:
    frame = people(White=(30, 100)).assign(sex="F")
    frame = pd.concat([frame, people(**{"Black & Other": (10, 100), "Other": (5, 50)}).assign(sex="F")])
    evidence = audited(frame, sensitive=["race", "sex"], options={"unknown": ["Other"]})
    for attribute in ("race", "race & sex"):
        overall = ratio(evidence, None, attribute)
        assert overall.value == pytest.approx(1 / 3)
        assert facts(overall)["Unknown category (rows)"] == 50


def test_each_table_has_its_own_highest() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"sex": rng.choice(["F", "M"], 600), "race": rng.choice(["A", "B", "C"], 600)})
    frame["yhat"] = (rng.random(600) < 0.3 + 0.2 * (frame["sex"] == "M") + 0.1 * (frame["race"] == "B")).astype(int)
    evidence = audited(frame, sensitive=["sex", "race"])
    for names in (["sex"], ["race"], ["sex", "race"]):
        by = frame.groupby(names)["yhat"].mean()
        for group, value in (by / by.max()).items():
            name = group if isinstance(group, str) else " & ".join(group)
            assert ratio(evidence, name, " & ".join(names)).value == pytest.approx(value)


def test_scoring_counts_what_is_strictly_above_the_median_of_all_rows() -> None:
    """Ten scores, two of unknown race; the median of all ten is (5 + 6) / 2, of the known ones it would be 5."""
    frame = pd.DataFrame({
        "race": ["A", "A", "A", "A", "B", "B", "B", "B", None, None],
        "score": [1.0, 6.0, 7.0, 8.0, 2.0, 3.0, 4.0, 9.0, 5.0, 10.0],
        "yhat": 1,
    })  # fmt: skip
    evidence = audited(frame, score="score", positive=1)
    assert facts(ratio(evidence, None, rate="scoring"))["Median score of all rows"] == 5.5
    rates = {
        group: evidence.find(f"{IMPACT}.scoring_rate", attribute="race", group=group).value for group in ("A", "B")
    }
    assert rates == {"A": 0.75, "B": 0.25}
    assert ratio(evidence, "B", rate="scoring").value == pytest.approx(1 / 3)


def test_scores_at_the_median_are_not_above_it() -> None:
    frame = pd.DataFrame({"race": ["A"] * 5 + ["B"] * 5, "score": [1, 5, 5, 5, 9, 1, 2, 5, 5, 8.0], "yhat": 1})
    evidence = audited(frame, score="score", positive=1)
    overall = facts(ratio(evidence, None, rate="scoring"))
    assert (overall["Median score of all rows"], overall["Share of rows at the median"]) == (5.0, 0.5)
    assert evidence.find(f"{IMPACT}.scoring_rate", attribute="race", group="A").value == pytest.approx(0.2)


def test_a_predicted_value_is_a_score() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"race": rng.choice(["A", "B"], 300), "y": rng.normal(size=300)})
    frame["yhat"] = frame["y"] + (frame["race"] == "B") + rng.normal(size=300)
    evidence = audited(frame, target="y", task="regression")
    above = (frame["yhat"] > frame["yhat"].median()).groupby(frame["race"]).mean()
    assert ratio(evidence, "A", rate="scoring").value == pytest.approx(above["A"] / above["B"])
    assert {m.metric.rpartition(".")[2] for m in evidence.measurements()} == {"scoring_rate", "impact_ratio"}


def test_without_scores_there_is_only_selection() -> None:
    evidence = audited(HAND)
    assert {m.where.get("rate", "selection") for m in evidence.measurements()} == {"selection"}
    assert not [m for m in evidence.measurements() if m.metric == f"{IMPACT}.scoring_rate"]


def test_true_labels_change_nothing() -> None:
    frame = HAND.assign(y=np.random.default_rng(0).integers(0, 2, len(HAND)))
    assert audited(frame, target="y").measurements() == audited(HAND).measurements()


def test_several_classes_have_no_selection() -> None:
    frame = HAND.assign(yhat=np.arange(len(HAND)) % 3, y=np.arange(len(HAND)) % 3)
    (check,) = audited(frame, target="y", task="multiclass").checks
    assert check.reason is not None
    assert check.reason.code == "task"


def test_two_categories_have_movers_interval() -> None:
    evidence = audited(people(A=(30, 100), B=(60, 120)), options={"level": 0.9})
    z = critical_value(0.9)
    first, second = wilson(30, 100, z), wilson(60, 120, z)
    found = ratio(evidence, "A")
    assert found.interval is not None
    expected = tuple(float(limit) for limit in mover_ratio(0.3, first, 0.5, second))
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)
    shortfall = evidence.find(f"{IMPACT}.shortfall", attribute="race", group="A")
    assert shortfall.interval is not None
    low, high = mover_difference(0.5, second, 0.3, first)
    assert (shortfall.interval.low, shortfall.interval.high) == pytest.approx((100 * float(low), 100 * float(high)))
    assert shortfall.interval.level == 0.9


def test_the_overall_ratio_and_shortfall_are_those_of_the_worst_category() -> None:
    evidence = audited(HAND)
    by_group = [ratio(evidence, group) for group in ("White", "Black", "Asian")]
    overall = ratio(evidence, None)
    assert overall.interval is not None
    assert overall.value == min(m.value for m in by_group if m.value is not None)
    assert overall.interval.low == pytest.approx(min(m.interval.low for m in by_group if m.interval))
    assert overall.interval.high == pytest.approx(min(m.interval.high for m in by_group if m.interval))


def test_nobody_selected() -> None:
    """There is no ratio then, and nobody falls short; how far one might is in the interval."""
    evidence = audited(people(A=(0, 50), B=(0, 50)).assign(y=np.arange(100) % 2), target="y")
    assert {m.metric: m.reason.code for m in evidence.measurements() if m.reason is not None} == {
        f"{IMPACT}.impact_ratio": "all_rates_zero"
    }
    shortfall = evidence.find(f"{IMPACT}.shortfall", attribute="race", group="A")
    assert shortfall.value == 0
    assert shortfall.interval is not None
    assert shortfall.interval.high == pytest.approx(50 * float(wilson(0, 50, critical_value(0.95))[1]))
    assert evidence.find(f"{IMPACT}.selection_rate", attribute="race", group="A").value == 0


def test_one_category_alone_has_nothing_to_be_held_against() -> None:
    evidence = audited(people(A=(10, 50)))
    assert {m.reason.code for m in evidence.measurements() if m.reason is not None} == {"fewer_than_two_groups"}


def test_rows_without_a_decision_are_named() -> None:
    frame = HAND.assign(yhat=HAND["yhat"].astype(float))
    frame.loc[frame.index[:7], "yhat"] = np.nan
    overall = ratio(audited(frame), None)
    assert overall.details is not None
    assert ("White", 7, "no_answer") in [(e.group, e.n, e.reason.code) for e in overall.details.excluded]


def test_weights_make_effective_numbers() -> None:
    rng = np.random.default_rng(3)
    frame = HAND.assign(w=rng.exponential(1, len(HAND)))
    evidence, plain = audited(frame, weight="w"), audited(frame)
    weighted = {group: np.average(rows["yhat"], weights=rows["w"]) for group, rows in frame.groupby("race")}
    top = max(weighted[g] for g in ("White", "Black", "Asian"))
    black, unweighted = ratio(evidence, "Black"), ratio(plain, "Black")
    assert black.value == pytest.approx(weighted["Black"] / top)
    assert black.n == 100
    shortfall = evidence.find(f"{IMPACT}.shortfall", attribute="race", group="Black")
    assert shortfall.value == pytest.approx((top - weighted["Black"]) * 100)
    assert black.interval is not None
    assert unweighted.interval is not None
    assert black.interval.high - black.interval.low > unweighted.interval.high - unweighted.interval.low
    equal = audited(frame.assign(w=2.5), weight="w")
    assert ratio(equal, "Black").p_value == pytest.approx(unweighted.p_value)


def test_rows_of_one_person_are_not_independent() -> None:
    """Everybody there twice is no new information; what rests on scores by row is not assessed."""
    twice = pd.concat([HAND.assign(person=np.arange(len(HAND)))] * 2, ignore_index=True).assign(score=0.5)
    clustered, doubled = audited(twice, score="score", positive=1, cluster="person"), audited(twice)
    once = ratio(audited(HAND), None)
    for found in (ratio(clustered, None), ratio(doubled, None)):
        assert found.value == once.value
    ends = [m.interval for m in (once, ratio(clustered, None), ratio(doubled, None)) if m.interval is not None]
    single, right, narrow = (end.high - end.low for end in ends)
    assert right > 0.97 * single > 1.2 * narrow
    assert not [m for m in clustered.measurements() if m.metric == f"{IMPACT}.scoring_rate"]


def test_a_category_without_any_answer_is_named() -> None:
    frame = HAND.assign(yhat=HAND["yhat"].astype(float).where(HAND["race"] != "Black"))
    overall = ratio(audited(frame), None)
    assert overall.details is not None
    assert ("Black", 100, "no_answer") in [(e.group, e.n, e.reason.code) for e in overall.details.excluded]


def test_ricci_as_the_court_had_it(real_data: Real) -> None:
    """Ricci v. DeStefano, 557 U.S. 557 (2009): pass rates of both exams, and ratios of .59 and .34."""
    rows = pd.read_csv(real_data("ricci") / "ricci.csv")
    assert len(rows) == 118
    rows["yhat"] = (rows["Combine"] >= 70).astype(int)
    published = {"Captain": ({"W": 0.64, "B": 0.375, "H": 0.375}, 0.59), "Lieutenant": (
        {"W": 0.581, "B": 0.316, "H": 0.20}, 0.34)}  # fmt: skip
    for position, (rates, smallest) in published.items():
        exam = rows[rows["Position"] == position]
        evidence = audited(exam, sensitive=["Race"], score="Combine", positive=1)
        for race, rate in rates.items():
            found = evidence.find(f"{IMPACT}.selection_rate", attribute="Race", group=race)
            assert found.value == pytest.approx(rate, abs=5e-4)
        assert ratio(evidence, None, "Race").value == pytest.approx(smallest, abs=5e-3)
        above = (exam["Combine"] > exam["Combine"].median()).groupby(exam["Race"]).mean()
        assert ratio(evidence, "B", "Race", "scoring").value == pytest.approx(above["B"] / above.max())


@pytest.mark.parametrize("attribute", ["race", "sex", "age_cat"])
def test_compas_against_fairlearn(predicted: Predicted, attribute: str) -> None:
    """All categories: fairlearn leaves none out. Deciles have many ties at the median."""
    frame = predicted("compas")
    evidence = audited(frame, sensitive=[attribute], score="score", positive=1, options={"smallest_share": 0.0})
    rates = MetricFrame(
        metrics=selection_rate, y_true=frame["y"], y_pred=frame["yhat"], sensitive_features=frame[attribute]
    )
    assert ratio(evidence, None, attribute).value == pytest.approx(rates.ratio(method="between_groups"))
    above = (frame["score"] > np.median(frame["score"])).groupby(frame[attribute]).mean()
    for group, rate in rates.by_group.items():
        name = str(group)
        assert ratio(evidence, name, attribute).value == pytest.approx(rate / rates.by_group.max())
        assert ratio(evidence, name, attribute, "scoring").value == pytest.approx(above[group] / above.max())
        inside, top = frame[frame[attribute] == group], frame[frame[attribute] == rates.by_group.idxmax()]
        if group != rates.by_group.idxmax():
            table = [[part["yhat"].sum(), len(part) - part["yhat"].sum()] for part in (inside, top)]
            assert ratio(evidence, name, attribute).p_value == pytest.approx(stats.fisher_exact(np.array(table)).pvalue)
