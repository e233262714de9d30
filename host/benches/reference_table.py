"""Every reference loss with two encoders on CIFAR-10 under one small budget: the README's reference table.

    python3 host/benches/reference_table.py --data FOLDER --out FOLDER [--binary target/release/infomax] [--only LOSS,…]

FOLDER of --data holds `train/<class>/*.jpg` and `test/<class>/*.jpg`. A cell whose run is finished under --out is not run
again; a cell that was interrupted is resumed. Prints the table in Markdown. Standard library only.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MLP = "projector_hidden = 256, projector_dim = 64"
# Heads small enough for a batch of 64 and 300 updates; everything else as the losses' defaults say.
LOSSES = {
    "amdim": "",
    "nt-xent": MLP,
    "vicreg": "projector_hidden = 256, projector_dim = 256",
    "barlow-twins": "projector_hidden = 256, projector_dim = 256",
    "byol": MLP + ", predictor_hidden = 256, momentum_start = 0.96",
    "simsiam": "projector_hidden = 256, projector_dim = 256, predictor_hidden = 64",
    "moco-v2": MLP + ", queue_size = 2048, momentum_start = 0.98, momentum_end = 0.99",
    "dcl": MLP,
    "align-uniform": MLP,
    "supcon": MLP,
    "swav": MLP + ", prototypes = 100, freeze_prototypes_steps = 30",
    "local-dim": "",
    "w-mse": "projector_hidden = 256, projector_dim = 32, whitening_batch = 64",
    "mmcr": MLP,
    "lejepa": MLP,
    "dino": MLP + ", prototypes = 100, freeze_prototypes_steps = 30, momentum_start = 0.96",
}
NEEDS_HEADS = {"amdim", "local-dim"}
ENCODERS = ["amdim", "resnet18"]
MORE_SEEDS = ["amdim", "nt-xent", "vicreg", "w-mse", "mmcr", "lejepa", "dino"]
COLUMNS = ["linear_top1", "knn_top1", "feature_std", "rankme", "alignment", "uniformity"]


def encoder_config(encoder, loss):
    if encoder == "amdim":
        return "{ size = 32, ndf = 32, n_rkhs = 256, depth = 1 }"
    return "{ width = 16, n_rkhs = 128 }" if loss in NEEDS_HEADS else "{ width = 16 }"


def cells():
    for seed in (1, 2, 3):
        for loss in LOSSES:
            for encoder in ENCODERS:
                if seed == 1 or loss in MORE_SEEDS:
                    yield loss, encoder, seed


def results(run):
    """The last row of results, and the untrained encoder's."""
    trained, untrained = {}, {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name in COLUMNS:
            if name in row:
                trained[name] = row[name]
            if f"untrained_{name}" in row:
                untrained[name] = row[f"untrained_{name}"]
    return trained, untrained


def run_cell(options, loss, encoder, seed):
    name = f"{loss}-{encoder}-{seed}"
    run = options.out / name
    if (run / "encoder.safetensors").exists():
        return run
    if run.exists():
        command = [options.binary, "train", "--resume", run]
    else:
        # The untrained encoder's figures are taken once an encoder and seed.
        untrained = loss == {"amdim": "amdim", "resnet18": "nt-xent"}[encoder]
        settings = {
            "dataset.config.root": options.data.resolve(),
            "loss.name": loss,
            "loss.config": "{ " + LOSSES[loss] + " }",
            "encoder.name": encoder,
            "encoder.config": encoder_config(encoder, loss),
            "train.seed": seed,
            "evaluation.untrained": str(untrained).lower(),
            "record.run_directory": options.out.resolve(),
            "record.name": name,
        }
        command = [options.binary, "train", ROOT / "configs/experiments/reference-table.toml"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if ended.returncode != 0:
        print(f"{name}: {ended.stderr}", file=sys.stderr)
        return None
    return run


def spread(values):
    if not values:
        return "–"
    digits = 1 if max(values) > 5 else 2
    middle = f"{statistics.mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ± {statistics.stdev(values):.{digits}f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/infomax")
    parser.add_argument("--only", help="losses, separated by commas")
    parser.add_argument("--print", action="store_true", help="print what is there, run nothing")
    options = parser.parse_args()
    options.binary = options.binary.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = options.only.split(",") if options.only else list(LOSSES)
    table = {}
    for loss, encoder, seed in cells():
        run = options.out / f"{loss}-{encoder}-{seed}"
        if not options.print and loss in wanted:
            run = run_cell(options, loss, encoder, seed) or run
        if (run / "encoder.safetensors").exists():
            trained, untrained = results(run)
            table.setdefault((loss, encoder), []).append(trained)
            if untrained:
                table.setdefault(("untrained", encoder), []).append(untrained)
    print("| encoder | loss | seeds | " + " | ".join(COLUMNS) + " |")
    print("|---|---|---|" + "---|" * len(COLUMNS))
    for encoder in ENCODERS:
        for loss in ["untrained", *LOSSES]:
            rows = table.get((loss, encoder), [])
            if rows:
                values = [spread([row[name] for row in rows if name in row]) for name in COLUMNS]
                print(f"| {encoder} | {loss} | {len(rows)} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
