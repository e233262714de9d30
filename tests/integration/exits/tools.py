import json
import math
import os
import sys
from datetime import datetime
from pathlib import Path

folder = Path(sys.argv[1])


def expected(name):
    """The rows of a run, the time of each, and all names, from its own files."""
    run = folder / "runs" / name
    began = json.loads((run / "history.json").read_text())["parts"][0]["began"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("nonfinite", None)
        row.update((name, math.nan) for name, value in row.items() if value is None)
    times = [began + row["seconds"] for row in rows]
    return {"rows": (rows, times), "names": sorted({name for row in rows for name in row} - {"step"})}


def point(row, metric, time):
    """A value as MLflow tells it."""
    return row["step"], int(time * 1000), str(float(row[metric]))


def equal(name, logs, times, merged=False):
    """Whether the rows of a store are those of a run; `merged`: the rows of one step are one there, at the time of the last."""
    rows, wanted = expected(name)["rows"]
    if merged:
        whole = {}
        for row, time in zip(rows, wanted):
            values, _ = whole.get(row["step"], ({}, None))
            whole[row["step"]] = {**values, **row}, time
        rows, wanted = [row for row, _ in whole.values()], [time for _, time in whole.values()]
    assert len(logs) == len(rows) > 3, (len(logs), len(rows))
    for log, row, one, other in zip(logs, rows, times, wanted):
        # NaN, or the word for it
        told = {key: "NaN" if isinstance(value, float) and math.isnan(value) else value for key, value in log.items()}
        meant = {key: "NaN" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        assert told == meant, (told, meant)
        assert abs(one - other) < 1e-5, (one, other)
