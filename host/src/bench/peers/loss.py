# AMDIM's objective in PyTorch, values and gradients of features of noise: the peer's side of `infomax bench --what loss`. Arguments:
# seconds, device, threads, channels of the maps, batches. Prints a JSON line a batch. On a CPU an allocation beyond the memory that is
# free now fails, so that nothing else on the machine has to make room.
import json
import math
import resource
import sys
import time

import torch

seconds, device, threads, channels = float(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
if device == "cpu":
    free = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
    held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + free * 9 // 10, resource.RLIM_INFINITY))


def nce(source_bd, target_bdhw, clip=20.0):
    b, d = source_bd.shape
    target_bld = target_bdhw.flatten(2).transpose(1, 2)
    raw = (source_bd @ target_bld.reshape(-1, d).t()).view(b, b, -1) / math.sqrt(d)
    regulariser = 0.05 * raw.square().mean()
    score = clip * torch.tanh(raw / clip)
    own = torch.eye(b, dtype=torch.bool, device=score.device)
    positive = score[own]
    negative = score.masked_fill(own[:, :, None], float("-inf")).flatten(1).logsumexp(1, keepdim=True)
    return (torch.logaddexp(positive, negative) - positive).mean() + regulariser


def pick(map_bdhw):
    index = torch.randint(0, 25, (len(map_bdhw),), device=device)
    return map_bdhw.flatten(2)[torch.arange(len(index), device=device), :, index]


def objective(one, two):
    total = 0
    for source, target in ((0, 1), (0, 2), (1, 1)):
        of = (lambda maps: maps[0].flatten(1)) if source == 0 else (lambda maps: pick(maps[1]))
        total = total + 0.5 * (nce(of(one), two[target]) + nce(of(two), one[target]))
    return total


for batch in map(int, sys.argv[5].split(",")):
    row = {"what": f"amdim, maps of {channels}, batch {batch}, whole"}
    try:
        views = [[torch.randn(batch, channels, s, s, device=device, requires_grad=True) for s in (1, 5, 7)] for _ in range(2)]

        def once():
            objective(*views).backward()
            return views[0][0].grad.sum().item()

        began = time.perf_counter()
        once()
        took = time.perf_counter() - began
        if took < 10 * seconds:
            count, began = 0, time.perf_counter()
            while count == 0 or time.perf_counter() - began < seconds:
                once()
                count += 1
            took = (time.perf_counter() - began) / count
        row |= {"seconds": took, "images_per_second": batch / took}
    except (RuntimeError, MemoryError) as error:
        if "memory" not in str(error).lower() and not isinstance(error, MemoryError):
            raise
        row["note"] = "out of memory"
    views = None
    print(json.dumps(row), flush=True)
