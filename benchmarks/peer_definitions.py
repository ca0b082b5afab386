"""What other tools' fairness metrics are, in terms of the rates by group that Fairwitness prints.

Read off the tools' sources and confirmed by running them (`fairness_vs_peers.py`); docs/conventions.md has them in
words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from fairwitness.audit.evidence import Evidence
from fairwitness.audit.statistics.ranking import roc_auc

# The worked table of docs/conventions.md: group, stratum, then true positives, false negatives, false positives, true
# negatives. Group b is the reference; the score is the decision.
WORKED = {("a", "x"): (2, 1, 1, 17), ("a", "y"): (4, 3, 5, 7), ("b", "x"): (1, 1, 1, 11), ("b", "y"): (35, 3, 7, 1)}


def worked() -> "Case":
    """The worked table, row by row."""
    labels = [(1, 1), (1, 0), (0, 1), (0, 0)]
    rows = [
        (*label, group, stratum)
        for (group, stratum), counts in WORKED.items()
        for label, count in zip(labels, counts, strict=True)
        for _ in range(count)
    ]
    frame = pd.DataFrame(rows, columns=["y", "yhat", "group", "stratum"])
    return Case("worked table", frame.assign(score=frame["yhat"].astype(float)), "b")


@dataclass(frozen=True)
class Case:
    """Rows `y`, `yhat`, `score`, `group`, `stratum` of one data set, and the group that others are compared with."""

    name: str
    rows: pd.DataFrame
    reference: str


@dataclass(frozen=True)
class Told:
    """What Fairwitness says of a case, and other tools' quantities in terms of it."""

    evidence: Evidence
    case: Case

    @property
    def reference(self) -> str:
        """The group that others are compared with."""
        return self.case.reference

    @property
    def others(self) -> list[str]:
        """All groups but the reference."""
        return sorted(set(self.case.rows["group"]) - {self.reference})

    @property
    def groups(self) -> list[str]:
        """All groups, the reference last."""
        return [*self.others, self.reference]

    def printed(self, metric: str) -> float:
        """A number of the attribute as a whole, or of the other group; NaN where it is not estimable."""
        of_group = {"group": self.others[0]} if metric in OF_GROUPS else {}
        return number(self.evidence, metric, attribute="group", **of_group)

    def rate(self, name: str, group: str) -> float:
        """A rate of a group; the complements FDR and FOR too."""
        if name in ("false_discovery_rate", "false_omission_rate"):
            other = {"false_discovery_rate": "positive_predictive_value"}.get(name, "negative_predictive_value")
            return 1 - self.rate(other, group)
        return number(self.evidence, f"fairness.group.{name}", attribute="group", group=group)

    def size(self, group: str, of: str = "selection_rate") -> int:
        """Rows in the denominator of a rate."""
        return self.evidence.find(f"fairness.group.{of}", attribute="group", group=group).n

    def rates(self, name: str) -> list[float]:
        """A rate of every group, the reference last."""
        return [self.rate(name, group) for group in self.groups]

    def spread(self, name: str) -> float:
        """Largest less smallest."""
        return max(self.rates(name)) - min(self.rates(name))

    def fold(self, name: str) -> float:
        """Smallest over largest."""
        return min(self.rates(name)) / max(self.rates(name))

    def signed(self, name: str) -> float:
        """The other of two groups less the reference."""
        return self.rate(name, self.others[0]) - self.rate(name, self.reference)

    def over(self, name: str) -> float:
        """The lowest ratio of any other group to the reference."""
        return min(self.rate(name, group) for group in self.others) / self.rate(name, self.reference)

    def selected(self, group: str) -> float:
        """Rows of a group that are selected."""
        return self.rate("selection_rate", group) * self.size(group)

    def errors(self, group: str) -> tuple[float, float]:
        """False positives and false negatives of a group."""
        return self.rate(FPR, group) * self.size(group, FPR), self.rate(FNR, group) * self.size(group, FNR)

    def negatives_over_positives(self, group: str) -> float:
        """False negatives over false positives."""
        positives, negatives = self.errors(group)
        return negatives / positives

    def conditional_acceptance(self, group: str) -> float:
        """True positive labels over positive decisions."""
        return self.size(group, "true_positive_rate") / self.selected(group)

    def conditional_rejection(self, group: str) -> float:
        """True negative labels over negative decisions."""
        return self.size(group, "false_positive_rate") / (self.size(group) - self.selected(group))

    def disparity_of(self, group: str) -> float:
        """Share among the rejected less share among the selected, over all rows."""
        selected = sum(self.selected(g) for g in self.groups)
        rejected = sum(self.size(g) for g in self.groups) - selected
        return (self.size(group) - self.selected(group)) / rejected - self.selected(group) / selected

    def gap_within_strata(self) -> float:
        """Largest less smallest selection rate in each stratum, averaged by the strata's sizes."""
        found = pd.DataFrame(
            [m.group.split(" & ")[1], m.value, m.n]
            for m in next(check for check in self.evidence.checks if check.id == "fairness.group").measurements
            if m.metric == f"{G}selection_rate" and m.attribute == "group & stratum" and m.group
        )
        strata = found.groupby(0).agg(most=(1, "max"), least=(1, "min"), rows=(2, "sum"), groups=(2, "size"))
        strata = strata[strata["groups"] > 1]
        return float(np.average(strata["most"] - strata["least"], weights=strata["rows"]))

    def area(self, group: str) -> float:
        """Area under the ROC curve of a group."""
        rows = self.case.rows[self.case.rows["group"] == group]
        counts = pd.crosstab(rows["score"], rows["y"])
        return roc_auc(counts[1], counts[0])


