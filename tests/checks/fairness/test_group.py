"""Group fairness against fairlearn and scikit-learn, on random tables and on real data."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from scipy import stats
from sklearn.metrics import accuracy_score, precision_score

from fairwitness.audit.evidence import Evidence

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
FAIR = "fairness.group"

RATES: dict[str, Any] = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "true_negative_rate": fairlearn.true_negative_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "positive_predictive_value": partial(precision_score, zero_division=np.nan),
    "negative_predictive_value": partial(precision_score, pos_label=0, zero_division=np.nan),
    "accuracy": accuracy_score,
}
NAMED: dict[str, Any] = {
    "demographic_parity_difference": fairlearn.demographic_parity_difference,
    "demographic_parity_ratio": fairlearn.demographic_parity_ratio,
    "equal_opportunity_difference": fairlearn.equal_opportunity_difference,
    "equalized_odds_difference": fairlearn.equalized_odds_difference,
    "equalized_odds_ratio": fairlearn.equalized_odds_ratio,
}
SPREADS = {"predictive_parity_difference": "positive_predictive_value", "accuracy_difference": "accuracy"}


def table(seed: int, n: int = 900) -> pd.DataFrame:
    """Three groups by two, all rates different."""
    rng = np.random.default_rng(seed)
    sex, race = rng.choice(["F", "M"], n, p=[0.6, 0.4]), rng.choice(["A", "B", "C"], n, p=[0.5, 0.35, 0.15])
    y = (rng.random(n) < 0.3 + 0.2 * (sex == "M")).astype(int)
    yhat = (rng.random(n) < 0.2 + 0.5 * y + 0.15 * (race == "B")).astype(int)
    return pd.DataFrame({"sex": sex, "race": race, "y": y, "yhat": yhat, "w": rng.exponential(1, n)})


def disagreements(evidence: Evidence, frame: pd.DataFrame, attribute: str, weight: str | None = None) -> list[Any]:
    """Where the audit and fairlearn give different numbers."""
    sensitive = frame[attribute.split(" & ")].astype(str).agg(" & ".join, axis=1)
    weights = None if weight is None else frame[weight]
    by_group = fairlearn.MetricFrame(
        metrics=RATES,
        y_true=frame["y"],
        y_pred=frame["yhat"],
        sensitive_features=sensitive,
        sample_params={} if weights is None else {name: {"sample_weight": weights} for name in RATES},
    )
    expected: dict[tuple[str, str | None], float] = {
        (name, group): by_group.by_group.loc[group, name] for name in RATES for group in by_group.by_group.index
    }
    for name, function in NAMED.items():
        expected[name, None] = function(frame["y"], frame["yhat"], sensitive_features=sensitive, sample_weight=weights)
    for name, rate in SPREADS.items():
        expected[name, None] = by_group.difference()[rate]
    found = {
        (metric, group): evidence.find(f"{FAIR}.{metric}", attribute=attribute, group=group).value
        for metric, group in expected
    }
    return [
        (key, found[key], value) for key, value in expected.items() if found[key] != pytest.approx(value, abs=1e-12)
    ]


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_values_are_those_of_fairlearn(audit: Audit, seed: int, weight: str | None) -> None:
    frame = table(seed)
    evidence = audit(frame, FAIR, sensitive=["sex", "race"], weight=weight, options={"min_denominator": 1})
    for attribute in ("sex", "race", "sex & race"):
        assert disagreements(evidence, frame, attribute, weight) == []


@pytest.mark.parametrize(
    ("name", "sensitive"),
    [
        ("compas", ["race", "sex", "age_cat"]),
        ("adult", ["sex", "race"]),
        ("law_school", ["race", "male"]),
        ("german_credit", ["personal_status"]),
    ],
)
def test_real_data_as_fairlearn_has_it(audit: Audit, predicted: Predicted, name: str, sensitive: list[str]) -> None:
    frame = predicted(name)
    for attribute in sensitive:  # groups in which fairlearn puts 0 for a rate that is not defined
        labels = frame.groupby(attribute)["y"].nunique()
        frame = frame[frame[attribute].isin(labels.index[labels == 2])]
    options = {"min_denominator": 1}
    evidence = audit(frame, FAIR, sensitive=sensitive, intersections=False, options=options)
    for attribute in sensitive:
        assert disagreements(evidence, frame.assign(**{attribute: frame[attribute].astype(str)}), attribute) == []


def test_compas_as_published(audit: Audit, predicted: Predicted) -> None:
    """6,172 rows; false positive rates .423 and .220, as computed from ProPublica's own notebook."""
    frame = predicted("compas")
    assert len(frame) == 6172
    evidence = audit(frame, FAIR, sensitive=["race"])
    for group, rate in {"African-American": 0.423, "Caucasian": 0.220}.items():
        found = evidence.find(f"{FAIR}.false_positive_rate", attribute="race", group=group)
        assert found.value == pytest.approx(rate, abs=5e-4)
    gap = evidence.find(f"{FAIR}.equalized_odds_difference", attribute="race")
    assert gap.interval is not None
    assert gap.interval.low > 0.1
    assert gap.p_value is not None
    assert gap.p_value < 1e-10
    assert gap.details is not None
    assert [left_out.group for left_out in gap.details.excluded] == ["Asian", "Native American"]


