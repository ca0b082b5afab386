"""Comparisons within strata: standardised rates, and the Mantel-Haenszel family of odds ratios and tests.

Counts are effective ones where rows are weighted, so they need not be integers. A 2 x 2 table of a stratum has the
group and all others in its rows, and selected and rejected in its columns: shape (strata, 2, 2).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from fairwitness.audit.statistics.intervals import FloatArray, mover_difference, wilson


def rate_variance(x: npt.ArrayLike, n: npt.ArrayLike) -> FloatArray:
    """Variance of an observed rate, estimated so that it is not too small on average in the smallest stratum either.

    The larger of the unbiased estimate p (1 - p) / (n - 1), which is 0 wherever all rows agree, and the one at the rate
    shrunken by the Jeffreys prior, (x + 1/2) / (n + 1), which is too small where n is 2 or 3. A stratum of one row says
    nothing of its variance and gets the largest there is, 1/4.

    Args:
        x: successes.
        n: trials; 0 gives a variance of 0, for there is no rate.

    Returns:
        Same shape.
    """
    x, n = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64))
    trials = np.where(n > 0, n, 1.0)
    rate, shrunken = np.clip(x / trials, 0.0, 1.0), (x + 0.5) / (trials + 1)
    plain = np.divide(rate * (1 - rate), trials - 1, out=np.zeros_like(trials), where=trials > 1)
    several = np.maximum(plain, shrunken * (1 - shrunken) / trials)
    return np.asarray(np.where(n > 0, np.where(trials > 1, np.minimum(several, 0.25), 0.25), 0.0))


def standardised_rate(x: npt.ArrayLike, n: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Rate that a group would have if its rows were spread over the strata as `weights` are.

    Direct standardisation (Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, chapter 19), and
    the number of rows on which a plain rate would have the same variance (Korn & Graubard 1998, Survey Methodology
    24:193-201). In one stratum that is close to the number of its rows.

    Args:
        x: shape (..., strata), successes.
        n: shape (..., strata), trials; more than 0 wherever there is weight.
        weights: shape (..., strata), at least 0, with a sum of 1.

    Returns:
        The rate and its effective number of rows, each of shape (...,).

    >>> rate, rows = standardised_rate([10, 80], [100, 100], [0.5, 0.5])
    >>> round(float(rate), 4)
    0.45
    """
    x, n, w = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, n, weights)))
    rate = (w * np.divide(x, n, out=np.zeros_like(x), where=n > 0)).sum(axis=-1)
    shrunken = (w * (x + 0.5) / (n + 1)).sum(axis=-1)
    variance = (w**2 * rate_variance(x, n)).sum(axis=-1)
    # Without any weight there is no rate; the caller leaves such strata out.
    rows = np.divide(shrunken * (1 - shrunken), variance, out=np.zeros_like(variance), where=variance > 0)
    return np.asarray(np.clip(rate, 0.0, 1.0)), np.asarray(rows)


