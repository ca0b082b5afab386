"""Planted subjects of the fairness checks besides `fairness.group`: what is there, what is not, and the truth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from design import Design, covers

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Measurement

LOGGED = {"adapter": "logged", "prediction": "yhat"}


def measured(frame: pd.DataFrame, metric: str, *, options: dict[str, Any] | None = None, **where: Any) -> Measurement:
    """Audit logged predictions and give one number."""
    check = metric.rpartition(".")[0]
    model = LOGGED | ({"score": "score"} if "score" in frame else {})
    task = where.pop("task", None)
    positive = 1 if task is None else None
    features = where.pop("features", None)
    data = Dataset(frame, target="y", positive=positive, task=task, sensitive=["group"], features=features)
    return run(model, data, checks=[check], options={check: options or {}}).find(metric, **where)


def apart(found: Measurement, ideal: float = 0.0) -> bool:
    """Whether the interval excludes what is amiss in nothing."""
    return not covers(found, ideal)


def people(seed: int, n: int, k: int = 2) -> tuple[np.random.Generator, pd.DataFrame]:
    """Rows of k groups of unequal sizes, with labels at random."""
    rng = np.random.default_rng(seed)
    size = np.linspace(1, 3, k)
    frame = pd.DataFrame({"group": [f"g{g}" for g in rng.choice(k, n, p=size / size.sum())]})
    return rng, frame.assign(y=rng.integers(0, 2, n))


def scored(seed: int, *, shift: float, n: int = 1000, k: int = 3) -> pd.DataFrame:
    """Scores one standard deviation apart by label, and by `shift` less so in the first group."""
    rng, frame = people(seed, n, k)
    signal = np.where(frame["group"] == "g0", 1.5 - shift, 1.5)
    raw = rng.normal(size=n) + frame["y"] * signal
    return frame.assign(score=1 / (1 + np.exp(-raw)), yhat=(raw > 0.75).astype(int))


def score_designs() -> list[Design]:
    """Groups ranked equally well, and one that is not."""

    def found(metric: str, shift: float) -> Callable[[int], bool]:
        return lambda seed: apart(measured(scored(seed, shift=shift), f"fairness.score.{metric}", attribute="group"))

    equal, other = (
        "3 groups ranked equally well, 1,000 rows",
        "3 groups, one ranked at an area of .70 for .86, 1,000 rows",
    )
    said = "the interval of the {} excludes 0"
    area, curves = "largest difference in area", "area between the ROC curves"
    check = "fairness.score"
    return [
        Design(check, "false alarms", f"{equal}; {said.format(area)}", found("roc_auc_difference", 0), 0.5),
        Design(check, "false alarms", f"{equal}; {said.format(curves)}", found("abroca", 0), 0.5),
        Design(check, "power", f"{other}; {said.format(area)}", found("roc_auc_difference", 0.75), 0.25),
        Design(check, "power", f"{other}; {said.format(curves)}", found("abroca", 0.75), 0.25),
    ]


def impact_designs() -> list[Design]:
    """Impact ratios that are known."""

    def holds(seed: int, n: int) -> bool:
        rng, frame = people(seed, n, 3)
        rate = frame["group"].map({"g0": 0.24, "g1": 0.3, "g2": 0.4})
        frame["yhat"] = (rng.random(n) < rate).astype(int)
        ratio = measured(frame, "fairness.impact.impact_ratio", attribute="group", group="g0", rate="selection")
        return covers(ratio, 0.6)

    return [
        Design(
            "fairness.impact", "coverage", f"3 categories, an impact ratio of .6, {n:,} rows; its interval",
            lambda seed, n=n: holds(seed, n), 0.5,  # type: ignore[misc]
        )
        for n in (300, 2000)
    ]  # fmt: skip


def conditional_designs() -> list[Design]:
    """Groups apply to strata of unlike rates; within them they are selected alike, or not."""
    metric = "fairness.conditional.conditional_demographic_disparity"

    def found(seed: int, gap: float, name: str, ideal: float) -> bool:
        rng, frame = people(seed, 1200)
        first = frame["group"] == "g0"
        frame["stratum"] = np.where(rng.random(1200) < np.where(first, 0.8, 0.2), "hard", "easy")
        rate = np.where(frame["stratum"] == "hard", 0.2, 0.6) - gap * first
        frame["yhat"] = (rng.random(1200) < rate).astype(int)
        options = {"strata": ["stratum"]}
        return apart(measured(frame, name, options=options, attribute="group", group="g0"), ideal)

    odds = "fairness.conditional.mantel_haenszel_odds_ratio"
    same = "selection depends on the stratum and the stratum on the group, nothing else, 1,200 rows"
    less = "the same, and one group's rate is 12 points lower in each stratum"
    check = "fairness.conditional"
    return [
        Design(check, "false alarms", f"{same}; disparity excludes 0", lambda s: found(s, 0, metric, 0)),
        Design(check, "false alarms", f"{same}; odds ratio excludes 1", lambda s: found(s, 0, odds, 1)),
        Design(check, "power", f"{less}; disparity excludes 0", lambda s: found(s, 0.12, metric, 0), 0.5),
    ]


def individual_designs() -> list[Design]:
    """Groups with equal rates have no differential fairness to speak of."""

    def found(seed: int, gap: float) -> bool:
        rng, frame = people(seed, 1500, 4)
        frame["yhat"] = (rng.random(1500) < 0.3 + gap * (frame["group"] == "g0")).astype(int)
        return apart(measured(frame, "fairness.individual.differential_fairness", attribute="group"))

    check = "fairness.individual"
    return [
        Design(check, "false alarms", "4 groups with one rate, 1,500 rows; epsilon excludes 0", lambda s: found(s, 0)),
        Design(check, "power", "one of 4 groups 20 points higher; epsilon excludes 0", lambda s: found(s, 0.2), 0.5),
    ]


def subgroup_designs() -> list[Design]:
    """Errors at random, and errors heaped on one of many subgroups."""

    def found(seed: int, plant: float, confirm: str) -> bool:
        rng, frame = people(seed, 1000)
        for name in "abc":
            frame[name] = rng.choice(list("xyz"), 1000)
        hit = (frame["a"] == "x") & (frame["b"] == "y")
        wrong = rng.random(1000) < 0.2 + plant * hit
        frame["yhat"] = np.where(wrong, 1 - frame["y"], frame["y"])
        options = {"features": ["a", "b", "c"], "confirm": confirm, "permutations": 100}
        return apart(measured(frame, "fairness.subgroups.largest_divergence", options=options, rate="accuracy"))

    none, some = "errors at random, 1,000 rows", "errors 30 points more frequent in a ninth of 1,000 rows"
    check = "fairness.subgroups"
    return [
        Design(
            check, "false alarms", f"{none}; largest divergence excludes 0 ({confirm})",
            lambda s, c=confirm: found(s, 0, c), 0.5,  # type: ignore[misc]
        )
        for confirm in ("split", "permutation")
    ] + [
        Design(check, "power", f"{some}; largest divergence excludes 0 (split)", lambda s: found(s, 0.3, "split"), 0.5)
    ]  # fmt: skip


def regression_designs() -> list[Design]:
    """Groups with the same errors, and one whose errors are twice as large."""

    def found(seed: int, factor: float) -> bool:
        rng, frame = people(seed, 800, 3)
        spread = np.where(frame["group"] == "g0", factor, 1.0)
        y = rng.normal(size=800)
        frame = frame.assign(y=y, yhat=y + rng.normal(size=800) * spread)
        metric = "fairness.regression.mean_absolute_error_difference"
        return apart(measured(frame, metric, task="regression", attribute="group"))

    check, said = "fairness.regression", "the interval of the largest gap in mean absolute error excludes 0"
    return [
        Design(check, "false alarms", f"3 groups with the same errors, 800 rows; {said}", lambda s: found(s, 1)),
        Design(check, "power", f"one group's errors 1.6 times as large; {said}", lambda s: found(s, 1.6), 0.5),
    ]


def fairness_designs() -> list[Design]:
    """All of them."""
    return [
        *conditional_designs(),
        *impact_designs(),
        *individual_designs(),
        *regression_designs(),
        *score_designs(),
        *subgroup_designs(),
    ]
