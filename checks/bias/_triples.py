"""Triples: a stereotype, its opposite and something meaningless in one blank. Reads StereoSet; builds our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fairwitness.checks.bias._sources import Language, Source, own, read, text_of

BLANK = "BLANK"
_LABELS = ("stereotype", "anti-stereotype", "unrelated")


@dataclass(frozen=True)
class Triple:
    """One context with three fillings.

    Attributes:
        context: a sentence with the word BLANK.
        sentences: the sentence with a stereotype, with its opposite, and with something unrelated.
        category: the kind of bias.
        target: the word for those who are spoken of.
    """

    context: str
    sentences: tuple[str, str, str]
    category: str
    target: str


def triples(path: str, language: Language, *, where: str) -> tuple[tuple[Triple, ...], Source]:
    """Intrasentence items of a StereoSet file (its own JSON, or one object a line); without one, the project's own."""
    if not path:
        data, source = own(language)
        return tuple(_own(data["triples"])), source
    source = read(path, ("*.jsonl", "dev.json", "test.json"), where=where)
    found = tuple(triple for part, text in source.parts for triple in _stereoset(part, text, source))
    if not found:
        raise source.wrong(source.name, "holds no intrasentence items of StereoSet")
    return found, source


def _stereoset(part: str, text: str, source: Source) -> Iterator[Triple]:
    """Both layouts of the development set of Nadeem et al. (2021)."""
    if part.endswith(".json"):
        document = source.parsed(part, text)
        try:
            for item in document["data"]["intrasentence"]:
                said = {each["gold_label"]: each["sentence"] for each in item["sentences"]}
                yield _triple(item | said, source, part)
        except (TypeError, KeyError) as error:
            raise source.wrong(part, f"not StereoSet: {type(error).__name__}: {error}") from None
        return
    for item in source.lines(part, text):
        if item.get("type", "intrasentence") == "intrasentence":
            yield _triple(item, source, part)


def _triple(item: dict[str, Any], source: Source, part: str) -> Triple:
    context, category, target = (text_of(item, key, source, part) for key in ("context", "bias_type", "target"))
    first, second, third = (text_of(item, label, source, part) for label in _LABELS)
    return Triple(context, (first, second, third), category, target)


def _own(groups: list[dict[str, Any]]) -> Iterator[Triple]:
    for group in groups:
        for target, words in group["targets"].items():
            for frame in group["contexts"]:
                context = frame.replace("{target}", target)
                first, second, third = (context.replace(BLANK, word) for word in words)
                yield Triple(context, (first, second, third), group["category"], target)
