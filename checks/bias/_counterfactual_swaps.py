"""Swapping the words of a text along one axis: whole words, longest first, with their case, and only reversibly."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fairwitness.checks.bias._counterfactual_lexicon import BEFORE_WORD, Axis

# Neither letters, digits nor hyphens may touch a word: `man` is not in `human`, nor in `man-made`.
_LEFT, _RIGHT = r"(?<![\w-])", r"(?![\w-])"


@dataclass(frozen=True)
class Swapper:
    """Finds and moves the words of one axis.

    Attributes:
        size: number of terms.
        words_apart: whether spaces stand between words.
        lines: lines of words, those before another word without their mark.
        pattern: finds words in lower case, the longest of those that begin at a place; one that asks for another word
            behind it ends with an empty group.
        places: line and position of words, with their mark; line -1 for a phrase to keep.
        hints: what a text must contain, in lower case, to be searched at all: first words, or words.
    """

    size: int
    words_apart: bool
    lines: tuple[tuple[str, ...], ...]
    pattern: re.Pattern[str]
    places: dict[str, tuple[int, int]]
    hints: frozenset[str]

    @classmethod
    def of(cls, axis: Axis, *, words_apart: bool, function_words: tuple[str, ...] = ()) -> "Swapper":
        """Make the swapper of an axis."""
        places = {phrase.lower(): (-1, 0) for phrase in axis.keep}
        places |= {word.lower(): (i, j) for i, line in enumerate(axis.words) for j, word in enumerate(line) if word}
        words = [word for line in axis.words for word in line if word]
        # Of two words as long, the one that asks for another word behind it goes first.
        ordered = sorted({*words, *axis.keep}, key=lambda word: (-len(word.rstrip(BEFORE_WORD)), -len(word), word))
        stops = "|".join(re.escape(word) for word in function_words)
        another = rf"(?=\s+(?!(?:{stops}){_RIGHT})[^\W\d_])" if stops else r"(?=\s+[^\W\d_])"
        parts = [re.escape(_plain(w).lower()) + (f"{another}()" if w.endswith(BEFORE_WORD) else "") for w in ordered]
        joined = "|".join(parts) or "(?!)"
        source = f"{_LEFT}(?:{joined}){_RIGHT}" if words_apart else f"(?:{joined})"
        hints = frozenset(
            (re.findall(r"\w+", word) or [word])[0].lower() if words_apart else word for word in map(_plain, words)
        )
        return cls(
            size=len(axis.terms),
            words_apart=words_apart,
            lines=tuple(tuple(map(_plain, line)) for line in axis.words),
            pattern=re.compile(source),
            places=places,
            hints=hints,
        )

    def hinted(self, text: str, tokens: frozenset[str]) -> bool:
        """Whether a text is worth searching; `tokens` are its words in lower case."""
        return bool(self.hints & tokens) if self.words_apart else any(hint in text for hint in self.hints)

    def found(self, text: str) -> frozenset[int]:
        """Which terms the words of a text stand for, by position."""
        places = (self._place(match) for match in self.pattern.finditer(lowered(text)))
        return frozenset(position for line, position in places if line >= 0)

    def shifted(self, text: str, by: int) -> str | None:
        """Move every word of a text along its line.

        Args:
            text: any text.
            by: number of places.

        Returns:
            The text with other words; None where a word has no partner there, where its case follows no rule, where
            nothing changes, or where moving back would not give the text again.
        """
        moved = self._moved(text, by)
        return moved if moved is not None and moved != text and self._moved(moved, -by) == text else None

    def _place(self, match: re.Match[str]) -> tuple[int, int]:
        return self.places[match[0] + (BEFORE_WORD if match.lastindex else "")]

    def _moved(self, text: str, by: int) -> str | None:
        parts, end = [], 0
        for match in self.pattern.finditer(lowered(text)):
            line, position = self._place(match)
            if line < 0:
                continue
            own, other = self.lines[line][position], self.lines[line][(position + by) % self.size]
            written = recased(text[match.start() : match.end()], own, other) if self.words_apart else other
            if not written:
                return None
            parts += [text[end : match.start()], written]
            end = match.end()
        return "".join([*parts, text[end:]])


def lowered(text: str) -> str:
    """Text in lower case, every letter in its place: one whose lower case is longer stays as it is.

    >>> lowered("İ Am"), len("İ".lower())
    ('İ am', 2)
    """
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _plain(word: str) -> str:
    return word.removesuffix(BEFORE_WORD)


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _capitals(word: str) -> str:
    return re.sub(r"(?<![^\s-])\w", lambda letter: letter[0].upper(), word.lower())


_CASES: tuple[tuple[Callable[[str], bool], Callable[[str], str]], ...] = (
    (str.islower, str.lower),
    (lambda word: word.isupper() and sum(map(str.isalpha, word)) > 1, str.upper),
    (lambda word: word == _capital(word.lower()), lambda word: _capital(word.lower())),
    (lambda word: word == _capitals(word), _capitals),
)


def recased(found: str, own: str, other: str) -> str:
    """Write a word in the case of the one it stands for; "" where that one follows no rule.

    Args:
        found: the word as it stands in the text.
        own: as it stands in the lexicon.
        other: the word to be written, likewise.

    >>> recased("HE", "he", "she"), recased("Black", "black", "asian"), recased("muslim", "Muslim", "Hindu")
    ('SHE', 'Asian', 'hindu')
    >>> recased("Muslim", "Muslim", "Hindu"), recased("gAy", "gay", "lesbian")
    ('Hindu', '')
    """
    if found == own and not own.islower():
        return other
    return next((write(other) for rule, write in _CASES if rule(found)), "")
