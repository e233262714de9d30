"""Records Pillow's and torchvision's operations on small images (Pillow 13.0, torchvision 0.26.0, numpy, safetensors).

    python record_operations.py    # writes fixtures/operations.safetensors: image/NAME and OPERATION/VALUE/NAME
"""
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from safetensors.numpy import save_file
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

rng = np.random.default_rng(7)


def photo(width, height):
    """Smooth colours, an edge and some noise."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    image = np.stack([x, y, 1 - (x + y) / 2], -1) * 200 + (x > 0.5)[..., None] * 40 + rng.normal(0, 12, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


IMAGES = {
    "photo": photo(32, 32),
    "wide": photo(41, 23),
    "noise": rng.integers(0, 256, (19, 26, 3), dtype=np.uint8),
    "pale": (photo(17, 31) // 4 + 90).astype(np.uint8),
    "flat": np.full((9, 8, 3), (3, 128, 255), np.uint8),
    "line": photo(12, 1),
    "small": photo(2, 3),
}


def moved(**options):
    still = dict(angle=0.0, translate=[0, 0], scale=1.0, shear=[0.0, 0.0], interpolation=InterpolationMode.NEAREST)
    return lambda image: F.affine(image, **(still | options))


def sheared(level, axis):
    degrees = math.degrees(math.atan(level))
    return moved(shear=[degrees, 0.0] if axis == "x" else [0.0, degrees], center=[0, 0])


OPERATIONS = {
    "autocontrast": {"-": ImageOps.autocontrast},
    "equalise": {"-": ImageOps.equalize},
    "invert": {"-": ImageOps.invert},
    "gaussian_blur": {
        value: lambda image, value=value: image.filter(ImageFilter.GaussianBlur(radius=value))
        for value in (0.1, 0.3, 0.55, 0.8, 1.0, 1.3, 1.45, 1.73, 2.0, 3.1, 9.0)
    },
    "solarise": {value: lambda image, value=value: ImageOps.solarize(image, value) for value in (128, 0, 178.5, 255)},
    "posterise": {value: lambda image, value=value: ImageOps.posterize(image, value) for value in (1, 4, 7, 8)},
    "sharpness": {
        value: lambda image, value=value: ImageEnhance.Sharpness(image).enhance(value)
        for value in (0.0, 0.1, 0.73, 1.27, 1.9, 5.0)
    },
    "rotate": {value: lambda image, value=value: F.rotate(image, value) for value in (-30, -9, 3, 9, 17.5, 30)},
    "shear_x": {value: sheared(value, "x") for value in (-0.3, -0.09, 0.01, 0.09, 0.3)},
    "shear_y": {value: sheared(value, "y") for value in (-0.3, -0.09, 0.01, 0.09, 0.3)},
    "translate_x": {value: moved(translate=[value, 0]) for value in (-40, -4, 1, 4)},
    "translate_y": {value: moved(translate=[0, value]) for value in (-40, -4, 1, 4)},
}

if __name__ == "__main__":
    stored = {f"image/{name}": image for name, image in IMAGES.items()}
    for operation, values in OPERATIONS.items():
        for value, apply in values.items():
            for name, image in IMAGES.items():
                stored[f"{operation}/{value}/{name}"] = np.array(apply(Image.fromarray(image)))
    save_file(stored, Path(__file__).parent / "fixtures" / "operations.safetensors")
