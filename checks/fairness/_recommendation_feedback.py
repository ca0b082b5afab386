"""A simulated feedback loop: what becomes of users' lists when a recommender learns from what its lists made them take.

The model, all of it stated here, is one of the simplest that can make a filter bubble. Scores are standardised within
every user. In each of a number of rounds

1. every user u is shown the `top` best-scored items of a pool, those that the recommender ranked first;
2. the item i at place j is taken up with probability

       uptake * (1 / log2(j + 1)) * (curiosity + (1 - curiosity) * appeal(u, i)),

   places being looked at as in DCG, and the appeal being what the data say of the user's taste;
3. the recommender moves towards what was taken:

       score(u, i) += feedback * (share of what u took in this round that is of i's category)
                      + popularity_feedback * (takers of i in this round / takers of the most taken item),

   where the first term is 0 for a user who took nothing;
4. items taken up are not shown to the user again, unless `again` says so.

In every repeat users are divided at random into a few worlds that do not influence each other, as in the experiment of
Salganik, Dodds & Watts (2006), Science 311:854-856. Fads that take hold of a whole world make worlds differ by more
than independent users would, and by as much the intervals are widened.

The same users with the same luck go through the same rounds without feedback (step 3 left out). What differs in the end
is the work of the feedback; lists that change because items are used up, or by chance, cancel out.
Source of the design: Chaney, Stewart & Engelhardt (2018), How algorithmic confounding in recommendation systems
increases homogeneity and decreases utility, RecSys; Jiang, Chiappa, Lattimore, György & Kohli (2019), Degenerate
feedback loops in recommender systems, AIES.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fairwitness.checks.fairness._recommendation_table import Codes, Floats, Pairs

MOST_WORLDS = 4
LEAST_OF_WORLD = 10  # users


@dataclass(frozen=True)
class Model:
    """The parameters of the simulated loop; see the module.

    Attributes:
        rounds: how many, at least 2.
        repeats: runs of the whole, each with luck of its own, that are averaged.
        top: length of the lists.
        feedback: in standard deviations of a user's scores, for a category that was all the user took.
        popularity_feedback: likewise, for the item that most users took.
        uptake: chance that the most appealing item is taken from the first place.
        curiosity: chance of an item without appeal, as a share of that.
        again: whether what was taken is shown again.
    """

    rounds: int
    repeats: int
    top: int
    feedback: float
    popularity_feedback: float
    uptake: float
    curiosity: float
    again: bool


@dataclass(frozen=True)
class Pool:
    """What the recommender draws on for each simulated user, best first; users with fewer items are padded.

    Attributes:
        users: which users these are, shape (simulated,).
        item: shape (simulated, pool), 0 in the padding.
        score: likewise, standardised within the user; -inf in the padding.
        appeal: likewise, in [0, 1].
        slots: categories of every item, shape (items, slots), 0 in unused ones.
        shares: how far it belongs to each, likewise, 0 in unused ones.
        categories: how many there are.
    """

    users: Codes
    item: Codes
    score: Floats
    appeal: Floats
    slots: Codes
    shares: Floats
    categories: int


@dataclass(frozen=True)
class Course:
    """What happened, averaged over repeats.

    Attributes:
        entropy: of the categories on a user's list, as a share of the largest possible, shape (rounds, users);
            NaN for a user who at any repeat ran out of items.
        overlap: mean share of a user's list that is on the list of another user of the same world, likewise.
    """

    entropy: Floats
    overlap: Floats

    @classmethod
    def averaged(cls, runs: "list[Course]") -> "Course":
        """The mean of some runs."""
        return cls(*(np.mean([getattr(run, name) for run in runs], axis=0) for name in ("entropy", "overlap")))


@dataclass(frozen=True)
class Loop:
    """Both courses of the simulation.

    Attributes:
        learned: with feedback.
        unlearned: without.
        worlds: how many there are in a repeat.
        effects: variance of the drift (of entropy, of overlap) between worlds, over that of as many independent users.
        between: standard deviation of the drift of entropy between repeats; None for one repeat.
    """

    learned: Course
    unlearned: Course
    worlds: int
    effects: tuple[float, float]
    between: float | None


def pool_of(
    pairs: Pairs, categories: sparse.csr_array, appeal: Floats, size: int, users: int, rng: np.random.Generator
) -> Pool:
    """Take the best-scored items of users, drawn at random where there are more than so many.

    Args:
        pairs: the ranked table.
        categories: shares, shape (items, categories).
        appeal: shape (pairs,).
        size: items per user at most.
        users: how many at most.
        rng: draws them.
    """
    chosen = pairs.recommended(size) & (pairs.weight > 0)[pairs.user]
    there = np.unique(pairs.user[chosen])
    if len(there) > users:
        there = np.sort(rng.choice(there, users, replace=False))
    number = np.full(pairs.users, -1, dtype=np.int64)
    number[there] = np.arange(len(there))
    chosen &= number[pairs.user] >= 0
    row, place = number[pairs.user[chosen]], pairs.place[chosen]
    shape = (len(there), int(place.max(initial=-1)) + 1)
    item, score, liked = np.zeros(shape, dtype=np.int64), np.full(shape, -np.inf), np.zeros(shape)
    item[row, place], liked[row, place] = pairs.item[chosen], appeal[chosen]
    score[row, place] = _standardised(pairs.score[chosen], row, len(there)) - 1e-9 * place  # ties stay as ranked
    width = int(np.diff(categories.indptr).max(initial=0))
    slots = np.zeros((pairs.items, max(width, 1)), dtype=np.int64)
    shares = np.zeros(slots.shape, dtype=np.float64)
    entries = np.repeat(np.arange(pairs.items), np.diff(categories.indptr))
    slot = np.arange(len(entries)) - categories.indptr[entries]
    slots[entries, slot], shares[entries, slot] = categories.indices, categories.data
    return Pool(there, item, score, liked, slots, shares, int(categories.shape[1]))


def _standardised(score: Floats, user: Codes, users: int) -> Floats:
    """Scores in standard deviations of the user's, from the user's mean; 0 for a user whose scores are all equal."""
    # In units of a power of two near the user's largest, which changes no digit, squares are finite numbers.
    largest = np.zeros(users)
    np.maximum.at(largest, user, np.abs(score))
    score = np.ldexp(score, -np.frexp(largest)[1][user])
    n = np.maximum(np.bincount(user, minlength=users), 1)
    centred = score - (np.bincount(user, score, minlength=users) / n)[user]
    deviation = np.sqrt(np.bincount(user, centred**2, minlength=users) / n)[user]
    return np.divide(centred, deviation, out=np.zeros(len(score)), where=deviation > 1e-12 * np.abs(score))


def appeal_of(pairs: Pairs) -> tuple[Floats, str]:
    """What the data say of how much users like items, shape (pairs,) in [0, 1], and how it was found.

    Relevance or the rating, from the lowest to the highest that occurs, where there are true labels; otherwise the
    rank of the item in the recommender's own order, from 1 for the best to 0.
    """
    if pairs.known.any():
        low, high = pairs.gain[pairs.known].min(), pairs.gain[pairs.known].max()
        if high > low:
            return np.where(pairs.known, (pairs.gain - low) / (high - low), 0.0), "true labels"
    n = np.bincount(pairs.user, minlength=pairs.users)[pairs.user]
    return 1 - pairs.place / np.maximum(n - 1, 1), "the recommender's own ranks"


def simulate(pool: Pool, model: Model, rng: np.random.Generator) -> Loop:
    """Go through the rounds with and without feedback, with the same luck."""
    users = len(pool.users)
    worlds = max(min(MOST_WORLDS, users // LEAST_OF_WORLD), 1)
    seeds = [int(seed) for seed in rng.integers(2**63, size=model.repeats)]
    places = [rng.permutation(users) % worlds for _ in seeds]
    learned, unlearned = (
        [_run(pool, model, world, seed, learns=learns) for seed, world in zip(seeds, places, strict=True)]
        for learns in (True, False)
    )
    drifts = [
        (a.entropy[-1] - b.entropy[-1], a.overlap[-1] - b.overlap[-1]) for a, b in zip(learned, unlearned, strict=True)
    ]
    effects = [_effect([drift[i] for drift in drifts], places) for i in (0, 1)]
    means = [float(drift[np.isfinite(drift)].mean()) for drift, _ in drifts if np.isfinite(drift).any()]
    between = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return Loop(Course.averaged(learned), Course.averaged(unlearned), worlds, (effects[0], effects[1]), between)


def _effect(drifts: list[Floats], places: list[Codes]) -> float:
    """Variance between worlds over that within, pooled over repeats: 1 for independent users, but for chance."""
    between = within = 0.0
    for drift, world in zip(drifts, places, strict=True):
        there = np.isfinite(drift)
        n = np.bincount(world[there])
        if len(n) < 2 or (n < 2).any():
            continue
        mean = np.bincount(world[there], drift[there]) / n
        within += float(((drift[there] - mean[world[there]]) ** 2).sum()) / float((n - 1).sum())
        between += float((n * (mean - drift[there].mean()) ** 2).sum()) / (len(n) - 1)
    return between / within if within > 0 else 1.0


def _run(pool: Pool, model: Model, world: Codes, seed: int, *, learns: bool) -> Course:
    """Run the loop once; `world` is each user's, shape (users,)."""
    rng = np.random.default_rng(seed)
    score, users, items = pool.score.copy(), len(pool.users), len(pool.slots)
    k, row = min(model.top, score.shape[1]), np.arange(users)[:, None]
    chance = model.uptake / np.log2(np.arange(k) + 2)
    entropy, overlap = np.empty((model.rounds, users)), np.empty((model.rounds, users))
    for t in range(model.rounds):
        listed = np.argpartition(-score, k - 1, axis=1)[:, :k]
        listed = np.take_along_axis(listed, np.argsort(-score[row, listed], axis=1, kind="stable"), axis=1)
        there, item = np.isfinite(score[row, listed]), pool.item[row, listed]
        entropy[t] = _entropy(pool, item, there, model.top)
        overlap[t] = _overlap(item, there, world, items)
        appeal = model.curiosity + (1 - model.curiosity) * pool.appeal[row, listed]
        taken = (rng.random((users, k)) < chance * appeal) & there
        if learns:
            score += model.feedback * _of_category(pool, _category_shares(pool, item, taken))
            takers = _counted(item, taken, world, items)
            takers = takers / np.maximum(takers.max(axis=1, keepdims=True), 1)
            score += model.popularity_feedback * takers[world[:, None], pool.item]
        if not model.again:
            who, where = np.nonzero(taken)
            score[who, listed[who, where]] = -np.inf
    return Course(entropy, overlap)


