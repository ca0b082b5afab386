"""Score fairness against scikit-learn and scipy by group and pair, on random tables and on real data."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.checks.fairness._score_cells import Cells, bins
from fairwitness.checks.fairness._score_distances import of_scores
from fairwitness.checks.fairness._score_means import difference, of_groups, standardized
from fairwitness.checks.fairness._score_roc import furthest, of_ranking, rates_of

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
Floats = npt.NDArray[np.float64]
SCORE = "fairness.score"
DISTANCES = ("abroca", "kolmogorov_smirnov", "wasserstein")


def table(seed: int, n: int = 900, digits: int = 2) -> pd.DataFrame:
    """Three groups by two; scores rank worse for B, and are higher for M."""
    rng = np.random.default_rng(seed)
    sex, race = rng.choice(["F", "M"], n, p=[0.6, 0.4]), rng.choice(["A", "B", "C"], n, p=[0.5, 0.35, 0.15])
    y = (rng.random(n) < 0.4 + 0.1 * (sex == "M")).astype(int)
    logit = rng.normal(0, 1, n) + y * np.where(race == "B", 0.4, 1.2) + 0.5 * (sex == "M")
    score = (1 / (1 + np.exp(-logit))).round(digits)
    return pd.DataFrame({"sex": sex, "race": race, "y": y, "yhat": (score > 0.5).astype(int), "score": score}).assign(
        w=rng.exponential(1, n)
    )


def found(evidence: Evidence, metric: str, attribute: str, group: str | None = None) -> Measurement:
    return evidence.find(f"{SCORE}.{metric}", attribute=attribute, group=group)


def heights(rows: pd.DataFrame, weight: str | None, at: Floats) -> Floats:
    weights = None if weight is None else rows[weight]
    x, y, _ = roc_curve(rows["y"], rows["score"], sample_weight=weights, drop_intermediate=False)
    return np.asarray(np.interp(at, x, y))


def assert_as_elsewhere(evidence: Evidence, frame: pd.DataFrame, attribute: str, weight: str | None = None) -> None:
    """Compare every number with that of another library; groups without both labels are not in the frame."""
    weights = frame[weight] if weight else pd.Series(1.0, frame.index)
    of_rows = frame[attribute.split(" & ")].astype(str).agg(" & ".join, axis=1)
    groups = {str(name): rows for name, rows in frame.groupby(of_rows)}

    def area(rows: pd.Series) -> float:
        return float(roc_auc_score(frame["y"][rows], frame["score"][rows], sample_weight=weights[rows]))

    def mean(values: "pd.Series[float]") -> float:
        return float(np.average(values, weights=weights[values.index]))

    by_group: dict[str, dict[str, float]] = {}
    for name, rows in groups.items():
        inside, positive = of_rows == name, frame["y"] == 1
        by_group[name] = {
            "roc_auc": area(inside),
            "subgroup_auc": area(inside),
            "bpsn_auc": area(inside & ~positive | ~inside & positive),
            "bnsp_auc": area(inside & positive | ~inside & ~positive),
            "mean_score": mean(rows["score"]),
            "mean_score_positives": mean(rows["score"][rows["y"] == 1]),
            "mean_score_negatives": mean(rows["score"][rows["y"] == 0]),
            "calibration_gap": mean(rows["score"]) - mean(rows["y"]),
        }
        for metric, value in by_group[name].items():
            assert found(evidence, metric, attribute, name).value == pytest.approx(value, abs=1e-10), (metric, name)
    spread = {metric: np.ptp([by_group[name][metric] for name in groups]) for metric in by_group[name]}
    centre = mean(frame["score"])
    deviation = np.sqrt(np.average((frame["score"] - centre) ** 2, weights=weights))
    at = (np.arange(20_000) + 0.5) / 20_000 * (1 - 1e-9)
    curves = {name: heights(rows, weight, at) for name, rows in groups.items()}
    pairs = [(groups[a], groups[b]) for a, b in combinations(groups, 2)]
    grid = np.unique(frame["score"])

    def share(rows: pd.DataFrame) -> Floats:
        at_score = np.bincount(np.searchsorted(grid, rows["score"]), weights[rows.index], minlength=len(grid))
        return np.asarray(np.cumsum(at_score) / at_score.sum())

    gaps = {
        "roc_auc_difference": spread["roc_auc"],
        "balance_positive_class_difference": spread["mean_score_positives"],
        "balance_negative_class_difference": spread["mean_score_negatives"],
        "mean_score_difference": spread["mean_score"],
        "calibration_gap_difference": spread["calibration_gap"],
        "standardized_mean_difference": spread["mean_score"] / deviation,
        "kolmogorov_smirnov": max(
            np.abs(share(a) - share(b)).max()
            if weight
            else stats.ks_2samp(a["score"], b["score"], method="asymp").statistic
            for a, b in pairs
        ),
        "wasserstein": max(
            stats.wasserstein_distance(a["score"], b["score"], weights[a.index], weights[b.index]) for a, b in pairs
        ),
    }
    for metric, value in gaps.items():
        assert found(evidence, metric, attribute).value == pytest.approx(value, abs=1e-10), metric
    brute = max(np.abs(curves[a] - curves[b]).mean() for a, b in combinations(groups, 2))
    assert found(evidence, "abroca", attribute).value == pytest.approx(brute, abs=1e-4)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("digits", [1, 9])
def test_values_are_those_of_scikit_learn_and_scipy(audit: Audit, digits: int, weight: str | None) -> None:
    frame = table(0, digits=digits)
    options = {"min_denominator": 1}
    evidence = audit(frame, SCORE, score="score", sensitive=["sex", "race"], weight=weight, options=options)
    for attribute in ("sex", "race", "sex & race"):
        assert_as_elsewhere(evidence, frame, attribute, weight)


@pytest.mark.parametrize(
    ("name", "sensitive"), [("compas", "race"), ("law_school", "race"), ("german_credit", "personal_status")]
)
def test_real_data_as_elsewhere(audit: Audit, predicted: Predicted, name: str, sensitive: str) -> None:
    frame = predicted(name)
    labels = frame.groupby(sensitive)["y"].nunique()
    frame = frame[frame[sensitive].isin(labels.index[labels == 2])]
    evidence = audit(frame, SCORE, score="score", sensitive=[sensitive], options={"min_denominator": 1})
    assert_as_elsewhere(evidence, frame, sensitive)


def test_compas_ranks_both_races_alike_and_scores_them_apart(audit: Audit, predicted: Predicted) -> None:
    """Areas near .70 in both (Flores, Bechtel & Lowenkamp 2016, Federal Probation 80:38-46); means far apart."""
    frame = predicted("compas")
    frame = frame[frame["race"].isin(["African-American", "Caucasian"])]
    evidence = audit(frame, SCORE, score="score", sensitive=["race"])
    for group in ("African-American", "Caucasian"):
        assert found(evidence, "roc_auc", "race", group).value == pytest.approx(0.70, abs=0.01)
    for metric in ("roc_auc_difference", "abroca"):
        gap = found(evidence, metric, "race")
        assert gap.interval is not None
        assert gap.interval.low == 0
        assert gap.interval.high < 0.06
        assert gap.p_value is not None
        assert gap.p_value > 0.2
    for metric in ("balance_positive_class_difference", "balance_negative_class_difference", "kolmogorov_smirnov"):
        gap = found(evidence, metric, "race")
        assert gap.interval is not None
        assert gap.interval.low > 0.07
        assert gap.p_value is not None
        assert gap.p_value < 0.01
    beside = found(evidence, "kolmogorov_smirnov", "race").details
    assert beside is not None
    assert beside.table is not None
    for threshold, parity, opportunity, equality, odds, precision, omitted, right in beside.table.rows:
        chosen = frame.assign(chosen=frame["score"] >= threshold)
        assert parity == pytest.approx(np.ptp(chosen.groupby("race")["chosen"].mean()))
        true_rate, false_rate = (np.ptp(chosen[chosen["y"] == y].groupby("race")["chosen"].mean()) for y in (1, 0))
        assert (opportunity, equality, odds) == pytest.approx((true_rate, false_rate, max(true_rate, false_rate)))
        of = chosen.assign(right=chosen["chosen"] == (chosen["y"] == 1))
        for yes, said in ((True, precision), (False, omitted)):
            rates = of[of["chosen"] == yes].groupby("race")["right"].mean()
            assert said == (pytest.approx(np.ptp(rates)) if len(rates) else None)
        assert right == pytest.approx(np.ptp(of.groupby("race")["right"].mean()))
    assert {curve.title for curve in beside.curves} == {
        "Selection rate by threshold: African-American",
        "Selection rate by threshold: Caucasian",
    }


def test_means_have_students_interval(audit: Audit) -> None:
    frame = table(3)
    evidence = audit(frame, SCORE, score="score", sensitive=["race"], options={"level": 0.9})
    for group, rows in frame.groupby("race"):
        limits = stats.ttest_1samp(rows["score"], 0).confidence_interval(0.9)
        mean = found(evidence, "mean_score", "race", str(group))
        assert mean.interval is not None
        assert (mean.interval.low, mean.interval.high) == pytest.approx((limits.low, limits.high), abs=1e-12)
        assert mean.n == len(rows)


def test_tests_of_means_are_welchs(audit: Audit) -> None:
    frame = table(4)
    evidence = audit(frame, SCORE, score="score", sensitive=["race"])
    for metric, rows in {
        "mean_score_difference": frame,
        "balance_positive_class_difference": frame[frame["y"] == 1],
    }.items():
        groups = [scores for _, scores in rows.groupby("race")["score"]]
        expected = stats.f_oneway(*groups, equal_var=False).pvalue
        assert found(evidence, metric, "race").p_value == pytest.approx(expected, rel=1e-8)


def test_small_groups_and_rows_without_a_score_are_listed(audit: Audit) -> None:
    frame = table(5)
    frame.loc[frame["race"] == "C", "y"] = 0
    frame.loc[frame.index[:3], "score"] = np.nan
    gap = found(audit(frame, SCORE, score="score", sensitive=["race"]), "abroca", "race")
    assert gap.details is not None
    listed = {(left_out.group, left_out.reason.code) for left_out in gap.details.excluded}
    assert ("C", "too_few") in listed
    assert {code for _, code in listed} == {"too_few", "no_answer"}
    assert gap.value is not None


def test_scores_that_are_no_probabilities_have_no_calibration(audit: Audit) -> None:
    frame = table(6).assign(score=lambda rows: 10 * rows["score"] - 3)
    evidence = audit(frame, SCORE, score="score", sensitive=["sex"])
    gap = found(evidence, "calibration_gap_difference", "sex")
    assert gap.reason is not None
    assert gap.reason.code == "scores_not_probabilities"
    assert not any(said.metric.endswith(".calibration_gap") for said in evidence.checks[0].measurements)
    other = audit(table(6), SCORE, score="score", sensitive=["sex"])
    for metric in ("abroca", "kolmogorov_smirnov", "standardized_mean_difference", "roc_auc_difference"):
        one, two = found(evidence, metric, "sex"), found(other, metric, "sex")
        assert one.value == pytest.approx(two.value)
        assert one.interval is not None
        assert two.interval is not None
        # Draws differ, as those behind the calibration are not needed here.
        assert (one.interval.low, one.interval.high) == pytest.approx((two.interval.low, two.interval.high), abs=0.03)


def test_scores_beyond_all_arithmetic_are_refused(audit: Audit) -> None:
    frame = table(6).assign(score=lambda rows: 1e300 * rows["score"])
    (result,) = audit(frame, SCORE, score="score", sensitive=["sex"]).checks
    assert result.status == "not_assessed"
    assert result.reason is not None
    assert result.reason.code == "scores_not_probabilities"


def test_a_high_level_widens_and_can_still_find(audit: Audit) -> None:
    frame = table(9).assign(score=lambda rows: rows["score"] / (1 + 4 * (rows["sex"] == "F")))
    one, two = (audit(frame, SCORE, score="score", sensitive=["sex"], options={"level": v}) for v in (0.95, 0.9999))
    for metric in ("kolmogorov_smirnov", "wasserstein"):
        narrow, wide = (found(evidence, metric, "sex").interval for evidence in (one, two))
        assert narrow is not None
        assert wide is not None
        assert 0 < wide.low < narrow.low
        assert wide.high >= narrow.high


def test_without_labels_distributions_are_still_compared(audit: Audit) -> None:
    evidence = audit(table(7).assign(y=np.nan), SCORE, score="score", sensitive=["sex"], task="binary", positive=1)
    assert found(evidence, "kolmogorov_smirnov", "sex").value is not None
    gap = found(evidence, "abroca", "sex")
    assert gap.reason is not None
    assert gap.reason.code == "needs_labels"


def test_a_perfect_ranking_is_not_a_certain_one(audit: Audit) -> None:
    frame = table(8, 160).assign(score=lambda rows: 0.2 + 0.6 * rows["y"])
    evidence = audit(frame, SCORE, score="score", sensitive=["sex"])
    for metric in ("roc_auc_difference", "abroca"):
        gap = found(evidence, metric, "sex")
        assert gap.value == 0
        assert gap.interval is not None
        assert gap.interval.low == 0
        assert gap.interval.high > 0.05


def cells(groups: list[tuple[Floats, Floats]]) -> Cells:
    """Cells of the scores of positives and negatives of each group."""
    scores = np.unique(np.concatenate([*map(np.concatenate, groups)]))
    w = np.zeros((len(groups), 3, len(scores)))
    for i, (positives, negatives) in enumerate(groups):
        for truth, values in ((1, positives), (0, negatives)):
            w[i, truth] = np.bincount(np.searchsorted(scores, values), minlength=len(scores))
    names = tuple("ABCDEFGH"[: len(groups)])
    n, nothing = w.sum(axis=2).astype(np.int64), np.zeros(len(groups), dtype=np.int64)
    unit = bool(scores[0] >= 0 and scores[-1] <= 1)
    return Cells("a", names, scores, n, w, np.ones(len(groups)), nothing, False, unit)


def simulated(
    moved: tuple[float, ...], better: tuple[float, ...], size: int, runs: int
) -> dict[str, list[Measurement]]:
    """Gaps of normal scores: a group's are moved as a whole, and its positives by so much above its negatives."""
    rng = np.random.default_rng(0)
    seen: dict[str, list[Measurement]] = {}
    for _ in range(runs):
        groups = [
            (rng.normal(move + above, 1, size), rng.normal(move, 1, size))
            for move, above in zip(moved, better, strict=True)
        ]
        given = cells(groups)
        gaps = [*of_ranking(given, rng, 0.95, 1), *of_scores(given, rng, 0.95, 1), standardized(given, rng, 0.95, 1)]
        for gap in [*gaps, difference(given, "mean_score_positives", rng, 0.95, 1)]:
            seen.setdefault(gap.metric, []).append(gap)
    return seen