def number(evidence: Evidence, metric: str, **at: str) -> float:
    value = evidence.find(metric, **at).value
    return float("nan") if value is None else value


def pairwise(values: Sequence[float], of: Callable[[float, float], float]) -> float:
    """Mean over all pairs of groups, as OxonFair has it."""
    return float(np.mean([of(a, b) for a, b in combinations(values, 2)]))


def apart(values: Sequence[float]) -> float:
    return pairwise(values, lambda a, b: abs(a - b))


@dataclass(frozen=True)
class Definition:
    """One number of another tool.

    Attributes:
        printed: the metric that Fairwitness prints for the criterion.
        convention: of the tool, in English.
        of: its number, in terms of our rates.
    """

    printed: str | None
    convention: str
    of: Callable[[Told], float]


G = "fairness.group."
SELECTION, ACCURACY = "selection_rate", "accuracy"
TPR, FPR, TNR, FNR = (f"{what}_rate" for what in ("true_positive", "false_positive", "true_negative", "false_negative"))
PPV, NPV = "positive_predictive_value", "negative_predictive_value"
FDR, FOR = "false_discovery_rate", "false_omission_rate"
PARITY, OPPORTUNITY = f"{G}demographic_parity_difference", f"{G}equal_opportunity_difference"
EQUALITY, PREDICTIVE = f"{G}predictive_equality_difference", f"{G}predictive_parity_difference"
NEGATIVE, CORRECT = f"{G}negative_predictive_value_difference", f"{G}accuracy_difference"
ODDS, ODDS_RATIO, ODDS_MEAN = (f"{G}equalized_odds_{what}" for what in ("difference", "ratio", "mean_difference"))
PARITY_RATIO, AVERAGE_ODDS = f"{G}demographic_parity_ratio", f"{G}average_odds_difference"
USE, TREATMENT = f"{G}conditional_use_accuracy_difference", f"{G}treatment_equality_difference"
CONDITIONAL = "fairness.conditional.conditional_demographic_disparity"
# The signed difference to the reference group that goes with a spread.
SIGNED = {
    gap: gap.replace("_difference", "_signed_difference")
    for gap in (PARITY, OPPORTUNITY, EQUALITY, PREDICTIVE, CORRECT)
}
OF_GROUPS = {CONDITIONAL, AVERAGE_ODDS, *SIGNED.values()}


def spread(printed: str | None, rate: str) -> Definition:
    return Definition(printed, "max − min", lambda told: told.spread(rate))


def fold(printed: str | None, rate: str) -> Definition:
    return Definition(printed, "min / max", lambda told: told.fold(rate))


def signed(printed: str | None, rate: str, *, sign: int = 1) -> Definition:
    said = "other − reference" if sign > 0 else "reference − other"
    return Definition(SIGNED.get(printed or "", printed), said, lambda told: sign * told.signed(rate))


def over(printed: str | None, rate: str) -> Definition:
    return Definition(printed, "lowest other / reference", lambda told: told.over(rate))


def mean_apart(printed: str | None, *rates: str, said: str = "mean of pairs, absolute") -> Definition:
    return Definition(
        printed, said, lambda told: float(np.mean([apart([told.rate(r, g) for g in told.groups]) for r in rates]))
    )


