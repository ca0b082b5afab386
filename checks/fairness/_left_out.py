"""Rows that no number counts, said beside every number of their group, so that no gate can pass over them."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from fairwitness.audit.evidence import Details, Excluded, Measurement


def beside(
    measurements: Iterable[Measurement], rows: Sequence[Excluded], across: Collection[str] = ()
) -> Iterator[Measurement]:
    """Say beside each measurement of one attribute which rows it leaves out.

    Args:
        measurements: of an attribute or of its groups, or of the whole.
        rows: left out, by group.
        across: metrics of a group that rest on the other groups as well.
    """
    for said in measurements:
        whole = said.group is None or said.metric in across
        concerned = tuple(out for out in rows if whole or out.group == said.group)
        if concerned:
            details = said.details or Details()
            details = details.model_copy(update={"excluded": (*details.excluded, *concerned)})
            yield said.model_copy(update={"details": details})
        else:
            yield said
