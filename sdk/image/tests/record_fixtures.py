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

# 16-bit gray as it is scaled: the high byte, not what Pillow's `convert` gives.
def record_scaled(name):
    high = (np.asarray(Image.open(OUT / name)).astype(np.uint16) >> 8).astype(np.uint8)
    height, width = high.shape
    pixels = np.repeat(high[..., None], 3, -1).tobytes()
    (OUT / f"{name}.scaled.rgb").write_bytes(struct.pack("<II", width, height) + pixels)


record_scaled("gray16.png")

# TIFF, as Pillow and libtiff write it.
save("rgb.tif", rgb)
save("lzw.tif", rgb, compression="tiff_lzw")
save("deflate.tif", rgb, compression="tiff_adobe_deflate")
save("packbits.tif", rgb, compression="packbits")
save("jpeg_in.tif", rgb.convert("L"), compression="jpeg")
save("gray.tif", rgb.convert("L"))
save("gray_alpha.tif", rgba.convert("LA"))
save("rgba.tif", rgba)
save("palette.tif", rgb.quantize(16))
save("one_bit.tif", rgb.convert("1"))
save("group4.tif", rgb.convert("1"), compression="group4")
save("cmyk.tif", rgb.convert("CMYK"))
save("gray16.tif", Image.fromarray(gray16))
record_scaled("gray16.tif")
save("pages.tif", rgb, save_all=True, append_images=[rgb.rotate(180)])
turned = Image.Exif()
turned[0x0112] = 6
save("turned.tif", rgb, exif=turned)

# Each colour in a plane of its own, as tifffile 2026.3 writes it, in strips of which the last is lower; and what is refused by name.
import tifffile

planes = {"data": smooth.transpose(2, 0, 1), "photometric": "rgb", "planarconfig": "separate", "metadata": None}
tifffile.imwrite(OUT / "planar.tif", **planes, rowsperstrip=5)
tifffile.imwrite(OUT / "planar_deflate.tif", **planes, rowsperstrip=7, compression="zlib")
tifffile.imwrite(OUT / "planar_tiles.tif", **planes, tile=(16, 16))
record("planar.tif")
record("planar_deflate.tif")
rgb.convert("YCbCr").save(OUT / "ycbcr.tif")
Image.fromarray(gray16.astype(np.float32)).save(OUT / "float.tif")

# PNM, binary and as text.
save("rgb.ppm", rgb)
save("gray.pgm", rgb.convert("L"))
save("one_bit.pbm", rgb.convert("1"))
(OUT / "text.ppm").write_text(f"P3\n# as text\n{W} {H}\n255\n" + " ".join(map(str, smooth.ravel())) + "\n")
record("text.ppm")
save("gray16.pgm", Image.fromarray(gray16))
record_scaled("gray16.pgm")

# Arithmetic coding, by libjpeg's own tool: `cjpeg -arithmetic -quality 90 rgb.ppm`.
import shutil
import subprocess

if shutil.which("cjpeg"):
    for name, more in [("arithmetic.jpg", []), ("arithmetic_progressive.jpg", ["-progressive"])]:
        command = ["cjpeg", "-arithmetic", "-quality", "90", *more, "-outfile", str(OUT / name), str(OUT / "rgb.ppm")]
        subprocess.run(command, check=True)
        record(name)


# Bitmaps of 16 bits: Pillow reads them and can't write them.
def bmp16(name, masks):
    stride = (2 * W + 3) // 4 * 4
    green = 63 if masks and masks[1] == 0x7E0 else 31
    r, g, b = (smooth[..., c].astype(np.uint32) for c in range(3))
    five = lambda v: v * 31 // 255
    shift = 11 if green == 63 else 10
    values = (five(r) << shift) | ((g * green // 255) << 5) | five(b)
    rows = np.zeros((H, stride // 2), "<u2")
    rows[:, :W] = values[::-1]
    extra = struct.pack("<III", *masks) if masks else b""
    offset = 54 + len(extra)
    head = struct.pack("<2sIHHI", b"BM", offset + rows.nbytes, 0, 0, offset)
    head += struct.pack("<IiiHHIIiiII", 40, W, H, 1, 16, 3 if masks else 0, rows.nbytes, 0, 0, 0, 0)
    (OUT / name).write_bytes(head + extra + rows.tobytes())
    record(name)


bmp16("555.bmp", None)
bmp16("565.bmp", (0xF800, 0x7E0, 0x1F))
bmp16("555_masks.bmp", (0x7C00, 0x3E0, 0x1F))


# A GIF whose first frame is smaller than its screen, with and without a transparent index.
def small_frame(name, transparent):
    data = bytearray()
    options = {} if transparent is None else {"transparency": transparent}
    buffer = io.BytesIO()
    rgb.quantize(16).save(buffer, "GIF", **options)
    data = bytearray(buffer.getvalue())
    data[6:10] = struct.pack("<HH", W + 9, H + 5)
    at = 13 + 3 * (2 << (data[10] & 7))
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    assert data[at] == 0x2C
    data[at + 1 : at + 5] = struct.pack("<HH", 4, 2)
    (OUT / name).write_bytes(data)
    record(name)


small_frame("small_frame.gif", None)
small_frame("small_transparent_frame.gif", 5)
