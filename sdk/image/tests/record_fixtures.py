"""Records small image files of many kinds and Pillow's `convert("RGB")` of them (Pillow 13.0).

    python record_fixtures.py    # writes fixtures/NAME and fixtures/NAME.rgb (width, height as u32, then pixels)
"""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parent / "fixtures"
OUT.mkdir(exist_ok=True)

W, H = 23, 17
y, x = np.mgrid[0:H, 0:W]
smooth = np.stack([x * 11, y * 14, 255 - x * 5 - y * 6], -1).clip(0, 255).astype(np.uint8)
rgb = Image.fromarray(smooth)
gray16 = ((x * 2500 + y * 700) % 65536).astype(np.uint16)
alpha = ((x * 20 + y) % 256).astype(np.uint8)
rgba = Image.fromarray(np.dstack([smooth, alpha]))


def save(name, image, **options):
    image.save(OUT / name, **options)
    record(name)


def record(name):
    opened = Image.open(OUT / name)
    converted = opened.convert("RGB")
    (OUT / f"{name}.rgb").write_bytes(struct.pack("<II", *converted.size) + converted.tobytes())
    print(name, opened.mode, converted.size)


save("baseline.jpg", rgb, quality=90)
save("progressive.jpg", rgb, quality=90, progressive=True)
save("subsampled.jpg", rgb, quality=85, subsampling=2)
save("restarts.jpg", rgb, quality=85, restart_marker_blocks=1)
save("gray.jpg", rgb.convert("L"), quality=90)
save("cmyk.jpg", rgb.convert("CMYK"), quality=95)
save("gray.png", rgb.convert("L"))
save("palette.png", rgb.quantize(16))
save("one_bit.png", rgb.convert("1"))
save("rgba.png", rgba)
save("gray_alpha.png", rgba.convert("LA"))
save("gray16.png", Image.fromarray(gray16))
save("png_named.jpg", rgb, format="PNG")
save("gif_named.jpg", rgb.quantize(16), format="GIF")
save("bmp_named.jpg", rgb, format="BMP")
save("webp_named.jpg", rgb, format="WEBP", lossless=True)
save("lossy.webp", rgb, quality=90)
save("animated.gif", rgb.quantize(16), save_all=True, append_images=[rgb.rotate(180).quantize(16)])
save("animated.webp", rgb, save_all=True, append_images=[rgb.rotate(180)], lossless=True)
save("animated.png", rgb, save_all=True, append_images=[rgb.rotate(180)])

# YCCK: what Adobe writes; Pillow can't, so the CMYK file's Adobe marker is set to transform 2.
data = bytearray((OUT / "cmyk.jpg").read_bytes())
at = data.find(b"Adobe")
assert at > 0, "Pillow writes an Adobe marker"
data[at + 11] = 2
(OUT / "ycck.jpg").write_bytes(data)
record("ycck.jpg")

# 16-bit RGB: Pillow can't write it.
import zlib


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


rows = b"".join(b"\0" + (smooth[r].astype(np.uint16) * 251 + 77).astype(">u2").tobytes() for r in range(H))
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 16, 2, 0, 0, 0))
(OUT / "rgb16.png").write_bytes(png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
record("rgb16.png")

for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    rgb.save(OUT / f"orientation{orientation}.jpg", quality=90, exif=exif)
    record(f"orientation{orientation}.jpg")
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(Image.open(OUT / f"orientation{orientation}.jpg")).convert("RGB")
    turned_bytes = struct.pack("<II", *turned.size) + turned.tobytes()
    (OUT / f"orientation{orientation}.jpg.turned.rgb").write_bytes(turned_bytes)
