"""Recommendations: the simulated feedback loop, and the intervals over users, against what is known to be true."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse, stats

from fairwitness.audit.evidence import Measurement
from fairwitness.checks.fairness import _recommendation_lists as lists
from fairwitness.checks.fairness._recommendation_bubble import Bubble, bubble_of
from fairwitness.checks.fairness._recommendation_feedback import (
    Model,
    Pool,
    _standardised,
    appeal_of,
    pool_of,
    simulate,
)
from fairwitness.checks.fairness._recommendation_groups import Grouping, PerUser, averaged, between_groups, said
from fairwitness.checks.fairness._recommendation_table import Pairs

Floats = NDArray[np.float64]
MODEL = Model(6, 3, 5, feedback=0.5, popularity_feedback=0.0, uptake=0.8, curiosity=0.1, again=False)


def pairs_of(score: Floats, relevant: NDArray[np.bool_]) -> Pairs:
    """The ranked table of full matrices, shape (users, items)."""
    users, items = score.shape
    item = np.argsort(-score, axis=1)
    user, place = np.repeat(np.arange(users), items), np.tile(np.arange(items), users)
    liked = np.take_along_axis(relevant, item, axis=1).ravel()
    return Pairs(
        users=users,
        items=items,
        user=user,
        item=item.ravel(),
        place=place,
        score=np.take_along_axis(score, item, axis=1).ravel(),
        gain=liked.astype(np.float64),
        relevant=liked,
        known=np.ones(score.size, dtype=bool),
        weight=np.ones(users),
        row_user=user,
        row_item=item.ravel(),
        unanswered=np.zeros(score.size, dtype=bool),
        repeated=0,
    )


def drawn(users: int, items: int, rng: np.random.Generator, kinds: int = 4) -> tuple[Pairs, sparse.csr_array]:
    """Users with a taste, and a recommender that knows it with some error."""
    category = rng.integers(kinds, size=items)
    appeal = np.log(rng.dirichlet(np.full(kinds, 0.7), users) + 0.02)[:, category]
    score = appeal + rng.normal(0, 1, appeal.shape)
    relevant = appeal + rng.logistic(0, 1, appeal.shape) > -1
    return pairs_of(score, relevant), sparse.csr_array(np.eye(kinds)[category])


def bubble(pairs: Pairs, categories: sparse.csr_array, model: Model = MODEL, seed: int = 0) -> Bubble:
    return bubble_of(pairs, categories, model, 500, 1000, np.random.default_rng(seed))


def mean_of(of: Any, pairs: Pairs) -> Measurement:
    assert isinstance(of, PerUser)
    return said("m", averaged(of, pairs.weight, np.ones(pairs.users, dtype=bool)), level=0.95, least=10)


def limits(measurement: Measurement) -> tuple[float, float]:
    assert measurement.interval is not None
    return measurement.interval.low, measurement.interval.high


# --- the loop ---


@pytest.mark.parametrize("again", [False, True])
def test_the_loop_step_by_step(again: bool) -> None:
    """The same rounds in plain Python: dictionaries, and the same luck."""
    rng = np.random.default_rng(4)
    pairs, _ = drawn(7, 12, rng)
    kinds = np.array([{0: 1.0}, {1: 0.5, 2: 0.5}, {2: 1.0}, {}] * 3)
    matrix = np.array([[kind.get(c, 0.0) for c in range(3)] for kind in kinds])
    model = replace(MODEL, rounds=4, repeats=1, top=3, popularity_feedback=0.3, again=again)
    pool = pool_of(pairs, sparse.csr_array(matrix), appeal_of(pairs)[0], 500, 100, rng)
    learned = simulate(pool, model, np.random.default_rng(9)).learned
    luck = np.random.default_rng(int(np.random.default_rng(9).integers(2**63, size=1)[0]))
    score = [dict(zip(pool.item[u].tolist(), pool.score[u].tolist(), strict=True)) for u in range(7)]
    liked = [dict(zip(pool.item[u].tolist(), pool.appeal[u].tolist(), strict=True)) for u in range(7)]
    for t in range(4):
        shown = [sorted(score[u], key=lambda i, u=u: -score[u][i])[:3] for u in range(7)]  # type: ignore[misc]
        uniform = luck.random((7, 3))
        taken: list[list[int]] = []
        for u, items in enumerate(shown):
            q = matrix[items].sum(axis=0) / matrix[items].sum()
            entropy = -sum(p * np.log(p) for p in q if p) / np.log(3)
            assert learned.entropy[t, u] == pytest.approx(entropy, abs=1e-12)
            shared = [len(set(items) & set(other)) / 3 for v, other in enumerate(shown) if v != u]
            assert learned.overlap[t, u] == pytest.approx(np.mean(shared), abs=1e-12)
            chance = [0.8 / np.log2(j + 2) * (0.1 + 0.9 * liked[u][i]) for j, i in enumerate(items)]
            taken.append([i for j, i in enumerate(items) if uniform[u, j] < chance[j]])
        takers = {i: sum(i in items for items in taken) for i in range(12)}
        most = max(*takers.values(), 1)
        for u in range(7):
            total = matrix[taken[u]].sum(axis=0) if taken[u] else np.zeros(3)
            share = total / total.sum() if total.sum() else total
            for i in score[u]:
                score[u][i] += 0.5 * float(share @ matrix[i]) + 0.3 * takers[i] / most
            for i in () if again else taken[u]:
                del score[u][i]


@pytest.mark.parametrize("again", [False, True])
def test_without_feedback_there_is_no_drift(again: bool) -> None:
    pairs, categories = drawn(60, 40, np.random.default_rng(0))
    found = bubble(pairs, categories, replace(MODEL, feedback=0.0, again=again))
    for of in (found.narrowing, found.homogenising):
        drift = mean_of(of, pairs)
        assert drift.value == 0.0
        low, high = limits(drift)
        assert -0.2 < low <= 0 <= high < 0.2
    if again:
        assert np.ptp(found.unlearned.entropy, axis=0).max() == 0.0
    else:
        # Lists do change as items are used up: it is not put down to feedback.
        assert np.ptp(np.nanmean(found.unlearned.entropy, axis=1)) > 0.01


def test_without_feedback_and_with_other_luck_drift_is_within_error() -> None:
    """Two courses without learning, of different seeds, agree up to what their standard errors say."""
    pairs, categories = drawn(200, 40, np.random.default_rng(1))
    one, other = (bubble(pairs, categories, replace(MODEL, feedback=0.0), seed).learned for seed in (1, 2))
    apart = one.entropy[-1] - other.entropy[-1]
    low, high = limits(mean_of(PerUser(apart, (-1.0, 1.0)), pairs))
    assert low < 0 < high


def test_feedback_narrows_and_popularity_makes_alike() -> None:
    pairs, categories = drawn(150, 60, np.random.default_rng(2))
    little, much = (mean_of(bubble(pairs, categories, replace(MODEL, feedback=f)).narrowing, pairs) for f in (0.2, 1.0))
    assert limits(much)[1] < limits(little)[0] <= limits(little)[1] < 0
    popular = bubble(pairs, categories, replace(MODEL, feedback=0.0, popularity_feedback=1.0, again=True))
    assert limits(mean_of(popular.homogenising, pairs))[0] > 0.05


def test_fads_of_a_whole_world_widen_the_interval() -> None:
    """With strong feedback of popularity users are not independent: by their own variance the interval covers .41."""
    pairs, categories = drawn(120, 40, np.random.default_rng(2))
    alone, crowd = (bubble(pairs, categories, replace(MODEL, popularity_feedback=p)) for p in (0.0, 1.0))
    assert isinstance(alone.narrowing, PerUser)
    assert isinstance(crowd.narrowing, PerUser)
    assert (alone.narrowing.inflation, alone.facts["Worlds without influence on each other"]) == (1.0, 4)
    assert crowd.narrowing.inflation > 1.3


def test_what_was_simulated_is_said() -> None:
    pairs, categories = drawn(50, 30, np.random.default_rng(3))
    found = bubble_of(pairs, categories, MODEL, 20, 40, np.random.default_rng(0))
    assert found.facts["Simulated users"] == 40
    assert found.facts["Items that each user’s lists are drawn from, at most"] == 20
    assert (found.facts["Feedback of categories"], found.facts["Appeal by"]) == (0.5, "true labels")
    learned, unlearned = (
        found.facts[f"Entropy in the last round less the first, {how}"] for how in ("with feedback", "without")
    )
    assert isinstance(learned, float)
    assert isinstance(unlearned, float)
    assert isinstance(found.narrowing, PerUser)
    assert np.nanmean(found.narrowing.values) == pytest.approx(learned - unlearned, abs=1e-12)
    for metric in ("filter_bubble_drift", "homogenisation_drift"):
        details = found.details(metric, pairs.weight, 0.95)
        assert details is not None
        assert [curve.title for curve in details.curves] == ["With feedback", "Without feedback"]
        assert [point.x for point in details.curves[0].points] == [1, 2, 3, 4, 5, 6]
        assert all(p.low is not None and p.high is not None and p.low < p.y < p.high for p in details.curves[0].points)
        assert details.curves[0].points[0] == details.curves[1].points[0]


def test_users_whose_items_run_out_are_left_out_and_counted() -> None:
    pairs, categories = drawn(40, 6, np.random.default_rng(5))
    found = bubble(pairs, categories, replace(MODEL, rounds=40, uptake=1.0))
    left_out = found.facts["Users whose items ran out, left out"]
    assert isinstance(left_out, int)
    assert left_out > 20
    assert isinstance(found.narrowing, PerUser)
    assert int(np.isfinite(found.narrowing.values).sum()) == 40 - left_out


def test_the_pool_begins_with_the_lists_that_were_audited() -> None:
    pairs, categories = drawn(20, 15, np.random.default_rng(6))
    tied = replace(pairs, score=np.round(pairs.score))
    pool: Pool = pool_of(tied, categories, appeal_of(tied)[0], 500, 100, np.random.default_rng(0))
    assert np.array_equal(pool.item.ravel(), pairs.item)
    assert (np.diff(pool.score, axis=1) < 0).all()


# --- intervals over users ---


def ranked(users: int, items: int, rng: np.random.Generator) -> Pairs:
    popular = np.random.default_rng(8).normal(size=items)
    score = popular + rng.normal(size=(users, items))
    return replace(pairs_of(score, np.zeros(score.shape, dtype=bool)), weight=np.round(rng.exponential(1, users), 1))


def without(pairs: Pairs, user: int) -> Pairs:
    kept = pairs.user != user
    weight = np.where(np.arange(pairs.users) == user, 0.0, pairs.weight)
    columns = ("user", "item", "place", "score", "gain", "relevant", "known")
    return replace(pairs, weight=weight, **{name: getattr(pairs, name)[kept] for name in columns})


def test_the_jackknife_is_that_of_leaving_users_out() -> None:
    """The Gini index takes pairs of items on one list as unchanged: its interval is right to a few per cent."""
    for seed in range(4):
        pairs = ranked(25, 60, np.random.default_rng(seed))
        there = np.flatnonzero(pairs.weight > 0)
        for of, tolerance in ((lists.coverage, 1e-9), (lists.gini, 0.1)):
            found = of(pairs, 4, 0.95)
            left = np.array([of(without(pairs, int(u)), 4, 0.95).value for u in there])
            n = len(left)
            deviation = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
            half = stats.t.isf(0.025, n - 1) * deviation
            assert (found.high - found.low) / 2 == pytest.approx(half, rel=tolerance)


def test_gini_is_the_mean_difference_over_twice_the_mean() -> None:
    pairs = ranked(30, 40, np.random.default_rng(0))
    x = np.bincount(pairs.item[pairs.place < 3], pairs.weight[pairs.user[pairs.place < 3]], minlength=40)
    direct = np.abs(x[:, None] - x).mean() / (2 * x.mean())
    assert lists.gini(pairs, 3, 0.95).value == pytest.approx(direct, abs=1e-12)


@pytest.mark.parametrize("of", [lists.coverage, lists.gini])
def test_intervals_of_the_catalogue_hold_the_expectation(of: Any) -> None:
    rng = np.random.default_rng(7)
    found = [of(replace(ranked(40, 80, rng), weight=np.ones(40)), 4, 0.95) for _ in range(250)]
    truth = np.mean([spread.value for spread in found])
    covered = np.mean([spread.low <= truth <= spread.high for spread in found])
    assert covered > 0.93  # measured: coverage .98, gini .96


def test_a_ratio_of_means_has_its_interval_and_equal_groups_are_not_accused() -> None:
    """Lists of popularity that goes along with the profile's; three groups of 15 to 60 users, equal in truth."""
    rng = np.random.default_rng(11)
    codes = np.repeat([0, 1, 2], [15, 30, 60])
    grouping = Grouping("g", ("a", "b", "c"), codes)
    covered = accused = small = 0
    for _ in range(300):
        profile = rng.gamma(3, 1, 105)
        listed = profile * rng.gamma(5, 0.3, 105)
        lift = PerUser(listed, (-1.0, None), base=profile)
        low, high = limits(said("m", averaged(lift, np.ones(105), codes < 3), level=0.95, least=10))
        covered += low <= 0.5 <= high
        gap = between_groups("m", "g", grouping.means(lift, np.ones(105)), rng, level=0.95, least=10)
        accused += limits(gap)[0] > 0
        assert gap.p_value is not None
        small += gap.p_value < 0.05
    assert covered / 300 > 0.92
    assert accused / 300 < 0.08
    assert small / 300 < 0.09


