"""Fairwitness: responsible-AI audits that report exactly what was observed, and how sure it is.

    from fairwitness.audit import Dataset, run

    evidence = run(model, Dataset(frame, target="default", sensitive=["sex"]))

Names are loaded when they are first used: pytest imports this package at every start.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairwitness.audit.dataset import Dataset
    from fairwitness.audit.errors import UserError
    from fairwitness.audit.evidence import Evidence, Measurement, Metric, NotAssessed
    from fairwitness.audit.plan import Gate, Plan, Waiver
    from fairwitness.audit.runner import run

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "dataset",
    "Evidence": "evidence",
    "Gate": "plan",
    "Measurement": "evidence",
    "Metric": "evidence",
    "NotAssessed": "evidence",
    "Plan": "plan",
    "UserError": "errors",
    "Waiver": "plan",
    "run": "runner",
}

__all__ = [
    "Dataset",
    "Evidence",
    "Gate",
    "Measurement",
    "Metric",
    "NotAssessed",
    "Plan",
    "UserError",
    "Waiver",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fairwitness.audit.{_HOMES[name]}"), name)
