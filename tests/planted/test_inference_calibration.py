"""A small, seeded run of benchmarks/inference_calibration.py: coverage, false alarms and power of group fairness."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "inference_calibration.py"


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("inference_calibration", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_counted_resamples_are_fairlearns_bootstrap(calibration: ModuleType) -> None:
    """The same resamples, as rows to MetricFrame and as tables to us, give the same limits to the last bit."""
    assert calibration.equivalence(5, 10) == 0.0


@pytest.mark.parametrize(("k", "rows"), [(2, 2000), (5, 500)])
def test_intervals_cover(calibration: ModuleType, k: int, rows: int) -> None:
    """Pooled over five designs; three standard errors of 150 tables at .95 are .05."""
    names = ("parity gap", "parity ratio", "odds gap")
    found = [calibration.simulated(design, 30, names) for design in calibration.designs(k, rows)]
    for name in (*calibration.SINGLE, *names):
        shares = [figures[name][0] for figures in found if name in figures]
        assert len(shares) >= 4, name
        assert np.mean(shares) >= 0.90, name


def test_equal_groups_are_told_apart_from_unequal_ones(calibration: ModuleType) -> None:
    """fairlearn's interval excludes 0 on every table of equal groups; ours on about one in twenty."""
    equal = calibration.simulated(next(calibration.designs(5, 500)), 60, ("parity gap",))
    assert equal["fairlearn parity gap: no difference excluded"][0] == 1.0
    assert equal["fairlearn parity gap"][0] == 0.0
    assert equal["parity gap: no difference excluded"][0] <= 0.12
    assert equal["parity gap: gate fails"][0] <= 0.05
    apart = calibration.simulated(calibration.planted(0.2, 2, 2000), 20, ("parity gap",))
    assert apart["parity gap: gate fails"][0] >= 0.95
    assert apart["parity gap: p"][0] == 1.0


def test_a_table_has_the_rates_it_was_drawn_from(calibration: ModuleType) -> None:
    for design in calibration.designs(3, 3_000_000):
        assert design.cells.sum() == pytest.approx(1)
        table = calibration.draw(design, np.random.default_rng(0))
        for what in calibration.CELLS:
            n, x = calibration.shares(table, what)
            assert x / n == pytest.approx(design.rates(what), abs=0.01), (design.name, what)


def test_fairlearn_has_no_group_and_no_positives(calibration: ModuleType) -> None:
    """A group that is not in a resample is left out; a true positive rate without positives is 0."""
    table = np.array([[[0, 0], [0, 0]], [[5, 5], [0, 0]]])
    assert np.isnan(calibration.fairlearns_rates(table, "rows")[0])
    assert calibration.fairlearns_rates(table, "positives")[1] == 0
