#!/usr/bin/env bash
# One would guess that torch.export treats `self.mean = 0.9 * self.mean + …` (`mean` a buffer) alike wherever the module stands: it does
# write the copy into the buffer when the module is exported by itself.
# What happens: inside any other module, be it nn.Sequential, the assignment is dropped without a word. The first outputs are right,
# and the buffer never moves.
# Version: torch 2.15.0 (2.11.0 alike). Source: the run below; `buffer_input_names`
# in torch/export/_trace.py, which knows the buffers of the root alone.
# Why it matters: centres, queues and prototypes of self-supervised losses are updated in this way; wrapped in one more module
# they train against the buffer of the first step. `self.mean.copy_(…)` is exported everywhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-cache-dir torch==2.15.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("error", UserWarning)  # a warning would end the run


class Centred(nn.Module):
    def __init__(self, in_place=False):
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        y = x - self.mean
        new = 0.9 * self.mean + 0.1 * x.mean(0)
        if self.in_place:
            self.mean.copy_(new)
        else:
            self.mean = new
        return y


def moves(module):
    """Whether a pass of the exported module moves the buffer."""
    exported = torch.export.export(module, (torch.ones(4, 3),)).module()
    exported(torch.ones(4, 3))
    return all(bool(b.abs().sum() > 0) for b in exported.buffers())


print("torch", torch.__version__)
found = {}
for name, make in (("by itself", Centred), ("in Sequential", lambda: nn.Sequential(Centred())), ("in Sequential, copy_", lambda: nn.Sequential(Centred(True)))):
    eager = make()
    eager(torch.ones(4, 3))
    assert all(bool(b.abs().sum() > 0) for b in eager.buffers())
    found[name] = moves(make())
    print(f"{name:21} the buffer moves: in eager True, exported {found[name]}")
if found != {"by itself": True, "in Sequential": False, "in Sequential, copy_": True}:
    sys.exit("the behaviour is another one now")
PYTHON
