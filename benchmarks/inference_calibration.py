"""Do the intervals of group fairness hold the truth, and do its gates keep quiet over equal groups?

Tables of groups x labels x decisions are drawn from known rates and given to the functions that the checks use. The
same tables get the percentile bootstrap of fairlearn's `MetricFrame`: not by resampling rows, but by drawing the table
anew from a multinomial distribution, which is the same thing for every metric of a confusion matrix. That it is so is
checked first: on a few tables the real MetricFrame is run, and its limits must be those of the counted resamples.

    python benchmarks/inference_calibration.py [--tables 1000] [--jobs 2]

Prints Markdown. A figure such as .951(7) is a share and its standard error in the last digit, over tables: groups
and pairs of one table are one observation. Exits with 1 if the equivalence fails or a target is missed by more than
three standard errors.
"""

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np
import numpy.typing as npt
import pandas as pd
from fairlearn import metrics as fairlearn

from fairwitness.audit.comparison import Comparison, Kind, Shares, compared, gap
from fairwitness.audit.statistics.intervals import critical_value, mover_difference, mover_ratio, score_ratio, wilson
from fairwitness.checks.fairness._standing import signed

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Outcomes = dict[str, float]

LEVEL, LEAST = 0.95, 10  # the defaults of fairness.group
REPLICATES = 500  # of the bootstrap; fairlearn's own examples take 100
GATE = 0.05  # largest gap that the gate of the power table allows
GAPS = (0.05, 0.1, 0.2)
GROUPS, ROWS = (2, 5, 10, 20), (2000, 500)
Z = critical_value(LEVEL)

# What each share counts: denominator and hits of a table (groups, truth, decision).
CELLS: dict[str, tuple[tuple[slice | int, slice | int], tuple[slice | int, slice | int]]] = {
    "rows": ((slice(None), slice(None)), (slice(None), 1)),
    "positives": ((1, slice(None)), (1, 1)),
    "negatives": ((0, slice(None)), (0, 1)),
}
# Shares that are compared together, and the criteria read off the comparison.
CRITERIA: dict[str, tuple[tuple[str, ...], Kind]] = {
    "parity gap": (("rows",), "difference"),
    "parity ratio": (("rows",), "ratio"),
    "odds gap": (("positives", "negatives"), "difference"),
    "odds ratio": (("positives", "negatives"), "ratio"),
    "odds mean": (("positives", "negatives"), "mean"),
}
JOINED: dict[Kind, Callable[[list[float]], float]] = {"difference": max, "ratio": min, "mean": fmean}
SINGLE = ("Wilson", "Newcombe", "signed odds", "MOVER-R", "Koopman")
COVERING, COVERAGE = (*SINGLE, *CRITERIA), 0.93  # least share of intervals that has to hold the truth
AT_TRUTH, EXCLUDED, FAILS = ": gate at the truth fails", ": no difference excluded", ": gate fails"
CASE = ("design", "rows", "groups")
NOTHING = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Design:
    """Where tables are drawn from.

    Attributes:
        name: in English.
        rows: in a table.
        share: of the rows in each group, shape (groups,).
        base: share of positive labels, the same in each group.
        tpr: share of positives that are selected, shape (groups,).
        fpr: share of negatives that are selected, likewise.
    """

    name: str
    rows: int
    share: Floats
    base: float
    tpr: Floats
    fpr: Floats

    @property
    def cells(self) -> Floats:
        """Probability of each cell, shape (groups, truth, decision)."""
        positive, negative = self.base * self.tpr, (1 - self.base) * self.fpr
        cells = np.stack([1 - self.base - negative, negative, self.base - positive, positive], axis=-1)
        return self.share[:, None, None] * cells.reshape(-1, 2, 2)

    def rates(self, what: str) -> Floats:
        """True rate of each group on a denominator of `CELLS`."""
        selected = self.base * self.tpr + (1 - self.base) * self.fpr
        return {"rows": selected, "positives": self.tpr, "negatives": self.fpr}[what]


