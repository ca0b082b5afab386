"""Evidence built in code: a credit model with every verdict, a crash, a check that does not apply, and a tiny group."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from fairwitness.audit.evidence import (
    About,
    Bound,
    CheckResult,
    Concern,
    Curve,
    DataFacts,
    Details,
    Evidence,
    Excluded,
    GateResult,
    Interval,
    Measurement,
    Metric,
    ModelFacts,
    Point,
    Reason,
    Screened,
    Subject,
    Table,
    Timing,
    WaiverUse,
)

Evidences = Callable[..., Evidence]

RATES = {
    "selection_rate": "Selection rate",
    "true_positive_rate": "True positive rate",
    "false_positive_rate": "False positive rate",
    "positive_predictive_value": "Positive predictive value",
}
GAPS = {
    "demographic_parity_difference": "Demographic parity difference",
    "equal_opportunity_difference": "Equal opportunity difference",
    "equalized_odds_difference": "Equalized odds difference",
}
GROUPS = {
    "sex": {"Female": 4812, "Male": 5188},
    "race": {"Asian": 1204, "Black": 2033, "White": 6751, "Pacific Islander": 12},
    "sex & race": {
        "Female & Asian": 588,
        "Female & Black": 1001,
        "Female & White": 3217,
        "Female & Pacific Islander": 6,
        "Male & Asian": 616,
        "Male & Black": 1032,
        "Male & White": 3534,
        "Male & Pacific Islander": 6,
    },
}
TRACEBACK = """Traceback (most recent call last):
  File "checks/robustness/noise.py", line 41, in measure
    flipped = predict(noisy) != predict(batch)
              ^^^^^^^^^^^^^^
