# Steps of a method in plain PyTorch: torchvision's ResNet-18 with the small stem, channels-last, f32, heads and losses of lightly, sized as
# in configs/methods, SGD with momentum; views of noise, so that nothing is loaded. One step: both views, loss, backward, update, momentum
# encoder; each view is compared with the other. The peer's side of `infomax bench --what methods`. Arguments: seconds, device, threads,
# method, batch, size. Prints a JSON line. Needs torch, torchvision and lightly 1.6.0.
import copy
import json
import sys
import time

import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from lightly.models.modules.heads import (BYOLPredictionHead, BYOLProjectionHead, MoCoProjectionHead, SimCLRProjectionHead,
                                          VICRegProjectionHead)
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn
from torchvision.models import resnet18

seconds, device, threads, name = float(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
batch, size = int(sys.argv[5]), int(sys.argv[6])
torch.set_num_threads(threads)
torch.backends.cudnn.benchmark = True
WARM_UP, LEAST = 3, 5


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


def most_held():
    """Of this process, at most, since the last call of `forget`."""
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def forget():
    """Whether the kernel forgets it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return True
    except OSError:
        return False


is_cuda = device.startswith("cuda")
is_known = forget()
before = most_held()
torch.manual_seed(1)
method = Method(name).to(device, memory_format=torch.channels_last)
trained = [q for q in method.parameters() if q.requires_grad]
optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=1e-4)
views = [torch.randn(batch, 3, size, size, device=device).to(memory_format=torch.channels_last) for _ in range(2)]


def step():
    optimizer.zero_grad(set_to_none=True)
    loss = method.loss(*views)
    loss.backward()
    optimizer.step()
    if method.slow is not None:
        update_momentum(method.online, method.slow, 0.996)
    return loss


for _ in range(WARM_UP):
    step().item()
count, began = 0, time.perf_counter()
while count < LEAST or time.perf_counter() - began < seconds:
    loss = step()
    count += 1
    if not is_cuda or count % 10 == 0:
        loss.item()
loss.item()
took = (time.perf_counter() - began) / count
held = torch.cuda.max_memory_allocated() if is_cuda else most_held() - before if is_known else None
print(json.dumps({"what": f"{name}, resnet18, {size} px, batch {batch}", "seconds": took, "images_per_second": batch / took, "bytes": held}))
