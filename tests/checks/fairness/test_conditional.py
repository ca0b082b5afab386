"""Fairness within strata against published tables, its definition over rows, and planted strata."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit.errors import UserError
from fairwitness.audit.evidence import Evidence, Measurement

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
CHECK = "fairness.conditional"
DISPARITY, ODDS, GAP = (
    "conditional_demographic_disparity",
    "mantel_haenszel_odds_ratio",
    "conditional_demographic_parity_difference",
)

# Graduate admissions at Berkeley in 1973 by department (Bickel, Hammel & O'Connell 1975; UCBAdmissions in R): men
# admitted and rejected, women admitted and rejected.
BERKELEY = {
    "A": (512, 313, 89, 19),
    "B": (353, 207, 17, 8),
    "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244),
    "E": (53, 138, 94, 299),
    "F": (22, 351, 24, 317),
}


def admissions(**changed: tuple[int, int, int, int]) -> pd.DataFrame:
    cells = [("M", 1), ("M", 0), ("F", 1), ("F", 0)]
    counts = {**BERKELEY, **changed}
    rows = [(d, *cell) for d, four in counts.items() for cell, n in zip(cells, four, strict=True) for _ in range(n)]
    return pd.DataFrame(rows, columns=["dept", "sex", "yhat"]).assign(y=0)


def counted(**strata: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Strata by group: selected and rejected."""
    rows = [
        (s, g, decision)
        for s, groups in strata.items()
        for g, two in groups.items()
        for decision, n in zip((1, 0), two, strict=True)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=["s", "g", "yhat"]).assign(y=0)


def within(audit: Audit, frame: pd.DataFrame, strata: Any = "s", **further: Any) -> Evidence:
    options = {"strata": strata, **further.pop("options", {})}
    meaning = {"sensitive": ["g"], "positive": 1, "task": "binary"} | further
    return audit(frame, CHECK, options=options, **meaning)


def find(evidence: Evidence, metric: str, group: str | None = None, attribute: str = "g") -> Measurement:
    return evidence.find(f"{CHECK}.{metric}", attribute=attribute, group=group)


def facts(found: Measurement) -> dict[str, Any]:
    assert found.details is not None
    return dict(found.details.facts)


def random_strata(seed: int, n: int = 1500, strata: int = 9) -> pd.DataFrame:
    """Three groups; in the first stratum nobody is selected, in the last everybody."""
    rng = np.random.default_rng(seed)
    s, g = rng.integers(0, strata, n), rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    rate = np.where(s == 0, 0.0, np.where(s == strata - 1, 1.0, 0.2 + 0.06 * s + 0.15 * (g == "b")))
    yhat = (rng.random(n) < rate).astype(int)
    return pd.DataFrame({"s": [f"s{i}" for i in s], "g": g, "yhat": yhat, "y": 0, "w": rng.integers(1, 5, n)})


def clarify(frame: pd.DataFrame, group: str, weight: Any = 1.0, *, mixed: bool) -> float:
    """Wachter et al. (2021) and SageMaker Clarify, over rows; there a share of nobody is 0."""
    frame = frame.assign(weight=weight)
    total = value = 0.0
    for _, rows in frame.groupby("s"):
        shares = []
        for decision in (0, 1):
            decided = rows[rows["yhat"] == decision]
            members = decided.loc[decided["g"] == group, "weight"].sum()
            shares.append(members / decided["weight"].sum() if len(decided) else None)
        if mixed and None in shares:
            continue
        total += rows["weight"].sum()
        value += rows["weight"].sum() * ((shares[0] or 0.0) - (shares[1] or 0.0))
    return float(value / total)


