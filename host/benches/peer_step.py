"""The step of encoder_step.rs with torchvision's model, channels-last, on one thread: python host/benches/peer_step.py"""
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/recorded"))
from record_encoders import DEPTHS, ResNet

torch.set_num_threads(1)
model = ResNet(*DEPTHS["resnet18"], width=16).to(memory_format=torch.channels_last).train()
view = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
times = []
for _ in range(35):
    start = time.perf_counter()
    model.zero_grad(set_to_none=False)
    model(view)["pool"].square().mean().backward()
    times.append(1e3 * (time.perf_counter() - start))
times = times[5:]
print(f"{statistics.median(times):.1f} ms a step (median of 30; {min(times):.1f} to {max(times):.1f})")
