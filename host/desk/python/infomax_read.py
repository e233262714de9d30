"""Reads what infomax writes, and hands runs to Trackio, MLflow and Weights & Biases.

    from infomax_read import runs, Run, study

    run = Run("runs/shapes-demo-1")
    run.state, run.settings["train.seed"], run.results["linear_top1"]
    run.frame()                       # metrics as a pandas DataFrame; run.metrics without pandas
    run.features("test")["features"]  # of `infomax embed`; run.encoder() has the weights
    study("shapes-six").frame()       # a row for each cell: settings, seed, state, results

    python infomax_read.py runs runs
    python infomax_read.py trackio runs/*          # or mlflow, wandb: through your own installed client

Python 3.9 or newer and its standard library; safetensors for tensors, pandas for data frames. A run may still be going on, or have
been killed: a torn last line of its metrics is left out. A value that is not finite is NaN; one that a row has not is None.
"""

import argparse
import csv
import datetime
import hashlib
import json
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None
try:
    import tomllib
except ImportError:  # before Python 3.11
    tomllib = None

METRICS = "metrics.jsonl"
PROJECT = "infomax"
CLOCK = ("step", "epoch", "seconds")
ALIVE = 60  # seconds that another machine's process counts as alive without a sign of life
LEASED = 600  # seconds that another machine's work on a study's cell counts without one
UNWRITTEN = 5  # seconds that a lease may be empty
DIVERGED = 6  # exit code of a run whose values were not finite
ASKED_TO_END = ((75, 130), (signal.SIGTERM, signal.SIGINT, *(getattr(signal, name) for name in ("SIGUSR1", "SIGHUP") if hasattr(signal, name))))
HELD_PARAMETER = 6000  # characters of a parameter's value that MLflow keeps


def runs(folder="runs"):
    """All runs below a folder, by path: also those of studies' cells."""
    found = (Path(path) for path, _, files in os.walk(folder) if "config.toml" in files and (METRICS in files or "run.json" in files))
    # What failed of a cell is put aside, and is none of its results.
    return [Run(path) for path in sorted(found) if not (path.name.startswith("run-failed") and path.parent.parent.name == "cells")]


def study(name, folder="runs"):
    """The study of this name, or of this file, whose cells lie below the folder of runs."""
    return Study(name, folder)


