"""Group fairness of a million rows: the same numbers as fairlearn, and how long each takes, in one run.

    python benchmarks/fairness_vs_fairlearn.py [--rows 1000000]

fairlearn's bootstrap is timed on `REPLICATES` resamples and SCALED to 1,000: nobody waits for the real thing. It is
of the 12 groups of both attributes alone, while fairwitness does sex, race and both. Seconds are of processor time, so
that a busy machine changes little. Exits with 1 if a value differs by more than 1e-12; ratios are printed beside their
budgets.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fairlearn import metrics as fairlearn
from rich.console import Console
from rich.table import Table
from sklearn.metrics import accuracy_score, precision_score

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence
from fairwitness.audit.models import Setting, logged
from fairwitness.audit.subject import Subject
from fairwitness.audit.tallies import Batch, Contingency
from fairwitness.checks.fairness import group

REPLICATES = 2  # of fairlearn's bootstrap, timed
SCALED_TO = 1000  # replicates that an interval would need
FASTER_THAN_BOOTSTRAP, SLOWER_THAN_BINCOUNT = 1000, 3  # budgets, docs/design.md
RATES: dict[str, Any] = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "true_negative_rate": fairlearn.true_negative_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "positive_predictive_value": precision_score,
    "negative_predictive_value": partial(precision_score, pos_label=0),
    "accuracy": accuracy_score,
}
NAMED: dict[str, Any] = {
    "demographic_parity_difference": fairlearn.demographic_parity_difference,
    "demographic_parity_ratio": fairlearn.demographic_parity_ratio,
    "equal_opportunity_difference": fairlearn.equal_opportunity_difference,
    "equalized_odds_difference": fairlearn.equalized_odds_difference,
    "equalized_odds_ratio": fairlearn.equalized_odds_ratio,
}
ATTRIBUTES = (["sex"], ["race"], ["sex", "race"])


def people(rows: int) -> pd.DataFrame:
    """Two groups by six, unequal in size and in every rate."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["Female", "Male"], rows, p=[0.45, 0.55])
    race = rng.choice(list("ABCDEF"), rows, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    y = (rng.random(rows) < 0.3 + 0.1 * (sex == "Male")).astype(np.int64)
    yhat = (rng.random(rows) < 0.2 + 0.5 * y + 0.05 * (race == "B")).astype(np.int64)
    return pd.DataFrame({"sex": sex, "race": race, "y": y, "yhat": yhat})


def by_group(rows: pd.DataFrame, names: list[str], **bootstrap: Any) -> fairlearn.MetricFrame:
    """Each rate of each group."""
    return fairlearn.MetricFrame(
        metrics=RATES, y_true=rows["y"], y_pred=rows["yhat"], sensitive_features=rows[names], **bootstrap
    )


def audited(rows: pd.DataFrame) -> Evidence:
    """The whole audit: reading, fingerprint, tally, every rate, gap, ratio, interval and test."""
    data = Dataset(rows, target="y", positive=1, sensitive=["sex", "race"])
    return run({"adapter": "logged", "prediction": "yhat"}, data, checks=["fairness.group"])


def differences(evidence: Evidence, rows: pd.DataFrame) -> Iterator[float]:
    """How far each value is from fairlearn's."""
    for names in ATTRIBUTES:
        frame, attribute = by_group(rows, names), " & ".join(names)
        found = partial(_value, evidence, attribute)
        for key in frame.by_group.index:
            name = " & ".join(key) if isinstance(key, tuple) else key
            yield from (abs(found(metric, name) - frame.by_group.loc[key, metric]) for metric in RATES)
        for metric, function in NAMED.items():
            yield abs(found(metric) - function(rows["y"], rows["yhat"], sensitive_features=rows[names]))
        gaps = frame.difference()
        yield abs(found("predictive_parity_difference") - gaps["positive_predictive_value"])
        yield abs(found("accuracy_difference") - gaps["accuracy"])


def _value(evidence: Evidence, attribute: str, metric: str, name: str | None = None) -> float:
    value = evidence.find(f"fairness.group.{metric}", attribute=attribute, group=name).value
    return float("nan") if value is None else value


def coded(rows: pd.DataFrame) -> list[Batch]:
    """The batches that a tally is made from, columns already encoded."""
    dataset = Dataset(rows, target="y", positive=1, sensitive=["sex", "race"])
    target = dataset.resolve()
    model = logged.load(Setting(dataset, target, Path(), "model"), prediction="yhat")
    return list(Subject(dataset, target, model, 0).batches())


def tally(batches: list[Batch]) -> Contingency:
    """Count all batches and join them."""
    return Contingency.merge([Contingency.of(batch) for batch in batches])


def bincount(columns: list[np.ndarray[Any, np.dtype[np.int64]]], sizes: list[int]) -> Any:
    """The same table in one pass of numpy."""
    return np.bincount(np.ravel_multi_index(columns, sizes), minlength=int(np.prod(sizes)))


def seconds(function: Callable[[], Any], repeats: int = 1) -> float:
    """Median processor time of a call."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        took.append(time.process_time() - began)
    return float(np.median(took))


def main() -> int:
    """Compare, print, and say whether the values agree."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = people(parser.parse_args().rows)
    columns = [pd.factorize(rows[name])[0].astype(np.int64) for name in rows]
    batches = coded(rows)

    worst = float(np.max(list(differences(audited(rows), rows))))  # NaN stays NaN; and everything is warm
    points = seconds(partial(by_group, rows, ["sex", "race"]))
    resampling = {"n_boot": REPLICATES, "ci_quantiles": [0.025, 0.975], "random_state": 0}
    resampled = seconds(partial(by_group, rows, ["sex", "race"], **resampling))
    bootstrap = points + (resampled - points) / REPLICATES * SCALED_TO
    whole = seconds(partial(audited, rows), repeats=3)
    counted = tally(batches)
    inference = seconds(lambda: list(group.measure(counted, np.random.default_rng(0))), repeats=3)
    counting = seconds(partial(tally, batches), repeats=15)
    one_pass = seconds(partial(bincount, columns, [2, 6, 2, 2]), repeats=15)

    shown = Table("work", "CPU seconds", "ratio", "budget", title=f"{len(rows):,} rows, 2 x 6 groups")
    shown.add_row("fairlearn MetricFrame, 8 rates of 12 groups: points", f"{points:.3f}", "", "")
    shown.add_row(f"the same, {REPLICATES} bootstrap replicates", f"{resampled:.1f}", "", "")
    shown.add_row(f"the same, SCALED to {SCALED_TO} replicates", f"{bootstrap:,.0f}", "", "")
    budget = f"≥ {FASTER_THAN_BOOTSTRAP} x faster than the scaled bootstrap"
    shown.add_row(
        "fairwitness run: every metric, interval, test", f"{whole:.3f}", f"{bootstrap / whole:,.0f} x", budget
    )
    shown.add_row("  against fairlearn's points alone", "", f"{points / whole:.2f} x", "")
    shown.add_row("  its inference alone, on the tally", f"{inference:.3f}", "", "")
    shown.add_row("numpy.bincount, one pass over the encoded columns", f"{one_pass:.4f}", "", "")
    budget = f"≤ {SLOWER_THAN_BINCOUNT} x"
    shown.add_row("contingency tally of the same columns", f"{counting:.4f}", f"{counting / one_pass:.2f} x", budget)
    Console(width=130).print(shown)
    print(f"largest difference of a value from fairlearn's: {worst:.1e}")
    return int(not worst <= 1e-12)


if __name__ == "__main__":
    sys.exit(main())
