"""The plan, a check's options and the environment: plain JSON arranged as rows of path and value."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

UNSET = "–"


def flattened(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk plain JSON as rows of dotted path and printed value.

    >>> list(flattened({"a": {"b": [1, 2]}, "c": [{"d": None}], "e": {}}))
    [('a.b', '1, 2'), ('c[1].d', '–'), ('e', '–')]
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flattened(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for place, item in enumerate(value, 1):
            yield from flattened(item, f"{path}[{place}]")
    else:
        yield path, plain(value)


def plain(value: JsonValue) -> str:
    """Print a JSON value as a plan has it, without quotes.

    >>> plain(True), plain([1, "a"]), plain(None), plain({"max": 0.1})
    ('true', '1, a', '–', 'max = 0.1')
    """
    if value is None or value in ({}, []):
        return UNSET
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{path} = {text}" for path, text in flattened(value))
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return json.dumps(value)


@dataclass(frozen=True)
class PlanSection:
    """A top-level entry of the plan: records of the same kind as a table, anything else as rows of path and value."""

    key: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def plan_sections(plan: Mapping[str, JsonValue]) -> tuple[PlanSection, ...]:
    """Arrange the plan, which is plain JSON, by its top-level keys, without its digest; single values come first."""
    single = {
        key: value
        for key, value in plan.items()
        if key != "digest" and (not isinstance(value, dict | list) or not value)
    }
    nested = [(key, value) for key, value in plan.items() if key not in single and key != "digest"]
    sections = [PlanSection("", (), tuple(flattened(single)))] if single else []
    return (*sections, *(_plan_section(key, value) for key, value in nested))


def _plan_section(key: str, value: JsonValue) -> PlanSection:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        records = [item for item in value if isinstance(item, dict)]
        set_keys = dict.fromkeys(k for record in records for k, v in record.items() if v not in (None, {}, []))
        return PlanSection(key, tuple(set_keys), tuple(tuple(plain(r.get(k)) for k in set_keys) for r in records))
    return PlanSection(key, (), tuple(flattened(value)) if isinstance(value, dict) else (("", plain(value)),))


def audit_name(plan: Mapping[str, JsonValue]) -> str:
    """Give the audit's name as the plan has it; empty where it has none."""
    audit = plan.get("audit")
    found = audit.get("name") if isinstance(audit, dict) else None
    return found if isinstance(found, str) else ""