def share(gaps: list[Measurement], of: Callable[[Any, Any], bool]) -> float:
    return float(np.mean([of(gap.interval, gap.p_value) for gap in gaps]))


@pytest.mark.parametrize("groups", [2, 3])
def test_equal_groups_raise_few_false_alarms(groups: int) -> None:
    """At most one in twenty; of 50 tables no more than seven (binomial, one in a hundred)."""
    for metric, gaps in simulated((0.0,) * groups, (1.0,) * groups, 40, 50).items():
        assert share(gaps, lambda interval, _: interval.low > 0) <= 7 / 50, metric
        assert share(gaps, lambda _, p: p < 0.05) <= 8 / 50, metric


def rows_of(group: npt.NDArray[np.int64], y: npt.NDArray[np.int64], score: Floats) -> Cells:
    at = [(score[(group == g) & (y == 1)], score[(group == g) & (y == 0)]) for g in range(int(group.max()) + 1)]
    return cells(at)


def calibrated(rng: np.random.Generator) -> Cells:
    score = rng.uniform(0.01, 0.03, 1050).round(4)
    return rows_of(np.repeat([0, 1], [50, 1000]), (rng.random(1050) < score).astype(int), score)


def two_valued(rng: np.random.Generator) -> Cells:
    y = (rng.random(1060) < 0.4).astype(int)
    return rows_of(np.repeat([0, 1], [60, 1000]), y, np.where(rng.random(1060) < 0.02, 0.9, 0.1))


