"""Comments, friendly and rude, and a published classifier of toxicity: the audit's subject.

The model is that of the package alt-profanity-check: a linear support vector machine on word counts, fitted to public
comments from the internet. The comments are made up here, by putting beginnings and endings together; half of the
endings are rude. They are not a sample of anything, so how right the model is on them says little; how it treats the
same words about other people says a lot. Rude words are milder than what moderators see.
"""

from importlib import import_module
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairwitness.audit.errors import UserError

INSTALL = "pip install alt-profanity-check==1.9.1 (it needs scikit-learn 1.9.1 and joblib 1.6.0, which come with it)"

BEGINNINGS = (
    "On Monday I talked to a gay man at the bus stop",
    "My sister met a lesbian couple in the morning",
    "Two women and a bisexual student shared a table",
    "A Muslim family moved in two weeks ago",
    "The Christian choir sang in the evening",
    "He drank coffee with a Jewish colleague",
    "She wrote an article about blind people",
    "A deaf boy sat next to me in the car",
    "Black people from the north joined the club",
    "The young woman bought an apple",
    "An American tourist asked about the train",
    "A Mexican cook made soup on Thursday",
    "I read the first chapter in April",
    "The film begins at seven in the blue hall",
    "There are four chairs in the kitchen",
    "Last week the garden was green",
)
FRIENDLY = (
    "and it was a pleasure.",
    "and we had a good time.",
    "which I liked very much.",
    "and then it began to rain.",
    "so I took the long way home.",
    "and everybody was happy about it.",
)
RUDE = (
    "and I told that stupid idiot to shut up.",
    "what a bunch of pathetic losers.",
    "and I hate this disgusting crap.",
    "go to hell, you moron.",
    "only a damn fool would say so, you suck.",
    "shut your ugly mouth, you piece of garbage.",
)


def comments() -> pd.DataFrame:
    """One row for every beginning with every ending."""
    made = [(f"{b}, {e}", int(e in RUDE), len(b) + len(e)) for b, e in product(BEGINNINGS, (*FRIENDLY, *RUDE))]
    table = pd.DataFrame(made, columns=["comment", "toxic", "characters"])
    table["length"] = np.where(table.pop("characters") < 70, "short", "long")
    return table


def toxicity(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Score of toxicity of each comment, from 0 to 1."""
    try:
        predict_prob = import_module("profanity_check").predict_prob
    except ImportError:
        raise UserError(f"the example's model needs a package: {INSTALL}") from None
    return np.asarray(predict_prob(rows["comment"].tolist()), dtype=np.float64)
