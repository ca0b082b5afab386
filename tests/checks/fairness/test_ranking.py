"""Fairness of a ranking against the papers' formulas by hand, scikit-learn and brute force, and against known truth."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics as sk

from fairwitness.audit.evidence import Evidence, Measurement
from fairwitness.audit.statistics.intervals import critical_value
from fairwitness.audit.statistics.means import difference_degrees, equal_estimates, pair_intervals
from fairwitness.audit.tallies import Records
from fairwitness.checks.fairness import _ranking_lists
from fairwitness.checks.fairness._ranking_groups import Ranking, exposures, pairs_of, top_of
from fairwitness.checks.fairness._ranking_lists import Lists, divergence, exposure, item_covariance, ranked

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
FAIR = "fairness.ranking"
Floats = NDArray[np.float64]


def people(seed: int, n: int = 300, lists: int = 1, favour: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sex = rng.choice(["F", "M"], n)
    merit = rng.normal(size=n)
    return pd.DataFrame(
        {
            "sex": sex,
            "q": rng.permutation(np.arange(n) % lists),
            "y": (merit + rng.normal(size=n) > 0).astype(int),
            "yhat": 1,
            "score": 1 / (1 + np.exp(-merit - favour * (sex == "M"))),
        }
    )


def said(audit: Audit, frame: pd.DataFrame, options: dict[str, Any] | None = None, **meaning: Any) -> Evidence:
    given_ = {"sensitive": ["sex"], "positive": 1, "task": "binary"} | meaning
    return audit(frame, FAIR, score="score", options=options, **given_)


def find(evidence: Evidence, metric: str, group: str | None = None, **where: str) -> Measurement:
    return evidence.find(f"{FAIR}.{metric}", attribute="sex", group=group, **where)


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


def code(measurement: Measurement) -> str:
    assert measurement.reason is not None
    return measurement.reason.code


def one_list(score: Any) -> Lists:
    return ranked(np.zeros(len(score), dtype=np.int64), np.asarray(score, dtype=np.float64))


def ranking(score: Any, group: Any, merit: Any = None, query: Any = None) -> Ranking:
    of = np.zeros(len(score), dtype=np.int64) if query is None else np.asarray(query)
    lists = ranked(of, np.asarray(score, dtype=np.float64))
    groups = tuple(f"g{i}" for i in range(int(np.max(group)) + 1))
    values = None if merit is None else np.asarray(merit, dtype=np.float64)[lists.rows]
    return Ranking("g", groups, lists, np.asarray(group)[lists.rows], values, ())


# Values by hand, by other libraries and by brute force.


def test_four_people_by_hand(audit: Audit) -> None:
    """M F M F: exposures 1, .6309, .5 and .4307; half of each; NDKL from shares 1, 1/2, 2/3 and 1/2."""
    frame = pd.DataFrame({"sex": ["F", "M", "F", "M"], "score": [0.8, 0.9, 0.2, 0.4], "y": [0, 1, 1, 0], "yhat": 1})
    options = {"min_denominator": 1, "top": [1, 2, 3]}
    evidence = said(audit, frame, options)
    e = 1 / np.log2(np.arange(2, 6))
    women, men = e[[1, 3]].mean(), e[[0, 2]].mean()
    assert find(evidence, "exposure", "F").value == pytest.approx(women / e.mean(), rel=1e-12)
    assert find(evidence, "exposure_ratio").value == pytest.approx(women / men, rel=1e-12)
    assert find(evidence, "exposure_merit_ratio").value == pytest.approx(women / men, rel=1e-12)
    divergences = [np.log(2), 0.0, (2 / 3) * np.log(4 / 3) + (1 / 3) * np.log(2 / 3), 0.0]
    found = find(evidence, "ndkl")
    assert found.value == pytest.approx(float(e @ divergences / e.sum()), rel=1e-12)
    assert found.exact
    assert find(evidence, "skew", "M", k="3").value == pytest.approx(np.log((2 / 3) / 0.5), rel=1e-12)
    assert find(evidence, "min_skew", k="3").value == pytest.approx(np.log((1 / 3) / 0.5), rel=1e-12)
    assert find(evidence, "max_skew", k="1").value == pytest.approx(np.log(2), rel=1e-12)
    assert code(find(evidence, "min_skew", k="1")) == code(find(evidence, "skew", "F", k="1")) == "absent_from_top"
    assert [find(evidence, "pairwise_accuracy", sex).value for sex in "FM"] == [0.0, 1.0]
    assert find(evidence, "pairwise_accuracy_difference").value == 1.0


@pytest.mark.parametrize("digits", [1, 9])
def test_exposure_is_the_gain_of_membership(digits: int) -> None:
    """scikit-learn's discounted cumulative gain, which averages over the orders of equal scores, too."""
    rng = np.random.default_rng(0)
    score, group = rng.random(80).round(digits), rng.integers(0, 3, 80)
    lists = one_list(score)
    found = np.bincount(group[lists.rows], exposure(lists))
    gains = np.array([sk.dcg_score([group == g], [score]) for g in range(3)])
    assert found == pytest.approx(gains * 80 / gains.sum(), rel=1e-12)


