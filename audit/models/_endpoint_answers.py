"""Which label a language model's answer means."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal

Match = Literal["whole", "within"]

ROUND_AN_ANSWER = " \t\r\n\"'`*_.,;:!?()[]{}<>«»“”‘’。，！？；：、"


def plainly(text: str) -> str:
    """An answer without case, white space and marks around it.

    >>> plainly(' **"Positive".** ')
    'positive'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().strip(ROUND_AN_ANSWER).split())


def meant(said: str, answers: Mapping[str, str], match: Match) -> str | None:
    """The label that an answer means; None for one that fits none, or several.

    >>> answers = {"toxic": "1", "not toxic": "0"}
    >>> [meant(said, answers, "whole") for said in ("Toxic.", "It is toxic")]
    ['1', None]
    >>> [meant(said, answers, "within") for said in ("It is not toxic!", "Toxic, or not toxic", "intoxicating")]
    ['0', None, None]
    """
    plain = plainly(said)
    if plain in answers or match == "whole":
        return answers.get(plain)
    # The longest first, so that "not toxic" is not also "toxic"; words end where letters do, in scripts that do so.
    parts = [re.escape(a) if not a.isascii() else rf"(?<!\w){re.escape(a)}(?!\w)"
             for a in sorted(answers, key=len, reverse=True)]  # fmt: skip
    found = {answers[part] for part in re.findall("|".join(parts), plain)}
    return found.pop() if len(found) == 1 else None
