"""Mergeable sufficient statistics: what one pass over the data leaves behind.

Each tally is made from one batch by `of` and joined by `merge`; merging is associative and commutative to the bit,
so batches may be counted anywhere, in any order, by one process, by many, or at several sites.
"""

from fairwitness.audit.tallies.batch import Batch, Layout, Tally
from fairwitness.audit.tallies.contingency import MAX_GROUPS, Contingency, Crosstab
from fairwitness.audit.tallies.fingerprint import Fingerprint
from fairwitness.audit.tallies.missing import Missing
from fairwitness.audit.tallies.moments import Moments
from fairwitness.audit.tallies.rows import Rows
from fairwitness.audit.tallies.sample import Sample
from fairwitness.audit.tallies.scores import ScoreCounts

__all__ = [
    "MAX_GROUPS",
    "Batch",
    "Contingency",
    "Crosstab",
    "Fingerprint",
    "Layout",
    "Missing",
    "Moments",
    "Rows",
    "Sample",
    "ScoreCounts",
    "Tally",
]
