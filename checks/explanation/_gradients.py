"""Differentiable models: integrated gradients from the adapter, one attribution a raw column."""

import numpy as np

from fairwitness.checks.explanation._games import LOG_ODDS, SCORE, VALUE, Found, Question

# Integrals are sums over a few dozen steps; their error, relative to what is explained, is stated with every result.
TOLERANCE = 0.05
STEPS = 32  # of one integral, at least


def integrated(question: Question) -> Found:
    """Integrated gradients (Sundararajan, Taly & Yan 2017) of the positive label's log-odds or score, or of the value.

    They are averaged over background rows as baselines (expected gradients, Erion et al. 2021).
    """
    if question.gradients is None:
        raise ValueError("the adapter gives no gradients")
    affordable = max(1, question.evaluations // (STEPS * len(question.rows)))
    background = question.background.iloc[:affordable]
    values = np.asarray(question.gradients(question.rows, background), dtype=np.float64)
    scales = (VALUE,) if VALUE in question.games else (LOG_ODDS, SCORE)
    return Found(values, background, scales, tolerance=TOLERANCE)