def test_a_ratio_of_means_varies_as_when_users_are_left_out() -> None:
    rng = np.random.default_rng(5)
    listed, profile, w = rng.gamma(2, 1, 12), rng.gamma(1, 1, 12), np.round(rng.gamma(5, 1, 12))
    found = averaged(PerUser(listed, (-1.0, None), base=profile), w, np.ones(12, dtype=bool))
    assert found.value == pytest.approx((w @ listed) / (w @ profile) - 1, abs=1e-12)
    equal = averaged(PerUser(listed, (-1.0, None), base=profile), np.ones(12), np.ones(12, dtype=bool))
    left = np.array([np.delete(listed, u).sum() / np.delete(profile, u).sum() for u in range(12)])
    jackknife = np.sqrt(11 / 12 * ((left - left.mean()) ** 2).sum())
    assert equal.deviation() == pytest.approx(jackknife * 12 / 11, rel=1e-9)


def test_inflation_widens_the_interval_alone() -> None:
    values = np.random.default_rng(0).uniform(-0.2, 0.2, 50)
    plain, wide = (
        averaged(PerUser(values, (-1.0, 1.0), inflation=f), np.ones(50), np.ones(50, dtype=bool)) for f in (1.0, 2.0)
    )
    assert plain.value == wide.value
    assert np.ptp(wide.limits(0.95)) == pytest.approx(2 * np.ptp(plain.limits(0.95)), rel=1e-9)
    assert wide.deviation() == pytest.approx(2 * plain.deviation(), rel=1e-9)


def test_groups_without_variance_are_compared_too() -> None:
    values = np.concatenate([np.ones(30), np.full(30, 0.2)])
    grouping = Grouping("g", ("a", "b"), np.repeat([0, 1], 30))
    gap = between_groups(
        "m",
        "g",
        grouping.means(PerUser(values, (0.0, 1.0)), np.ones(60)),
        np.random.default_rng(0),
        level=0.95,
        least=10,
    )
    low, high = limits(gap)
    assert 0.5 < low < 0.8 < high <= 1.0
    assert gap.value == pytest.approx(0.8)


def test_scores_near_the_largest_number_are_standardised_like_others() -> None:
    score, user = np.array([1.0, -0.5, 0.25, 0.75, 0.0, 0.0]), np.array([0, 0, 0, 0, 1, 1])
    expected = (score[:4] - score[:4].mean()) / score[:4].std()
    for scale in (1e-300, 1.0, 1.7e308):
        with np.errstate(all="raise"):
            found = _standardised(score * scale, user, 2)
        assert found[:4] == pytest.approx(expected)
        assert (found[4:] == 0).all()
