# How long a process takes until it has PyTorch and torchvision: the peer's side of `infomax bench --what study`. No arguments; prints a
# JSON line.
import json
import statistics
import subprocess
import sys
import time

times = []
for _ in range(4):
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch, torchvision"], check=True)
    times.append(time.perf_counter() - began)
print(json.dumps({"what": "a process that has imported torch and torchvision", "seconds": statistics.median(times[1:])}))
