#!/usr/bin/env bash
# One would guess that `maps.add_(bias)` with maps of bf16 and a bias of f32 (what autocast leaves a module with whose bias is a
# parameter of its own) adds in f32 as it goes along and rounds into the maps: 16 numbers are not worth a copy of all maps.
# What happens on a CPU: the tensor iterator casts the operand of the other type as a whole. The maps become a second tensor of f32,
# the sum a third, and that is copied back: memory for four times the maps' bytes, three passes in place of one. Nothing tells;
# with the bias cast to bf16 first there is neither copy nor allocation. `mul_` and every other binary operator do the same.
# Version: torch 2.11.0, CPU. Source: `TensorIteratorBase::compute_types`, which makes temporaries on a CPU only, in
# ATen/TensorIterator.cpp.
# Why it matters: in a bf16 training step of a small convolutional encoder the bias of the first layer took 7 of 300 ms, more than
# the layer's convolution. Cast biases to the maps' type, or add them in a kernel that widens numbers as it reads them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 torch==2.11.0
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import warnings

import torch
from torch.profiler import ProfilerActivity, profile

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
maps = torch.zeros(8, 16, 5, 5, dtype=torch.bfloat16)
bias = torch.linspace(0, 1, 16).view(1, 16, 1, 1)


def inside(operation):
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True) as seen:
        operation()
    events = seen.events()
    copies = [e for e in events if e.name == "aten::copy_" and e.input_shapes[0] == list(maps.shape)]
    made = sum(e.cpu_memory_usage for e in events if e.name in ("aten::empty", "aten::empty_strided"))
    return len(copies), made


print("torch", torch.__version__, "· maps of", maps.numel() * maps.element_size(), "bytes")
found = {}
for name, operation in {
    "add_, bias of f32": lambda: maps.add_(bias),
    "mul_, bias of f32": lambda: maps.mul_(bias),
    "add_, bias of bf16": lambda: maps.add_(bias.bfloat16()),
}.items():
    found[name] = inside(operation)
    print(f"{name}: {found[name][0]} copies of whole maps, {found[name][1]} bytes allocated")
four_times = 4 * maps.numel() * maps.element_size()
assert found["add_, bias of f32"] == (2, four_times), "no longer: an in-place sum with a wider bias makes no copies"
assert found["mul_, bias of f32"] == (2, four_times), "no longer: an in-place product with a wider number makes no copies"
assert found["add_, bias of bf16"][0] == 0
PYTHON
