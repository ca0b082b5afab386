"""Search of subgroups: time beside a lattice of pandas groupbys; false alarms and power of both modes.

    python benchmarks/subgroups.py [rows] [runs]

The data have ten columns of four values, some frequent and some rare, and decisions that depend on none of them. The
groupbys count the same confusion cells for every combination of up to three columns. Both find the same subgroups.
"""

import sys
import time
from itertools import combinations

import numpy as np
import pandas as pd

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Measurement
from fairwitness.audit.statistics.subgroup_search import frequent_sets, item_bits, overlap_counts, packed

CHECK = "fairness.subgroups"
COLUMNS = [f"c{i}" for i in range(10)]
SUPPORT, DEPTH = 0.05, 3


def rows(n: int, rng: np.random.Generator, planted: float = 0.0, columns: int = 10) -> pd.DataFrame:
    frame = pd.DataFrame({name: rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1]) for name in COLUMNS[:columns]})
    inside = (frame["c0"] == 0) & (frame["c1"] == 1)
    truth = rng.random(n) < 0.5
    return frame.assign(y=truth.astype(int), yhat=(rng.random(n) < 0.3 + planted * inside).astype(int))


def by_bits(frame: pd.DataFrame) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Confusion cells of every frequent subgroup."""
    codes = frame[COLUMNS].to_numpy().astype(np.int16)
    column, value = np.repeat(np.arange(len(COLUMNS)), 4), np.tile(np.arange(4), len(COLUMNS))
    bits = item_bits(codes, column, value)
    lattice = frequent_sets(bits, column, int(np.ceil(SUPPORT * len(frame))), DEPTH)
    y, yhat = frame["y"].to_numpy() == 1, frame["yhat"].to_numpy() == 1
    masks = packed(np.stack([~y & ~yhat, ~y & yhat, y & ~yhat, y & yhat]))
    counts = overlap_counts(bits, lattice.sets, masks)
    names = [f"c{c}={v}" for c, v in zip(column, value, strict=True)]
    return {tuple(names[item] for item in lattice.items(at)): tuple(row) for at, row in enumerate(counts.tolist())}


def by_groups(frame: pd.DataFrame) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The same by pandas."""
    cell = 2 * frame["y"] + frame["yhat"]
    found = {}
    for size in range(1, DEPTH + 1):
        for chosen in combinations(COLUMNS, size):
            table = frame.groupby([*chosen, cell.rename("cell")]).size().unstack("cell", fill_value=0)  # noqa: PD010
            for key, row in zip(table.index, table.to_numpy(), strict=True):
                if row.sum() >= SUPPORT * len(frame):
                    values = key if isinstance(key, tuple) else (key,)
                    name = tuple(f"{c}={v}" for c, v in zip(chosen, values, strict=True))
                    found[name] = tuple(row.tolist())
    return found


def audited(frame: pd.DataFrame, mode: str, seed: int) -> tuple[list[Measurement], float]:
    data = Dataset(frame, target="y", features=[c for c in frame.columns if c.startswith("c")], task="binary")
    model = {"adapter": "logged", "prediction": "yhat"}
    evidence = run(model, data, checks=[CHECK], seed=seed, options={CHECK: {"confirm": mode}})
    (result,) = evidence.checks
    assert result.status == "ok", result
    return list(result.measurements), evidence.timing.checks[CHECK]


def speed(n: int) -> None:
    frame = rows(n, np.random.default_rng(0))
    began = time.perf_counter()
    fast = by_bits(frame)
    between = time.perf_counter()
    slow = by_groups(frame)
    ended = time.perf_counter()
    assert fast == slow
    print(f"{n:,} rows, {len(COLUMNS)} columns of 4 values, {len(fast)} subgroups of up to {DEPTH} items")
    print(f"  bits             {between - began:8.2f} s")
    print(f"  pandas groupbys  {ended - between:8.2f} s   {(ended - between) / (between - began):.0f} x")
    for mode in ("split", "permutation"):
        _, seconds = audited(frame, mode, 0)
        print(f"  the whole check, four rates, {mode:12} {seconds:6.2f} s")


def validity(runs: int) -> None:
    print(f"{runs} runs of 1,000 rows and 4 columns: share of runs in which a rate's largest divergence is above 0")
    for planted, what in ((0.0, "false alarms, no divergence"), (0.35, "power, 35 points planted in 12 % of rows")):
        for mode in ("split", "permutation"):
            hits, missed, values = [], [], []
            for seed in range(runs):
                frame = rows(1_000, np.random.default_rng([3, seed]), planted, columns=4)
                said, _ = audited(frame, mode, seed)
                for m in said:
                    if m.metric.endswith("largest_divergence") and m.where["rate"] == "selection_rate":
                        assert m.interval is not None
                        assert m.value is not None
                        hits.append(m.interval.low > 0)
                        values.append(m.value)
                        truth = planted * 0.88
                        missed.append(not m.interval.low <= truth <= m.interval.high)
            print(
                f"  {what:44} {mode:12} {np.mean(hits):6.3f}   mean value {np.mean(values):.3f}, "
                f"interval misses the truth {np.mean(missed):.3f}"
            )


if __name__ == "__main__":
    speed(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    validity(int(sys.argv[2]) if len(sys.argv) > 2 else 200)
