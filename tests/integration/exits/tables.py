import json
import math
import pathlib
import sys

import pandas
import pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
expected = []
for run in ("whole", "diverged"):
    for line in (folder / f"{run}.jsonl").read_text().splitlines():
        row = json.loads(line)
        row.pop("nonfinite", None)
        expected.append({"run": run, **{name: math.nan if value is None else value for name, value in row.items()}})
names = list(dict.fromkeys(name for row in expected for name in row))
FIRST = ["run", "step", "epoch", "seconds"]
values = [{**{n: row[n] for n in FIRST}, "name": n, "value": v} for row in expected for n, v in row.items() if n not in FIRST]
assert any(math.isnan(value["value"]) for value in values), "a value that is not finite"


def same(one, other):
    return one == other or (isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other))


def check(found, wanted, columns):
    assert list(found[0]) == columns, (list(found[0]), columns)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        for name in columns:
            assert same(one[name], other.get(name)), (name, one[name], other.get(name))


wide = pyarrow.parquet.read_table(folder / "wide.parquet")
check(wide.to_pylist(), expected, names)  # a gap is null, a value that is not finite is NaN
kinds = {field.name: str(field.type) for field in wide.schema}
assert (kinds["run"], kinds["step"], kinds["epoch"]) == ("string", "int64", "int64"), kinds
assert {kind for name, kind in kinds.items() if name not in ("run", "step", "epoch")} == {"double"}, kinds
check(pyarrow.parquet.read_table(folder / "long.parquet").to_pylist(), values, [*FIRST, "name", "value"])
frame = pandas.read_csv(folder / "wide.csv", float_precision="round_trip")
assert list(frame.columns) == names and str(frame["step"].dtype) == "int64"
pandas.testing.assert_frame_equal(frame, pandas.DataFrame(expected)[names], check_exact=True, check_dtype=False)
frame = pandas.read_csv(folder / "long.csv", float_precision="round_trip")
pandas.testing.assert_frame_equal(frame, pandas.DataFrame(values), check_exact=True, check_dtype=False)
print(len(expected), "rows,", len(values), "values: equal")
