"""Features joined with their images, their places on the map and what a classifier says of them, as a user of Python does it."""
import csv
import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open

root = Path(sys.argv[1])
with safe_open("embedding.safetensors", "numpy") as file:
    features, labels, indices, places = (file.get_tensor(n) for n in ("features", "labels", "indices", "map"))
    told = file.metadata()
names, paths = json.loads(told["class_names"]), json.loads(told["paths"])
table = list(csv.DictReader(open("embedding.csv", newline="")))
assert len(table) == len(features) == len(paths) > 5 and told["split"] == "test"

for n, line in enumerate(table):
    assert int(line["row"]) == n and int(line["index"]) == indices[n] and line["path"] == paths[n]
    assert names[labels[n]] == line["class"] and int(line["label"]) == labels[n]
    assert np.float32(line["x"]) == places[n, 0] and np.float32(line["y"]) == places[n, 1]
    # The file is there, in the folder of its class.
    assert (root / line["path"]).is_file() and Path(line["path"]).parent.name == line["class"], line

# With what `infomax evaluate` says of each image, by split and index.
said = {(i["split"], i["index"]): i for i in csv.DictReader(open("evaluation-images.csv", newline=""))}
joined = [said[line["split"], line["index"]] for line in table]
assert [j["path"] for j in joined] == paths and [int(j["label"]) for j in joined] == labels.tolist()
# And with the nearest training images.
near = list(csv.DictReader(open("near.csv", newline="")))
assert {n["path"] for n in near} <= set(paths) and all((root / n["near_path"]).is_file() for n in near)
print("joined")
