"""Groups of attributes and intersections: which cells make a group, in which order, under which name."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, Coded, bin_order
from fairwitness.audit.evidence import NotAssessed
from fairwitness.audit.tallies.batch import Layout

MAX_GROUPS = 200


def names_of(layout: Layout) -> list[str]:
    """Sensitive attributes and intersections, in the plan's order."""
    return [*layout.attributes, *(" & ".join(several) for several in layout.crossed)]


def grouped(
    layout: Layout, name: str | None, columns: Sequence[Coded], crowded: frozenset[str], cells: int
) -> tuple[NDArray[np.int64], tuple[tuple[str, ...], ...]]:
    """Number the groups of an attribute or intersection that cells belong to.

    Args:
        layout: what the columns mean.
        name: `sex`, or `sex & race`; None for one group of all.
        columns: every sensitive column of the cells, in the layout's order.
        crowded: sensitive columns with too many values.
        cells: how many there are.

    Returns:
        The group of each cell, shape (cells,), and of each group, in natural order, the values that it is made of, one
        a sensitive column; `((),)` for the whole.

    Raises:
        NotAssessed: the attribute has too many values, or the intersection too many groups.
    """
    several = tuple(name.split(" & ")) if name else ()
    if hidden := [part for part in several if part in crowded]:
        raise NotAssessed("too_many_groups", attribute=hidden[0], limit=MAX_GROUPS)
    chosen = [columns[layout.attributes.index(part)] for part in several]
    flat, first = distinct([column.codes for column in chosen], cells)
    if len(first) > MAX_GROUPS:
        raise NotAssessed("too_many_groups", attribute=name, groups=len(first), limit=MAX_GROUPS)
    groups = [tuple(column.names[column.codes[cell]] for column in chosen) for cell in first]
    order = sorted(range(len(groups)), key=lambda i: _order(layout, several, groups[i]))
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = np.arange(len(groups))
    return place[flat], tuple(groups[i] for i in order)


def distinct(codes: Sequence[NDArray[np.int64]], cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct combinations of codes.

    Args:
        codes: each of shape (cells,).
        cells: how many.

    Returns:
        The number of each cell's combination, in lexical order, and one cell of each combination.
    """
    flat, first = np.zeros(cells, dtype=np.int64), np.zeros(min(cells, 1), dtype=np.int64)
    for code in codes:
        # Numbered anew after each column, so that no product of sizes can overflow.
        _, first, flat = np.unique(flat * (int(code.max(initial=0)) + 1) + code, return_index=True, return_inverse=True)
    return flat, first


def _order(layout: Layout, attributes: Sequence[str], group: Sequence[str]) -> list[tuple[int, float, str]]:
    """Natural order: bins and numbers by size, text by alphabet, missing last."""
    order: list[tuple[int, float, str]] = []
    for attribute, name in zip(attributes, group, strict=True):
        if name == MISSING:
            order.append((2, 0.0, name))
        elif attribute in layout.bins:
            order.append((0, float(bin_order(layout.bins[attribute], name)), name))
        else:
            order.append((0, float(name), name) if _is_plain_number(name) else (1, 0.0, name))
    return order


def group_name(parts: Sequence[str]) -> str:
    """Name of a group from the values that it is made of; a value with ` & ` in it is quoted where there are several.

    >>> group_name(["F & A"]), group_name(["F & A", "B"]), group_name([])
    ('F & A', "'F & A' & B", '')
    """
    return " & ".join(f"'{part}'" if len(parts) > 1 and " & " in part else part for part in parts)


def _is_plain_number(name: str) -> bool:
    return name.removeprefix("-").replace(".", "", 1).isdecimal() and name.isascii()
