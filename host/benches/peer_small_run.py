"""The small CIFAR-10 run in plain PyTorch: the peer's side of configs/experiments/cifar10-jpeg-small.toml.

python peer_small_run.py DATA --shared ../shared [--steps 1500] [--seed 1] [--test-every 250] [--threads 2]
DATA is the folder with `train` and `test` class folders. The model, the objective, the classifiers and Adam are those of
the shared reference `amdim_torch.py`; views are torchvision's, as the published code makes them. Prints a JSON line a
test, then one with the median seconds per update (loading included, tests not). Needs torch, torchvision and Pillow.
"""
import argparse
import json
import random
import statistics
import sys
import time

import torch
from torchvision import datasets, transforms as T
from torchvision.transforms import functional as F

p = argparse.ArgumentParser()
p.add_argument("data")
p.add_argument("--shared", default="../shared")
p.add_argument("--steps", type=int, default=1500)
p.add_argument("--seed", type=int, default=1)
p.add_argument("--test-every", type=int, default=250)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--workers", type=int, default=1)
p.add_argument("--batch", type=int, default=64)
p.add_argument("--lr", type=float, default=5e-4)
p.add_argument("--warmup", type=int, default=100)
p.add_argument("--channels-last", action="store_true")
a = p.parse_args()
sys.path.insert(0, a.shared + "/reference")
import amdim_torch as A  # noqa: E402

torch.set_num_threads(a.threads)
torch.manual_seed(a.seed)
random.seed(a.seed)


def translate(image):
    if random.random() > 0.8:
        return image
    x, y = random.randint(-4, 4), random.randint(-4, 4)
    padded = F.pad(image, 4, padding_mode="reflect")
    return padded.crop((4 - x, 4 - y, 36 - x, 36 - y))


normalise = T.Compose([T.ToTensor(), T.Normalize((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))])
one_view = T.Compose([translate, T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.2)], p=0.8), T.RandomGrayscale(p=0.25), normalise])
flip = T.RandomHorizontalFlip()


def two_views(image):
    image = flip(image)
    return one_view(image), one_view(image)


def loader(folder, transform, shuffle):
    return torch.utils.data.DataLoader(datasets.ImageFolder(f"{a.data}/{folder}", transform), a.batch if shuffle else 250,
                                       shuffle=shuffle, num_workers=a.workers, drop_last=shuffle,
                                       persistent_workers=a.workers > 0)


train, test = loader("train", two_views, True), loader("test", normalise, False)
encoder, evaluator = A.Encoder(32, 32, 256, 1), A.Evaluator(256, 10)
layout = torch.channels_last if a.channels_last else torch.contiguous_format
encoder = encoder.to(memory_format=layout)
optimizer = A.adam([*encoder.parameters(), *evaluator.parameters()])


def accuracy():
    encoder.eval(), evaluator.eval()
    right = torch.zeros(2)
    with torch.no_grad():
        for x, y in test:
            mlp, linear = evaluator(encoder(x.to(memory_format=layout))[0])
            right += torch.stack([(linear.argmax(1) == y).sum(), (mlp.argmax(1) == y).sum()])
    encoder.train(), evaluator.train()
    return {name: round(100 * n.item() / len(test.dataset), 2) for name, n in zip(("linear_top1", "mlp_top1"), right)}


step, times = 0, []
while step < a.steps:
    began = time.perf_counter()
    for (x1, x2), y in train:
        one, two = encoder(x1.to(memory_format=layout)), encoder(x2.to(memory_format=layout))
        i1, i2 = (torch.randint(0, 25, (a.batch,)) for _ in range(2))
        mlp, linear = evaluator(torch.cat([one[0], two[0]]))
        yy = torch.cat([y, y])
        loss = (sum(A.infomax_loss(one, two, i1, i2).values()) + A.classifier_loss(mlp, yy) + A.classifier_loss(linear, yy))
        for group in optimizer.param_groups:
            group["lr"] = a.lr * min(1.0, (step + 1) / a.warmup)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        times.append(time.perf_counter() - began)
        if a.test_every and (step % a.test_every == 0 or step == a.steps):
            print(json.dumps({"seed": a.seed, "step": step, "loss": round(loss.item(), 4), **accuracy()}), flush=True)
        if step == a.steps:
            break
        began = time.perf_counter()
print(json.dumps({"peer": "plain PyTorch", "torch": torch.__version__, "channels_last": a.channels_last, "threads": a.threads,
                  "steps": step, "seconds_per_update": round(statistics.median(times[5:]), 5)}))