def test_berkeley(audit: Audit) -> None:
    """Women are 14 points over-represented among the rejected, and in their departments not at all."""
    evidence = within(audit, admissions(), "dept", sensitive=["sex"])
    disparity = find(evidence, DISPARITY, "F", "sex")
    expected = (
        sum((m1 + m0 + f1 + f0) * (f0 / (m0 + f0) - f1 / (m1 + f1)) for m1, m0, f1, f0 in BERKELEY.values()) / 4526
    )
    assert disparity.value == pytest.approx(expected, abs=1e-12)
    assert disparity.value == pytest.approx(-0.019283, abs=5e-7)
    assert disparity.where == {"strata": "dept"}
    assert disparity.n == 4526
    overall = 1278 / 2771 - 557 / 1755
    assert facts(disparity)["Unconditional disparity"] == pytest.approx(overall, abs=1e-12)
    assert facts(disparity)["Direction over all rows"] == "against the group"
    assert facts(disparity)["Direction within strata"] == "undecided"
    assert facts(disparity)["Direction reverses within strata"] is False
    assert disparity.details is not None
    assert disparity.details.table is not None
    name, rows, selected, *rates = disparity.details.table.rows[0]
    assert (name, rows, selected) == ("A", 933, 601)
    assert rates == pytest.approx([89 / 108, 512 / 825, 19 / 332 - 89 / 601])
    assert find(evidence, DISPARITY, "M", "sex").value == pytest.approx(-expected, abs=1e-12)


def test_berkeley_with_other_counts_is_what_clarify_said() -> None:
    """-0.020054 by smclarify 0.5 and OxonFair's table, in which 313 men are admitted to department B."""
    counts = {**BERKELEY, "B": (313, 207, 17, 8)}
    frame = admissions(B=counts["B"]).rename(columns={"dept": "s", "sex": "g"})
    assert clarify(frame, "F", mixed=True) == pytest.approx(-0.020054, abs=5e-7)


def test_berkeley_odds_ratio_is_that_of_r(audit: Audit) -> None:
    """R: mantelhaen.test(UCBAdmissions)."""
    odds = find(within(audit, admissions(), "dept", sensitive=["sex"]), ODDS, "M", "sex")
    assert odds.interval is not None
    limits = odds.value, odds.interval.low, odds.interval.high
    assert limits == pytest.approx((0.9046968, 0.7719074, 1.0603298), rel=1e-6)
    assert odds.p_value == pytest.approx(0.2323, abs=5e-5)
    assert facts(odds)["Chi-square, continuity-corrected"] == pytest.approx(1.4269, abs=5e-5)
    assert facts(odds)["Chi-square, uncorrected"] == pytest.approx(1.5246, abs=5e-5)
    assert facts(odds)["Equal odds ratios: p"] == pytest.approx(0.0021, abs=5e-5)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("seed", range(3))
def test_the_disparity_is_its_definition_over_rows(audit: Audit, seed: int, weight: str | None) -> None:
    frame = random_strata(seed)
    weights = 1.0 if weight is None else frame[weight]
    evidence = within(audit, frame, weight=weight)
    for group in "abc":
        found = find(evidence, DISPARITY, group)
        assert found.value == pytest.approx(clarify(frame, group, weights, mixed=True), abs=1e-12)
        left_out = frame["s"].isin(["s0", "s8"])
        assert facts(found)["Rows where all or none are selected"] == left_out.sum()
        assert facts(found)["Strata compared"] == 7
        assert found.n == (~left_out).sum()
        as_clarify = facts(found)["With these strata, as SageMaker Clarify counts them"]
        assert as_clarify == pytest.approx(clarify(frame, group, weights, mixed=False), abs=1e-12)


def test_integer_weights_are_repeated_rows(audit: Audit) -> None:
    frame = random_strata(4)
    weighted = within(audit, frame, weight="w")
    repeated = within(audit, frame.loc[frame.index.repeat(frame["w"])])
    for one, other in zip(weighted.measurements(), repeated.measurements(), strict=True):
        assert (one.metric, one.group) == (other.metric, other.group)
        assert one.value == pytest.approx(other.value, abs=1e-9)
        assert one.interval is not None
        assert other.interval is not None
        assert one.interval.high - one.interval.low > other.interval.high - other.interval.low


