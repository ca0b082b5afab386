"""What the simulated feedback loop says: how much narrower, and how much more alike, lists become by learning."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fairwitness.audit.evidence import Curve, Details, Measurement, Point, Reason, Scalar
from fairwitness.checks.fairness._recommendation_feedback import Course, Model, appeal_of, pool_of, simulate
from fairwitness.checks.fairness._recommendation_groups import Grouping, PerUser, averaged
from fairwitness.checks.fairness._recommendation_table import Codes, Floats, Pairs

ENTROPY = "Normalised entropy of categories"
OVERLAP = "Overlap with another user’s list"
APART = "Entropy with feedback less that without"
CURVES = 8  # groups whose drift is drawn


@dataclass(frozen=True)
class Bubble:
    """A simulation's course, and the two numbers that it is run for.

    Attributes:
        narrowing: entropy of a user's last list with feedback less that without.
        homogenising: its overlap with other users' lists, likewise.
        learned: every round with feedback; values of shape (rounds, users), NaN for users not simulated.
        unlearned: every round without.
        facts: what was simulated.
    """

    narrowing: PerUser | Reason
    homogenising: PerUser | Reason
    learned: Course
    unlearned: Course
    facts: dict[str, Scalar]

    def details(self, metric: str, weight: Floats, level: float) -> Details | None:
        """What stands beside a number of the simulation."""
        match metric:
            case "filter_bubble_drift":
                y, of, factor = ENTROPY, (self.learned.entropy, self.unlearned.entropy), 1.0
            case "homogenisation_drift":
                y, of, factor = OVERLAP, (self.learned.overlap, self.unlearned.overlap), PAIRWISE
            case _:
                return None
        titles = ("With feedback", "Without feedback")
        everybody = np.ones(len(weight), dtype=bool)
        each = (PerUser(values, (0.0, 1.0), inflation=factor) for values in of)
        curves = (_curve(t, y, v, weight, everybody, level) for t, v in zip(titles, each, strict=True))
        return Details(facts=self.facts, curves=tuple(curve for curve in curves if curve.points))

    def beside(self, drift: Measurement, grouping: Grouping, weight: Floats, level: float) -> Measurement:
        """Draw a group's drift by round beside where it ends."""
        place = grouping.names.index(str(drift.group))
        if drift.value is None or place >= CURVES:
            return drift
        apart = self.learned.entropy - self.unlearned.entropy
        curve = _curve("Drift by round", APART, PerUser(apart, (-1.0, 1.0)), weight, grouping.codes == place, level)
        return drift.model_copy(update={"details": Details(curves=(curve,))})


PAIRWISE = 2.0  # a mean over pairs of users varies as twice the mean of its users' parts (Hoeffding 1948)


def bubble_of(
    pairs: Pairs, categories: sparse.csr_array, model: Model, items: int, users: int, rng: np.random.Generator
) -> Bubble:
    """Simulate the loop.

    Args:
        pairs: the ranked table.
        categories: shares, shape (items, categories), at least two.
        model: parameters of the loop.
        items: size of a user's pool at most.
        users: how many are simulated at most.
        rng: draws the users, and their luck.
    """
    appeal, by = appeal_of(pairs)
    pool = pool_of(pairs, categories, appeal, items, users, rng)
    loop = simulate(pool, model, rng)
    learned, unlearned = (_spread(course, pool.users, pairs.users) for course in (loop.learned, loop.unlearned))
    drift = learned.entropy[-1] - unlearned.entropy[-1]
    facts: dict[str, Scalar] = {
        "Simulated users": len(pool.users),
        "Items that each user’s lists are drawn from, at most": int(pool.item.shape[1]),
        "Users whose items ran out, left out": int((~np.isfinite(drift[pool.users])).sum()),
        "Worlds without influence on each other": loop.worlds,
        "Rounds": model.rounds,
        "Repeats": model.repeats,
        "Feedback of categories": model.feedback,
        "Feedback of popularity": model.popularity_feedback,
        "Uptake at the first place": model.uptake,
        "Curiosity": model.curiosity,
        "Appeal by": by,
        "Items are shown again": model.again,
    }
    for title, course in (("with feedback", loop.learned), ("without", loop.unlearned)):
        change = course.entropy[-1] - course.entropy[0]
        if np.isfinite(change).any():
            facts[f"Entropy in the last round less the first, {title}"] = float(np.nanmean(change))
    if loop.between is not None:
        facts["Standard deviation of the drift between repeats"] = loop.between
    # Estimated from a few worlds, so never taken to be below what it is without any influence between users.
    widened = [max(effect, 1.0) ** 0.5 if model.popularity_feedback else 1.0 for effect in loop.effects]
    if model.top * pool.slots.shape[1] < 2:
        # The only item of a list has one category: there is nothing that could narrow.
        narrowing: PerUser | Reason = Reason(code="no_variation")
    else:
        narrowing = PerUser(drift, (-1.0, 1.0), inflation=widened[0])
    alike = learned.overlap[-1] - unlearned.overlap[-1]
    homogenising = PerUser(alike, (-1.0, 1.0), inflation=max(PAIRWISE, widened[1]))
    return Bubble(narrowing, homogenising, learned, unlearned, facts)


def _spread(course: Course, users: Codes, size: int) -> Course:
    """Lay the simulated users' values out over all users."""
    laid = []
    for values in (course.entropy, course.overlap):
        wide = np.full((len(values), size), np.nan)
        wide[:, users] = values
        laid.append(wide)
    return Course(laid[0], laid[1])


def _curve(
    title: str,
    y: str,
    values: PerUser,
    weight: Floats,
    chosen: NDArray[np.bool_],
    level: float,
) -> Curve:
    """Means over users by round, with their bands; `values.values` are of shape (rounds, users)."""
    points = []
    for t, of_round in enumerate(values.values):
        found = averaged(replace(values, values=of_round), weight, chosen)
        if found.n > 1:
            # Before the first uptake, feedback has nothing to work on: that is no matter of chance.
            same = float(np.ptp(of_round[np.isfinite(of_round)])) == 0.0
            low, high = (found.value, found.value) if same else found.limits(level)
            points.append(Point(x=t + 1, y=float(np.clip(found.value, low, high)), low=low, high=high))
    return Curve(title=title, x="Round", y=y, points=tuple(points))
