"""Lexicons: identity terms by axis, neutral words and sentences with a slot, read from TOML."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fairwitness.audit.errors import UserError, nearest

SHIPPED = ("en", "zh")
SLOT = "{term}"
NEUTRAL = "neutral"  # name of the axis of neutral words
BEFORE_WORD = "…"  # behind a word: it counts only before another word


class Axis(BaseModel):
    """Terms of one axis of identity, and the words that stand for them.

    Attributes:
        terms: names, which sentences are filled with.
        words: lines with one word for each term; "" where a term has none.
        keep: phrases in which a word means something else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: tuple[str, ...] = Field(min_length=2)
    words: tuple[tuple[str, ...], ...] = ()
    keep: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_place_each(self) -> Self:
        if len(set(self.terms)) < len(self.terms):
            raise ValueError("terms are not all different")
        seen: set[str] = set()
        for line in self.words:
            if len(line) != len(self.terms):
                raise ValueError(f"line {list(line)} has {len(line)} words, and there are {len(self.terms)} terms")
            for word in filter(None, line):
                if word.lower() in seen:
                    raise ValueError(f"{word!r} stands in two places, so it cannot be swapped back")
                seen.add(word.lower())
        return self


class Templates(BaseModel):
    """Sentences with the slot `{term}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    harmless: tuple[str, ...] = ()
    harmful: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _with_a_slot(self) -> Self:
        for sentence in (*self.harmless, *self.harmful):
            if SLOT not in sentence:
                raise ValueError(f"{sentence!r} has no slot {SLOT}")
        return self


class Lexicon(BaseModel):
    """Everything that is known of one language.

    Attributes:
        language: its code.
        words_apart: whether spaces stand between words.
        function_words: words before which a word with `…` does not count.
        axes: axes of identity, by name.
        neutral: words that no decision about people should hang on.
        templates: sentences to be filled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    words_apart: bool = True
    function_words: tuple[str, ...] = ()
    axes: dict[str, Axis] = Field(min_length=1)
    neutral: Axis
    templates: Templates = Templates()

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if NEUTRAL in self.axes:
            raise ValueError(f"an axis cannot be called {NEUTRAL!r}")
        return self


def lexicon_of(name: str, folder: Path, where: str) -> Lexicon:
    """Read a lexicon.

    Args:
        name: one that comes with the project, or the path of a TOML file of the same form.
        folder: what a relative path is relative to.
        where: the beginning of messages.

    Raises:
        UserError: there is no such lexicon, or it is not of that form.
    """
    if name in SHIPPED:
        text = files("fairwitness.checks").joinpath("bias", "lexicons", f"{name}.toml").read_text(encoding="utf-8")
        return Lexicon.model_validate(tomllib.loads(text))
    if not name.endswith(".toml"):
        raise UserError(f"{where}: no lexicon {name!r}, and no .toml file{nearest(name, SHIPPED)}")
    try:
        return Lexicon.model_validate(tomllib.loads((folder / name).read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{where}: {name}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: {name} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {name}: {key or 'lexicon'}: {first['msg']}") from None
