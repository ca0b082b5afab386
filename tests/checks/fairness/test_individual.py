"""Individual fairness against its definitions over rows, brute force, and models whose behaviour is known."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.audit.statistics.multiplicity import shrunken_deviation, simultaneous_critical
from fairwitness.checks.fairness._individual_neighbours import consistency, consistency_interval, nearest_rows
from fairwitness.checks.fairness._individual_ratios import log_ratio

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
CHECK = "fairness.individual"


def table(seed: int, n: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x1": rng.normal(size=n),
            "x2": rng.normal(5, 3, size=n),
            "colour": rng.choice(["red", "green", "blue"], n),
            "sex": rng.choice(["F", "M"], n, p=[0.6, 0.4]),
            "race": rng.choice(["A", "B", "C"], n, p=[0.5, 0.35, 0.15]),
            "w": rng.integers(1, 4, n),
        }
    )
    y = (rng.random(n) < 0.3 + 0.2 * (frame["sex"] == "M")).astype(int)
    yhat = (rng.random(n) < 0.2 + 0.4 * y + 0.15 * (frame["race"] == "B") + 0.1 * (frame["x1"] > 0)).astype(int)
    return frame.assign(y=y, yhat=yhat)


def find(evidence: Evidence, metric: str, attribute: str | None = None, **where: str) -> Measurement:
    return evidence.find(f"{CHECK}.{metric}", attribute=attribute, **where)


def facts(found: Measurement) -> dict[str, Any]:
    assert found.details is not None
    return dict(found.details.facts)


def code(found: Measurement) -> str:
    assert found.status == "not_estimable"
    assert found.reason is not None
    return found.reason.code


def entropy(benefits: Any, alpha: float) -> float:
    """AIF360's generalised entropy error, over rows."""
    relative = np.asarray(benefits, dtype=float) / np.mean(benefits)
    if alpha == 1:
        return float(np.mean([0.0 if r == 0 else r * math.log(r) for r in relative]))
    return float(np.mean(relative**alpha - 1) / (alpha * (alpha - 1)))


@pytest.mark.parametrize("seed", range(3))
def test_inequality_is_that_of_rows(audit: Audit, seed: int) -> None:
    frame = table(seed)
    evidence = audit(frame, CHECK, sensitive=["sex", "race"], positive=1)
    benefit = 1 + frame["yhat"] - frame["y"]
    assert find(evidence, "generalized_entropy", alpha="2").value == pytest.approx(entropy(benefit, 2), abs=1e-12)
    assert find(evidence, "theil").value == pytest.approx(entropy(benefit, 1), abs=1e-12)
    for attribute, groups in {"race": ["race"], "sex & race": ["sex", "race"]}.items():
        means = benefit.groupby([frame[name] for name in groups]).transform("mean")
        for metric, alpha in {"between_group_entropy": 2, "between_group_theil": 1}.items():
            found = find(evidence, metric, attribute)
            assert found.value == pytest.approx(entropy(means, alpha), abs=1e-12)
            share = entropy(means, alpha) / entropy(benefit, alpha)
            assert facts(found)["Share of it between groups"] == pytest.approx(share, abs=1e-12)


def test_another_alpha(audit: Audit) -> None:
    frame = table(3)
    evidence = audit(frame, CHECK, sensitive=["sex"], positive=1, options={"entropy_alpha": 3.0})
    found = find(evidence, "generalized_entropy", alpha="3")
    assert found.value == pytest.approx(entropy(1 + frame["yhat"] - frame["y"], 3), abs=1e-12)


def smoothed(frame: pd.DataFrame, groups: Any, alpha: float) -> float:
    """Foulds et al. (2020), equation 7, as AIF360's smoothed_edf with a concentration of 2 alpha."""
    rates = frame.groupby(groups)["yhat"].agg(lambda d: (d.sum() + alpha) / (len(d) + 2 * alpha)).to_numpy()
    return float(max(np.ptp(np.log(rates)), np.ptp(np.log(1 - rates))))


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_differential_fairness_is_that_of_aif360(audit: Audit, seed: int, alpha: float) -> None:
    frame = table(seed)
    evidence = audit(frame, CHECK, sensitive=["sex", "race"], positive=1, options={"smoothing": alpha})
    for attribute in ("sex", "race", "sex & race"):
        found = find(evidence, "differential_fairness", attribute)
        assert found.value == pytest.approx(smoothed(frame, attribute.split(" & "), alpha), abs=1e-12)
        labels = smoothed(frame.assign(yhat=frame["y"]), attribute.split(" & "), alpha)
        assert facts(found)["Differential fairness of the labels"] == pytest.approx(labels, abs=1e-12)


