"""Group fairness beside seven other tools: the same numbers, under which names, and how long each takes.

    python benchmarks/fairness_vs_peers.py --peers FOLDER [--peer aif360=/path/to/python] [--data FOLDER]

FOLDER (or $FAIRWITNESS_PEERS) holds a virtual environment a tool, `FOLDER/aif360/bin/python`, made by `python -m venv`
and `pip install aif360==0.6.1`; tools that are not there are skipped, and so are data sets ($FAIRWITNESS_DATA, or
shared/data beside the checkout). The first case is the worked table of docs/conventions.md; the others are decisions of
a logistic regression on rows it has not seen. Every tool reads the same CSV file, in `peers/ask.py`.

One name stands for several quantities. So each number is compared with what Fairwitness prints for the criterion, and
with the tool's own definition (`peer_definitions.py`), made from the rates that Fairwitness prints. Exits with 1 if the
latter differ by more than 1e-9. Times are of processor, in one run: a tool's for its numbers alone, ours for the whole
audit of `fairness.group`: reading, fingerprint, every rate, gap, interval and test; the last case is one of them with
every row twenty times. Every group is compared, however small (`min_denominator = 1`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peer_definitions import DEFINITIONS, Case, Told, worked
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairwitness.audit import Dataset, run

ROOT = Path(__file__).parents[1]
CLOSE = 1e-9
LOGGED = {"adapter": "logged", "prediction": "yhat", "score": "score"}
HEAD = ["tool", "its name", "Fairwitness prints", "its convention", "so from our rates", "its value", "difference"]
OPTIONS: dict[str, dict[str, Any]] = {
    "fairness.group": {"min_denominator": 1},
    "fairness.conditional": {"min_denominator": 1, "strata": "stratum"},
    "fairness.score": {"min_denominator": 1},
}
REPEATED, TIMES = "adult, sex", 20


def compas(folder: Path) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.Series], pd.Series]:
    """ProPublica's two-year recidivism, with its usual filter."""
    rows = pd.read_csv(folder / "compas-scores-two-years-deid.csv")
    kept = (
        rows["days_b_screening_arrest"].between(-30, 30) & (rows["is_recid"] != -1) & (rows["c_charge_degree"] != "O")
    )
    rows = rows[kept]
    names = ["age", "priors_count", "juv_fel_count", "juv_misd_count", "c_charge_degree"]
    return rows[names], rows["two_year_recid"], {"race": rows["race"], "sex": rows["sex"]}, rows["c_charge_degree"]


def adult(folder: Path) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.Series], pd.Series]:
    """Census income; the label is more than 50,000."""
    used = {
        0: "age",
        1: "work",
        4: "education",
        6: "occupation",
        8: "race",
        9: "sex",
        10: "gain",
        11: "loss",
        12: "hours",
    }
    rows = pd.read_csv(folder / "adult.data", header=None, skipinitialspace=True).rename(columns=used | {14: "income"})
    features = rows[["age", "work", "education", "occupation", "gain", "loss", "hours"]]
    degree = rows["education"].ge(13).map({True: "degree", False: "none"})
    return features, (rows["income"] == ">50K").astype(int), {"race": rows["race"], "sex": rows["sex"]}, degree


def german_credit(folder: Path) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.Series], pd.Series]:
    """Statlog German credit; the label is good credit."""
    rows = pd.read_csv(folder / "german.csv")
    sex = rows["personal_status"].isin(["A92", "A95"]).map({True: "female", False: "male"})
    young = rows["age"].le(25).map({True: "to 25", False: "over 25"})
    features = rows.drop(columns=["credit", "personal_status", "age", "foreign_worker"])
    return features, (rows["credit"] == 1).astype(int), {"sex": sex, "age": young}, rows["housing"]


def law_school(folder: Path) -> tuple[pd.DataFrame, pd.Series, dict[str, pd.Series], pd.Series]:
    """Passing the bar, balanced by weights in the fit, or nobody would be rejected."""
    rows = pd.read_csv(folder / "law_school_clean.csv")
    sex = rows["male"].map({1.0: "male", 0.0: "female"})
    features = rows[["lsat", "ugpa", "zfygpa", "zgpa", "fam_inc", "tier"]]
    full = rows["fulltime"].map({1.0: "full time", 2.0: "part time"})
    return features, rows["pass_bar"].astype(int), {"race": rows["race"], "sex": sex}, full


DATA: dict[str, Callable[[Path], tuple[pd.DataFrame, pd.Series, dict[str, pd.Series], pd.Series]]] = {
    "compas": compas,
    "adult": adult,
    "german_credit": german_credit,
    "law_school": law_school,
}


