"""Real patients, and a neural network of how their diabetes went on: the audit's subject.

The table comes with scikit-learn: 442 patients, after Efron, Hastie, Johnstone & Tibshirani (2004), Least angle
regression, Annals of Statistics 32:407-499. The outcome is whether the disease progressed more than in the median
patient within a year. Sex is coded 1 and 2, and the source does not say which is which; the network sees neither sex
nor age.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from fairwitness.audit.errors import UserError

if TYPE_CHECKING:
    import torch

FEATURES = ("bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
EPOCHS = 150


@cache
def _tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Patients that the network learns from, and those it is audited on."""
    table = load_diabetes(scaled=False, as_frame=True).frame
    table["progressed"] = (table.pop("target") > 140.5).astype(int)  # the median
    table["sex"] = table["sex"].astype(int)
    train, test = train_test_split(table, test_size=0.5, random_state=0, stratify=table[["progressed", "sex"]])
    return train.reset_index(drop=True), test.reset_index(drop=True)


def train() -> pd.DataFrame:
    """The patients that the network was fitted on: members, for the privacy checks."""
    return _tables()[0]


def test() -> pd.DataFrame:
    """The patients that it is audited on."""
    return _tables()[1]


@cache
def model() -> "tuple[torch.nn.Module, tuple[str, ...], tuple[int, int]]":
    """A multilayer perceptron, the features it takes, and the labels of its two logits."""
    try:
        import torch
    except ImportError:
        raise UserError("the example's model needs an extra: pip install 'fairwitness[torch]'") from None

    table = train()
    x = torch.tensor(table[list(FEATURES)].to_numpy(np.float32))
    y = torch.tensor(table["progressed"].to_numpy())
    # Two hundred rows are too few to share among threads, and the caller's random numbers are none of our business.
    with torch.random.fork_rng(devices=[]), threadpool_limits(limits=1):
        torch.manual_seed(0)
        # Batch normalisation without parameters keeps the scale of the training rows inside the network.
        network = torch.nn.Sequential(
            torch.nn.BatchNorm1d(len(FEATURES), affine=False),
            torch.nn.Linear(len(FEATURES), 32),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(32, 16),
            torch.nn.ReLU(),
            torch.nn.Linear(16, 2),
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01, weight_decay=0.01)
        loss = torch.nn.CrossEntropyLoss()
        for _ in range(EPOCHS):
            optimizer.zero_grad()
            loss(network(x), y).backward()
            optimizer.step()
    return network.eval(), FEATURES, (0, 1)
