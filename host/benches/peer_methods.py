"""A training step of other methods in plain PyTorch: the peer's side of a comparison of steps.

python peer_methods.py [--methods nt-xent,vicreg,byol,moco-v2] [--batch 128] [--steps 5] [--threads 2]
torchvision's ResNet-18 with the small stem for 32 px, channels-last, f32; heads and losses of lightly, sized as in
configs/methods; SGD with momentum; views of noise, so that nothing is loaded. One step: both views, loss, backward, update,
momentum encoder; each view is compared with the other. Prints a JSON line a method. Needs torch, torchvision and lightly 1.6.0.
"""
import argparse
import copy
import json
import resource
import statistics
import time

import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from lightly.models.modules.heads import (BYOLPredictionHead, BYOLProjectionHead, MoCoProjectionHead, SimCLRProjectionHead,
                                          VICRegProjectionHead)
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn
from torchvision.models import resnet18

p = argparse.ArgumentParser()
p.add_argument("--methods", default="nt-xent,vicreg,byol,moco-v2")
p.add_argument("--batch", type=int, default=128)
p.add_argument("--steps", type=int, default=5)
p.add_argument("--warmup", type=int, default=2)
p.add_argument("--threads", type=int, default=2)
a = p.parse_args()
torch.set_num_threads(a.threads)


def backbone():
    network = resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.maxpool = nn.Identity()
    network.fc = nn.Identity()
    return network


class Online(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.backbone, self.head = backbone(), head

    def forward(self, x):
        return self.head(self.backbone(x))


class Method(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name, self.predictor, self.slow = name, None, None
        heads = {"nt-xent": lambda: SimCLRProjectionHead(512, 2048, 256), "vicreg": lambda: VICRegProjectionHead(512, 2048, 2048, 3),
                 "byol": lambda: BYOLProjectionHead(512, 4096, 256), "moco-v2": lambda: MoCoProjectionHead(512, 2048, 256)}
        self.online = Online(heads[name]())
        if name in ("byol", "moco-v2"):
            self.slow = copy.deepcopy(self.online)
            deactivate_requires_grad(self.slow)
        if name == "byol":
            self.predictor = BYOLPredictionHead(256, 4096, 256)
        self.objective = {"nt-xent": lambda: NTXentLoss(0.2), "vicreg": VICRegLoss, "byol": NegativeCosineSimilarity,
                          "moco-v2": lambda: NTXentLoss(0.2, memory_bank_size=(32768, 256))}[name]()

    def loss(self, one, two):
        if self.name in ("nt-xent", "vicreg"):
            return self.objective(self.online(one), self.online(two))
        with torch.no_grad():
            targets = self.slow(one), self.slow(two)
        if self.name == "moco-v2":
            queries = self.online(one), self.online(two)
        else:
            queries = self.predictor(self.online(one)), self.predictor(self.online(two))
        return 0.5 * (self.objective(queries[0], targets[1]) + self.objective(queries[1], targets[0]))


for name in a.methods.split(","):
    torch.manual_seed(1)
    method = Method(name).to(memory_format=torch.channels_last)
    trained = [q for q in method.parameters() if q.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=1e-4)
    views = [torch.randn(a.batch, 3, 32, 32).to(memory_format=torch.channels_last) for _ in range(2)]
    times = []
    for step in range(a.warmup + a.steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = method.loss(*views)
        loss.backward()
        optimizer.step()
        if method.slow is not None:
            update_momentum(method.online, method.slow, 0.996)
        loss.item()
        if step >= a.warmup:
            times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"method": name, "batch": a.batch, "seconds_per_step": round(seconds, 4), "threads": a.threads,
                      "images_per_second": round(a.batch / seconds, 1), "peak_mib": round(peak), "torch": torch.__version__}), flush=True)