def cases(root: Path) -> Iterator[Case]:
    """The worked table, then every data set that is there by each attribute, and by its two largest groups."""
    yield worked()
    for name, load in DATA.items():
        if not (root / name).is_dir():
            print(f"skipped: no data set {name!r} (looked in --data, $FAIRWITNESS_DATA, shared/data)\n")
            continue
        X, y, attributes, stratum = load(root / name)
        fitted = np.random.default_rng(0).random(len(X)) < 0.5
        coded = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
            remainder=StandardScaler(),
        )
        model = make_pipeline(coded, LogisticRegression(max_iter=1000, class_weight="balanced"))
        model.fit(X[fitted], y[fitted])
        score = model.predict_proba(X[~fitted])[:, 1].round(6)
        given = {"y": y[~fitted], "yhat": (score > 0.5).astype(int), "score": score, "stratum": stratum[~fitted]}
        for attribute, groups in attributes.items():
            rows = pd.DataFrame(given).assign(group=groups[~fitted]).reset_index(drop=True)
            largest = rows["group"].value_counts().index[:2]
            yield Case(f"{name}, {attribute}", rows, largest[0])
            if f"{name}, {attribute}" == REPEATED:
                many = pd.concat([rows] * TIMES, ignore_index=True)
                yield Case(f"{REPEATED}, {TIMES} times", many, largest[0])
            if rows["group"].nunique() > 2:
                two = rows[rows["group"].isin(largest)].reset_index(drop=True)
                yield Case(f"{name}, {attribute}: {largest[1]} and {largest[0]}", two, largest[0])


def audited(case: Case) -> Told:
    """Everything that other tools' numbers can be made from."""
    sensitive, reference = ["group", "stratum"], {"group": case.reference}
    data = Dataset(case.rows, target="y", positive=1, sensitive=sensitive, reference=reference)
    return Told(run(LOGGED, data, checks=list(OPTIONS), options=OPTIONS), case)


def seconds(case: Case) -> float:
    """Processor time of our audit of group fairness."""
    data = Dataset(case.rows, target="y", positive=1, sensitive=["group"])
    run(LOGGED, data, checks=["fairness.group"])  # everybody's second time counts
    began = time.process_time()
    run(LOGGED, data, checks=["fairness.group"])
    return time.process_time() - began


def interpreters(given: list[str], folder: str | None) -> dict[str, Path]:
    """Where each tool's Python is."""
    named = dict(pair.split("=", 1) for pair in given)
    found = {tool: Path(named[tool]) for tool in DEFINITIONS if tool in named}
    for tool in DEFINITIONS:
        if tool not in found and folder and (Path(folder) / tool / "bin" / "python").exists():
            found[tool] = Path(folder) / tool / "bin" / "python"
        elif tool not in found:
            print(f"skipped: {tool}; no environment (--peer {tool}=PYTHON, --peers FOLDER or $FAIRWITNESS_PEERS)\n")
    return found


def asked(tool: str, python: Path, path: Path, reference: str) -> dict[str, Any]:
    """What a tool answers, in its own environment."""
    script = Path(__file__).parent / "peers" / "ask.py"
    answer = subprocess.run([python, script, tool, path, reference], capture_output=True, text=True, check=False)  # noqa: S603
    if answer.returncode:
        return {"tool": tool, "skipped": answer.stderr.strip().splitlines()[-1]}
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def compared(told: Told, answer: dict[str, Any]) -> Iterator[tuple[list[str], float]]:
    """A line of the table for every number of a tool, and how far it is from its definition."""
    for name, definition in DEFINITIONS[answer["tool"]].items():
        theirs, ours = answer["values"].get(name, float("nan")), definition.of(told)
        printed = "" if definition.printed is None else f"{told.printed(definition.printed):.4f}"
        apart = abs(theirs - ours)
        who = f"{answer['tool']} {answer['version']}"
        yield [who, name, printed, definition.convention, f"{ours:.4f}", f"{theirs:.4f}", f"{apart:.0e}"], apart


def print_table(head: list[str], rows: list[list[str]]) -> None:
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def main() -> int:
    """Ask everybody about every case, print, and say whether the definitions hold."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--peers", default=os.environ.get("FAIRWITNESS_PEERS"), help="a folder of environments")
    parser.add_argument("--peer", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--data", default=os.environ.get("FAIRWITNESS_DATA", ROOT.parent / "shared" / "data"))
    given = parser.parse_args()
    pythons = interpreters(given.peer, given.peers)
    times, summary, largest = [], [], 0.0
    for case in cases(Path(given.data)):
        told, ours, rows, apart = audited(case), seconds(case), [], []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.csv"
            case.rows.to_csv(path, index=False)
            for tool, python in pythons.items():
                answer = asked(tool, python, path, case.reference)
                if "skipped" in answer:
                    print(f"skipped: {tool} on {case.name}: {answer['skipped']}")
                    continue
                for row, difference in compared(told, answer):
                    rows.append(row)
                    apart.append(difference)
                took = f"{answer['seconds']:.3f}", f"{ours:.3f}", f"{answer['seconds'] / ours:.2f}"
                times.append([case.name, f"{len(case.rows):,}", tool, *took])
        print(f"\n{case.name}: {len(case.rows):,} rows, reference {case.reference}\n")
        print_table(HEAD, rows)
        there = [difference for difference in apart if not np.isnan(difference)]
        largest = max([largest, *there])
        counts = case.rows["group"].nunique(), len(there), len(apart) - len(there)
        summary.append([case.name, f"{len(case.rows):,}", *map(str, counts), f"{max(there, default=0.0):.0e}"])
    print_table(["case", "rows", "groups", "numbers compared", "undefined", "largest difference"], summary)
    print("CPU seconds: a tool's numbers, without intervals; our audit, with intervals and tests; ratio\n")
    print_table(["case", "rows", "tool", "tool's", "ours", "tool's / ours"], times)
    return int(largest > CLOSE)


if __name__ == "__main__":
    sys.exit(main())
