"""Records torchvision's RandAugment, one operation at a time (torchvision 0.26.0, Pillow 13.0, numpy, safetensors).

    python record_randaugment.py    # writes fixtures/randaugment.safetensors: image and MAGNITUDE/OPERATION/SIGN
"""
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms.autoaugment import _apply_op

y, x = np.mgrid[0:32, 0:32]
noise = np.random.default_rng(3).normal(0, 10, (32, 32, 3))
image = np.stack([x * 7, y * 7, 230 - x * 3 - y * 3], -1) + (x > 15)[..., None] * 30 + noise
image = image.clip(5, 240).astype(np.uint8)
stored = {"image": image}
for magnitude in (5, 9, 27):
    space = RandAugment(magnitude=magnitude)._augmentation_space(31, (32, 32))
    for name, (magnitudes, signed) in space.items():
        value = float(magnitudes[magnitude].item()) if magnitudes.ndim > 0 else 0.0
        for sign in (1, -1) if signed else (1,):
            out = _apply_op(Image.fromarray(image), name, sign * value, InterpolationMode.NEAREST, None)
            stored[f"{magnitude}/{name}/{sign}"] = np.array(out)
save_file(stored, Path(__file__).parent / "fixtures" / "randaugment.safetensors")