def test_a_group_in_which_nobody_is_selected_has_a_finite_ratio(audit: Audit) -> None:
    frame = pd.DataFrame({"sex": ["F"] * 50 + ["M"] * 50, "yhat": [0] * 50 + [0, 1] * 25, "y": [0, 1] * 50})
    found = find(audit(frame, CHECK, sensitive=["sex"], positive=1), "differential_fairness", "sex")
    assert found.value == pytest.approx(math.log((26 / 52) / (1 / 52)))
    assert found.interval is not None
    assert found.interval.low > 1


@pytest.mark.parametrize(
    ("rates", "rows"),
    [([0.3, 0.3], [100, 300]), ([0.2, 0.2, 0.2, 0.2], [60, 100, 300, 80]), ([0.1, 0.3, 0.5], [80, 50, 200])],
)
def test_the_interval_of_the_ratio_covers_and_reaches_0(rates: Any, rows: Any) -> None:
    rng = np.random.default_rng(0)
    p, n = np.array(rates), np.array(rows)
    critical = simultaneous_critical([shrunken_deviation(n * p, n)], 0.95, rng)
    expected = (n * p + 1) / (n + 2)
    truth = max(np.ptp(np.log(expected)), np.ptp(np.log(1 - expected)))
    found = [log_ratio(x, n, 1.0, critical) for x in rng.binomial(n, p, size=(500, len(n)))]
    assert all(low <= value <= high for value, low, high in found)
    assert np.mean([low <= truth <= high for _, low, high in found]) >= 0.925
    if len(set(rates)) == 1:
        assert np.mean([low == 0 for _, low, _ in found]) >= 0.91


def test_consistency_is_that_of_a_search_through_all_rows(audit: Audit) -> None:
    """Numbers standardised, colours as 0 and 1, missing numbers at the mean with a mark of their own; no sex."""
    frame = table(4, n=300)
    frame.loc[:20, "x2"] = np.nan
    features = ["x1", "x2", "colour", "sex"]
    given = frame[features].astype({"colour": "str"})
    evidence = audit(given.join(frame[["race", "y", "yhat"]]), CHECK, sensitive=["sex"], features=features, positive=1)
    scaled = (frame[["x1", "x2"]] - frame[["x1", "x2"]].mean()) / frame[["x1", "x2"]].std(ddof=0)
    points = np.column_stack([scaled.fillna(0.0), frame["x2"].isna(), pd.get_dummies(frame["colour"])]).astype(float)
    distances = pairwise_distances(points)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    decided = frame["yhat"].to_numpy()
    found = find(evidence, "consistency")
    assert found.value == pytest.approx(1 - np.abs(decided - decided[nearest].mean(axis=1)).mean(), abs=1e-12)
    assert facts(found)["Features compared"] == "colour, x1, x2"
    assert found.where == {"neighbours": "5"}


def test_the_jackknife_leaves_each_row_out() -> None:
    rng = np.random.default_rng(0)
    points, decisions = rng.normal(size=(60, 2)), (rng.random(60) < 0.4).astype(float)
    weights = rng.exponential(1, 60)
    value, deviation = consistency(decisions, nearest_rows(points, 4), weights)
    without = []
    for i in range(60):
        kept = np.arange(60) != i
        without.append(consistency(decisions[kept], nearest_rows(points[kept], 4), weights[kept])[0])
    terms = np.abs(decisions - decisions[nearest_rows(points, 3)].mean(axis=1))
    assert value == pytest.approx(1 - weights @ terms / weights.sum(), abs=1e-12)
    assert deviation == pytest.approx(math.sqrt(59 * np.var(without)), rel=1e-9)


