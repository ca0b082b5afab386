"""Ask one other tool for its numbers, inside its own environment: `python ask.py TOOL rows.csv REFERENCE`.

Prints one line of JSON: {"tool", "version", "seconds", "values"}, or {"tool", "skipped"} with the reason. The file has
columns `y`, `yhat`, `score`, `group` and `stratum`; labels are 0 and 1. Nothing here needs fairwitness. Seconds are of
processor time for the numbers alone, asked for a second time: starting, importing and reading the file do not count.
"""

import importlib
import importlib.metadata
import json
import math
import sys
import time
import warnings

import pandas as pd


def main() -> None:
    """Read, ask, print."""
    tool, path, reference = sys.argv[1:]
    try:
        peer = importlib.import_module(f"with_{tool}")
        version = importlib.metadata.version(tool)
    except ImportError as error:
        print(json.dumps({"tool": tool, "skipped": f"not installed there: {error}"}))
        return
    rows = pd.read_csv(path, dtype={"group": str, "stratum": str})
    if peer.TWO_GROUPS and rows["group"].nunique() != 2:
        print(json.dumps({"tool": tool, "skipped": "compares two groups at a time"}))
        return
    warnings.simplefilter("ignore")
    peer.values(rows, reference)
    began = time.process_time()
    values = peer.values(rows, reference)
    seconds = time.process_time() - began
    plain = {name: float(value) for name, value in values.items()}
    plain = {name: value for name, value in plain.items() if math.isfinite(value)}
    print(json.dumps({"tool": tool, "version": version, "seconds": seconds, "values": plain}))


if __name__ == "__main__":
    main()
