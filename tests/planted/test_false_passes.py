"""What would look fair because something is missing, misspelt or weightless must not pass."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairwitness.audit import Dataset, run
from fairwitness.audit.evidence import Evidence, GateResult
from fairwitness.reports.html import render

PARITY = {"metric": "fairness.group.demographic_parity_difference", "attribute": "sex", "max": 0.1}
LOGGED = {"adapter": "logged", "prediction": "yhat"}


def people(n: int = 400) -> pd.DataFrame:
    """Both sexes are decided alike."""
    i = np.arange(n)
    return pd.DataFrame({"sex": np.where(i % 2, "F", "M"), "y": np.where(i % 4 < 2, "yes", "no"), "i": i})


def judged(frame: pd.DataFrame, gate: dict[str, Any] = PARITY, **meaning: Any) -> GateResult:
    evidence = run(LOGGED, Dataset(frame, target="y", sensitive=["sex"], **meaning), gates=[gate], checks=["fairness"])
    return evidence.gates[0]


@pytest.mark.parametrize("spelt", [{"yes": "Yes", "no": "No"}, {"yes": "Yes"}, {"yes": "yes "}])
def test_a_misspelt_decision_is_not_a_model_that_selects_nobody(spelt: dict[str, str]) -> None:
    frame = people()
    result = judged(frame.assign(yhat=frame["y"].replace(spelt)), positive="yes")
    assert (result.verdict, result.why.code) == ("not_assessed", "unknown_decisions")


def test_a_model_that_selects_nobody_is_measured() -> None:
    assert judged(people(2000).assign(yhat="no"), positive="yes").verdict == "pass"


def test_rows_without_a_decision_keep_a_gate_from_passing() -> None:
    frame = people(4000).assign(yhat="no")
    assert judged(frame, positive="yes").verdict == "pass"
    frame.loc[(frame["sex"] == "F") & (frame["i"] < 1200), "yhat"] = None
    result = judged(frame, positive="yes")
    assert (result.verdict, result.why.code) == ("inconclusive", "rows_unanswered")
    assert result.why.params == {"rows": 600}


@pytest.mark.parametrize("answer", [np.inf, np.nan])
def test_predictions_that_are_no_numbers_keep_a_regression_from_passing(answer: float) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"y": rng.normal(size=2000)})
    frame["yhat"] = frame["y"] + rng.normal(size=2000) * 0.1
    gate = {"metric": "performance.regression.r2", "min": 0.9}

    def verdict() -> str:
        return run(LOGGED, Dataset(frame, target="y"), gates=[gate], checks=["performance"]).gates[0].verdict

    assert verdict() == "pass"
    frame.loc[:999, "yhat"] = answer
    assert verdict() == "inconclusive"


def test_rows_without_weight_do_not_make_a_group_large_enough() -> None:
    frame = people(1000).assign(yhat="no", w=1.0)
    frame.loc[frame["i"] < 60, "sex"] = "X"
    frame.loc[frame["i"] < 55, "w"] = 0.0
    result = judged(frame, positive="yes", weight="w")
    assert (result.verdict, result.why.code) == ("inconclusive", "small_groups")


def test_a_family_of_groups_can_pass() -> None:
    gate = {"metric": "fairness.group.selection_rate", "min": 0.0, "max": 1.0}
    frame = people().assign(yhat="no")
    data = Dataset(frame, target="y", positive="yes", sensitive=["sex"])
    evidence = run(LOGGED, data, gates=[gate], checks=["fairness"], policy={"familywise": True})
    assert [result.verdict for result in evidence.gates] == ["pass", "pass"]
    assert [result.interval.level for result in evidence.gates if result.interval] == [0.975, 0.975]


def test_a_report_says_that_it_was_judged_afterwards() -> None:
    frame = people().assign(yhat="no")
    evidence: Evidence = run(LOGGED, Dataset(frame, target="y", positive="yes", sensitive=["sex"]), checks=["fairness"])
    again = evidence.model_copy(update={"judged_again_by": "sha256:abc"}).sealed()
    assert "after the results were known" not in render(evidence)
    assert "after the results were known" in render(again)