def mean_signed(printed: str | None, *rates: str) -> Definition:
    said = "mean of two, other − reference; can cancel"
    return Definition(printed, said, lambda told: float(np.mean([told.signed(rate) for rate in rates])))


def worst(told: Told, *rates: str) -> float:
    return max(told.spread(rate) for rate in rates)


WORST_ODDS = Definition(ODDS, "max − min of TPR and of FPR, the larger", lambda told: worst(told, TPR, FPR))
DEFINITIONS: dict[str, dict[str, Definition]] = {
    "fairlearn": {
        "demographic_parity_difference": spread(PARITY, SELECTION),
        "demographic_parity_ratio": fold(PARITY_RATIO, SELECTION),
        "equal_opportunity_difference": spread(OPPORTUNITY, TPR),
        "equal_opportunity_ratio": fold(f"{G}equal_opportunity_ratio", TPR),
        "equalized_odds_difference": WORST_ODDS,
        "equalized_odds_ratio": Definition(
            ODDS_RATIO, "min / max of TPR and of FPR, the smaller", lambda told: min(told.fold(TPR), told.fold(FPR))
        ),
        "equalized_odds_difference(agg='mean')": Definition(
            ODDS_MEAN, "mean of the two max − min", lambda told: (told.spread(TPR) + told.spread(FPR)) / 2
        ),
        "MetricFrame(false_positive_rate).difference()": spread(EQUALITY, FPR),
        "MetricFrame(precision).difference()": spread(PREDICTIVE, PPV),
        "MetricFrame(negative_predictive_value).difference()": spread(NEGATIVE, NPV),
        "MetricFrame(accuracy).difference()": spread(CORRECT, ACCURACY),
    },
    "aif360": {
        "statistical_parity_difference": signed(PARITY, SELECTION),
        "disparate_impact": Definition(PARITY_RATIO, "other / reference", lambda told: told.over(SELECTION)),
        "equal_opportunity_difference": signed(OPPORTUNITY, TPR),
        "average_odds_difference": mean_signed(AVERAGE_ODDS, TPR, FPR),
        "average_abs_odds_difference": mean_apart(ODDS_MEAN, TPR, FPR, said="mean of two, absolute"),
        "equalized_odds_difference": WORST_ODDS,
        "false_positive_rate_difference": signed(EQUALITY, FPR),
        "false_negative_rate_difference": signed(None, FNR),
        "false_discovery_rate_difference": signed(None, FDR),
        "false_omission_rate_difference": signed(None, FOR),
        "average_predictive_value_difference": mean_signed(None, PPV, FOR),
        "error_rate_difference": signed(CORRECT, ACCURACY, sign=-1),
        "conditional_demographic_disparity": Definition(
            CONDITIONAL,
            "no strata: rejected share − selected share of each group, averaged by the groups' sizes",
            lambda told: float(
                np.average([told.disparity_of(g) for g in told.groups], weights=[told.size(g) for g in told.groups])
            ),
        ),
    },
    "aequitas": {
        "ppr_disparity": Definition(
            PARITY_RATIO,
            "'Statistical Parity': NUMBERS selected, other / reference; sizes of groups count",
            lambda told: min(told.selected(g) for g in told.others) / told.selected(told.reference),
        ),
        "pprev_disparity": Definition(
            PARITY_RATIO, "'Impact Parity': lowest other / reference", lambda told: told.over(SELECTION)
        ),
        "tpr_disparity": over(f"{G}equal_opportunity_ratio", TPR),
        "fpr_disparity": over(f"{G}predictive_equality_ratio", FPR),
        "fnr_disparity": over(f"{G}false_negative_rate_ratio", FNR),
        "tnr_disparity": over(f"{G}true_negative_rate_ratio", TNR),
        "precision_disparity": over(f"{G}predictive_parity_ratio", PPV),
        "fdr_disparity": over(f"{G}false_discovery_rate_ratio", FDR),
        "npv_disparity": over(f"{G}negative_predictive_value_ratio", NPV),
        "for_disparity": over(f"{G}false_omission_rate_ratio", FOR),
    },
    "vfairness": {
        "demographic_parity_difference": spread(PARITY, SELECTION),
        "demographic_parity_ratio": fold(PARITY_RATIO, SELECTION),
        "disparate_impact_ratio": fold(PARITY_RATIO, SELECTION),
        "equal_opportunity_difference": spread(OPPORTUNITY, TPR),
        "equalized_odds_difference": WORST_ODDS,
        "predictive_parity_difference": spread(PREDICTIVE, PPV),
        "negative_predictive_value_difference": spread(NEGATIVE, NPV),
        "fpr_parity_difference": spread(EQUALITY, FPR),
        "fnr_parity_difference": spread(None, FNR),
        "accuracy_parity_difference": spread(CORRECT, ACCURACY),
        "conditional_demographic_disparity": Definition(
            CONDITIONAL,
            "max − min of selection rates in each stratum, averaged by the strata's sizes; unsigned",
            Told.gap_within_strata,
        ),
        "auroc_parity": Definition(
            "fairness.score.roc_auc_difference",
            "max − min",
            lambda told: float(np.ptp([told.area(g) for g in told.groups])),
        ),
    },
    "smclarify": {
        "CI": Definition(
            None,
            "(reference − other) / all rows: sizes of groups, no rates",
            lambda told: (told.size(told.reference) - told.size(told.others[0])) / len(told.case.rows),
        ),
        "DPL": Definition(
            None,
            "labels, not decisions; reference − other",
            lambda told: (
                told.size(told.reference, TPR) / told.size(told.reference)
                - told.size(told.others[0], TPR) / told.size(told.others[0])
            ),
        ),
        "DPPL": signed(PARITY, SELECTION, sign=-1),
        "DI": Definition(PARITY_RATIO, "other / reference", lambda told: told.over(SELECTION)),
        "DCA": Definition(
            None,
            "true positives + false negatives over selected; reference − other",
            lambda told: told.conditional_acceptance(told.reference) - told.conditional_acceptance(told.others[0]),
        ),
        "DCR": Definition(
            None,
            "true negatives + false positives over rejected; other − reference",
            lambda told: told.conditional_rejection(told.others[0]) - told.conditional_rejection(told.reference),
        ),
        "RD": signed(OPPORTUNITY, TPR, sign=-1),
        "SD": signed(EQUALITY, TNR),
        "DAR": signed(PREDICTIVE, PPV, sign=-1),
        "DRR": signed(NEGATIVE, NPV),
        "AD": signed(CORRECT, ACCURACY, sign=-1),
        "TE": Definition(
            TREATMENT,
            "false negatives / false positives, other − reference",
            lambda told: told.negatives_over_positives(told.others[0]) - told.negatives_over_positives(told.reference),
        ),
        "CDDPL": Definition(
            CONDITIONAL,
            "of the other group, in each stratum, averaged by the strata's sizes",
            lambda told: number(told.evidence, CONDITIONAL, attribute="group", group=told.others[0]),
        ),
    },
    "oxonfair": {
        "demographic_parity": mean_apart(PARITY, SELECTION),
        "disparate_impact": Definition(
            PARITY_RATIO,
            "mean of pairs, smaller / larger",
            lambda told: pairwise(told.rates(SELECTION), lambda a, b: min(a / b, b / a)),
        ),
        "equal_opportunity": mean_apart(OPPORTUNITY, TPR),
        "equalized_odds": mean_apart(ODDS_MEAN, TPR, TNR, said="mean of TPR's and TNR's mean of pairs"),
        "equalized_odds_max": WORST_ODDS,
        "predictive_parity": mean_apart(PREDICTIVE, PPV),
        "predictive_equality": mean_apart(EQUALITY, FNR, said="of FNR, not FPR; mean of pairs"),
        "cond_use_accuracy": mean_apart(USE, PPV, NPV, said="mean of PPV's and NPV's mean of pairs"),
        "accuracy_parity": mean_apart(CORRECT, ACCURACY),
        "treatment_equality": Definition(
            TREATMENT,
            "false positives / max(1, false negatives), mean of pairs",
            lambda told: apart([fp / max(1, fn) for fp, fn in map(told.errors, told.groups)]),
        ),
    },
    "holisticai": {
        "statistical_parity": signed(PARITY, SELECTION),
        "disparate_impact": Definition(PARITY_RATIO, "other / reference", lambda told: told.over(SELECTION)),
        "four_fifths": fold(PARITY_RATIO, SELECTION),
        "equal_opportunity_diff": signed(OPPORTUNITY, TPR),
        "false_positive_rate_diff": signed(EQUALITY, FPR),
        "average_odds_diff": mean_signed(AVERAGE_ODDS, TPR, FPR),
        "accuracy_diff": signed(CORRECT, ACCURACY),
        "abroca": Definition(
            "fairness.score.abroca",
            "AUC of other − AUC of reference; not the area between the curves",
            lambda told: told.area(told.others[0]) - told.area(told.reference),
        ),
    },
}