def separated(rng: np.random.Generator) -> Cells:
    y = np.append(np.arange(50) < 12, rng.random(500) < 0.25).astype(int)
    return rows_of(np.repeat([0, 1], [50, 500]), y, stats.norm.cdf(rng.normal(4 * y - 0.5, 1)).round(4))


@pytest.mark.parametrize(
    ("draw", "metric"),
    [
        (calibrated, "calibration_gap"),
        (two_valued, "mean_score"),
        (two_valued, "mean_score_positives"),
        (two_valued, "mean_score_negatives"),
        (separated, "mean_score_positives"),
    ],
)
def test_rare_values_in_a_small_group_are_no_difference(
    draw: Callable[[np.random.Generator], Cells], metric: str
) -> None:
    """Of equal groups; with each group's own variance .24 to .68 of these have an interval or p-value that says so."""
    rng = np.random.default_rng(0)
    alarms = np.zeros(2)
    for _ in range(60):
        given = draw(rng)
        gaps = [difference(given, metric, rng, 0.95, 10)]
        gaps += [standardized(given, rng, 0.95, 10)] if metric == "mean_score" else []
        for gap in gaps:
            assert gap.interval is not None
            assert gap.p_value is not None
            assert (gap.interval.low > 0) == (gap.p_value < 0.05)
            alarms[gap is not gaps[0]] += gap.interval.low > 0
    assert (alarms <= 5).all()