@pytest.mark.parametrize("kind", ["smooth", "rare", "tied"])
def test_the_interval_of_consistency_covers(kind: str) -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(150):
        points = rng.normal(size=(120, 2))
        if kind == "tied":
            points = points.round()
        rate = {"rare": 0.05, "tied": 0.2}.get(kind, 1 / (1 + np.exp(-2 * points[:, 0])))
        decisions = (rng.random(120) < rate).astype(float)
        value, deviation = consistency(decisions, nearest_rows(points, 6), np.ones(120))
        found.append((value, *consistency_interval(value, deviation, 120, 0.95)))
    truth = np.mean([value for value, _, _ in found])
    assert np.mean([low <= truth <= high for _, low, high in found]) >= 0.93


def test_equal_decisions_are_consistent_but_not_for_certain(audit: Audit) -> None:
    frame = table(5, n=200).assign(yhat=1)
    found = find(audit(frame, CHECK, sensitive=["sex"], features=["x1", "x2"], positive=1), "consistency")
    assert found.value == 1.0
    assert found.interval is not None
    assert 0.9 < found.interval.low < 0.98


def test_features_that_rows_cannot_be_compared_by(audit: Audit) -> None:
    frame = table(6, n=400).assign(same=1.0, name=[f"n{i}" for i in range(400)])
    meaning: dict[str, Any] = {"sensitive": ["sex"], "positive": 1}
    none = audit(frame, CHECK, features=["same", "sex", "name"], **meaning)
    assert code(find(none, "consistency")) == "no_comparable_features"
    some = find(audit(frame, CHECK, features=["x1", "name"], **meaning), "consistency")
    assert facts(some)["Features left out"] == "name"
    assert code(find(audit(frame, CHECK, **meaning), "consistency")) == "features_not_read"
    with_sex = audit(frame, CHECK, features=["sex"], options={"sensitive_features": True}, **meaning)
    assert facts(find(with_sex, "consistency"))["Features compared"] == "sex"


# ---- counterfactual answers


def ask(function: Any, frame: pd.DataFrame, options: dict[str, Any] | None = None, **meaning: Any) -> Evidence:
    data = Dataset(frame, target="y", positive=1, task="binary", **meaning)
    return run(function, data, checks=[CHECK], options={CHECK: options or {}})


def people(n: int = 500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "sex": rng.choice(["F", "M"], n),
            "race": rng.choice(["A", "B", "C"], n),
            "age": rng.integers(18, 80, n),
            "y": rng.integers(0, 2, n),
        }
    )


def prefers_men(frame: pd.DataFrame) -> Any:
    return (frame["x"] + 0.5 * (frame["sex"] == "M") > 0).to_numpy().astype(int)


def test_flips_are_those_of_the_rows_in_between(audit: Audit) -> None:
    """A row flips where its own score lies between the thresholds of women (0) and men (-0.5)."""
    frame = people()
    evidence = ask(prefers_men, frame, sensitive=["sex", "race"], features=["x", "sex"])
    found = find(evidence, "counterfactual_flip_rate", "sex")
    between = frame["x"].between(-0.5, 0)
    assert found.value == pytest.approx(between.mean(), abs=1e-12)
    assert found.interval is not None
    expected = stats.binomtest(int(between.sum()), len(frame)).proportion_ci(0.95, "wilson")
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected), abs=1e-12)
    gain, lose = (between & (frame["sex"] == sex) for sex in "FM")
    assert facts(found)["Rejected that would be selected"] == pytest.approx(gain.mean())
    assert facts(found)["Selected that would be rejected"] == pytest.approx(lose.mean())
    assert facts(found)["Decisions that changed with nothing changed"] == 0
    assert found.details is not None
    assert found.details.table is not None
    assert found.details.table.rows == (
        ("F", (frame["sex"] == "F").sum(), gain.sum(), 0),
        ("M", (frame["sex"] == "M").sum(), 0, lose.sum()),
    )
    assert code(find(evidence, "counterfactual_score_gap", "sex")) == "needs_scores"
    assert code(find(evidence, "counterfactual_flip_rate", "race")) == "not_a_feature"
    both = find(evidence, "counterfactual_flip_rate", "sex & race")
    assert (both.value, facts(both)["Columns changed"]) == (found.value, "sex")


