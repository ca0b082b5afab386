"""`pytest audit.toml`: one test a gate, collected only when it is named."""

import subprocess
import sys

import pytest

TABLE = """
import numpy as np, pandas as pd
def table():
    n = 4000
    y = np.arange(n) % 2
    return pd.DataFrame({"sex": np.where(np.arange(n) < n / 2, "F", "M"), "y": y, "yhat": y})
"""
PLAN = """
[model]
adapter = "logged"
prediction = "yhat"
[data]
path = "source:table"
target = "y"
sensitive = ["sex"]
[checks]
select = ["fairness.group"]
"""
GAP = "fairness.group.demographic_parity_difference"
PASSES = f'[[gates]]\nmetric = "{GAP}"\nmax = 0.5\n'
FAILS = '[[gates]]\nmetric = "performance.classification.accuracy"\nmax = 0.5\n'
RATE = '[[gates]]\nmetric = "fairness.group.selection_rate"\nattribute = "sex"\nmax = 0.5\n'
WARNS = f'{RATE}group = "F"\non_inconclusive = "warn"\n'
BLOCKS = f'{RATE}group = "M"\nid = "blocks"\n'
WAIVED = (
    '[[gates]]\nid = "waived"\nmetric = "performance.classification.recall"\nmax = 0.5\n'
    '[[waivers]]\nid = "waived"\nreason = "r"\nowner = "o"\nexpires = 2999-01-01\n'
)
CRASHES = """
import fairwitness.checks.fairness.group as group
def crashing(contingency, rng, *, level: float = 0.95, min_denominator: int = 10):
    raise RuntimeError("out of luck")
    yield
group.measure = crashing
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(source=TABLE)
    return pytester


def write(folder: pytest.Pytester, text: str, name: str = "audit") -> None:
    folder.makefile(".toml", **{name: text})


def test_each_gate_is_a_test_with_its_verdict(folder: pytest.Pytester) -> None:
    write(folder, PLAN + PASSES + FAILS + WARNS + BLOCKS + WAIVED)
    result = folder.runpytest_subprocess("audit.toml", "-rA")
    result.assert_outcomes(passed=1, failed=2, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines_random(
        [
            f"PASSED audit.toml::{GAP}",
            "FAILED audit.toml::performance.classification.accuracy*",
            "SKIPPED*selection_rate?sex=F?*The interval contains the bound*",
            "FAILED audit.toml::blocks*",
            "XFAIL audit.toml::waived - waived: *A waiver accepts this until 2999-01-01*",
        ]
    )
    result.stdout.fnmatch_lines_random(
        ["fail: performance.classification.accuracy 1 *against max 0.5: The whole inter*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_one_gate_can_be_chosen_by_its_name(folder: pytest.Pytester) -> None:
    write(folder, PLAN + PASSES + FAILS)
    folder.runpytest_subprocess(f"audit.toml::{GAP}").assert_outcomes(passed=1)


def test_crash_of_the_gates_check_is_an_error_of_that_gate_alone(folder: pytest.Pytester) -> None:
    folder.makeconftest(CRASHES)
    write(folder, PLAN + PASSES + '[[gates]]\nmetric = "performance.classification.accuracy"\nmin = 0.5\n')
    result = folder.runpytest_subprocess("audit.toml")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*check fairness.group crashed:*", "*RuntimeError: out of luck*"])


def test_plan_that_cannot_be_used_is_an_error_in_one_line(folder: pytest.Pytester) -> None:
    write(folder, PLAN.replace("target", "targt") + PASSES, "bad_key")
    write(folder, PLAN, "no_gates")
    write(folder, PLAN.replace("source:table", "nowhere.parquet") + PASSES, "no_data")
    result = folder.runpytest_subprocess(
        "bad_key.toml", "no_gates.toml", "no_data.toml", "--continue-on-collection-errors"
    )
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "*bad_key.toml: data.targt: unknown key; did you mean 'target'?*",
            "*no_gates.toml: the plan has no gates*",
            "*no_data.toml: data.path: no such file: nowhere.parquet*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_plan_that_is_not_named_is_left_alone_and_the_fixture_audits(folder: pytest.Pytester) -> None:
    write(folder, PLAN + FAILS)
    folder.makepyfile(
        test_model="""
        from fairwitness.audit import Dataset
        from source import table

        def test_gap(fairwitness_audit):
            data = Dataset(table(), target="y", sensitive=["sex"])
            evidence = fairwitness_audit({"adapter": "logged", "prediction": "yhat"}, data, checks=["fairness.group"])
            assert evidence.find("fairness.group.demographic_parity_difference", attribute="sex").value == 0
        """
    )
    folder.runpytest_subprocess().assert_outcomes(passed=1)


def test_other_toml_files_are_no_business_of_the_plugin(folder: pytest.Pytester) -> None:
    write(folder, "[tool.something]\nx = 1", "pyproject")
    folder.makepyfile(test_nothing="def test_nothing(): pass")
    folder.runpytest_subprocess(".").assert_outcomes(passed=1)


def test_start_of_pytest_loads_nothing_of_the_engine() -> None:
    code = (
        "import sys; before = set(sys.modules); import fairwitness.audit.pytest_plugin; "
        "loaded = set(sys.modules) - before; heavy = {'numpy', 'pandas', 'pyarrow', 'pydantic', 'scipy', 'sklearn'}; "
        "assert not heavy & loaded, heavy & loaded"
    )
    done = subprocess.run([sys.executable, "-c", f"import pytest; {code}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
