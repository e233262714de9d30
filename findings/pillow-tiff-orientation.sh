#!/usr/bin/env bash
# One would guess that Pillow leaves a picture as it is stored until `ImageOps.exif_transpose` is called, whatever the format.
# What happens: for JPEG and PNG that holds; a TIFF with an orientation tag has its sides exchanged as soon as it is opened and its
# pixels turned as they are loaded, so that `Image.open(...).convert("RGB")` gives another picture than the file holds.
# Version: Pillow 11.3.0 (Pillow has done so since 10.2). Source: `load_end` in PIL/TiffImagePlugin.py.
# Why it matters: a folder that holds the same photographs as TIFF and as JPEG gives two datasets, and a reader that
# wants to agree with Pillow to the byte has to turn the one and not the other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pillow==11.3.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import pathlib
import sys

import PIL
from PIL import Image

folder = pathlib.Path(sys.argv[1])
TAG = 274
TURN_RIGHT = 6
picture = Image.new("RGB", (4, 2), (200, 30, 30))
exif = Image.Exif()
exif[TAG] = TURN_RIGHT
found = {}
for name in ("tiff", "jpeg", "png"):
    path = folder / f"picture.{name}"
    picture.save(path, exif=exif)
    opened = Image.open(path)
    stored = opened.size
    tag = opened.getexif().get(TAG)
    loaded = opened.convert("RGB").size
    found[name] = (stored, loaded, tag)
print("Pillow", PIL.__version__)
for name, (stored, loaded, tag) in found.items():
    print(f"{name:4}: orientation {tag}, size when opened {stored}, size of the pixels {loaded}")
expected = {"tiff": (2, 4), "jpeg": (4, 2), "png": (4, 2)}
if {name: loaded for name, (_, loaded, _) in found.items()} != expected:
    sys.exit("the behaviour is another one now")
PY