def test_ties_are_what_all_orders_give_on_average() -> None:
    score, group = np.array([3.0, 2, 2, 2, 1]), np.array([0, 0, 1, 1, 0])
    e = 1 / np.log2(np.arange(2, 7))
    orders = [np.array([0, *middle, 4]) for middle in permutations([1, 2, 3])]
    expected = np.mean([np.bincount(group[order], e) for order in orders], axis=0) / e.mean()
    lists = one_list(score)
    assert np.bincount(group[lists.rows], exposure(lists)) == pytest.approx(expected, rel=1e-12)
    top = np.mean([np.bincount(group[order[:2]], minlength=2) for order in orders], axis=0)
    assert top_of(ranking(score, group), 2).there == pytest.approx(top, rel=1e-12)


def by_hand_ndkl(group: NDArray[np.int64]) -> float:
    """Geyik et al. (2019), definition 3."""
    whole = np.bincount(group, minlength=3) / len(group)
    discount = 1 / np.log2(np.arange(2, len(group) + 2))
    parts = [stats.entropy(np.bincount(group[:i], minlength=3), whole) for i in range(1, len(group) + 1)]
    return float(discount @ parts / discount.sum())


def test_divergence_of_several_lists_and_orders_at_once() -> None:
    rng = np.random.default_rng(1)
    query, score = rng.integers(0, 4, 90), rng.random(90)
    lists = ranked(query, score)
    group = rng.integers(0, 3, (2, 90))
    found = divergence(lists, group, 3)
    expected = [[by_hand_ndkl(row[lists.list_of == i]) for i in range(4)] for row in group]
    assert found == pytest.approx(np.array(expected), rel=1e-9)


def test_equal_scores_are_no_divergence() -> None:
    group = np.random.default_rng(2).integers(0, 3, 50)
    lists = one_list(np.ones(50))
    assert divergence(lists, group[lists.rows], 3) == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("lists", [1, 6])
@pytest.mark.parametrize("digits", [1, 9])
def test_pairwise_accuracy_by_brute_force(lists: int, digits: int) -> None:
    rng = np.random.default_rng(3)
    query, score = rng.integers(0, lists, 120), rng.random(120).round(digits)
    merit, group = rng.choice([0.0, 1.0, np.nan], 120), rng.integers(0, 2, 120)
    found = pairs_of(ranking(score, group, merit, query))
    for g in range(2):
        first, second = np.meshgrid((merit == 1) & (group == g), merit == 0, indexing="ij")
        pair = first & second & (query[:, None] == query)
        wins = (score[:, None] > score) + 0.5 * (score[:, None] == score)
        assert found.value[g] == pytest.approx(wins[pair].mean(), rel=1e-12)


def test_pairwise_accuracy_of_one_list_is_an_area(audit: Audit) -> None:
    """That of the group's positives against all negatives: scikit-learn's ROC area of those rows."""
    frame = people(4)
    evidence = said(audit, frame)
    for sex in "FM":
        rows = frame[(frame["y"] == 0) | (frame["sex"] == sex)]
        area = sk.roc_auc_score(rows["y"], rows["score"])
        assert find(evidence, "pairwise_accuracy", sex).value == pytest.approx(area, rel=1e-12)


