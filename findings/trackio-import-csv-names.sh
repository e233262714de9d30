#!/usr/bin/env bash
# One would guess that `trackio.import_csv` gives each metric the name of its column, as `trackio.log` does with the key.
# What happens: a name is cut to its first ten letters, digits and slashes. `validation_loss` and `validation_accuracy` become
# `validation` and `validation_1`, in the order of the columns; with the columns the other way round the names change places.
# Version: trackio 0.43.0. Source: `simplify_column_names` in trackio/utils.py; the names that it makes are printed, no more.
# Why it matters: two files of one experiment whose columns stand in another order give runs whose curves of one name are
# different metrics, drawn over one another. A run that is handed over through the client keeps its names.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir trackio==0.43.0
cd "$folder"
TRACKIO_DIR=$folder/store "$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import pathlib
import sys

import trackio
from trackio.sqlite_storage import SQLiteStorage

columns = {"one": ("validation_loss", "validation_accuracy"), "two": ("validation_accuracy", "validation_loss")}
value = {"validation_loss": 0.25, "validation_accuracy": 90.0}
found = {}
for run, names in columns.items():
    path = pathlib.Path(f"{run}.csv")
    path.write_text(f"step,{','.join(names)}\n0,{','.join(str(value[name]) for name in names)}\n")
    with contextlib.redirect_stdout(io.StringIO()):
        trackio.import_csv(path, project=run, name=run)
    [log] = SQLiteStorage.get_logs(run, run)
    found[run] = {name: log[name] for name in log if name not in ("step", "timestamp")}
print("trackio", trackio.__version__)
for run, metrics in found.items():
    print(f"{','.join(columns[run])}: {metrics}")
if found != {"one": {"validation": 0.25, "validation_1": 90.0}, "two": {"validation": 90.0, "validation_1": 0.25}}:
    sys.exit("the behaviour is another one now")
PYTHON