def test_rates_have_wilson_intervals(audit: Audit) -> None:
    frame = table(3)
    evidence = audit(frame, FAIR, sensitive=["race"], options={"level": 0.9})
    for group, rows in frame.groupby("race"):
        found = evidence.find(f"{FAIR}.selection_rate", attribute="race", group=str(group))
        expected = stats.binomtest(int(rows["yhat"].sum()), len(rows)).proportion_ci(0.9, "wilson")
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected), abs=1e-12)
        assert (found.interval.level, found.interval.method, found.n) == (0.9, "Wilson", len(rows))


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_of_two_groups_is_newcombes(audit: Audit, seed: int) -> None:
    """The interval of |d| given that of d: [0, larger end] where it holds 0."""
    frame = table(seed, n=150 * (1 + seed))
    gap = audit(frame, FAIR, sensitive=["sex"]).find(f"{FAIR}.demographic_parity_difference", attribute="sex")
    women, men = (frame.loc[frame["sex"] == sex, "yhat"] for sex in "FM")
    p1, p2 = women.mean(), men.mean()
    (l1, u1), (l2, u2) = (
        stats.binomtest(int(rows.sum()), len(rows)).proportion_ci(0.95, "wilson") for rows in (women, men)
    )
    low = p1 - p2 - np.hypot(p1 - l1, u2 - p2)
    high = p1 - p2 + np.hypot(u1 - p1, p2 - l2)
    expected = (0.0, max(-low, high)) if low <= 0 <= high else tuple(sorted((abs(low), abs(high))))
    assert gap.interval is not None
    assert (gap.interval.low, gap.interval.high) == pytest.approx(expected, abs=1e-12)
    assert gap.value == pytest.approx(abs(p1 - p2), abs=1e-12)


def test_equalized_odds_of_two_groups_has_one_critical_value_for_both_rates(audit: Audit) -> None:
    """Two independent pairs: P(both |Z| < c) = .95 at c = 2.236."""
    gap = audit(table(5, n=4000), FAIR, sensitive=["sex"]).find(f"{FAIR}.equalized_odds_difference", attribute="sex")
    assert gap.details is not None
    critical = gap.details.facts["Simultaneous critical value"]
    assert critical == pytest.approx(-stats.norm.ppf((1 - np.sqrt(0.95)) / 2), abs=0.03)


def test_more_groups_have_wider_intervals_of_the_same_gap(audit: Audit) -> None:
    frame = table(6, n=3000)
    alone = frame[frame["race"] != "C"]
    both = [audit(rows, FAIR, sensitive=["race"]) for rows in (alone, frame)]
    two, three = (e.find(f"{FAIR}.demographic_parity_difference", attribute="race") for e in both)
    assert two.details is not None
    assert three.details is not None
    low, high = (g.facts["Simultaneous critical value"] for g in (two.details, three.details))
    assert low == pytest.approx(1.959963984540054)
    assert isinstance(high, float)
    assert high > 2.2


def test_intersections_are_named_by_their_groups(audit: Audit) -> None:
    frame = table(7)
    evidence = audit(frame, FAIR, sensitive=["sex", "race"])
    found = evidence.find(f"{FAIR}.selection_rate", attribute="sex & race", group="F & B")
    rows = frame[(frame["sex"] == "F") & (frame["race"] == "B")]
    assert found.value == pytest.approx(rows["yhat"].mean(), abs=1e-12)
    assert found.n == len(rows)
    none = audit(frame, FAIR, sensitive=["sex", "race"], intersections=False)
    assert {m.attribute for m in none.measurements()} == {"sex", "race"}


def test_integer_weights_are_repeated_rows(audit: Audit) -> None:
    frame = table(8)
    frame["w"] = np.random.default_rng(8).integers(1, 5, len(frame))
    repeated = audit(frame.loc[frame.index.repeat(frame["w"])], FAIR, sensitive=["sex", "race"])
    weighted = audit(frame, FAIR, sensitive=["sex", "race"], weight="w")
    for one, other in zip(weighted.measurements(), repeated.measurements(), strict=True):
        assert (one.metric, one.attribute, one.group) == (other.metric, other.attribute, other.group)
        # Repeated rows are more rows, so that more of them are enough.
        assert one.status == "not_estimable" or one.value == pytest.approx(other.value, abs=1e-12)
        # Repeating rows is no new information: the weighted interval is the wider one.
        if one.interval is not None and other.interval is not None and one.group is not None:
            assert one.interval.high - one.interval.low > other.interval.high - other.interval.low
    assert sum(one.status == "ok" for one in weighted.measurements()) > 100


def test_equal_weights_are_no_weights(audit: Audit) -> None:
    frame = table(9)
    weighted = audit(frame.assign(w=2.5), FAIR, sensitive=["sex", "race"], weight="w")
    for one, other in zip(
        weighted.measurements(), audit(frame, FAIR, sensitive=["sex", "race"]).measurements(), strict=True
    ):
        assert one.interval is not None
        assert other.interval is not None
        assert [one.value, one.interval.low, one.interval.high] == pytest.approx(
            [other.value, other.interval.low, other.interval.high], abs=1e-9
        )