def test_a_group_without_a_rare_positive_can_be_calibrated() -> None:
    """Fifty rows of scores near .02 have no positive in more than a third of samples."""
    score = np.linspace(0.01, 0.03, 50)
    both = (np.array([]), score), (np.full(20, 0.02), np.linspace(0.01, 0.03, 980))
    small, _ = of_groups(cells(list(both)), "calibration_gap", 0.95, 10, None)
    assert small.value == pytest.approx(0.02)
    assert small.interval is not None
    assert small.interval.low < 0
    deviation = np.sqrt((score * (1 - score)).mean() / 49)
    assert small.interval.high >= 0.02 - float(stats.t.ppf(0.025, 49)) * deviation - 1e-12


def test_groups_of_other_scores_and_equal_curves_have_no_abroca() -> None:
    gaps = simulated((0.0, 2.0), (1.0, 1.0), 40, 30)
    assert share(gaps["abroca"], lambda interval, _: interval.low > 0) <= 4 / 30
    assert share(gaps["kolmogorov_smirnov"], lambda interval, _: interval.low > 0) == 1


def test_intervals_hold_the_truth_where_groups_differ() -> None:
    """Normal scores: the area is Phi(d / sqrt 2) and curves do not cross. Of 60 tables seven may miss."""
    gaps = simulated((0.0, 0.0), (0.3, 1.3), 60, 60)
    area = stats.norm.cdf(np.array([0.3, 1.3]) / np.sqrt(2))
    truth = {"roc_auc_difference": np.ptp(area), "abroca": np.ptp(area), "balance_positive_class_difference": 1.0}
    # Half of the rows are moved by 1: the means by 1/2, the variance of all by what lies between their four means.
    truth["standardized_mean_difference"] = 0.5 / np.sqrt(1 + np.var([0.3, 0, 1.3, 0]))
    truth["wasserstein"] = 0.5
    for metric, value in truth.items():
        intervals = [gap.interval for gap in gaps[metric] if gap.interval is not None]
        assert sum(interval.low <= value <= interval.high for interval in intervals) >= 53, metric