def test_the_gap_is_of_rates_standardised_to_the_strata_that_both_share(audit: Audit) -> None:
    frame = counted(
        s={"a": (30, 70), "b": (40, 10)},
        t={"a": (20, 20), "b": (45, 155)},
        u={"a": (5, 45)},
    )
    gap = find(within(audit, frame), GAP)
    weights = np.array([150, 240]) / 390
    assert gap.value == pytest.approx(weights @ [0.8, 0.225] - weights @ [0.3, 0.5], abs=1e-12)
    found = facts(gap)
    assert (found["Lowest group"], found["Highest group"]) == ("a", "b")
    assert (found["Strata that these two share"], found["Their rows in other strata"]) == (2, 50)
    assert gap.interval is not None
    assert gap.interval.low <= (gap.value or 0.0) <= gap.interval.high


def test_groups_that_share_no_stratum_are_said_to(audit: Audit) -> None:
    frame = counted(s={"a": (30, 70), "b": (40, 10)}, t={"c": (20, 20)})
    gap = find(within(audit, frame), GAP)
    assert gap.value == pytest.approx(0.5)
    assert gap.details is not None
    listed = [(left_out.group, left_out.reason.code) for left_out in gap.details.excluded]
    assert listed == [("a / c", "no_common_strata"), ("b / c", "no_common_strata")]
    apart = find(within(audit, counted(s={"a": (30, 70)}, t={"c": (20, 20)})), GAP)
    assert apart.reason is not None
    assert apart.reason.code == "no_common_strata"


def test_the_attribute_itself_makes_no_strata(audit: Audit) -> None:
    """Every disparity would be 0, and every gate pass."""
    frame = counted(s={"a": (30, 70), "b": (40, 10)})
    evidence = within(audit, frame, "g")
    for metric, group in ((DISPARITY, "a"), (ODDS, "b"), (GAP, None)):
        reason = find(evidence, metric, group).reason
        assert reason is not None
        assert reason.code == "no_common_strata"


def test_strata_of_one_side_count_as_0_and_are_counted(audit: Audit) -> None:
    frame = counted(s={"a": (30, 70), "b": (40, 10)}, t={"a": (20, 20)}, u={"b": (5, 5)})
    found = find(within(audit, frame), DISPARITY, "a")
    assert found.value == pytest.approx(150 / 200 * (70 / 80 - 30 / 70), abs=1e-12)
    assert facts(found)["Rows where there is only the group or only others"] == 50
    few = find(within(audit, counted(s={"a": (3, 4), "b": (40, 10)}, t={"a": (20, 20)})), DISPARITY, "a")
    assert few.reason is not None
    assert (few.reason.code, few.reason.params["found"]) == ("too_few", 7)


def test_a_reversal_is_flagged(audit: Audit) -> None:
    """In both strata b is selected more often, and overall less."""
    frame = counted(s={"a": (700, 200), "b": (95, 5)}, t={"a": (10, 90), "b": (270, 630)})
    evidence = within(audit, frame)
    found = find(evidence, DISPARITY, "b")
    assert found.value is not None
    assert found.value < 0
    assert facts(found)["Unconditional disparity"] > 0
    assert facts(found)["Direction reverses within strata"] is True
    assert facts(found)["Direction within strata"] == "for the group"
    odds = find(evidence, ODDS, "b")
    assert odds.interval is not None
    assert odds.interval.low > 1


def test_no_stratum_has_both_decisions(audit: Audit) -> None:
    evidence = within(audit, counted(s={"a": (30, 0), "b": (40, 0)}, t={"a": (0, 20), "b": (0, 20)}))
    for metric in (DISPARITY, ODDS):
        reason = find(evidence, metric, "a").reason
        assert reason is not None
        assert reason.code == "no_mixed_strata"
    gap = find(evidence, GAP)
    assert gap.value == 0.0
    assert gap.interval is not None
    assert gap.interval.low == 0.0
    assert gap.interval.high > 0.04
    assert gap.p_value == 1.0


