"""Unpacks what a build and a run need from wheels: libraries, libtorch's headers, licences.

usage: unpack.py WHEELS SITE
Prints `SIZE PATH` for every file, sorted. Exits with 8 where the disk is full.
"""

import errno
import fnmatch
import os
import shutil
import sys
import zipfile

CPU = ["torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp*.so*", "torch/include/*",
       "nvidia/cu13/lib/libcudart.so.*", "nvidia/cu13/lib/libcupti.so.*", "*.dist-info/licenses/*"]
CUDA = CPU + ["torch/lib/*.so*", "nvidia/*/lib/*.so*"]
# Parts of the CUDA build that only Python uses.
LEFT_OUT = ["torch/lib/libtorch_python.so", "torch/lib/libshm*"]


def unpack(wheels, site):
    names = sorted(os.listdir(wheels))
    wanted = CUDA if any(name.startswith("nvidia_cublas") for name in names) else CPU
    files = []
    for name in names:
        with zipfile.ZipFile(os.path.join(wheels, name)) as wheel:
            for entry in wheel.infolist():
                path = entry.filename
                matches = lambda patterns: any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
                if entry.is_dir() or not matches(wanted) or matches(LEFT_OUT):
                    continue
                if path.startswith("/") or ".." in path.split("/"):
                    sys.exit(f"{name} holds the path {path}")
                target = os.path.join(site, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with wheel.open(entry) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                files.append(f"{entry.file_size} {path}")
        os.remove(os.path.join(wheels, name))
    print("\n".join(sorted(files)))


try:
    unpack(*sys.argv[1:])
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(8 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS) else 1)
