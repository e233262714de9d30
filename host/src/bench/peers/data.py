# Views in Python, as AMDIM's published code makes them by torchvision and Pillow, on one core: the peer's side of `infomax bench
# --what data`. Arguments: seconds, and a folder or tar archive of photos where there are some. Prints a JSON line a figure.
import io
import json
import os
import random
import sys
import tarfile
import time

import numpy
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F

torch.set_num_threads(1)
seconds = float(sys.argv[1])
ENDS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def rate(what, images, views):
    done, began = 0, time.perf_counter()
    while True:
        views(images[done % len(images)])
        done += 1
        if time.perf_counter() - began >= seconds:
            break
    print(json.dumps({"what": what, "images_per_second": done / (time.perf_counter() - began)}), flush=True)


def files(path):
    """The files' bytes, so that no disk is measured."""
    if os.path.isfile(path):
        with tarfile.open(path) as archive:
            return [archive.extractfile(m).read() for m in archive if m.isfile() and m.name.lower().endswith(ENDS)]
    names = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    names = [name for name in sorted(names) if name.lower().endswith(ENDS)]
    tars = [name for folder, _, names in os.walk(path) for name in names if name.endswith(".tar")]
    return [open(name, "rb").read() for name in names[:2000]] if names else [b for t in tars for b in files(os.path.join(path, t))]


normalised = [T.ToTensor(), T.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
flip = T.RandomHorizontalFlip()
of_photo = T.Compose([
    T.RandomResizedCrop(128, scale=(0.3, 1.0), ratio=(0.7, 1.4), interpolation=T.InterpolationMode.BICUBIC),
    T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), T.RandomGrayscale(p=0.25), *normalised])


def translate(image):
    if random.random() > 0.8:
        return image
    x, y = random.randint(-4, 4), random.randint(-4, 4)
    return F.pad(image, 4, padding_mode="reflect").crop((4 - x, 4 - y, 36 - x, 36 - y))


of_small = T.Compose([translate, T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.2)], p=0.8), T.RandomGrayscale(p=0.25), *normalised])


def decoded(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def two(image, view):
    image = flip(image)
    return view(image), view(image)


if len(sys.argv) > 2:
    photos = files(sys.argv[2])
    rate("photos decoded, a core", photos, decoded)
    rate("photos to two views of 128, a core", photos, lambda data: two(decoded(data), of_photo))
small = [Image.fromarray(image) for image in numpy.random.default_rng(3).integers(0, 256, (512, 32, 32, 3), dtype=numpy.uint8)]
rate("images of 32 in memory to two views of 32, a core", small, lambda image: two(image, of_small))
