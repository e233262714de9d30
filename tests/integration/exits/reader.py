import importlib
import json
import math
from pathlib import Path

import infomax_read
from infomax_read import Run, runs

folder = Path(sys.argv[1]) / "runs"
states = {run.name: run.state for run in runs(folder)}
assert states == {"whole": "done", "diverged": "diverged", "torn": "lost", "running": "training"}, states
run = Run(folder / "whole")
lines = [json.loads(line) for line in (folder / "whole/metrics.jsonl").read_text().splitlines()]
assert run.rows == lines and len(Run(folder / "torn").rows) == len(lines) - 1
assert all(len(column) == len(lines) for column in run.metrics.values())
steps, losses = run.curve("loss")
assert steps == list(range(1, 15)) and losses == [line["loss"] for line in lines if "loss" in line]
assert run.terms == ["loss/g2l_1t5", "loss/g2l_1t7", "loss/g2l_5t5", "loss/lgt_reg", "loss/linear", "loss/mlp"], run.terms
assert run.results["linear_top1"] == lines[-1]["linear_top1"] and "untrained_linear_top1" in run.results and "loss" not in run.results
assert run.settings["train.seed"] == run.config["train"]["seed"] == 1 and run.settings["train.batch_size"] == 16
assert run.identity["provenance"]["command"][1] == "train" and run.history[0]["from_step"] == 0
assert run.views()[:4] == b"\x89PNG" and run.evaluation is None
assert any(math.isnan(value) for row in Run(folder / "diverged").rows for value in row.values())
# Without tomllib, as before Python 3.11.
flat, nested = run.settings, run.config
sys.modules["tomllib"] = None
importlib.reload(infomax_read)
older = infomax_read.Run(folder / "whole")
assert infomax_read.tomllib is None and older.settings == flat, {k: (v, flat.get(k)) for k, v in older.settings.items() if flat.get(k) != v}
assert older.config == nested
