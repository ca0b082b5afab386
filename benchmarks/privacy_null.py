"""Membership inference on models whose leak is known: does the interval cover, and is a leak found?

    python benchmarks/privacy_null.py [runs]

Each run draws members, non-members and a third set, and audits three models: one fitted on the third set, which saw
neither (its area is .5 by construction), a forest without bootstrap fitted on the members, and a regularised logistic
regression fitted on them.
"""

import sys
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from fairwitness.audit import Dataset, run

CHECK = "privacy.membership_inference"
FEATURES = [f"x{i}" for i in range(8)]
ROWS = 1_000
NULL = {"auc": 0.5, "auc_above_blind": 0.0, "advantage": 0.0, "tpr_at_fpr": 0.01, "member_shift_auc": 0.5}


def rows(rng: np.random.Generator) -> pd.DataFrame:
    X = rng.normal(size=(ROWS, len(FEATURES)))
    y = (X[:, :3].sum(axis=1) + rng.normal(0, 2, ROWS) > 1).astype(int)
    return pd.DataFrame(X, columns=FEATURES).assign(y=y)


def models(elsewhere: pd.DataFrame, members: pd.DataFrame) -> dict[str, Any]:
    forest = RandomForestClassifier(50, bootstrap=False, random_state=0, n_jobs=1)
    return {
        "saw neither (forest)": forest.fit(elsewhere[FEATURES], elsewhere.y),
        "overfitted forest": RandomForestClassifier(50, bootstrap=False, random_state=0, n_jobs=1).fit(
            members[FEATURES], members.y
        ),
        "regularised regression": LogisticRegression(C=0.1).fit(members[FEATURES], members.y),
    }


def main(runs: int) -> None:
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    began = time.monotonic()
    for seed in range(runs):
        rng = np.random.default_rng([7, seed])
        elsewhere, members, others = rows(rng), rows(rng), rows(rng)
        for name, model in models(elsewhere, members).items():
            data = Dataset(others, target="y", features=FEATURES, train=members)
            (result,) = run(model, data, checks=[CHECK], seed=seed).checks
            assert result.status != "error", result.traceback
            refused[name] += result.status == "not_assessed"
            for m in result.measurements:
                if m.value is not None and m.interval is not None:
                    key = name, m.metric.rpartition(".")[2], m.where.get("attack", "")
                    found[key].append((m.value, m.interval.low, m.interval.high))
    print(f"{runs} runs of {ROWS} members and {ROWS} non-members, {time.monotonic() - began:.0f} s")
    print(f"{'model':24} {'metric':17} {'attack':11} {'mean':>7} {'covers no leak':>15} {'low > .55':>10}")
    for (name, metric, attack), values in found.items():
        value, low, high = np.array(values).T
        covers = np.mean((low <= NULL[metric]) & (high >= NULL[metric]))
        above = f"{np.mean(low > 0.55):10.2f}" if metric in ("auc", "member_shift_auc") else ""
        print(f"{name:24} {metric:17} {attack:11} {value.mean():7.3f} {covers:15.3f} {above}")
    print("not assessed, members seemed to differ:", dict(refused))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
