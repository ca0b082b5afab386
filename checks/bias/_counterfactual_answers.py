"""What a model says of texts, and of the same texts with other words, within a budget of questions."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairwitness.audit.columns import MISSING, labels, whole
from fairwitness.checks.bias._counterfactual_lexicon import NEUTRAL, SLOT, Axis, Lexicon
from fairwitness.checks.bias._counterfactual_swaps import Swapper

Floats = NDArray[np.float64]
Answer = Callable[[pa.Table], Any]  # rows -> labels, scores and classes
Ask = Callable[[pa.Table], tuple[Floats, Floats | None]]  # rows -> decisions and scores
Key = tuple[str, str]  # source and axis

TEXTS, TEMPLATES = "texts", "templates"
ASKED_AT_ONCE = 8_192
SCANNED = 20  # texts looked through for one that is used
_WORD = re.compile(r"\w+")


@dataclass
class Draft:
    """Texts of one axis before the model is asked: versions of each, None where there is none.

    Attributes:
        versions: of each slot, one for every place that words are moved by, or for every term.
        rows: number of the row that each stands in.
        mentioned: terms that the first version shows.
    """

    versions: list[list[str | None]]
    rows: list[int]
    mentioned: list[frozenset[int]]


@dataclass(frozen=True)
class Questions:
    """All that the model will be asked.

    Attributes:
        axes: by name, the neutral one last.
        drafts: texts by source and axis.
        harmful: which of the sentences are harmful, shape (sentences,).
        scanned: the user's texts that were looked through.
        irreversible: how often a text has terms of an axis that could not be swapped.
    """

    axes: dict[str, Axis]
    drafts: dict[Key, Draft]
    harmful: NDArray[np.bool_]
    scanned: int
    irreversible: int


@dataclass(frozen=True)
class Slots:
    """Texts of one axis in all their versions, with the model's answers.

    Attributes:
        axis: its name.
        source: `texts` of the user's, whose first version is as it was, or `templates`, one version a term.
        terms: of the axis.
        shown: whether a version shows a term, shape (slots, versions, terms).
        decided: 1 for the positive label, other numbers for others, NaN where there is no version or no answer; shape
            (slots, versions).
        scores: of the positive label, NaN likewise, same shape; None without scores.
        weights: shape (slots,).
        cluster: number of the row, or of the sentence, shape (slots,).
        harmful: whether a sentence is harmful, shape (slots,); False of the user's texts.
        unanswered: versions that the model gave no answer for.
    """

    axis: str
    source: str
    terms: tuple[str, ...]
    shown: NDArray[np.bool_]
    decided: Floats
    scores: Floats | None
    weights: Floats
    cluster: NDArray[np.int64]
    harmful: NDArray[np.bool_]
    unanswered: int


def questions(lexicon: Lexicon, texts: Sequence[str], order: Sequence[int], most: int, budget: int) -> Questions:
    """Choose what to ask, within the budget: sentences first, for at most half of it, then the user's texts.

    Args:
        lexicon: words and sentences.
        texts: of the user's, by row.
        order: numbers of the rows to use, in random order, at least one; sentences are put into them as well.
        most: most of the user's texts with terms of identity, and as many more with neutral words only.
        budget: most texts to ask about.
    """
    axes = {**lexicon.axes, NEUTRAL: lexicon.neutral}
    terms = sum(len(axis.terms) for axis in axes.values())
    sentences, harmful = _sentences(lexicon, budget // 2 // terms)
    held = [order[i % len(order)] for i in range(len(sentences))]
    drafts: dict[Key, Draft] = {}
    for name, axis in axes.items():
        filled: list[list[str | None]] = [[s.replace(SLOT, term) for term in axis.terms] for s in sentences]
        drafts[TEMPLATES, name] = Draft(filled, held, [frozenset({0})] * len(sentences))
        drafts[TEXTS, name] = Draft([], [], [])
    left = budget - len(sentences) * terms
    swappers = {
        name: Swapper.of(axis, words_apart=lexicon.words_apart, function_words=lexicon.function_words)
        for name, axis in axes.items()
    }
    room = {True: most, False: most}  # for texts with terms of identity, and without
    scanned = irreversible = 0
    for row in order[: SCANNED * most]:
        if not any(room.values()):
            break
        scanned += 1
        found, refused = _versions(texts[row], swappers, words_apart=lexicon.words_apart)
        irreversible += refused
        about_people = bool(found.keys() - {NEUTRAL})
        if not found or not room[about_people]:
            continue
        left -= 1 + sum(version is not None for _, versions in found.values() for version in versions[1:])
        if left < 0:
            break
        room[about_people] -= 1
        for name, (mentioned, versions) in found.items():
            draft = drafts[TEXTS, name]
            draft.versions.append(versions)
            draft.rows.append(row)
            draft.mentioned.append(mentioned)
    return Questions(axes, drafts, harmful, scanned, irreversible)


def _sentences(lexicon: Lexicon, most: int) -> tuple[list[str], NDArray[np.bool_]]:
    """The sentences, at most so many, harmless and harmful ones in proportion; and which are harmful."""
    harmless, harmful = lexicon.templates.harmless, lexicon.templates.harmful
    share = min(1.0, most / max(len(harmless) + len(harmful), 1))
    harmless, harmful = harmless[: int(len(harmless) * share)], harmful[: int(len(harmful) * share)]
    return [*harmless, *harmful], np.repeat([False, True], [len(harmless), len(harmful)])


def _versions(
    text: str, swappers: dict[str, Swapper], *, words_apart: bool
) -> tuple[dict[str, tuple[frozenset[int], list[str | None]]], int]:
    """Terms that a text shows and its versions, by axis; and how many axes it could not be swapped along."""
    tokens = frozenset(_WORD.findall(text.lower())) if words_apart else frozenset[str]()
    found: dict[str, tuple[frozenset[int], list[str | None]]] = {}
    refused = 0
    for name, swapper in swappers.items():
        if not swapper.hinted(text, tokens) or not (mentioned := swapper.found(text)):
            continue
        others = [swapper.shifted(text, by) for by in range(1, swapper.size)]
        if any(other is not None for other in others):
            found[name] = mentioned, [text, *others]
        else:
            refused += 1
    return found, refused


def answered(chosen: Questions, rows: pa.Table, column: str, ask: Ask, weights: Floats) -> tuple[list[Slots], int]:
    """Ask the model once about each version of each text.

    Args:
        chosen: what to ask.
        rows: that texts stand in.
        column: where.
        ask: asks the model.
        weights: of the rows, shape (rows,).

    Returns:
        Slots with their answers, and how many texts the model was asked about.
    """
    places: dict[tuple[int, str], int] = {}
    cells: dict[Key, NDArray[np.intp]] = {}
    for key, draft in chosen.drafts.items():
        lines = [
            [-1 if text is None else places.setdefault((row, text), len(places)) for text in versions]
            for versions, row in zip(draft.versions, draft.rows, strict=True)
        ]
        cells[key] = np.array(lines, dtype=np.intp).reshape(len(lines), len(chosen.axes[key[1]].terms))
    asked = list(places)
    table = rows.take(pa.array([row for row, _ in asked], pa.int64()))
    changed = pa.array([text for _, text in asked], pa.large_string()).cast(text_type(rows, column))
    table = table.set_column(table.column_names.index(column), column, changed)
    decided, scores = ask(table)
    found = []
    for key, place in cells.items():
        source, axis = key
        terms = chosen.axes[axis].terms
        of = np.array(chosen.drafts[key].rows, dtype=np.int64)
        own = source == TEXTS
        here = place >= 0
        found.append(
            Slots(
                axis=axis,
                source=source,
                terms=terms,
                shown=_shown(chosen.drafts[key].mentioned, len(terms)),
                decided=np.where(here, decided[place], np.nan),
                scores=None if scores is None else np.where(here, scores[place], np.nan),
                weights=weights[of] if own else np.ones(len(of)),
                cluster=of if own else np.arange(len(of)),
                harmful=np.zeros(len(of), dtype=bool) if own else chosen.harmful,
                unanswered=int(np.count_nonzero(here & np.isnan(decided[place]))),
            )
        )
    return found, len(asked)


def _shown(mentioned: Sequence[frozenset[int]], size: int) -> NDArray[np.bool_]:
    """Which terms each version shows, the first one's moved on by its number: shape (slots, versions, terms)."""
    first = np.zeros((len(mentioned), size), dtype=bool)
    for line, positions in zip(first, mentioned, strict=True):
        line[list(positions)] = True
    return np.stack([np.roll(first, by, axis=1) for by in range(size)], axis=1)


