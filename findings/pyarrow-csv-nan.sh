#!/usr/bin/env bash
# One would guess that a table that pyarrow writes as CSV and reads back is the same table.
# What happens: NaN comes back as null, whatever the column's type is said to be. `write_csv` writes NaN as `nan` and null as nothing,
# so that the file tells them apart; `nan` is among the words that `read_csv` takes for null. pandas and Parquet keep a NaN.
# Version: pyarrow 26.0.1. Source: `ConvertOptions().null_values`; naming the words oneself, `null_values=[""]`, keeps NaN.
# Why it matters: a loss that was not finite looks like one that was not measured; means over the column skip it in silence, where a
# NaN would have made them NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
import math
import sys

import pyarrow
import pyarrow.compute
from pyarrow import csv

table = pyarrow.table({"step": [0, 1, 2], "loss": [1.0, math.nan, None]})
file = io.BytesIO()
csv.write_csv(table, file)
kinds = {"step": pyarrow.int64(), "loss": pyarrow.float64()}


def read(**options):
    return csv.read_csv(io.BytesIO(file.getvalue()), convert_options=csv.ConvertOptions(column_types=kinds, **options))["loss"]


told = {"written": table["loss"], "read back": read(), "read with null_values=['']": read(null_values=[""])}
print("pyarrow", pyarrow.__version__)
print(file.getvalue().decode())
for what, loss in told.items():
    print(f"{what}: {loss.to_pylist()}, mean {pyarrow.compute.mean(loss)}")
if [loss.null_count for loss in told.values()] != [1, 2, 1]:
    sys.exit("the behaviour is another one now")
PYTHON
