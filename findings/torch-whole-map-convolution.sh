#!/usr/bin/env bash
# One would guess that `conv2d` with a window as large as its map (3 × 3 on 3 × 3, no padding) costs what the linear layer costs that it
# is: in channels-last the numbers and their order in memory are the same.
# What happens: on a CPU the forward pass takes about twice as long and the backward pass three to five times, with equal results. oneDNN
# walks over the single output pixel with kernels made for many; seen with AVX2 and with AVX-512.
# Version: torch 2.11.0 with oneDNN 3.10.2, x86-64. Source: the run below, 256 to 512 channels, batch 128.
# Why it matters: the layers that end AMDIM's encoder are such; a reshape and `linear` save a few hundredths of a step.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir torch==2.11.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import time

import torch
import torch.nn.functional as F

torch.manual_seed(1)
torch.set_num_threads(1)
batch, inputs, outputs, side = 128, 256, 512, 3
x = torch.randn(batch, inputs, side, side).to(memory_format=torch.channels_last).requires_grad_()
w = torch.randn(outputs, inputs, side, side).to(memory_format=torch.channels_last).requires_grad_()
g = torch.randn(batch, outputs)


def convolution():
    return F.conv2d(x, w).flatten(1)


def product():
    return F.linear(x.permute(0, 2, 3, 1).reshape(batch, -1), w.permute(0, 2, 3, 1).reshape(outputs, -1))


def seconds(make):
    forward, backward = [], []
    for _ in range(60):
        start = time.perf_counter()
        y = make()
        middle = time.perf_counter()
        torch.autograd.grad(y, [x, w], g)
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    return min(forward), min(backward)  # other work on the machine only adds


one, two = convolution(), product()
print("torch", torch.__version__, "largest difference:", float((one - two).detach().abs().max() / two.detach().abs().max()))
assert torch.allclose(one, two, rtol=1e-3, atol=1e-2)
slow, fast = seconds(convolution), seconds(product)
for name, a, b in zip(("forward", "backward"), slow, fast):
    print(f"{name}: convolution {a * 1e3:.2f} ms, product {b * 1e3:.2f} ms, ratio {a / b:.1f}")
assert slow[1] > 1.5 * fast[1], "no longer: the convolution's backward pass is as fast as the product's"
PYTHON