def text_type(rows: pa.Table, column: str) -> pa.DataType:
    """Type of a column; of one with a dictionary, that of its values."""
    kind = rows.schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


class Asker:
    """Asks the model in batches.

    Args:
        answer: rows -> labels, scores and classes.
        positive: label that means yes.

    Attributes:
        names: numbers of the labels that the model has decided for; the positive label's is 1.
    """

    def __init__(self, answer: Answer, positive: str) -> None:
        self._answer, self._positive = answer, positive
        self.names: dict[str, float] = {}

    def __call__(self, table: pa.Table) -> tuple[Floats, Floats | None]:
        """Give decisions as numbers, NaN without an answer, and scores of the positive label where there are any."""
        decided, scores = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, table.num_rows, ASKED_AT_ONCE):
            batch = table.slice(start, ASKED_AT_ONCE)
            outputs = self._answer(batch)
            decided.append(np.full(batch.num_rows, np.nan))
            if outputs.labels is not None:
                said = labels(whole(outputs.labels))
                decided[-1] = np.array([self._number(name) for name in said.names])[said.codes]
            if outputs.scores is not None and self._positive in outputs.classes:
                scores.append(outputs.scores[:, outputs.classes.index(self._positive)])
        given = np.concatenate(scores)
        return np.concatenate(decided), given if len(given) == table.num_rows else None

    def _number(self, name: str) -> float:
        if name == MISSING:
            return float("nan")
        return self.names.setdefault(name, 1.0 if name == self._positive else len(self.names) + 2.0)