def test_a_list_is_ranked_by_itself(audit: Audit) -> None:
    frame = people(5, 200, lists=8)
    evidence = said(audit, frame, {"query": "q"})
    sums: dict[str, list[float]] = {"F": [], "M": []}
    for _, rows in frame.groupby("q"):
        e = 1 / np.log2(1 + rows["score"].rank(ascending=False))
        for sex in "FM":
            sums[sex] += list((e / e.mean())[rows["sex"] == sex])
    for sex in "FM":
        assert find(evidence, "exposure", sex).value == pytest.approx(np.mean(sums[sex]), rel=1e-12)
    merit = {sex: np.mean(sums[sex]) / frame.loc[frame["sex"] == sex, "y"].mean() for sex in "FM"}
    ratio = find(evidence, "exposure_merit_ratio")
    assert ratio.value == pytest.approx(min(merit.values()) / max(merit.values()), rel=1e-12)
    ndkl = find(evidence, "ndkl")
    assert not ndkl.exact
    top = find(evidence, "skew", "M", k="10")
    first = frame[frame.groupby("q")["score"].rank(ascending=False) <= 10]
    share = np.mean([(rows["sex"] == "M").mean() for _, rows in frame.groupby("q")])
    assert top.value == pytest.approx(np.log((first["sex"] == "M").mean() / share), rel=1e-12)
    assert code(find(evidence, "skew", "M", k="100")) == "too_few"


