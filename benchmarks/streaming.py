"""Memory and time of an audit over a large Parquet file of logged predictions.

    python benchmarks/streaming.py                     1 M and 10 M rows
    python benchmarks/streaming.py --rows 50000000     one size more
    python benchmarks/streaming.py --check performance.classification --weight

Each audit runs in a process of its own, so that its peak memory is its own. Exits with 1 if a budget is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = (1_000_000, 10_000_000)
CHUNK = 500_000  # rows written at once
PEAK_MB, TEN_TIMES_ROWS = 1024, 11  # budgets, docs/design.md


def write(path: Path, rows: int) -> None:
    """Write logged predictions chunk by chunk: two sensitive columns, a score, a weight."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        y = rng.integers(0, 2, n)
        score = 1 / (1 + np.exp(-rng.normal(y - 0.5, 1)))
        table = pa.table(
            {
                "sex": pa.DictionaryArray.from_arrays(rng.integers(0, 2, n), ["Female", "Male"]),
                "race": pa.DictionaryArray.from_arrays(rng.integers(0, 6, n), list("ABCDEF")),
                "y": y,
                "yhat": (score > 0.5).astype(np.int64),
                "score": score,
                "weight": rng.exponential(1, n),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def audit(path: Path, check: str, *, weighted: bool) -> dict[str, float]:
    """Audit a file; give seconds and peak memory in MB."""
    from fairwitness.audit import Dataset, run

    began = time.perf_counter()
    data = Dataset(path, target="y", positive=1, sensitive=["sex", "race"], weight="weight" if weighted else None)
    model = {"adapter": "logged", "prediction": "yhat"}
    scored = {} if check == "fairness.group" else {"score": "score"}
    (result,) = run(model | scored, data, checks=[check]).checks
    if result.status != "ok":
        raise SystemExit(f"{check}: {result.reason}")
    took = time.perf_counter() - began
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": took, "peak": kilobytes / (1 << 20 if sys.platform == "darwin" else 1 << 10)}


def measured(path: Path, arguments: list[str]) -> dict[str, float]:
    """Audit a file in a process of its own."""
    done = subprocess.run(  # noqa: S603  this file, by this interpreter
        [sys.executable, __file__, "--file", str(path), *arguments], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Audit files of growing size and hold them against the budgets."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rows", type=int, help="a size more, say 50000000")
    parser.add_argument("--check", default="fairness.group")
    parser.add_argument("--weight", action="store_true", help="with row weights")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.file:
        print(json.dumps(audit(given.file, given.check, weighted=given.weight)))
        return 0
    sizes = sorted({*ROWS, *([given.rows] if given.rows else [])})
    passed = ["--check", given.check, *(["--weight"] if given.weight else [])]
    found = {}
    print(f"{given.check}{', weighted' if given.weight else ''}: budgets: peak under {PEAK_MB} MB, ", end="")
    print(f"ten times the rows in at most {TEN_TIMES_ROWS} times the time")
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder, f"{rows}.parquet")
            write(path, rows)
            found[rows] = measured(path, passed)
            path.unlink()
            print(f"{rows:>12,} rows {found[rows]['seconds']:8.1f} s {found[rows]['peak']:8.0f} MB", flush=True)
    missed = any(one["peak"] > PEAK_MB for one in found.values())
    for fewer, more in pairwise(sizes):
        ratio, allowed = found[more]["seconds"] / found[fewer]["seconds"], more / fewer * TEN_TIMES_ROWS / 10
        print(f"{more / fewer:g} x rows: {ratio:.2f} x time (budget {allowed:g})")
        missed |= ratio > allowed
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