def test_the_furthest_pair_is_found_where_rankings_are_nearly_perfect() -> None:
    rng = np.random.default_rng(0)
    given = cells([(rng.normal(move, 1, 3000), rng.normal(0, 1, 3000)) for move in (5.0, 4.0, 4.5)])
    value, apart = furthest(given)
    assert apart == (0, 1)
    assert value == pytest.approx(stats.norm.cdf(5 / np.sqrt(2)) - stats.norm.cdf(4 / np.sqrt(2)), rel=0.3)
    gap = list(of_ranking(given, rng, 0.95, 10))[1]
    assert gap.value == value
    assert gap.interval is not None
    assert 0 < gap.interval.low < value < gap.interval.high < 0.01


def test_bins_move_no_number_much() -> None:
    rng = np.random.default_rng(0)
    groups = [(rng.normal(1, 1, 4000), rng.normal(0, 1, 6000)), (rng.normal(0.7, 1, 4000), rng.normal(0, 1, 2000))]
    exact = cells(groups)
    coarse = exact.coarse(500)
    assert len(coarse.scores) <= 500
    assert coarse.w.sum(axis=2) == pytest.approx(exact.w.sum(axis=2))
    one, two = ({gap.metric: gap for gap in of_scores(c, np.random.default_rng(1), 0.95, 10)} for c in (exact, coarse))
    for metric in ("kolmogorov_smirnov", "wasserstein"):
        assert one[metric].value == pytest.approx(two[metric].value, abs=0.01)
    assert furthest(exact)[0] == pytest.approx(furthest(coarse)[0], abs=1e-3)


def test_bins_and_rates_cut_into_equal_parts() -> None:
    place, scores = bins(np.ones(100), np.arange(100.0), 10)
    assert np.bincount(place).tolist() == [10] * 10
    assert scores == pytest.approx(np.arange(10) * 10 + 4.5)
    assert bins(np.zeros(5), np.arange(5.0), 2)[0].tolist() == [0, 1, 2, 3, 4]
    for negatives in ([1.0, 0.0], [1.0, 1.0], [0.0, 1.0]):
        rates, widths = rates_of(np.array([0.0, 1.0]), np.array(negatives), 50)
        assert widths.sum() == pytest.approx(1)
        assert (widths > 0).all()
        assert ((rates > 0) & (rates < 1)).all()