def test_any_of_the_other_values_counts(audit: Audit) -> None:
    """Only race C is favoured: all others flip to it, and it flips to any other."""

    def scores(frame: pd.DataFrame) -> Any:
        return (0.2 + 0.6 * (frame["race"] == "C") + 0.01 * (frame["race"] == "B")).to_numpy()

    frame = people()
    evidence = ask(scores, frame, sensitive=["race", "sex"], features=["race", "x"])
    found = find(evidence, "counterfactual_flip_rate", "race")
    assert found.value == 1.0
    assert facts(found)["Values that rows were given"] == 3
    gap = find(evidence, "counterfactual_score_gap", "race")
    of = {"A": (0.01 + 0.6) / 2, "B": (0.01 + 0.59) / 2, "C": (0.6 + 0.59) / 2}
    assert gap.value == pytest.approx(frame["race"].map(of).mean(), abs=1e-9)
    largest = frame["race"].map({"A": 0.6, "B": 0.59, "C": 0.6}).mean()
    assert facts(gap)["Mean of the largest change"] == pytest.approx(largest, abs=1e-9)
    assert gap.interval is not None
    assert gap.interval.low < (gap.value or 0.0) < gap.interval.high


def test_intersections_change_all_their_columns(audit: Audit) -> None:
    """Favoured are women of race A and men of race B: changing one column is not enough to see it all."""

    def model(frame: pd.DataFrame) -> Any:
        either = ((frame["sex"] == "F") & (frame["race"] == "A")) | ((frame["sex"] == "M") & (frame["race"] == "B"))
        return either.to_numpy().astype(int)

    frame = people()
    evidence = ask(model, frame, sensitive=["sex", "race"], features=["sex", "race"])
    assert find(evidence, "counterfactual_flip_rate", "sex & race").value == 1.0
    assert find(evidence, "counterfactual_flip_rate", "sex").value == pytest.approx((frame["race"] != "C").mean())


def test_a_bin_is_stood_for_by_its_median(audit: Audit) -> None:
    frame = people()
    asked: set[int] = set()

    def model(rows: pd.DataFrame) -> Any:
        asked.update(rows["age"].tolist())
        return (rows["age"] >= 40).to_numpy().astype(int)

    evidence = ask(model, frame, sensitive=["age"], bins={"age": [40, 60]}, features=["age", "x"])
    assert find(evidence, "counterfactual_flip_rate", "age").value == 1.0
    assert asked <= set(frame["age"])


def test_missing_values_are_neither_changed_nor_given(audit: Audit) -> None:
    frame = people().astype({"sex": object})
    frame.loc[:49, "sex"] = None
    given: list[int] = []

    def model(rows: pd.DataFrame) -> Any:
        given.append(int(rows["sex"].isna().sum()))
        return (rows["sex"] == "M").to_numpy().astype(int)

    found = find(ask(model, frame, sensitive=["sex"], features=["sex", "x"]), "counterfactual_flip_rate", "sex")
    assert (found.value, found.n) == (1.0, 450)
    assert given[-2:] == [0, 0]


def refusing(share_of: Callable[[pd.DataFrame], Any]) -> Callable[[pd.DataFrame], Any]:
    """A model that gives some rows no answer."""
    return lambda rows: np.where(share_of(rows), np.nan, prefers_men(rows))


def unanswered(found: Measurement) -> dict[str, int]:
    assert found.details is not None
    return {left_out.group: left_out.n for left_out in found.details.excluded if left_out.reason.code == "no_answer"}


@pytest.mark.parametrize("most", [10_000, 10])
def test_rows_without_an_answer_are_listed(most: int) -> None:
    frame = people()
    frame.loc[:4, "x"] = 5.0
    model = refusing(lambda rows: rows["x"] == 5.0)
    evidence = ask(model, frame, {"flip_rows": most}, sensitive=["sex"], features=["x", "sex"])
    found = find(evidence, "counterfactual_flip_rate", "sex")
    assert found.n == min(most, 495)
    assert unanswered(found) == frame["sex"][:5].value_counts().to_dict()
    assert unanswered(find(evidence, "consistency")) == {"(all rows)": 5}


def test_a_group_that_the_model_refuses_to_answer_is_tried_on_all_rows() -> None:
    """Nobody can be compared with such a group: no row has an answer to every question."""
    frame = people()
    refuses = refusing(lambda rows: rows["race"] == "B")
    evidence = ask(refuses, frame, sensitive=["race", "sex"], features=["x", "sex", "race"])
    for attribute in ("race", "race & sex"):
        found = find(evidence, "counterfactual_flip_rate", attribute)
        assert code(found) == "too_few"
        assert sum(unanswered(found).values()) == len(frame)
    found = find(evidence, "counterfactual_flip_rate", "sex")
    assert found.n == (frame["race"] != "B").sum()
    assert unanswered(found) == frame["sex"][frame["race"] == "B"].value_counts().to_dict()


