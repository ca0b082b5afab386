"""Oracles: DivExplorer's published tables of COMPAS, pandas groupbys, and simulations with and without a divergence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit.evidence import CheckResult, Evidence, Measurement
from fairwitness.audit.statistics.subgroup_search import frequent_sets, item_bits
from fairwitness.checks.fairness._subgroups_items import Items
from fairwitness.checks.fairness._subgroups_rates import Rate, Space
from fairwitness.checks.fairness._subgroups_search import Search, Settings

Audit = Callable[..., Evidence]
Predicted = Callable[[str], pd.DataFrame]
CHECK = "fairness.subgroups"
RATES = ["false_positive_rate", "false_negative_rate", "accuracy", "selection_rate"]


def people(n: int = 2000, seed: int = 0, planted: float = 0.0) -> pd.DataFrame:
    """Decisions that depend on nothing, but for women of race C where that is planted (a twelfth of the rows)."""
    rng = np.random.default_rng(seed)
    sex, race = rng.choice(["F", "M"], n), rng.choice(["A", "B", "C"], n, p=[0.5, 0.3, 0.2])
    odds = 0.3 + planted * ((sex == "F") & (race == "C"))
    return pd.DataFrame(
        {
            "sex": sex,
            "race": race,
            "x": rng.normal(size=n),
            "y": (rng.random(n) < 0.5) * 1,
            "yhat": (rng.random(n) < odds) * 1,
            "w": rng.exponential(1, n),
        }
    )


@pytest.fixture(scope="session")
def search(audit: Audit) -> Callable[..., CheckResult]:
    """Audit a frame with options."""

    def result(
        frame: pd.DataFrame, *, seed: int = 0, data: dict[str, Any] | None = None, **options: Any
    ) -> CheckResult:
        meaning = {"sensitive": ["sex", "race"], "features": ["x"], "task": "binary", "intersections": False}
        return audit(frame, CHECK, seed=seed, options=options, **meaning | (data or {})).checks[0]

    return result


def told(result: CheckResult, rate: str) -> list[Measurement]:
    assert result.status == "ok", (result.reason, result.traceback)
    return [m for m in result.measurements if m.metric == f"{CHECK}.divergence" and m.where["rate"] == rate]


def largest(result: CheckResult, rate: str) -> Measurement:
    (found,) = (m for m in result.measurements if m.metric == f"{CHECK}.largest_divergence" and m.where["rate"] == rate)
    return found


def facts(measurement: Measurement) -> dict[str, Any]:
    assert measurement.details is not None
    return dict(measurement.details.facts)


# --- published tables (github.com/elianap/divexplorer, notebooks at 96e33de): support, items, divergence, t

FPR = """
0.128645 age=25-45, race=Afr-Am, sex=Male, #prior=>3: 0.219722 7.116857
0.145010 age=25-45, race=Afr-Am, #prior=>3: 0.210928 7.448260
0.109527 age=25-45, race=Afr-Am, #prior=>3, charge=F: 0.201841 6.201585
0.130752 race=Afr-Am, sex=Male, #prior=>3, charge=F: 0.180408 6.132988
0.175308 race=Afr-Am, sex=Male, #prior=>3: 0.178557 7.214382
0.196695 race=Afr-Am, #prior=>3: 0.172783 7.582039
0.148412 race=Afr-Am, #prior=>3, charge=F: 0.170810 6.421341
0.133668 age=25-45, sex=Male, #prior=>3, charge=F: 0.170019 6.011738
0.155865 age=25-45, #prior=>3, charge=F: 0.167741 6.491614
0.180655 age=25-45, sex=Male, #prior=>3: 0.164627 6.903692
"""
FPR_PRUNED = """
0.145010 age=25-45, race=Afr-Am, #prior=>3: 0.210928 7.448260
0.196695 race=Afr-Am, #prior=>3: 0.172783 7.582039
0.207226 age=25-45, #prior=>3: 0.163575 7.384973
0.129780 race=Afr-Am, stay=<week, #prior=>3: 0.140468 5.486527
0.107583 race=Afr-Am, sex=Male, age=<25: 0.131095 4.886362
0.293422 #prior=>3: 0.130955 7.503321
0.142417 age=25-45, stay=<week, #prior=>3: 0.124015 5.155533
0.131076 race=Afr-Am, age=<25: 0.119233 5.200687
0.156837 age=<25, charge=F: 0.115160 5.643205
0.194426 stay=<week, #prior=>3: 0.101941 5.283437
"""
FNR = """
0.148250 stay=<week, #prior=0, age=25-45: 0.236415 12.088217
0.102398 stay=<week, charge=M, #prior=[1,3]: 0.233446 12.209479
0.101750 race=Cauc, age=>45: 0.230943 10.332685
0.107097 stay=<week, #prior=0, age=25-45, sex=Male: 0.228360 9.918399
0.809624 sex=Male: -0.011074 0.864525
0.772683 stay=<week: 0.052920 4.059364
0.643227 charge=F: -0.039699 2.896145
"""
ACCURACY = """
0.809624 sex=Male: -0.012419 1.350598
0.772683 stay=<week: 0.012055 1.301787
0.643227 charge=F: -0.017116 1.738770
0.614226 sex=Male, stay=<week: -0.002760 0.280104
"""


def published(table: str) -> dict[frozenset[str], tuple[float, float, float]]:
    rows = {}
    for line in table.strip().splitlines():
        support, rest = line.split(" ", 1)
        items, numbers = rest.rsplit(": ", 1)
        rows[frozenset(items.split(", "))] = float(support), *map(float, numbers.split())
    return rows  # type: ignore[return-value]


def printed(measurement: Measurement) -> tuple[float, float, float]:
    said = facts(measurement)
    assert measurement.value is not None
    numbers = said["Support (share of rows)"], measurement.value, said["t of DivExplorer"]
    return tuple(round(number, 6) for number in numbers)  # type: ignore[return-value]


def items(measurement: Measurement) -> frozenset[str]:
    assert measurement.details is not None
    assert measurement.details.table is not None
    return frozenset(str(row[0]) for row in measurement.details.table.rows)


@pytest.fixture(scope="session")
def compas(predicted: Predicted) -> pd.DataFrame:
    """COMPAS, cut as in the paper; decided is a high risk, 8 of 10 or more."""
    rows = predicted("compas")
    jailed = [pd.to_datetime(rows[column]).dt.normalize() for column in ("c_jail_in", "c_jail_out")]
    days = (jailed[1] - jailed[0]).dt.days
    return pd.DataFrame(
        {
            "age": rows["age_cat"].map({"Less than 25": "<25", "25 - 45": "25-45", "Greater than 45": ">45"}),
            "charge": rows["c_charge_degree"],
            "race": rows["race"].replace({"African-American": "Afr-Am", "Caucasian": "Cauc"}),
            "sex": rows["sex"],
            "#prior": np.select([rows["priors_count"] <= 0, rows["priors_count"] <= 3], ["0", "[1,3]"], ">3"),
            "stay": np.select([days <= 7, (days > 8) & (days <= 93)], ["<week", "1w-3M"], ">3Months"),
            "y": rows["y"],
            "yhat": (rows["decile_score"] >= 8).astype(int),
        }
    )


@pytest.fixture(scope="session")
def explored(compas: pd.DataFrame, audit: Audit) -> Callable[..., CheckResult]:
    """Audit COMPAS as DivExplorer does: all rows, all depths, a support of a tenth."""

    def result(**options: Any) -> CheckResult:
        features = ["age", "charge", "race", "sex", "#prior", "stay"]
        given = {"support": 0.1, "depth": 6, "confirm": "permutation", "permutations": 19, **options}
        return audit(compas, CHECK, options=given, features=features, sensitive=["race"], positive=1).checks[0]

    return result


def test_the_published_tables(explored: Callable[..., CheckResult]) -> None:
    result = explored(redundancy=0.0, top=1000)
    for rate, table in {"false_positive_rate": FPR, "false_negative_rate": FNR, "accuracy": ACCURACY}.items():
        found = {items(m): printed(m) for m in told(result, rate)}
        assert len(found) == 154  # 155 with the one of no items
        for name, numbers in published(table).items():
            assert found[name] == numbers, name
    assert [items(m) for m in told(result, "false_positive_rate")[:10]] == list(published(FPR))


def test_the_published_table_without_redundant_subgroups(explored: Callable[..., CheckResult]) -> None:
    result = explored(redundancy=0.01, top=1000)
    found = told(result, "false_positive_rate")
    assert len(found) == 54  # 55 with the one of no items
    assert {items(m): printed(m) for m in found[:10]} == published(FPR_PRUNED)
    assert len(told(explored(redundancy=0.05, top=1000), "false_positive_rate")) == 5
    assert len(told(explored(redundancy=0.05, top=1000), "false_negative_rate")) == 27


def test_the_published_contributions(explored: Callable[..., CheckResult]) -> None:
    first = told(explored(redundancy=0.0), "false_positive_rate")[0]
    assert first.details is not None
    assert first.details.table is not None
    shares = {str(name): share for name, share, _ in first.details.table.rows}
    assert shares == pytest.approx(
        {
            "sex=Male": 0.007220590601649035,
            "race=Afr-Am": 0.05115538154975479,
            "age=25-45": 0.019084863062973356,
            "#prior=>3": 0.14226087371897317,
        },
        abs=1e-14,
    )
    assert first.n == 155 + 69
    assert facts(first)["Rate of all"] == pytest.approx(0.088314, abs=5e-7)


def test_compas_confirmed_on_held_out_rows(compas: pd.DataFrame, audit: Audit) -> None:
    """The search half and the other agree on who is wrongly called a high risk."""
    evidence = audit(compas, CHECK, features=list(compas.columns[:6]), sensitive=["race"], positive=1)
    found = told(evidence.checks[0], "false_positive_rate")
    assert any({"race=Afr-Am", "#prior=>3"} <= items(m) for m in found)
    assert all(m.p_value is not None and m.p_value < 0.05 for m in found[:3])
    gap = largest(evidence.checks[0], "false_positive_rate")
    assert gap.interval is not None
    assert gap.interval.low > 0.05
    assert gap.interval.high > 0.2197  # what all rows show


# --- other data


def test_adult_beside_groupbys(predicted: Predicted, audit: Audit) -> None:
    rows = predicted("adult")
    features = ["age", "education", "occupation", "hours", "gain"]
    options = {"confirm": "permutation", "permutations": 19, "top": 40}
    evidence = audit(rows, CHECK, features=features, sensitive=["sex", "race"], options=options)
    checked = 0
    for m in told(evidence.checks[0], "selection_rate"):
        pairs = dict(item.split("=", 1) for item in items(m))
        if set(pairs) <= {"sex", "race", "education", "occupation"}:
            inside = np.logical_and.reduce([rows[name] == value for name, value in pairs.items()])
            assert m.value == pytest.approx(rows["yhat"][inside].mean() - rows["yhat"].mean())
            assert m.n == inside.sum()
            checked += 1
    assert checked > 2
    named = " ".join(m.where["subgroup"] for m in told(evidence.checks[0], "selection_rate"))
    assert "gain=" in named  # nine in ten have none: it is cut above 0, not at its quantiles


def test_a_planted_subgroup_is_found(search: Callable[..., CheckResult]) -> None:
    for confirm in ("split", "permutation"):
        result = search(people(planted=0.4), confirm=confirm)
        first = told(result, "selection_rate")[0]
        assert items(first) == {"sex=F", "race=C"}, confirm
        assert first.interval is not None
        assert first.interval.low > 0.1
        assert first.interval.low < 0.36 < first.interval.high
        assert largest(result, "selection_rate").where == {"rate": "selection_rate"}
        assert facts(largest(result, "selection_rate"))["Subgroup"] == "sex=F, race=C"


SIZES = [3, 2, 3]


def drawn(seed: int, confirm: str, rate: float, planted: float, *, weighted: bool) -> list[Measurement]:
    """Search 400 rows for which the first value of the first column is planted."""
    rng = np.random.default_rng(seed)
    n = 400
    codes = np.column_stack([rng.integers(0, k, n) for k in SIZES]).astype(np.int16)
    column, value = np.repeat(np.arange(3), SIZES), np.concatenate([np.arange(k) for k in SIZES])
    cut = Items(codes, column, value, tuple(map(str, range(8))), ("a", "b", "c"), ())
    bits = item_bits(codes, column, value)
    space = Space(cut, bits, frequent_sets(bits, column, 20, 3), rng.exponential(1, n) if weighted else None)
    half = rng.permutation(n) < n // 2 if confirm == "split" else None
    settings = Settings(top=5, permutations=59, redundancy=0.01, level=0.95, least=10, facts={}, excluded=())
    hit = rng.random(n) < rate + planted * (codes[:, 0] == 0)
    return list(Search(space, half, settings, rng).of(Rate("selection_rate", "rows", np.ones(n, dtype=bool), hit)))


@pytest.mark.parametrize(("rate", "weighted"), [(0.3, False), (0.05, False), (0.3, True)])
@pytest.mark.parametrize("confirm", ["split", "permutation"])
def test_no_divergence_is_rarely_seen_where_none_is(confirm: str, rate: float, weighted: bool) -> None:
    """The family-wise rate of false alarms is .05 at most: 16 of 160 has a probability of .006."""
    alarms = np.zeros(3)
    for seed in range(160):
        *each, most = drawn(seed, confirm, rate, 0.0, weighted=weighted)
        assert most.interval is not None
        assert most.p_value is not None
        outside = [m.interval.low > 0 or m.interval.high < 0 for m in each if m.interval is not None]
        alarms += [most.interval.low > 0, most.p_value <= 0.05, any(outside)]
    assert alarms.max() <= 15


def test_the_value_is_of_rows_that_were_not_searched() -> None:
    """Without a divergence the searched half promises one, and the other half takes it back."""
    promised, kept = [], []
    for seed in range(100):
        first = drawn(seed, "split", 0.3, 0.0, weighted=False)[0]
        assert first.value is not None
        before = facts(first)["Divergence on the searched half"]
        promised.append(abs(before))
        kept.append(first.value * np.sign(before))
    assert np.mean(promised) > 0.07
    assert abs(np.mean(kept)) < 0.015  # three standard errors


@pytest.mark.parametrize("confirm", ["split", "permutation"])
def test_intervals_hold_together(confirm: str) -> None:
    """The largest divergence is that of the planted item, .4 x (1 - a third)."""
    missed, found = 0, 0
    for seed in range(60):
        most = drawn(seed, confirm, 0.3, 0.4, weighted=False)[-1]
        assert most.interval is not None
        missed += not most.interval.low <= 0.4 * 2 / 3 <= most.interval.high
        found += most.interval.low > 0
    assert missed <= 5
    assert found >= 55


def test_weights_are_used(search: Callable[..., CheckResult]) -> None:
    frame = people(planted=0.4)
    result = search(frame, data={"weight": "w"}, confirm="permutation")
    first = told(result, "selection_rate")[0]
    inside = (frame["sex"] == "F") & (frame["race"] == "C")
    assert items(first) == {"sex=F", "race=C"}
    assert first.n == inside.sum()
    expected = np.average(frame["yhat"][inside], weights=frame["w"][inside]) - np.average(
        frame["yhat"], weights=frame["w"]
    )
    assert first.value == pytest.approx(expected)
    plain = search(frame, confirm="permutation")
    one = search(frame.assign(w=1.0), data={"weight": "w"}, confirm="permutation")
    assert [m.value for m in told(one, "accuracy")] == pytest.approx([m.value for m in told(plain, "accuracy")])


# --- what items are


def test_items(search: Callable[..., CheckResult]) -> None:
    """Numbers are cut, few numbers are not; a missing value is an item; ids are left out."""
    n = 600
    frame = people(n).assign(
        few=np.arange(n) % 3,
        id=[f"p{i}" for i in range(n)],
        same="a",
        part=pd.Series(["b", "b", "b", None] * (n // 4), dtype="str"),
        flag=np.arange(n) % 2 == 0,
    )
    features = ["x", "few", "id", "same", "part", "flag"]
    result = search(frame, data={"features": features}, confirm="permutation", redundancy=0.0, top=10_000, depth=1)
    names = {m.where["subgroup"] for m in told(result, "selection_rate")}
    assert {name.split("=")[0] for name in names} == {"x", "few", "part", "flag", "sex", "race"}
    assert {"few=0", "part=(missing)", "part=b", "flag=True", "sex=F"} <= names
    assert sum(name.startswith("x=") for name in names) == 3
    assert facts(largest(result, "accuracy"))["Columns left out, with too many values"] == "id"
    supports = [
        facts(m)["Support (share of rows)"] for m in told(result, "accuracy") if m.where["subgroup"].startswith("x=")
    ]
    assert supports == pytest.approx([1 / 3] * 3, abs=0.01)


def test_bins_of_the_plan_go_first(search: Callable[..., CheckResult]) -> None:
    data = {"sensitive": ["x"], "bins": {"x": [0.0]}, "features": ["race"]}
    result = search(people(), data=data, confirm="permutation", redundancy=0.0, depth=1, top=100)
    names = {m.where["subgroup"] for m in told(result, "selection_rate")}
    assert {"x=< 0", "x=≥ 0"} <= names


def test_columns_may_be_named(search: Callable[..., CheckResult]) -> None:
    result = search(people(), features="race", confirm="permutation", redundancy=0.0)
    assert {m.where["subgroup"] for m in told(result, "accuracy")} == {"race=A", "race=B", "race=C"}
    several = search(people(), features=("race", "sex"), depth=2, redundancy=0.0, confirm="permutation", top=99)
    assert "race=A, sex=M" in {m.where["subgroup"] for m in told(several, "accuracy")}


# --- what cannot be said


def test_without_labels_only_the_selection_rate(search: Callable[..., CheckResult]) -> None:
    result = search(people().assign(y=pd.Series(np.nan, range(2000))), data={"positive": 1})
    for rate in RATES[:3]:
        reason = largest(result, rate).reason
        assert reason is not None
        assert reason.code in ("needs_labels", "positive_absent")


def test_too_few_rows(search: Callable[..., CheckResult]) -> None:
    reason = largest(search(people(60), min_denominator=30), "false_positive_rate").reason
    assert reason is not None
    assert reason.code == "too_few"
    assert reason.params["what"] == "negatives"
    assert int(str(reason.params["found"])) < 30


def test_no_item_is_shared(search: Callable[..., CheckResult]) -> None:
    result = search(people().assign(sex="F", race="A", x=0.0))
    assert result.reason is not None
    assert result.reason.code == "no_subgroups"


def test_a_regression_is_refused(audit: Audit) -> None:
    frame = people().assign(y=lambda rows: rows["x"] + 0.5, yhat=0.1)
    (result,) = audit(frame, CHECK, sensitive=["sex"], task="regression").checks
    assert result.reason is not None
    assert result.reason.code == "task"


def test_rows_without_an_answer_are_excluded(search: Callable[..., CheckResult]) -> None:
    frame = people()
    frame["yhat"] = frame["yhat"].astype(float).mask(frame.index < 100)
    said = largest(search(frame), "selection_rate")
    assert said.n == 1900
    assert said.details is not None
    assert [(left.n, left.reason.code) for left in said.details.excluded] == [(100, "no_answer")]


def test_a_level_beyond_the_shuffles_falls_back_on_bonferroni(search: Callable[..., CheckResult]) -> None:
    said = largest(search(people(planted=0.4), level=0.9999), "selection_rate")
    assert said.interval is not None
    assert said.interval.low > 0
    assert np.isfinite(said.interval.high)


def test_nothing_varies(search: Callable[..., CheckResult]) -> None:
    said = largest(search(people().assign(yhat=0)), "selection_rate")
    assert said.reason is None
    assert said.value == 0.0
    assert said.interval is not None
    assert said.interval.low == 0 < said.interval.high < 0.2
    assert said.p_value == 1.0


def test_the_same_seed_says_the_same(search: Callable[..., CheckResult]) -> None:
    frame = people(500)
    one, again, other = (search(frame, seed=seed) for seed in (1, 1, 2))
    assert one.measurements == again.measurements
    assert one.measurements != other.measurements


@pytest.mark.parametrize("weight", [None, "w"])
def test_the_order_of_the_rows_says_nothing(search: Callable[..., CheckResult], weight: str | None) -> None:
    frame = people(500, planted=0.4)
    shuffled = frame.sample(frac=1, random_state=0)
    one, other = (search(rows, data={"weight": weight}) for rows in (frame, shuffled))
    assert one.measurements == other.measurements


@pytest.mark.parametrize("features", ["y", ["age", "y"]])
def test_the_target_is_no_feature(audit: Audit, features: Any) -> None:
    frame = pd.DataFrame({"age": [1, 2] * 100, "sex": ["F", "M"] * 100, "y": [0, 1] * 100, "yhat": [0, 1] * 100})
    (result,) = audit(frame, CHECK, sensitive=["sex"], positive=1, options={"features": features}).checks
    assert result.reason is not None
    assert (result.reason.code, result.reason.params) == ("target_is_no_feature", {"column": "y"})