def test_small_groups_are_not_estimable_and_listed(audit: Audit) -> None:
    frame = counted(s={"a": (30, 70), "b": (40, 10), "c": (3, 4)})
    evidence = within(audit, frame)
    reason = find(evidence, DISPARITY, "c").reason
    assert reason is not None
    assert (reason.code, reason.params["found"]) == ("too_few", 7)
    gap = find(evidence, GAP)
    assert gap.details is not None
    assert [(e.group, e.n) for e in gap.details.excluded] == [("c", 7)]


def test_an_odds_ratio_of_0_is_not_said_to_be_a_number(audit: Audit) -> None:
    found = find(within(audit, counted(s={"a": (0, 70), "b": (40, 10)})), ODDS, "a")
    assert found.reason is not None
    assert found.reason.code == "odds_ratio_undefined"
    assert facts(found)["p, uncorrected"] < 1e-10


def test_strata_are_asked_for(audit: Audit) -> None:
    result = audit(admissions(), CHECK, sensitive=["sex"], positive=1, task="binary").checks[0]
    assert result.status == "not_assessed"
    assert result.reason is not None
    assert result.reason.code == "needs_strata"
    with pytest.raises(UserError, match="depth"):
        within(audit, admissions(), "depth", sensitive=["sex"])


def test_several_columns_and_intersections(audit: Audit) -> None:
    rng = np.random.default_rng(0)
    n = 3000
    frame = pd.DataFrame({name: rng.choice(list("ab"), n) for name in ("g", "h", "s", "t")})
    frame = frame.assign(yhat=(rng.random(n) < 0.3 + 0.3 * (frame["s"] == "a")).astype(int), y=0)
    evidence = within(audit, frame, ["s", "t"], sensitive=["g", "h"])
    joined = frame.assign(s=frame["s"] + frame["t"], g=frame["g"] + " & " + frame["h"])
    found = find(evidence, DISPARITY, "a & b", "g & h")
    assert found.where == {"strata": "s & t"}
    assert found.value == pytest.approx(clarify(joined, "a & b", mixed=True), abs=1e-12)
    gap = find(evidence, GAP, attribute="g & h")
    assert gap.interval is not None
    assert gap.interval.low == 0.0


def test_missing_decisions_keep_a_gate_from_passing(audit: Audit) -> None:
    frame = counted(s={"a": (30, 70), "b": (40, 10)}).astype({"yhat": "Int64"})
    frame.loc[:4, "yhat"] = None
    gap = find(within(audit, frame), GAP)
    assert gap.details is not None
    assert [(e.group, e.n, e.reason.code) for e in gap.details.excluded] == [("a", 5, "no_answer")]


def test_false_alarms(audit: Audit) -> None:
    """Selection depends on the stratum, and strata on the group: no gap within strata in 19 of 20 audits."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g = rng.choice(["a", "b", "c"], 500)
        s = (rng.integers(0, 3, 500) + (g == "b")).astype(str)
        yhat = (rng.random(500) < 0.15 + 0.2 * s.astype(int)).astype(int)
        gap = find(within(audit, pd.DataFrame({"g": g, "s": s, "yhat": yhat, "y": 0}), intersections=False), GAP)
        assert gap.interval is not None
        alarms += gap.interval.low > 0
    assert alarms <= 4


def test_compas_by_prior_convictions(audit: Audit, predicted: Predicted) -> None:
    """Black defendants are rated high-risk more often among those with the same record, and less so than overall."""
    frame = predicted("compas").assign(s=lambda rows: rows["priors_count"].clip(upper=10).astype(str))
    evidence = within(audit, frame, ("s", "c_charge_degree"), sensitive=["race"])
    odds = find(evidence, ODDS, "African-American", "race")
    assert odds.interval is not None
    assert odds.interval.low > 1.5
    disparity = find(evidence, DISPARITY, "African-American", "race")
    assert disparity.value is not None
    assert facts(disparity)["Unconditional disparity"] < disparity.value < -0.1
    assert disparity.value == pytest.approx(
        clarify(frame.assign(s=frame["s"] + frame["c_charge_degree"], g=frame["race"]), "African-American", mixed=True),
        abs=1e-12,
    )