def test_weights_count(audit: Audit) -> None:
    frame = people().assign(w=lambda rows: 1.0 + 3.0 * rows["x"].between(-0.5, 0))
    found = find(
        ask(prefers_men, frame, sensitive=["sex"], features=["x", "sex"], weight="w"), "counterfactual_flip_rate", "sex"
    )
    flipped = frame["x"].between(-0.5, 0)
    assert found.value == pytest.approx(frame.loc[flipped, "w"].sum() / frame["w"].sum(), abs=1e-12)
    none = ask(prefers_men, frame.assign(w=0.0), sensitive=["sex"], features=["x", "sex"], weight="w")
    assert find(none, "counterfactual_flip_rate", "sex").status == "not_estimable"


def test_a_model_that_answers_at_random_is_found_out(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    found = find(
        ask(lambda rows: rng.integers(0, 2, len(rows)), people(), sensitive=["sex"], features=["sex", "x"]),
        "counterfactual_flip_rate",
        "sex",
    )
    assert facts(found)["Decisions that changed with nothing changed"] > 200


def test_most_rows_asked_about(audit: Audit) -> None:
    evidence = ask(prefers_men, people(3000), {"flip_rows": 200}, sensitive=["sex"], features=["x", "sex"])
    assert find(evidence, "counterfactual_flip_rate", "sex").n == 200


def test_logged_predictions_cannot_be_asked(audit: Audit) -> None:
    evidence = audit(table(0), CHECK, sensitive=["sex"], positive=1)
    assert code(find(evidence, "counterfactual_flip_rate", "sex")) == "needs_model"


def test_one_value_and_too_many(audit: Audit) -> None:
    one = ask(prefers_men, people().assign(sex="F"), sensitive=["sex"], features=["x", "sex"])
    assert code(find(one, "counterfactual_flip_rate", "sex")) == "one_group"
    many = people().assign(sex=[f"p{i}" for i in range(500)])
    evidence = ask(prefers_men, many, sensitive=["sex"], features=["x", "sex"])
    for metric in ("counterfactual_flip_rate", "differential_fairness", "between_group_theil"):
        assert code(find(evidence, metric, "sex")) == "too_many_groups"


def test_adult_with_and_without_sex(predicted: Predicted) -> None:
    """A model fitted with the column sex changes its decision on some with it; one fitted without cannot."""
    frame = predicted("adult").drop(columns=["yhat", "score"])
    numbers = ["age", "education_num", "gain", "hours"]
    for further, flips in ((["sex"], True), ([], False)):
        encoded = make_column_transformer(
            (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), ["marital", *further])
        )
        features = [*numbers, "marital", *further]
        model = make_pipeline(encoded, LogisticRegression(max_iter=500)).fit(frame[features][::2], frame["y"][::2])
        evidence = ask(model, frame[1::2], sensitive=["sex"])
        found = find(evidence, "counterfactual_flip_rate", "sex")
        if flips:
            assert found.value is not None
            assert 0.005 < found.value < 0.2
        else:
            assert code(found) == "not_a_feature"
        kept = find(evidence, "consistency")
        assert kept.value is not None
        assert kept.value > 0.85


def test_compas(audit: Audit, predicted: Predicted) -> None:
    frame = predicted("compas")
    evidence = audit(
        frame, CHECK, sensitive=["race"], positive=1, features=["age", "priors_count", "c_charge_degree", "race"]
    )
    assert find(evidence, "theil").value == pytest.approx(entropy(1 + frame["yhat"] - frame["y"], 1), abs=1e-12)
    assert find(evidence, "differential_fairness", "race").value == pytest.approx(
        smoothed(frame, "race", 1.0), abs=1e-12
    )
    part = find(evidence, "between_group_theil", "race")
    assert part.interval is not None
    assert part.interval.low > 0
    kept = find(evidence, "consistency")
    assert kept.n == 5000
    assert kept.value is not None
    assert 0.6 < kept.value < 0.8