Results = list[tuple[Design, dict[str, tuple[float, float]]]]


def designs(k: int, rows: int) -> Iterator[Design]:
    """Equal and unequal rates, in groups of equal sizes and of sizes 1 to 1/10; and rare decisions."""
    alike, uneven = np.full(k, 1 / k), np.geomspace(1, 0.1, k) / np.geomspace(1, 0.1, k).sum()
    same, apart = np.full(k, 0.6), np.linspace(0.5, 0.75, k)
    low, spread = np.full(k, 0.1), np.linspace(0.05, 0.2, k)
    yield Design("equal rates of .30", rows, alike, 0.4, same, low)
    yield Design("unequal rates, .23 to .42", rows, alike, 0.4, apart, spread)
    yield Design("small and unequal groups, equal rates", rows, uneven, 0.4, same, low)
    yield Design("small and unequal groups, unequal rates", rows, uneven, 0.4, apart, spread)
    yield Design("rare decisions, equal rates of .03", rows, alike, 0.1, np.full(k, 0.2), np.full(k, 1 / 90))


def planted(gap: float, k: int, rows: int) -> Design:
    """All groups are selected at .30 but the last, which is so much above."""
    rate = np.full(k, 0.3)
    rate[-1] += gap
    return Design(f"planted gap of {gap:g}", rows, np.full(k, 1 / k), 0.4, rate, rate)


def draw(design: Design, rng: np.random.Generator) -> Counts:
    """One table, shape (groups, truth, decision)."""
    cells = design.cells
    return rng.multinomial(design.rows, cells.ravel() / cells.sum()).reshape(cells.shape)


def shares(tables: Counts, what: str) -> tuple[Counts, Counts]:
    """Denominators and hits by group, of tables of shape (..., groups, truth, decision)."""
    counted, hit = CELLS[what]
    n, x = tables[..., counted[0], counted[1]], tables[..., hit[0], hit[1]]
    return n.reshape(*n.shape[: tables.ndim - 2], -1).sum(axis=-1), x.reshape(*x.shape[: tables.ndim - 2], -1).sum(-1)


def as_shares(table: Counts, what: str) -> Shares:
    n, x = shares(table, what)
    names = tuple(f"g{i}" for i in range(len(n)))
    return Shares("group", names, n, n.astype(np.float64), x.astype(np.float64), what)