def standardised_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike],
    weights: npt.ArrayLike,
    rows: npt.ArrayLike,
    critical: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Difference of two rates, both standardised to the same strata, with its interval.

    MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693-1702) on Wilson limits of both standardised rates at their
    effective numbers of rows. The strata's sizes are those of a sample too: where differences vary between strata the
    variance of the weights, (1 / rows) sum_i w_i (d_i - d)^2, is added, less what of it is noise of the d_i.

    Args:
        first: successes and trials of the one rate, each of shape (..., strata).
        second: of the other, independent of it.
        weights: shape (..., strata), at least 0; normalised here.
        rows: shape (...,), number of rows that the weights are shares of.
        critical: two-sided normal critical value.

    Returns:
        The difference and its limits in [-1, 1], each of shape (...,).
    """
    (x1, n1), (x2, n2) = first, second
    x1, n1, x2, n2, w = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x1, n1, x2, n2, weights)))
    w = w / w.sum(axis=-1, keepdims=True)
    rate1, rows1 = standardised_rate(x1, n1, w)
    rate2, rows2 = standardised_rate(x2, n2, w)
    low, high = mover_difference(
        rate1, wilson(rate1 * rows1, rows1, critical), rate2, wilson(rate2 * rows2, rows2, critical)
    )
    difference = rate1 - rate2
    there = w > 0
    each = np.divide(x1, n1, out=np.zeros_like(x1), where=there) - np.divide(x2, n2, out=np.zeros_like(x2), where=there)
    spread = (each - difference[..., None]) ** 2 - rate_variance(x1, n1) - rate_variance(x2, n2)
    further = critical**2 * np.maximum((w * spread).sum(axis=-1), 0.0) / np.asarray(rows)
    low = difference - np.sqrt((difference - low) ** 2 + further)
    high = difference + np.sqrt((high - difference) ** 2 + further)
    return np.asarray(difference), np.maximum(low, -1.0), np.minimum(high, 1.0)


@dataclass(frozen=True, kw_only=True)
class CommonOddsRatio:
    """Mantel-Haenszel's odds ratio over strata.

    Attributes:
        value: odds of the group over those of all others, within strata.
        low: lower limit.
        high: upper limit.
    """

    value: float
    low: float
    high: float


def mantel_haenszel(tables: npt.ArrayLike, critical: float) -> CommonOddsRatio | None:
    """Common odds ratio over strata, with the interval that holds with few large strata and with many small ones.

    Source: Mantel & Haenszel (1959), JNCI 22:719-748; variance of its logarithm: Robins, Breslow & Greenland (1986),
    Biometrics 42:311-323, equation 3.

    Args:
        tables: shape (strata, 2, 2).
        critical: two-sided normal critical value.

    Returns:
        The odds ratio with its limits; None where it would be 0, infinite or 0 / 0.

    Penicillin in rabbits (Agresti 1990, page 231), as R's mantelhaen.test gives it:

    >>> rabbits = [[[3, 3], [0, 6]], [[6, 0], [2, 4]], [[5, 1], [6, 0]]]
    >>> round(mantel_haenszel(rabbits, 1.959964).value, 4)
    7.0
    """
    (a, b), (c, d) = np.moveaxis(np.asarray(tables, dtype=np.float64), 0, -1)
    n = a + b + c + d
    there = n > 0
    a, b, c, d, n = a[there], b[there], c[there], d[there], n[there]
    same, other = (a + d) / n, (b + c) / n
    for_it, against = a * d / n, b * c / n
    up, down = for_it.sum(), against.sum()
    if not up > 0 or not down > 0:
        return None
    variance = (
        (same * for_it).sum() / (2 * up**2)
        + (same * against + other * for_it).sum() / (2 * up * down)
        + (other * against).sum() / (2 * down**2)
    )
    ratio, half_width = math.log(up) - math.log(down), critical * math.sqrt(variance)
    # An odds ratio that is not a finite number is no number to report.
    if abs(ratio) + half_width > 700:
        return None
    return CommonOddsRatio(value=math.exp(ratio), low=math.exp(ratio - half_width), high=math.exp(ratio + half_width))


@dataclass(frozen=True, kw_only=True)
class ConditionalTest:
    """Test that decisions are independent of the group within strata.

    Attributes:
        statistic: Cochran-Mantel-Haenszel's chi-square.
        degrees: its degrees of freedom.
        p_value: of the statistic.
        corrected: the statistic with the continuity correction of 1/2, for two groups; None for more.
        corrected_p: its p-value.
    """

    statistic: float
    degrees: int
    p_value: float
    corrected: float | None = None
    corrected_p: float | None = None


def cochran_mantel_haenszel(x: npt.ArrayLike, n: npt.ArrayLike) -> ConditionalTest:
    """Test that the selection rates of all groups are equal within every stratum, against a shift that they share.

    Given the margins of each stratum the numbers selected are multivariate hypergeometric; their excess over the
    expectation is added over strata and compared with the summed covariance. With two groups it is the
    Cochran-Mantel-Haenszel test, with more its generalisation to groups without an order.
    Source: Mantel & Haenszel (1959), JNCI 22:719-748; Landis, Heyman & Koch (1978), International Statistical Review
    46:237-254. The continuity correction is applied as R's mantelhaen.test does: not beyond the excess itself.

    Args:
        x: shape (strata, groups), selected rows.
        n: shape (strata, groups), rows.

    Returns:
        The test; where nothing can differ the statistic is 0 and p is 1.

    >>> rabbits = cochran_mantel_haenszel([[3, 0], [6, 2], [5, 6]], [[6, 6], [6, 6], [6, 6]])
    >>> round(rabbits.corrected, 4), round(rabbits.corrected_p, 3)
    (3.9286, 0.047)
    """
    hits, sizes = np.asarray(x, dtype=np.float64), np.asarray(n, dtype=np.float64)
    kept = np.ix_(sizes.sum(axis=1) > 1, sizes.sum(axis=0) > 0)
    hits, sizes = hits[kept], sizes[kept]
    total, selected = sizes.sum(axis=1), hits.sum(axis=1)
    excess = (hits - sizes * (selected / total)[:, None]).sum(axis=0)
    scale = selected * (total - selected) / (total**2 * (total - 1))
    covariance = np.diag((scale * total) @ sizes) - np.einsum("s,si,sj->ij", scale, sizes, sizes)
    # The excesses add up to 0; groups that never meet another one in a stratum take away further ranks.
    values, vectors = np.linalg.eigh(covariance) if covariance.size else (np.zeros(0), np.zeros((0, 0)))
    some = values > max(values.max(initial=0.0), 1.0) * 1e-10
    degrees, two = int(np.count_nonzero(some)), sizes.shape[1] == 2
    if not degrees:
        return ConditionalTest(
            statistic=0.0, degrees=0, p_value=1.0, corrected=0.0 if two else None, corrected_p=1.0 if two else None
        )
    statistic = float(((vectors.T @ excess)[some] ** 2 / values[some]).sum())
    p_value = float(stats.chi2.sf(statistic, degrees))
    if not two:
        return ConditionalTest(statistic=statistic, degrees=degrees, p_value=p_value)
    away = abs(float(excess[0]))
    corrected = (away - min(0.5, away)) ** 2 / float(covariance[0, 0])
    return ConditionalTest(
        statistic=statistic,
        degrees=degrees,
        p_value=p_value,
        corrected=corrected,
        corrected_p=float(stats.chi2.sf(corrected, 1)),
    )


@dataclass(frozen=True, kw_only=True)
class Homogeneity:
    """Test that the odds ratio is the same in every stratum.

    Attributes:
        breslow_day: Breslow and Day's chi-square.
        tarone: the same less Tarone's correction, which makes it chi-square with the Mantel-Haenszel odds ratio.
        degrees: strata that can tell, less one.
        p_value: of Tarone's statistic.
    """

    breslow_day: float
    tarone: float
    degrees: int
    p_value: float


def breslow_day(tables: npt.ArrayLike, odds_ratio: float) -> Homogeneity | None:
    """Test that all strata share one odds ratio, by the numbers selected that are expected if they do.

    Source: Breslow & Day (1980), Statistical Methods in Cancer Research I, IARC 32, equation 4.30; Tarone (1985),
    Biometrika 72:91-95.

    Args:
        tables: shape (strata, 2, 2).
        odds_ratio: the common one, Mantel and Haenszel's.

    Returns:
        The test; None where fewer than two strata have both groups and both decisions.
    """
    (a, b), (c, d) = np.moveaxis(np.asarray(tables, dtype=np.float64), 0, -1)
    both = (a + b > 0) & (c + d > 0) & (a + c > 0) & (b + d > 0)
    degrees = int(np.count_nonzero(both)) - 1
    if degrees < 1:
        return None
    a, group, others, selected = a[both], (a + b)[both], (c + d)[both], (a + c)[both]
    expected = _expected(group, others, selected, odds_ratio)
    cells = (expected, group - expected, selected - expected, others - selected + expected)
    inverse = sum((1 / np.maximum(cell, np.finfo(np.float64).tiny) for cell in cells), np.zeros_like(expected))
    variance = 1 / inverse
    excess = a - expected
    statistic = float((excess**2 / variance).sum())
    tarone = max(statistic - float(excess.sum() ** 2 / variance.sum()), 0.0)
    p_value = float(stats.chi2.sf(tarone, degrees))
    return Homogeneity(breslow_day=statistic, tarone=tarone, degrees=degrees, p_value=p_value)


def _expected(group: FloatArray, others: FloatArray, selected: FloatArray, odds_ratio: float) -> FloatArray:
    """Selected of the group that give this odds ratio with these margins.

    The root of (1 - r) A^2 + (others - selected + r (group + selected)) A - r group selected = 0 that is a count, in
    the form without cancellation.
    """
    linear = others - selected + odds_ratio * (group + selected)
    root = np.sqrt(np.maximum(linear**2 + 4 * (1 - odds_ratio) * odds_ratio * group * selected, 0.0))
    found = 2 * odds_ratio * group * selected / (linear + root)
    return np.asarray(np.clip(found, np.maximum(selected - others, 0.0), np.minimum(group, selected)))