class Run:
    """A run directory. Files are read when they are asked for, each time anew."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"`{path}` is no run directory")

    def __repr__(self):
        return f"Run({str(self.path)!r})"

    @property
    def name(self):
        """The folder's name; of a study's cell, the cell's."""
        cell = self._cell()
        return cell.name if cell else self.path.resolve().name

    @property
    def config(self):
        """The resolved config, as nested dicts."""
        if tomllib:
            return tomllib.loads(self._text("config.toml") or "")
        nested = {}
        for key, value in self._origins().items():
            *tables, last = key.split(".")
            table = nested
            for part in tables:
                table = table.setdefault(part, {})
            table[last] = value
        return nested

    @property
    def settings(self):
        """The resolved config by dotted key, as in `settings["train.seed"]`."""
        if not tomllib:
            return self._origins()
        flat = {}

        def add(prefix, table):
            for key, value in table.items():
                if isinstance(value, dict):
                    add(f"{prefix}{key}.", value)
                else:
                    flat[prefix + key] = value

        add("", self.config)
        return flat

    @property
    def identity(self):
        """`run.json`: builds, data, threads, and `provenance` (command line, commit, environment); empty before training begins."""
        return self._json("run.json") or {}

    @property
    def history(self):
        """The parts in which it was trained: when each began (seconds since 1970), from which step, and how it ended."""
        return (self._json("history.json") or {}).get("parts", [])

    @property
    def state(self):
        """As `infomax runs` has it: `training`, `done`, `interrupted`, `diverged`, `failed`, `lost` (its process ended without a word) or
        `waiting`. What the driver of a study saw of a cell's process counts too."""
        try:
            parts = self.history
            ends = [part.get("end") for part in parts]
        except (ValueError, TypeError, AttributeError):
            parts, ends, own = [], [], "failed"  # it can't be read
        else:
            own = self._own_state(ends)
        cell = self._cell()
        if cell is None:
            return own
        if own != "done" and _is_leased(cell):
            return "training"
        if ends and ends[-1] and ends[-1]["how"] == "finished":
            return own
        failed = _failed(cell)
        if failed:
            return failed
        return "interrupted" if parts and own == "lost" else own

    def _own_state(self, ends):
        if self._is_held():  # also one that goes on, and has yet to load what it needs
            return "training"
        if ends:
            return {"finished": "done"}.get(ends[-1]["how"], ends[-1]["how"]) if ends[-1] else "lost"
        return "done" if (self.path / "encoder.safetensors").exists() else "waiting"

    def _cell(self):
        """The folder of the study's cell whose run this is; None for other runs."""
        path = self.path.resolve()
        return path.parent if path.name == "run" and path.parent.parent.name == "cells" else None

    @property
    def rows(self):
        """The rows of metrics, in order: dicts with `step`, `epoch`, `seconds` and the values by name."""
        return list(self.each_row())

    def each_row(self):
        """The same one by one, for runs that are longer than memory is large."""
        path = self.path / METRICS
        if not path.exists():
            return
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # not whole yet
                try:
                    row = json.loads(line)
                    row["step"] = int(row["step"])
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(f"line {number} of `{path}` is not a line of metrics") from error
                row.pop("nonfinite", None)
                yield {name: math.nan if value is None else value for name, value in row.items()}

    @property
    def metrics(self):
        """The same as columns: a list for each name, all of one length, None where a row has no such value."""
        rows = self.rows
        names = dict.fromkeys([*CLOCK, *(name for row in rows for name in row)])
        return {name: [row.get(name) for row in rows] for name in names}

    def curve(self, name):
        """The steps and the values of one metric, where it was measured."""
        points, known = [], {}
        for row in self.each_row():
            known.update(row)
            if name in row:
                points.append((row["step"], row[name]))
        if known and name not in known:
            raise KeyError(f"{self.name} has no metric {name!r}; it has {', '.join(sorted(set(known) - set(CLOCK)))}")
        return [step for step, _ in points], [value for _, value in points]

    def frame(self):
        """The metrics as a pandas DataFrame, a row for each row of metrics."""
        import pandas

        columns = self.metrics
        is_whole = {name for name in ("step", "epoch") if None not in columns[name]}
        return pandas.DataFrame(columns).astype({name: "int64" if name in is_whole else "float64" for name in columns})

    @property
    def terms(self):
        """The names of the loss's terms."""
        return [name for name in self.metrics if name.startswith("loss/")]

    @property
    def results(self):
        """The last value of each result of a test; `untrained_…` are those of the untrained encoder."""
        last = {}
        for row in self.each_row():
            if "lr" not in row:  # rows of training have one
                last.update((name, value) for name, value in row.items() if name not in CLOCK)
        return last

    @property
    def evaluation(self):
        """What `infomax evaluate` has written; None where it has not."""
        return self._json("evaluation.json")

    def features(self, split="test"):
        """What `infomax embed` has written of a split: `features` (N×D), `labels` and `indices` (N), as NumPy arrays."""
        from safetensors.numpy import load_file

        path = self.path / f"embedding-{split}.safetensors"
        if not path.exists():
            raise FileNotFoundError(f"`{path}` is not there: `infomax embed {self.path} --split {split}` writes it")
        return load_file(path)

    def images(self, split="test"):
        """The images whose features `infomax embed` has written, in their order: a dict each, with path and class where they are known."""
        with open(self.path / f"embedding-{split}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def encoder(self, framework="numpy"):
        """The trained encoder's weights by name: NumPy arrays, or torch's tensors with `framework="pt"`."""
        from safetensors import safe_open

        with safe_open(self.path / "encoder.safetensors", framework) as file:
            return {name: file.get_tensor(name) for name in file.keys()}

    def encoder_about(self):
        """How the encoder is made, its maps, and the views' size, mean and deviation."""
        from safetensors import safe_open

        with safe_open(self.path / "encoder.safetensors", "numpy") as file:
            return json.loads(file.metadata()["infomax"])

    def views(self):
        """The picture of images and their views, as the bytes of a PNG; None where there is none."""
        path = self.path / "views.png"
        return path.read_bytes() if path.exists() else None

    @property
    def key(self):
        """What tells this run from others, wherever its folder is moved: of its name, its config and when it began."""
        began = self.history[0]["began"] if self.history else 0
        told = json.dumps([self.name, self.identity.get("config"), began])
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def began(self):
        """When it began, in seconds since 1970."""
        return self.history[0]["began"] if self.history else (self.path / "config.toml").stat().st_mtime

    def time(self, row):
        """When a row was measured, in seconds since 1970: the beginning plus the run's own clock, without pauses between its parts."""
        seconds = row.get("seconds", 0.0)
        return self.began() + (seconds if math.isfinite(seconds) else 0.0)

    def _text(self, name):
        path = self.path / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def _json(self, name):
        text = self._text(name)
        return None if text is None else json.loads(text)

    def _origins(self):
        origins = self._json("origins.json")
        if origins is None:
            raise ImportError("the config of this run needs tomllib: Python 3.11 or newer")
        return {key: said[-1]["value"] for key, said in origins.items() if said}

    def _is_held(self):
        found = _locked(self.path / "run.lock")
        if found is None or found is True:
            return bool(found)
        holder, age = found
        # The lock may not reach from another machine to this one: its signs of life count.
        return holder is not None and holder.get("host") != os.uname().nodename and age < ALIVE


def _locked(path):
    """Whether a process holds a lock file: True where one has it locked, None where there is none, otherwise what stands in it, as far as
    that is a table, and its age in seconds."""
    if fcntl is None or not path.exists():
        return None
    with open(path, "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(lock, fcntl.LOCK_UN)
        try:
            holder = json.loads(lock.read())
        except ValueError:
            holder = None
        return holder if isinstance(holder, dict) else None, time.time() - os.fstat(lock.fileno()).st_mtime


def _is_leased(cell):
    """Whether somebody works on a study's cell: its newest lease is held."""
    numbers = [int(path.name[6:]) for path in cell.glob("lease-*") if path.name[6:].isdigit()]
    found = _locked(cell / f"lease-{max(numbers)}") if numbers else None
    if found is None or found is True:
        return bool(found)
    holder, age = found
    if holder is None:
        return age < UNWRITTEN
    boot = Path("/proc/sys/kernel/random/boot_id")
    here = os.uname().nodename, boot.read_text().strip() if boot.exists() else ""
    return not holder.get("released") and (holder.get("host"), holder.get("boot")) != here and age < LEASED


def _failed(cell):
    """How a study's driver saw a cell's process fail; None where it did not, or where that was only told to end."""
    path = cell / "failure.json"
    if not path.exists():
        return None
    try:
        failure = json.loads(path.read_bytes())
        code, by = failure.get("exit_code"), failure.get("signal")
    except (ValueError, AttributeError):
        return "failed"
    if code in ASKED_TO_END[0] or by in ASKED_TO_END[1]:
        return None
    return "diverged" if code == DIVERGED else "failed"


class Study:
    """A study by its ledger, as it last ran, and its cells' runs."""

    def __init__(self, name, folder="runs"):
        self.name = Path(name).stem if str(name).endswith(".toml") else str(name)
        self.folder = Path(folder)
        ledger = self.folder / "studies" / f"{self.name}.json"
        if not ledger.exists():
            known = sorted(path.stem for path in ledger.parent.glob("*.json"))
            there = f"there are: {', '.join(known)}" if known else "no study has run there"
            raise FileNotFoundError(f"`{ledger}` is not there: {there}")
        self.ledger = json.loads(ledger.read_text(encoding="utf-8"))

    @property
    def cells(self):
        """The cells in order, a dict each: `number`, `title`, `id` (the name of its folder below `cells`; None where it can't be trained,
        `told` says why), `values` (by axis), `seed`."""
        listed = self.ledger["cells"]
        if isinstance(listed, dict):  # names alone
            return [{"number": n, "title": title, "id": name, "values": {}} for n, (title, name) in enumerate(listed.items(), 1)]
        axes = self.ledger.get("axes", [])
        return [{**cell, "values": dict(zip(axes, cell.get("values", [])))} for cell in listed]

    def run(self, number):
        """The run of a cell, by its number from 1 as tables count; None where it has not begun."""
        cells = {cell["number"]: cell for cell in self.cells}
        if number not in cells:
            raise KeyError(f"the study {self.name} has no cell {number}; it has {len(cells)}")
        return self._run(cells[number])

    def table(self):
        """A dict for each cell: its number, title and name, its values by axis, its seed, its state, and its results."""
        cells = self.cells
        found = [self._run(cell) for cell in cells]
        results = [run.results if run else {} for run in found]
        names = list(dict.fromkeys(name for result in results for name in result))
        table = []
        for cell, run, result in zip(cells, found, results):
            state = run.state if run else "missing" if cell.get("id") else "impossible"
            row = {"number": cell["number"], "title": cell["title"], "cell": cell.get("id"), **cell["values"]}
            table.append({**row, "seed": cell.get("seed"), "state": state, **{name: result.get(name) for name in names}})
        return table

    def _run(self, cell):
        path = self.folder / "cells" / (cell.get("id") or "") / "run"
        return Run(path) if cell.get("id") and path.is_dir() else None

    def frame(self):
        """The same as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.table())


class Refused(Exception):
    """A run that another tool has already, as it was when it had fewer rows."""


def to_trackio(run, project=PROJECT, replace=False):
    """Writes a run into Trackio's local store (`TRACKIO_DIR`), and says what was done. A run that is there already is left as it is;
    one that has grown since is refused, unless it is to `replace` what is there."""
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    rows = run.rows
    if not rows:
        return f"{run.name}: nothing was measured yet"
    try:
        there = [other for other in Api().runs(project) if other.id == run.key]
    except ValueError:  # no such project yet
        there = []
    for other in there:
        if not _is_to_be_written(run, SQLiteStorage.get_log_count(project, run_id=run.key), len(rows), replace):
            return f"{run.name}: already in Trackio's project {project}"
        other.delete()
    SQLiteStorage.bulk_log(
        project=project,
        run=run.name,
        run_id=run.key,
        metrics_list=[{name: value for name, value in row.items() if name != "step"} for row in rows],
        steps=[row["step"] for row in rows],
        timestamps=[_utc(run.time(row)).isoformat() for row in rows],
        config={**run.settings, "infomax": _about(run), "_Created": _utc(run.began()).isoformat(), "_Group": None},
    )
    return f"{run.name}: {len(rows)} rows in Trackio's project {project}"


def to_mlflow(run, project=PROJECT, replace=False, store=None):
    """Writes a run into MLflow's store (a tracking URI; the client's own where none is given) as a run of the experiment `project`."""
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name(project)
    experiment = experiment.experiment_id if experiment else client.create_experiment(project)
    rows = run.rows
    for other in client.search_runs([experiment], f"tags.`infomax.key` = '{run.key}'"):
        had = int(other.data.tags["infomax.rows"])
        if not _is_to_be_written(run, had, len(rows), replace):
            return f"{run.name}: already in MLflow's experiment {project}"
        client.delete_run(other.info.run_id)
    tags = {"infomax.key": run.key, "infomax.rows": "0", "infomax.state": run.state}
    tags.update((f"infomax.{name}", str(value)) for name, value in _about(run).items())
    if "commit" in _about(run):
        tags["mlflow.source.git.commit"] = _about(run)["commit"]
    made = client.create_run(experiment, start_time=int(run.began() * 1000), tags=tags, run_name=run.name)
    made = made.info.run_id
    settings = [Param(key, _told(value)[:HELD_PARAMETER]) for key, value in run.settings.items()]
    for start in range(0, len(settings), 100):
        client.log_batch(made, params=settings[start : start + 100])
    values = [
        Metric(name, float(value), int(run.time(row) * 1000), row["step"]) for row in rows for name, value in row.items() if name != "step"
    ]
    for start in range(0, len(values), 1000):
        client.log_batch(made, metrics=values[start : start + 1000])
    status = {"done": "FINISHED", "diverged": "FAILED", "failed": "FAILED", "training": "RUNNING"}.get(run.state, "KILLED")
    if status != "RUNNING":
        client.set_terminated(made, status, end_time=int(_ended(run, rows) * 1000))
    client.set_tag(made, "infomax.rows", str(len(rows)))  # last: it says that all of it is there
    return f"{run.name}: {len(rows)} rows in MLflow's experiment {project}"


def to_wandb(run, project=PROJECT, replace=False, store="."):
    """Writes a run as an offline run of Weights & Biases into the folder `wandb` of `store`; `wandb sync` sends it. Rows of one step are
    one there."""
    import wandb

    rows = run.rows
    known = Path(store) / "wandb"
    for other in known.glob(f"offline-run-*-{run.key}"):
        note = other / "infomax.json"
        had = json.loads(note.read_text())["rows"] if note.exists() else -1  # begun and not ended
        if had >= 0 and not _is_to_be_written(run, had, len(rows), replace):
            return f"{run.name}: already in {other}"
        shutil.rmtree(other)
    known.mkdir(parents=True, exist_ok=True)
    quiet = {"mode": "offline", "console": "off", "silent": True, "disable_git": True, "disable_code": True}
    quiet.update(x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True)
    config = {**run.settings, "infomax": _about(run)}
    with wandb.init(
        project=project, id=run.key, name=run.name, dir=str(store), config=config, settings=wandb.Settings(**quiet), reinit="create_new"
    ) as made:
        for row in rows:
            values = {name: value for name, value in row.items() if name != "step"}
            made.log({**values, "_timestamp": run.time(row)}, step=row["step"])
        made.summary.update(run.results)
        made.summary["infomax_state"] = run.state
        folder = Path(made.dir).parent
    (folder / "infomax.json").write_text(json.dumps({"rows": len(rows)}))
    return f"{run.name}: {len(rows)} rows in {folder}"


def _is_to_be_written(run, had, has, replace):
    """Whether a run takes the place of what another tool has of it."""
    if replace or had == has:
        return replace
    raise Refused(f"{run.name}: it had {had} rows when it was handed over, and has {has} now: --replace (replace=True) puts it in the place of that")


def _about(run):
    """Where a run's numbers come from, as far as it says."""
    identity, provenance = run.identity, run.identity.get("provenance", {})
    about = {"version": identity.get("infomax"), "libtorch": identity.get("libtorch"), "device": identity.get("device")}
    about.update(config=identity.get("config"), dataset=identity.get("dataset", {}).get("fingerprint"))
    about.update(commit=provenance.get("git", {}).get("commit"), dirty=provenance.get("git", {}).get("dirty"))
    about["command"] = " ".join(provenance["command"]) if "command" in provenance else None
    return {name: value for name, value in about.items() if value is not None}


def _ended(run, rows):
    end = run.history[-1].get("end") if run.history else None
    return end["at"] if end else run.time(rows[-1]) if rows else run.began()


def _told(value):
    return value if isinstance(value, str) else json.dumps(value)


def _utc(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def _shown(rows):
    """Rows as lines of aligned columns."""
    if not rows:
        return "none"

    def told(value):
        return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)

    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([told(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    listed = commands.add_parser("runs", help="list the runs below a folder, with their results")
    listed.add_argument("folder", nargs="?", default="runs")
    table = commands.add_parser("study", help="print the table of a study")
    table.add_argument("name")
    table.add_argument("--folder", default="runs", help="the folder of runs")
    stores = {
        "trackio": "the folder of Trackio's store (otherwise $TRACKIO_DIR, or Trackio's own)",
        "mlflow": "MLflow's tracking URI, such as sqlite:///mlflow.db (otherwise the client's own)",
        "wandb": "the folder whose folder `wandb` takes the offline runs (otherwise this one)",
    }
    for tool, store in stores.items():
        hand = commands.add_parser(tool, help=f"hand runs to {tool}, through its own Python client")
        hand.add_argument("runs", nargs="+", metavar="RUN", help="run directories, or folders with such below")
        hand.add_argument("--project", default=PROJECT)
        hand.add_argument("--store", help=store)
        hand.add_argument("--replace", action="store_true", help="put runs in the place of what is there of them")
    given = parser.parse_args()
    if given.command == "runs":
        print(_shown([{"run": str(run.path), "state": run.state, **run.results} for run in runs(given.folder)]))
        return 0
    if given.command == "study":
        try:
            print(_shown(study(given.name, given.folder).table()))
        except FileNotFoundError as error:
            sys.exit(str(error))
        return 0
    if given.command == "trackio" and given.store:
        os.environ["TRACKIO_DIR"] = given.store  # read when Trackio is imported
    to = {"trackio": to_trackio, "mlflow": to_mlflow, "wandb": to_wandb}[given.command]
    store = {"store": given.store} if given.store and given.command != "trackio" else {}
    gone = [path for path in given.runs if not Path(path).exists()]
    if gone:
        sys.exit(f"not there: {', '.join(gone)}")
    found = [run for path in given.runs for run in ([Run(path)] if (Path(path) / "config.toml").exists() else runs(path))]
    if not found:
        sys.exit("no run is there")
    refused = 0
    for run in found:
        try:
            print(to(run, given.project, given.replace, **store))
        except Refused as reason:
            refused += 1
            print(reason, file=sys.stderr)
        except ImportError as error:
            sys.exit(f"{given.command} is not to be had in {sys.executable}: {error}")
    return min(refused, 1)


if __name__ == "__main__":
    sys.exit(main())
