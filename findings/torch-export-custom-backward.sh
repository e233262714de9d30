#!/usr/bin/env bash
# One would guess that a training graph of torch.export either keeps the backward of a torch.autograd.Function or refuses the module.
# What happens: forward is traced through, operation by operation, backward is left out without a warning, and what is loaded trains on the
# derivative of those operations. A straight-through rounding passes no gradient at all; a gradient reversal does not reverse.
# A hook on a tensor (`y.register_hook`) goes the same way.
# Version: torch 2.15.0 (2.11.0 alike). Source: the run below.
# Why it matters: outputs agree to the bit, so a check of the forward pass finds nothing; only comparing gradients does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("error")  # a warning would end the run
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function.apply(3 * x)


print("torch", torch.__version__)
found = {}
for function in (Round, Reverse):
    module, file = Applied(function), io.BytesIO()
    torch.export.save(torch.export.export(module, (torch.ones(2),)), file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    x = torch.tensor([0.3, 0.7], requires_grad=True)
    assert torch.equal(module(x), loaded(x))
    own, exported = (float(torch.autograd.grad(f(x).sum(), x)[0][0]) for f in (module, loaded))
    found[function.__name__] = own, exported
    print(f"{function.__name__:8} outputs alike; derivative in eager {own:g}, exported {exported:g}")
if found != {"Round": (3.0, 0.0), "Reverse": (-3.0, 3.0)}:
    sys.exit("the behaviour is another one now")
PYTHON