def test_a_regression_is_ranked_by_its_predictions(audit: Audit) -> None:
    frame = people(6).assign(yhat=lambda rows: rows["score"], y=lambda rows: rows["y"] + 2.0)
    evidence = audit(frame, FAIR, sensitive=["sex"], task="regression")
    e = pd.Series(1 / np.log2(1 + frame["score"].rank(ascending=False)), frame.index)
    per_merit = e.groupby(frame["sex"]).mean() / frame.groupby("sex")["y"].mean()
    assert find(evidence, "exposure_merit_ratio").value == pytest.approx(per_merit.min() / per_merit.max(), rel=1e-12)
    negative = audit(frame.assign(y=frame["y"] - 9), FAIR, sensitive=["sex"], task="regression")
    found = find(negative, "exposure_merit_ratio").details
    assert found is not None
    assert {left_out.reason.code for left_out in found.excluded} == {"merit_not_positive"}


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from([0, 1, 9]))
def test_row_order_changes_nothing(seed: int, lists: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    score, group, query = rng.random(60).round(digits), rng.integers(0, 3, 60), rng.integers(0, lists, 60)
    merit, order = rng.integers(0, 2, 60), rng.permutation(60)
    one = ranking(score, group, merit, query)
    other = ranking(score[order], group[order], merit[order], query[order])
    for per_merit in (False, True):
        a, b = (exposures(r, 1, per_merit=per_merit) for r in (one, other))
        assert a.value == pytest.approx(b.value, rel=1e-9)
        assert a.deviations == pytest.approx(b.deviations, rel=1e-7, abs=1e-9)
    assert pairs_of(one).value == pytest.approx(pairs_of(other).value, rel=1e-9)
    assert top_of(one, 7).there == pytest.approx(top_of(other, 7).there, rel=1e-9)
    assert divergence(one.lists, one.group, 3) == pytest.approx(divergence(other.lists, other.group, 3), abs=1e-9)


@pytest.mark.parametrize("at_once", [7, 1 << 16])
@pytest.mark.parametrize("digits", [1, 9])
def test_the_jackknife_is_leaving_out_each_item(monkeypatch: pytest.MonkeyPatch, at_once: int, digits: int) -> None:
    monkeypatch.setattr(_ranking_lists, "_ITEMS_AT_ONCE", at_once)
    rng = np.random.default_rng(7)
    score, group, own = rng.random(50).round(digits), rng.integers(0, 3, 50), rng.normal(size=50)

    def means(kept: NDArray[np.bool_]) -> Floats:
        lists = one_list(score[kept])
        of = group[kept][lists.rows]
        return np.asarray(np.bincount(of, exposure(lists)) / np.bincount(of))

    whole = means(np.ones(50, dtype=bool))
    influence = np.array([means(np.arange(50) != i) / whole - 1 for i in range(50)])
    influence[np.arange(50), group] += own
    centred = influence - influence.mean(axis=0)
    lists = one_list(score)
    found = item_covariance(lists, group[lists.rows], 3, own[lists.rows])
    assert found == pytest.approx(centred.T @ centred * 49 / 50, rel=1e-9, abs=1e-12)


# Intervals against the truth they claim to hold.


def coverage(sizes: tuple[int, int], share: float, favour: float, runs: int, *, per_merit: bool) -> tuple[float, float]:
    """How often the interval of two groups' ratio holds its truth, and how often their equality is rejected."""
    lists, items = sizes
    rng = np.random.default_rng(8)
    logs, ends, rejected = [], [], 0
    for _ in range(runs):
        group = (rng.random(lists * items) < share).astype(np.int64)
        if min(np.bincount(group, minlength=2)) < 5:
            continue
        score = rng.normal(size=group.size) + favour * group
        merit = score + rng.normal(size=group.size) > 0.3
        r = ranking(score, group, merit, np.repeat(np.arange(lists), items))
        found = exposures(r, 1, per_merit=per_merit)
        degrees = difference_degrees(np.diag(found.deviation**2), found.degrees)
        value = np.log(found.value)
        low, high = pair_intervals(value, found.deviations, degrees, critical_value(0.95))
        logs.append(value[1] - value[0])
        ends.append((low[1, 0], high[1, 0]))
        rejected += equal_estimates(found.value, found.equal) < 0.05
    truth = np.mean(logs)
    return float(np.mean([low <= truth <= high for low, high in ends])), rejected / runs


@pytest.mark.parametrize("per_merit", [False, True])
@pytest.mark.parametrize(
    ("sizes", "share", "favour"),
    [((1, 60), 0.4, 0.0), ((1, 200), 0.2, 0.7), ((1, 200), 0.5, -1.0), ((4, 30), 0.3, 0.0), ((30, 12), 0.3, 0.5)],
)
def test_coverage_of_exposure_ratios(sizes: tuple[int, int], share: float, favour: float, per_merit: bool) -> None:
    covered, rejected = coverage(sizes, share, favour, 300, per_merit=per_merit)
    assert covered >= 0.92
    if not favour and not per_merit:
        assert rejected <= 0.08


def test_coverage_of_skew() -> None:
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(300):
        group = (rng.random(400) < 0.3).astype(np.int64)
        top = top_of(ranking(rng.random(400), group), 40)
        low, high = top.limits(critical_value(0.95))
        covered += low[1] <= 0 <= high[1]
    assert covered >= 0.93 * 300


@pytest.mark.parametrize("lists", [1, 20])
def test_coverage_of_pairwise_accuracy(lists: int) -> None:
    rng = np.random.default_rng(10)
    truth = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(300):
        merit = rng.integers(0, 2, 240)
        pairs = pairs_of(ranking(rng.normal(size=240) + merit, rng.integers(0, 2, 240), merit, np.arange(240) % lists))
        low, high = pairs.limits(0, critical_value(0.95))
        covered += low <= truth <= high
    assert covered >= 0.92 * 300


def test_a_favoured_group_is_found_and_an_equal_one_is_not(audit: Audit) -> None:
    for seed in range(5):
        equal, favoured = (said(audit, people(seed, 400, favour=favour)) for favour in (0.0, 2.0))
        assert limits(find(favoured, "exposure_ratio"))[1] < 1
        assert (find(favoured, "exposure_ratio").p_value or 0) < 0.01
        assert (find(favoured, "ndkl").p_value or 1) < 0.02
        assert limits(find(favoured, "min_skew", k="100"))[1] < 0
        assert limits(find(equal, "exposure_ratio"))[1] == 1.0
        assert limits(find(equal, "pairwise_accuracy_difference"))[0] == 0.0
        assert limits(find(equal, "min_skew", k="100"))[1] == 0.0


def test_the_prefix_test_is_fair_stars(audit: Audit) -> None:
    """Ten men first, of half men: P(no woman among ten) = 2^-10."""
    frame = people(11, 200).assign(sex=["M"] * 100 + ["F"] * 100, score=np.linspace(0.99, 0.01, 200))
    frame.loc[[9, 150], "sex"] = ["F", "M"]
    found = find(said(audit, frame), "min_skew", k="10").details
    assert found is not None
    assert found.facts["Smallest binomial tail of a prefix (FA*IR)"] == pytest.approx(2.0**-9, rel=1e-9)


# What is left out is said; what cannot be known is not made up.


def test_rows_without_a_score_or_a_list_are_left_out_and_listed(audit: Audit) -> None:
    frame = people(12, lists=3).assign(q=lambda rows: rows["q"].astype(float))
    frame.loc[:9, "score"], frame.loc[10:14, "q"] = np.nan, np.nan
    found = find(said(audit, frame, {"query": "q"}), "exposure_ratio")
    assert found.n == 285
    assert found.details is not None
    counts: dict[str, int] = {}
    for left_out in found.details.excluded:
        counts[left_out.reason.code] = counts.get(left_out.reason.code, 0) + left_out.n
    assert counts == {"no_answer": 10, "no_list": 5}


def test_lists_of_a_single_item_are_said_to_be_such(audit: Audit) -> None:
    (check,) = said(audit, people(12).assign(u=range(300)), options={"query": "u"}).checks
    assert check.reason is not None
    assert check.reason.code == "single_items"


@pytest.mark.parametrize("repeated", [False, True])
def test_no_p_value_depends_on_the_order_of_rows(audit: Audit, repeated: bool) -> None:
    frame = people(12, 120, lists=3).assign(score=lambda rows: rows["score"].round(1))
    frame = pd.concat([frame, frame[:30]], ignore_index=True) if repeated else frame
    one, other = (
        said(audit, rows, options={"query": "q"}).checks[0].measurements
        for rows in (frame, frame.sample(frac=1, random_state=1))
    )
    assert [m.model_dump() for m in one] == [m.model_dump() for m in other]


def test_rows_of_no_weight_are_in_no_list(audit: Audit) -> None:
    frame = people(13).assign(w=lambda rows: (rows.index < 200) * 1.0)
    weighted, fewer = said(audit, frame, weight="w"), said(audit, frame[:200])
    one, other = (find(evidence, "exposure_ratio") for evidence in (weighted, fewer))
    assert one.value == pytest.approx(other.value, rel=1e-12)
    assert one.n == 200


def test_a_sample_of_the_rows_is_no_ranking(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Records, "MOST_ROWS", 100)
    (check,) = said(audit, people(14)).checks
    assert check.reason is not None
    assert check.reason.code == "rows_not_held"
    assert check.reason.params == {"held": 100, "rows": 300}


def test_equal_scores_rank_nobody(audit: Audit) -> None:
    evidence = said(audit, people(15).assign(score=0.5))
    assert code(find(evidence, "exposure_ratio")) == "no_variation"
    assert find(evidence, "ndkl").value == 0.0
    assert find(evidence, "pairwise_accuracy", "F").value == 0.5


def test_merit_can_be_left_out(audit: Audit) -> None:
    metrics = {m.metric for m in said(audit, people(16), {"merit": "none"}).measurements()}
    assert f"{FAIR}.exposure_ratio" in metrics
    assert not metrics & {f"{FAIR}.exposure_merit_ratio", f"{FAIR}.pairwise_accuracy"}


def test_german_credit(audit: Audit, predicted: Predicted) -> None:
    """Women are a third of the applicants; of a logistic model's first hundred they are fewer, surely so or not."""
    frame = predicted("german_credit")
    frame = frame.assign(sex=np.where(frame["personal_status"].isin(["A92", "A95"]), "F", "M"))
    evidence = said(audit, frame)
    e = pd.Series(1 / np.log2(1 + frame["score"].rank(ascending=False)), frame.index)
    means = e.groupby(frame["sex"]).mean()
    found = find(evidence, "exposure_ratio")
    assert found.value == pytest.approx(means.min() / means.max(), rel=1e-9)
    assert 0.5 < limits(found)[0] < limits(found)[1] <= 1
    first = frame.nlargest(100, "score")
    skew = np.log((first["sex"] == "F").mean() / (frame["sex"] == "F").mean())
    assert find(evidence, "skew", "F", k="100").value == pytest.approx(skew, rel=1e-9)
    assert find(evidence, "ndkl").exact