ValueError: X has 11 features, but LogisticRegression is expecting 12 features as input.
"""


def interval(value: float, half: float, method: str = "Wilson", low: float = 0.0, high: float = 1.0) -> Interval:
    return Interval(low=max(low, value - half), high=min(high, value + half), level=0.95, method=method)


def group_measurements(attribute: str, groups: dict[str, int]) -> list[Measurement]:
    excluded = tuple(
        Excluded(group=g, n=n, reason=Reason(code="too_few", params={"what": "rows", "found": n, "needed": 30}))
        for g, n in groups.items()
        if n < 30
    )
    found = []
    for place, metric in enumerate(GAPS):
        value = 0.041 + 0.062 * place
        found.append(
            Measurement(
                metric=f"fairness.group.{metric}",
                attribute=attribute,
                value=value,
                interval=interval(value, 0.035, "Simultaneous MOVER-Wilson"),
                n=sum(groups.values()),
                p_value=(0.031, 0.00004, 0.2)[place],
                details=Details(facts={"Spread expected under no disparity": 0.018, "Pairs": 6}, excluded=excluded),
            )
        )
    found.append(
        Measurement(
            metric="fairness.group.demographic_parity_ratio",
            attribute=attribute,
            value=0.83,
            interval=interval(0.83, 0.06, "Simultaneous MOVER-Wilson"),
            n=sum(groups.values()),
        )
    )
    for place, metric in enumerate(RATES):
        for seat, (group, n) in enumerate(groups.items()):
            common: dict[str, Any] = {
                "metric": f"fairness.group.{metric}",
                "attribute": attribute,
                "group": group,
                "n": n,
            }
            if n < 30:
                reason = Reason(code="too_few", params={"what": "rows", "found": n, "needed": 30})
                found.append(Measurement(**common, status="not_estimable", reason=reason))
            else:
                value = 0.2 + 0.13 * place + 0.04 * ((seat * 7) % 4)
                found.append(Measurement(**common, value=value, interval=interval(value, 1.1 / n**0.5)))
    return found


def fairness() -> CheckResult:
    metrics = {k: Metric(v, range=(0, 1)) for k, v in RATES.items()}
    metrics |= {k: Metric(v, better="low", range=(0, 1), ideal=0) for k, v in GAPS.items()}
    metrics["demographic_parity_ratio"] = Metric("Demographic parity ratio", better="high", range=(0, 1), ideal=1)
    return CheckResult(
        id="fairness.group",
        concern="fairness",
        status="ok",
        options={"level": 0.95, "min_denominator": 30},
        about=About(
            title="Group fairness",
            measures="Rates of decisions and of errors by group, and the largest gap between any two groups.",
            matters="A model can be accurate on average and still turn one group away far more often than another.",
            limits="It says that groups are treated differently, not why, and nothing about individuals.",
            references=(
                "Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning. arXiv:1610.02413",
                "Newcombe (1998), Statistics in Medicine 17:873-890",
            ),
        ),
        metrics=metrics,
        measurements=tuple(m for a, g in GROUPS.items() for m in group_measurements(a, g)),
    )


def performance() -> CheckResult:
    unit = {"accuracy": 0.871, "precision": 0.642, "recall": 0.701, "f1": 0.67, "roc_auc": 0.912, "brier_score": 0.094}
    titles = {"accuracy": "Accuracy", "precision": "Precision", "recall": "Recall", "f1": "F1", "roc_auc": "ROC AUC"}
    metrics = {k: Metric(titles.get(k, "Brier score"), better="high", range=(0, 1)) for k in unit}
    metrics["log_loss"] = Metric("Log loss", better="low", range=(0, None))
    metrics["matthews_correlation"] = Metric("Matthews correlation", better="high", range=(-1, 1))
    found = [
        Measurement(metric=f"performance.classification.{k}", value=v, interval=interval(v, 0.012), n=10_000)
        for k, v in unit.items()
    ]
    found.append(
        Measurement(
            metric="performance.classification.log_loss",
            value=0.318,
            interval=interval(0.318, 0.02, "Student t of a mean", high=9),
            n=10_000,
            details=Details(
                table=Table(
                    columns=("Bin", "Mean score", "Observed rate", "Rows"),
                    rows=tuple(
                        (f"{i / 5:.1f} to {(i + 1) / 5:.1f}", i / 5 + 0.1, i / 5 + 0.08, 2000) for i in range(5)
                    ),
                ),
                curves=(
                    Curve(
                        title="ROC curve",
                        x="False positive rate",
                        y="True positive rate",
                        points=tuple(
                            Point(x=i / 50, y=(i / 50) ** 0.3, low=0.9 * (i / 50) ** 0.3, high=(i / 50) ** 0.25)
                            for i in range(51)
                        ),
                        diagonal=True,
                    ),
                ),
            ),
        )
    )
    found.append(
        Measurement(
            metric="performance.classification.matthews_correlation",
            value=0.58,
            interval=interval(0.58, 0.02, "Dirichlet posterior", low=-1),
            n=10_000,
        )
    )
    return CheckResult(
        id="performance.classification",
        concern="performance",
        status="ok",
        about=About(title="Classification performance", measures="How often decisions and scores are right."),
        metrics=metrics,
        measurements=tuple(found),
    )


def membership() -> CheckResult:
    metrics = {
        "auc": Metric("Attack AUC", better="low", range=(0, 1), ideal=0.5),
        "duplicates": Metric("Shared rows", better="low", range=(0, None), unit="rows", ideal=0),
    }
    attacks = {"loss": 0.513, "entropy": 0.506, "reference model": 0.538}
    found = [
        Measurement(
            metric="privacy.membership_inference.auc",
            value=v,
            interval=interval(v, 0.014, "DeLong on the logit"),
            n=8000,
            where={"attack": k},
            p_value=0.4,
        )
        for k, v in attacks.items()
    ]
    found.append(Measurement(metric="privacy.membership_inference.duplicates", value=0, n=10_000, exact=True))
    return CheckResult(
        id="privacy.membership_inference",
        concern="privacy",
        status="ok",
        options={"attacks": ["loss", "entropy", "reference model"]},
        about=About(
            title="Membership inference",
            measures="Whether an attacker can tell rows that the model was trained on from rows that it was not.",
        ),
        metrics=metrics,
        measurements=tuple(found),
    )


def unmeasured() -> list[CheckResult]:
    crash = CheckResult(
        id="robustness.noise",
        concern="robustness",
        status="error",
        reason=Reason(code="crashed", params={"error": "ValueError: X has 11 features"}),
        traceback=TRACEBACK,
        about=About(title="Robustness to noise", measures="Decisions that flip under small changes of the input."),
        metrics={"flip_rate": Metric("Flip rate", better="low", range=(0, 1))},
    )
    skipped = CheckResult(
        id="explanation.attribution",
        concern="explanation",
        status="not_assessed",
        reason=Reason(code="no_such_capability", params={"capability": "gradients", "adapter": "sklearn"}),
        about=About(title="Feature attributions", measures="Which features move the scores."),
        metrics={"share": Metric("Share of attribution", range=(0, 1))},
    )
    return [crash, skipped]


def gates() -> tuple[GateResult, ...]:
    dp, eo = "fairness.group.demographic_parity_difference", "fairness.group.equal_opportunity_difference"
    return (
        GateResult(
            id=f"{dp}[sex]",
            gate=f"{dp}[sex]",
            metric=dp,
            attribute="sex",
            bound=Bound(max=0.1),
            verdict="pass",
            value=0.041,
            interval=interval(0.041, 0.035),
            n=10_000,
            why=Reason(code="inside"),
            minimum_detectable=0.05,
        ),
        GateResult(
            id=f"{eo}[sex & race]",
            gate=f"{eo}[sex & race]",
            metric=eo,
            attribute="sex & race",
            bound=Bound(max=0.05),
            verdict="fail",
            value=0.103,
            interval=interval(0.103, 0.035),
            n=10_000,
            why=Reason(code="outside"),
            minimum_detectable=0.05,
        ),
        GateResult(
            id=f"{eo}[race]",
            gate=f"{eo}[race]",
            metric=eo,
            attribute="race",
            bound=Bound(max=0.1),
            verdict="inconclusive",
            value=0.103,
            interval=interval(0.103, 0.035),
            n=10_000,
            why=Reason(code="straddles"),
            minimum_detectable=0.05,
            rows_to_decide=1_361_112,
        ),
        GateResult(
            id="four-fifths",
            gate="four-fifths",
            metric="fairness.group.demographic_parity_ratio",
            attribute="race",
            bound=Bound(min=0.8),
            verdict="waived",
            value=0.83,
            interval=interval(0.83, 0.06),
            n=10_000,
            why=Reason(code="waived"),
            waiver=WaiverUse(
                reason="New scorecard for thin files goes live in January.",
                owner="A. Okafor, head of credit risk",
                expires=date(2027, 3, 1),
            ),
        ),
        GateResult(
            id="explanation.attribution.share",
            gate="explanation.attribution.share",
            metric="explanation.attribution.share",
            where={"feature": "postcode"},
            bound=Bound(max=0.2),
            verdict="not_assessed",
            why=Reason(code="check_not_assessed", params={"check": "explanation.attribution"}),
        ),
        GateResult(
            id="robustness.noise.flip_rate",
            gate="robustness.noise.flip_rate",
            metric="robustness.noise.flip_rate",
            bound=Bound(max=0.02),
            verdict="error",
            why=Reason(code="crashed", params={"error": "ValueError: X has 11 features"}),
        ),
        GateResult(
            id="performance.classification.roc_auc",
            gate="performance.classification.roc_auc",
            metric="performance.classification.roc_auc",
            bound=Bound(min=0.85),
            verdict="pass",
            value=0.912,
            interval=interval(0.912, 0.012),
            n=10_000,
            why=Reason(code="inside"),
        ),
    )


def build(**changes: Any) -> Evidence:
    base: dict[str, Any] = {
        "verdict": "error",
        "plan": {
            "digest": "sha256:" + "5d" * 32,
            "audit": {"name": "Consumer credit scoring 2.1", "seed": 0, "as_of": "2026-11-22"},
            "model": {"adapter": "sklearn", "path": "model.skops", "threshold": 0.5},
            "data": {"path": "test.parquet", "target": "default", "positive": 1, "sensitive": ["sex", "race"]},
            "checks": {"select": None, "options": {"fairness.group": {"min_denominator": 30}}},
            "gates": [
                {"metric": g.metric, "attribute": g.attribute, "max": g.bound.max, "min": g.bound.min} for g in gates()
            ],
            "waivers": [{"id": "four-fifths", "owner": "A. Okafor", "expires": "2027-03-01"}],
            "policy": {"small_groups": "inconclusive", "familywise": False},
        },
        "subject": Subject(
            model=ModelFacts(
                adapter="sklearn", access="scores", facts={"type": "LogisticRegression", "Parameters": 12_401}
            ),
            data=DataFacts(
                rows=10_000,
                fingerprint="sha256:" + "a1" * 32,
                groups=GROUPS,
                labels={"0": 7931, "1": 2041, "(missing)": 28},
                columns=("age", "default", "income", "race", "sex"),
                facts={"task": "binary", "positive": 1},
                train=DataFacts(rows=40_000, fingerprint="sha256:" + "b2" * 32, labels={"0": 31_877, "1": 8123}),
            ),
        ),
        "concerns": {
            "performance": Concern(title="Performance", summary="Does the model do what it is for?"),
            "fairness": Concern(title="Fairness", summary="Do groups get the same decisions, and the same errors?"),
            "privacy": Concern(title="Privacy", summary="Does the model give its training data away?"),
            "robustness": Concern(title="Robustness", summary="Does it hold when the input is not quite as expected?"),
            "explanation": Concern(title="Explanation", summary="What moves the decisions?"),
        },
        "checks": (performance(), fairness(), membership(), *unmeasured()),
        "gates": gates(),
        "family_bound": 0.175,
        "screening": tuple(
            Screened(
                metric="privacy.membership_inference.auc",
                where={"attack": attack},
                p_value=0.0004 * 30**i,
                q_value=0.01,
            )
            for i, attack in enumerate(("reference model", "loss"))
        ),
        "unused_waivers": ("performance.classification.f1",),
        "environment": {
            "python": "3.11.7",
            "platform": "Linux x86_64",
            "packages": {"numpy": "2.1.0", "scipy": "1.14"},
        },
        "timing": Timing(started="2026-11-22T10:04:31+00:00", seconds=12.4, as_of=date(2026, 11, 22)),
    }
    return Evidence(**(base | changes)).sealed()


@pytest.fixture(scope="session")
def evidences() -> Evidences:
    return build


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return build()
