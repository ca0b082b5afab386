"""Options are keyword-only parameters: one mechanism for checks and for model adapters."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from fairwitness.audit.errors import UserError, nearest
from fairwitness.audit.measurement import Column, NotAssessed


def needs_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the positional parameters: what a function asks to be handed.

    >>> def measure(contingency, rng, *, level: float = 0.95): ...
    >>> needs_of(measure)
    ('contingency', 'rng')
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def takes_refusals(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the positional parameters that may be handed why an artifact is not there, by their annotation.

    >>> def measure(rows, overlap: int | NotAssessed): ...
    >>> sorted(takes_refusals(measure))
    ['overlap']
    """
    parameters = inspect.signature(function, eval_str=True).parameters
    return frozenset(name for name in needs_of(function) if NotAssessed in get_args(parameters[name].annotation))


def options_of(function: Callable[..., Any]) -> type[BaseModel]:
    """Make the pydantic model of a function's keyword-only parameters; it refuses unknown ones.

    >>> def measure(contingency, *, level: float = 0.95): ...
    >>> options_of(measure)().model_dump()
    {'level': 0.95}
    """
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    }
    return create_model("Options", __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False), **fields)


def checked_options(function: Callable[..., Any], given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Validate options given by a user.

    Args:
        function: what the options are for.
        given: options by name.
        where: file and key, the beginning of every message.

    Returns:
        Every option with its value, defaults filled in.

    Raises:
        UserError: an option is unknown, missing or of the wrong type.
    """
    model = options_of(function)
    try:
        return model.model_validate(dict(given)).model_dump()
    except ValidationError as error:
        raise UserError(explain(error, model, where=where)) from None


def columns_of(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Columns of the data that options name: those annotated with `Column`.

    Args:
        function: what the options are for.
        options: every option with its value.

    Returns:
        Names of columns by option; options that name none are left out.

    >>> from typing import Annotated
    >>> def measure(records, *, strata: Annotated[str | tuple[str, ...], Column()] = (), k: int = 5): ...
    >>> columns_of(measure, {"strata": "dept", "k": 5})
    {'strata': ('dept',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if any(isinstance(mark, Column) for mark in getattr(parameter.annotation, "__metadata__", ())):
            value = options[parameter.name]
            names = tuple(name for name in ((value,) if isinstance(value, str) else value or ()) if name)
            if names:
                found[parameter.name] = names
    return found


def explain(error: ValidationError, model: type[BaseModel], *, where: str) -> str:
    """Turn a validation error into one line: where, what was expected, and the nearest valid name."""
    # An unknown key is often a misspelt required one: it is the more useful of the two messages.
    first, *others = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    # Of a value with several allowed types, pydantic names the type it tried last in the place.
    key = ".".join(str(part) for part in first["loc"] if "[" not in str(part) and part not in SCALARS)
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        message = f"unknown key{nearest(str(first['loc'][-1]), known)}"
    elif first["type"] == "missing":
        message = "is required, and missing"
    elif first["type"] == "value_error":
        message = str(first["ctx"]["error"])
    else:
        found = repr(first["input"])
        expected = first["msg"].replace("Input should be", "expected").replace("valid tuple", "list")
        message = f"{expected}, found {found if len(found) <= 60 else found[:57] + '...'}"
        if first["type"] == "literal_error" and isinstance(first["input"], str):
            message += nearest(first["input"], _quoted(first["ctx"]["expected"]))
    separator = "." if where and key and not where.endswith(": ") else ""
    return f"{(where + separator + key).removesuffix(': ')}: {message}{more}"


SCALARS = ("str", "bool", "int", "float")


def _quoted(expected: str) -> list[str]:
    return [part for index, part in enumerate(expected.split("'")) if index % 2]


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that stands at a location inside another."""
    for part in location:
        field = model.model_fields.get(str(part)) if isinstance(part, str) else None
        if field is not None:
            inner = [t for t in _types_in(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
            if inner:
                model = inner[0]
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[Any]:
    """Flatten `tuple[A, ...] | B | None` into the types it is made of."""
    arguments = getattr(annotation, "__args__", ())
    return [annotation] if not arguments else [t for argument in arguments for t in _types_in(argument)]