def holds(low: npt.ArrayLike, truth: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    return np.asarray((np.asarray(low) <= truth) & (truth <= np.asarray(high)))


def single_and_pairs(table: Counts, design: Design) -> Outcomes:
    """How many of the groups' and pairs' own intervals, at 95 % each, hold the truth."""
    kept = shares(table, "rows")[0] >= LEAST
    n, x = (counts[kept] for counts in shares(table, "rows"))
    truth = design.rates("rows")[kept]
    low, high = wilson(x, n, Z)
    first, second = np.triu_indices(len(n), k=1)
    sides = [(x[i] / n[i], (low[i], high[i])) for i in (first, second)]
    difference, ratio = truth[first] - truth[second], truth[first] / truth[second]
    found = {
        "Wilson": holds(low, truth, high),
        "Newcombe": _holds(mover_difference(*sides[0], *sides[1]), difference),
        "MOVER-R": _holds(mover_ratio(*sides[0], *sides[1]), ratio),
        "Koopman": _holds(score_ratio(x[first], n[first], x[second], n[second], Z), ratio),
    }
    return {name: float(inside.mean()) for name, inside in found.items() if inside.size}


def _holds(limits: tuple[Floats, Floats], truth: Floats) -> npt.NDArray[np.bool_]:
    return holds(limits[0], truth, limits[1])


def signed_odds(table: Counts, design: Design) -> float:
    """Share of the groups whose signed average odds difference to the first group has an interval that holds it."""
    odds = [as_shares(table, what) for what in ("positives", "negatives")]
    truth = np.mean([design.rates(what) - design.rates(what)[0] for what in ("positives", "negatives")], axis=0)
    said = [m for m in signed("average odds", odds, "g0", level=LEVEL, least=LEAST) if m.interval is not None]
    inside = [m.interval.low <= truth[int(str(m.group)[1:])] <= m.interval.high for m in said if m.interval]
    return fmean(inside) if inside else float("nan")


def criteria(table: Counts, design: Design, rng: np.random.Generator, names: Sequence[str]) -> Outcomes:
    """What the public comparison says of each criterion; the truth is that of the groups it could estimate."""
    found: Outcomes = {}
    comparisons: dict[tuple[str, ...], Comparison] = {}
    for name in names:
        denominators, kind = CRITERIA[name]
        if denominators not in comparisons:
            shares_of_all = [as_shares(table, what) for what in denominators]
            comparisons[denominators] = compared(shares_of_all, rng, level=LEVEL, least=LEAST)
        comparison = comparisons[denominators]
        said = gap(name, comparison, kind)
        if said.interval is None or said.p_value is None:
            continue
        rates = [design.rates(what)[kept] for what, kept in zip(denominators, comparison.kept, strict=True)]
        each = [float(r.min() / r.max()) if kind == "ratio" else float(np.ptp(r)) for r in rates]
        truth, low, high = JOINED[kind](each), said.interval.low, said.interval.high
        found[name] = float(low <= truth + 1e-12 and truth - 1e-12 <= high)
        found[f"{name}{AT_TRUTH}"] = float(high < truth - 1e-12 if kind == "ratio" else low > truth + 1e-12)
        found[f"{name}{EXCLUDED}"] = float(high < 1 if kind == "ratio" else low > 0)
        found[f"{name}: p"] = float(said.p_value <= 1 - LEVEL)
        found[f"{name}{FAILS}"] = float(low > GATE)
    return found


def fairlearns_rates(tables: Counts, what: str) -> Floats:
    """Rates by group as fairlearn has them: 0 where nothing is counted, NaN for a group that is not there."""
    n, x = shares(tables, what)
    rates = np.divide(x, n, out=np.zeros(n.shape), where=n > 0)
    rates[shares(tables, "rows")[0] == 0] = np.nan
    return rates


def fairlearns_limits(tables: Counts) -> dict[str, Floats]:
    """Percentile limits over resampled tables, shape (replicates, groups, truth, decision), as MetricFrame takes them.

    Returns:
        For `rate` shape (2, groups), otherwise (2,): lower and upper limit.
    """
    rates = {what: fairlearns_rates(tables, what) for what in CELLS}
    gaps = {what: np.nanmax(r, axis=1) - np.nanmin(r, axis=1) for what, r in rates.items()}
    with np.errstate(invalid="ignore"):
        ratio = np.nanmin(rates["rows"], axis=1) / np.nanmax(rates["rows"], axis=1)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    odds = np.maximum(gaps["positives"], gaps["negatives"])
    return {
        "rate": np.nanquantile(rates["rows"], tails, axis=0),
        "parity gap": np.quantile(gaps["rows"], tails),
        "parity ratio": np.quantile(ratio, tails),
        "odds gap": np.quantile(odds, tails),
        "positives": np.quantile(gaps["positives"], tails),
    }


def bootstrap(table: Counts, design: Design, rng: np.random.Generator) -> Outcomes:
    """What fairlearn's intervals say of the same table; the truth is that of the groups that are there."""
    resampled = rng.multinomial(table.sum(), table.ravel() / table.sum(), size=REPLICATES)
    there = shares(table, "rows")[0] > 0
    limits = fairlearns_limits(resampled.reshape(-1, *table.shape)[:, there])
    rates = {what: design.rates(what)[there] for what in CELLS}
    gaps = {what: float(np.ptp(r)) for what, r in rates.items()}
    truths = {
        "parity gap": gaps["rows"],
        "parity ratio": rates["rows"].min() / rates["rows"].max(),
        "odds gap": max(gaps["positives"], gaps["negatives"]),
    }
    found = {"fairlearn rate": float(holds(limits["rate"][0], rates["rows"], limits["rate"][1]).mean())}
    for name, truth in truths.items():
        low, high = limits[name]
        found[f"fairlearn {name}"] = float(low <= truth + 1e-12 and truth - 1e-12 <= high)
        found[f"fairlearn {name}{EXCLUDED}"] = float(high < 1 if name == "parity ratio" else low > 0)
        found[f"fairlearn {name}{FAILS}"] = float(low > GATE)
    return found


def judged(design: Design, seed: Sequence[int], names: Sequence[str] = tuple(CRITERIA)) -> Outcomes:
    """Draw one table and ask everybody about it; of the criteria, about those that are named."""
    rng = np.random.default_rng(list(seed))
    table = draw(design, rng)
    found = criteria(table, design, rng, names) | bootstrap(table, design, rng)
    if len(names) > 1:
        found |= single_and_pairs(table, design) | {"signed odds": signed_odds(table, design)}
    return found


def simulated(design: Design, tables: int, names: Sequence[str] = tuple(CRITERIA)) -> dict[str, tuple[float, float]]:
    """Mean and standard error over tables of every outcome that half of the tables or more could give."""
    own = (zlib.crc32(design.name.encode()), len(design.share), design.rows)
    frame = pd.DataFrame([judged(design, (seed, *own), names) for seed in range(tables)])
    frame = frame.loc[:, frame.notna().mean() >= 0.5]
    errors = frame.std(ddof=1) / np.sqrt(frame.notna().sum())
    return {str(name): (float(frame[name].mean()), float(errors[name])) for name in frame}


def equivalence(tables: int, replicates: int) -> float:
    """Largest difference between MetricFrame's limits and those of its own resamples counted into tables.

    The generator of fairlearn's resamples is run again, so that both see the same ones. With as many draws from the
    multinomial distribution instead, limits differ by chance; without a difference here, by nothing else.
    """
    worst = 0.0
    metrics = {"rows": fairlearn.selection_rate, "positives": fairlearn.true_positive_rate}
    for seed in range(tables):
        design = list(designs(4, 200))[seed % 5]
        table = draw(design, np.random.default_rng(seed))
        cells = np.repeat(np.arange(table.size), table.ravel())
        group, y, decided = np.unravel_index(cells, table.shape)
        frame = fairlearn.MetricFrame(
            metrics=metrics, y_true=y, y_pred=decided, sensitive_features=group,
            n_boot=replicates, ci_quantiles=[(1 - LEVEL) / 2, (1 + LEVEL) / 2], random_state=seed,
        )  # fmt: skip
        states = np.random.default_rng(seed).integers(
            low=0, high=np.iinfo(np.uint32).max, size=replicates, dtype=np.uint32
        )
        rows = pd.Series(cells)
        resampled = [
            np.bincount(rows.sample(frac=1, replace=True, random_state=state), minlength=table.size) for state in states
        ]
        limits = fairlearns_limits(np.array(resampled).reshape(-1, *table.shape))
        for side in (0, 1):
            difference, ratio = frame.difference_ci()[side], frame.ratio_ci()[side]
            worst = max(
                worst,
                abs(difference["rows"] - limits["parity gap"][side]),
                abs(difference["positives"] - limits["positives"][side]),
                abs(ratio["rows"] - limits["parity ratio"][side]),
                np.abs(frame.by_group_ci[side]["rows"].to_numpy() - limits["rate"][side]).max(),
            )
    return worst


def shown(figure: tuple[float, float]) -> str:
    """A share with its standard error in the last digit, as in .951(7)."""
    mean, error = figure
    return "–" if np.isnan(mean + error) else f"{mean:.3f}({round(error * 1000)})".removeprefix("0")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def described(design: Design) -> list[str]:
    return [design.name, f"{design.rows:,}", str(len(design.share))]


def rows_of(found: Results, columns: Sequence[str]) -> list[list[str]]:
    return [[*described(design), *(shown(figures.get(c, NOTHING)) for c in columns)] for design, figures in found]


def report(found: Results) -> None:
    """Print what was found in the designs of `designs`."""
    fairlearns = [f"fairlearn {name}" for name in ("parity gap", "parity ratio", "odds gap")]
    columns = [*SINGLE, *CRITERIA, "fairlearn rate", *fairlearns]
    print("Share of 95 % intervals that hold the truth:\n")
    print_table([*CASE, *columns], rows_of(found, columns))
    for name in CRITERIA:
        design, worst = max(
            ((design, figures.get(f"{name}{AT_TRUTH}", NOTHING)) for design, figures in found),
            key=lambda case: np.nan_to_num(case[1][0], nan=-1.0),
        )
        print(f"Most false alarms of a gate on the {name}, its bound at the truth: {shown(worst)}", described(design))
    equal = [case for case in found if "unequal rates" not in case[0].name]
    columns = [
        *(f"{name}{EXCLUDED}" for name in CRITERIA), "parity gap: p", "odds gap: p", f"parity gap{FAILS}",
        *(f"{name}{EXCLUDED}" for name in fairlearns), f"fairlearn parity gap{FAILS}",
    ]  # fmt: skip
    print(f"\nEqual groups: share of tables of which something is said (p: at most .05; gate: gap at most {GATE:g}):\n")
    print_table([*CASE, *columns], rows_of(equal, columns))


def report_power(found: Results) -> None:
    """Print what was found in the designs of `planted`."""
    columns = [
        "parity gap: p", f"parity gap{EXCLUDED}", f"parity gap{FAILS}",
        f"fairlearn parity gap{EXCLUDED}", f"fairlearn parity gap{FAILS}",
    ]  # fmt: skip
    print(f"One group above all others: share of tables where it is found (gate: gap at most {GATE:g}):\n")
    print_table([*CASE, *columns], rows_of(found, columns))


def misses(found: Results) -> Iterator[str]:
    """What misses its target by more than three standard errors."""
    for design, figures in found:
        for name, (mean, error) in figures.items():
            alarm = (
                name.startswith(tuple(CRITERIA)) and name.endswith((EXCLUDED, ": p")) and "equal rates" in design.name
            )
            alarm = (alarm and "unequal rates" not in design.name) or name.endswith(AT_TRUTH)
            if (name in COVERING and mean + 3 * error < COVERAGE) or (alarm and mean - 3 * error > 1 - LEVEL):
                yield f"{name}, {', '.join(described(design))}: {shown((mean, error))}"


def main() -> int:
    """Check the equivalence, simulate, print, and say whether all targets are met."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    worst = equivalence(5, 100)
    print(f"MetricFrame against counted resamples, 5 tables of 100: largest difference of a limit {worst:.1e}\n")
    every = [d for i in range(5) for rows in ROWS for k in GROUPS for d in [list(designs(k, rows))[i]]]
    apart = [planted(gap, k, rows) for gap in GAPS for rows in ROWS for k in GROUPS]
    with ProcessPoolExecutor(given.jobs) as pool:
        simulations = pool.map(partial(simulated, tables=given.tables), every)
        found = list(zip(every, simulations, strict=True))
        report(found)
        parity = partial(simulated, tables=given.tables, names=("parity gap",))
        report_power(list(zip(apart, pool.map(parity, apart), strict=True)))
    missed = list(misses(found))
    print("\n".join(["missed by more than three standard errors:", *missed] if missed else ["no target is missed"]))
    return int(bool(missed) or not worst <= 1e-12)


if __name__ == "__main__":
    sys.exit(main())