def _counted(item: Codes, chosen: NDArray[np.bool_], world: Codes, items: int) -> Codes:
    """How many users of each world have chosen each item, shape (worlds, items)."""
    worlds = int(world.max(initial=0)) + 1
    flat = (world[:, None] * items + item)[chosen]
    return np.asarray(np.bincount(flat, minlength=worlds * items).reshape(worlds, items))


def _category_shares(pool: Pool, item: Codes, chosen: NDArray[np.bool_]) -> Floats:
    """Shares of the categories among chosen items, (users, k) each; shape (users, categories), rows of 0 for none."""
    users = np.broadcast_to(np.arange(len(item))[:, None], item.shape)[chosen]
    slots, shares = pool.slots[item[chosen]], pool.shares[item[chosen]]
    flat = (users[:, None] * pool.categories + slots).ravel()
    counts = np.bincount(flat, shares.ravel(), minlength=len(item) * pool.categories).reshape(len(item), -1)
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0))


def _of_category(pool: Pool, shares: Floats) -> Floats:
    """For every item of every user's pool, the user's share of its categories, shape (users, pool)."""
    found = np.zeros(pool.item.shape)
    row = np.arange(len(pool.item))[:, None]
    for s in range(pool.slots.shape[1]):
        found += shares[row, pool.slots[:, s][pool.item]] * pool.shares[:, s][pool.item]
    return found


def _entropy(pool: Pool, item: Codes, there: NDArray[np.bool_], top: int) -> Floats:
    """Entropy of the categories on each list, over that of as many categories as there are or as a list can hold."""
    shares = _category_shares(pool, item, there)
    terms = shares * np.log(np.where(shares > 0, shares, 1.0))
    largest = np.log(min(pool.categories, top * pool.slots.shape[1]))
    return np.where(shares.any(axis=1), np.clip(-terms.sum(axis=1) / largest, 0.0, 1.0), np.nan)


def _overlap(item: Codes, there: NDArray[np.bool_], world: Codes, items: int) -> Floats:
    """Mean share of each user's list that is on the list of another user of the world, shape (users,)."""
    others = np.maximum(np.bincount(world)[world] - 1, 1)
    shared = np.where(there, _counted(item, there, world, items)[world[:, None], item] - 1, 0).sum(axis=1)
    return np.asarray(shared / (np.maximum(there.sum(axis=1), 1) * others))
