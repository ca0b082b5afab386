"""What all tests share: real data where it is, and nothing made up to take its place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Property tests draw the same examples on every machine, and a busy machine does not fail them.
settings.register_profile("fairwitness", deadline=None, derandomize=True)
settings.load_profile("fairwitness")

ROOT = Path(__file__).parents[1]
pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give a folder of real data by name; skip, with the reason, where it is absent.

    The folder is `$FAIRWITNESS_DATA`, or `shared/data` beside the checkout.
    """
    root = Path(os.environ.get("FAIRWITNESS_DATA", ROOT.parent / "shared" / "data"))

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"the data set {name!r} is not on this machine (looked in $FAIRWITNESS_DATA or ../shared/data)")
        return root / name

    return folder
