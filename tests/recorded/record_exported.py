"""Records what exported networks and losses compute in PyTorch: for each case `<name>.pt2` and `<name>.safetensors`, the
small ones compressed.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 lightly==1.6.0 safetensors==0.8.0
    python tests/recorded/record_exported.py tiny tests/recorded/exported
    python tests/recorded/record_exported.py nets FOLDER        # 27 networks, 5 GB
    python tests/recorded/record_exported.py losses FOLDER

    pip install torch==2.15.0 safetensors==0.8.0
    python tests/recorded/record_exported.py tiny tests/recorded/exported/torch-2.15 --only conv autocast …

Names in a .safetensors file: `state.*` the state_dict before; `input.*`; in training mode `output.*`, `grad.*` of the sum of
`output.*` times `weight.*` (of a loss: of its minimised value) with respect to parameters, `grad_input.*` to a loss's inputs,
`after.*` the buffers after that one pass; `eval.*` outputs in evaluation mode with those buffers; `adam3.*` parameters and
`adam3_after.*` buffers after three steps of Adam (rate 1e-3) on the same input; `output2.*` a loss's outputs in a second pass.
`seed`, where it stands: `torch.manual_seed` before the first pass. Dropout and stochastic depth are off elsewhere.
`plain.pt2` is the network of `conv` as torch.export.save alone writes it, `evaluation.pt2` the same in evaluation mode.
"""

import argparse
import copy
import gzip
import sys
import warnings
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "plugins/exported/python"))
from infomax_export import export_encoder, export_loss

BATCH = 4
RATE = 1e-3


def named(value):
    """Outputs by name, as infomax_export names them."""
    if isinstance(value, dict):
        return value
    return {f"out{i}": v for i, v in enumerate(value)} if isinstance(value, (tuple, list)) else {"out": value}


def drawn(name, shape):
    """Normal numbers of the name."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def quiet(module):
    """Dropout and stochastic depth off."""
    for part in module.modules():
        for key in ("p", "drop_prob", "drop_rate", "attn_drop_rate"):
            if isinstance(getattr(part, key, None), float):
                setattr(part, key, 0.0)
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    return module


def record(module, inputs, objective, folder, name, seed=None, evaluated=None):
    """Runs the module as it is, and writes the numbers. `objective` makes one number of the outputs."""
    module = module.train()
    loss = not isinstance(inputs, torch.Tensor)
    inputs = inputs if loss else {"images": inputs}
    file = {f"state.{n}": v for n, v in module.state_dict().items()} | {f"input.{n}": v for n, v in inputs.items()}

    def step(copied):
        leaves = {n: v.clone().requires_grad_(loss and v.is_floating_point() and not n.startswith("momentum")) for n, v in inputs.items()}
        outputs = copied(*(v.clone() for v in leaves.values()))
        outputs = {"loss": outputs} if loss and not isinstance(outputs, dict) else named(outputs)
        wanted = {f"grad.{n}": p for n, p in copied.named_parameters() if p.requires_grad}
        wanted |= {f"grad_input.{n}": v for n, v in leaves.items() if v.requires_grad}
        gradients = torch.autograd.grad(objective(outputs), list(wanted.values()), allow_unused=True)
        return outputs, {n: torch.zeros_like(v) if g is None else g for (n, v), g in zip(wanted.items(), gradients)}

    if seed is not None:
        torch.manual_seed(seed)
        file["seed"] = torch.tensor([seed])
    first = copy.deepcopy(module)
    outputs, gradients = step(first)
    file |= {f"output.{n}": v for n, v in outputs.items()} | gradients
    if not loss:
        file |= {f"weight.{n}": drawn(n, v.shape) for n, v in outputs.items()}
    file |= {f"after.{n}": b.clone() for n, b in first.named_buffers()}
    if loss:
        file |= {f"output2.{n}": v for n, v in step(first)[0].items()}
    elif seed is None or evaluated:
        with torch.no_grad():
            file |= {f"eval.{n}": v for n, v in named(first.eval()(*inputs.values())).items()}
    trained = copy.deepcopy(module)
    parameters = {n: p for n, p in trained.named_parameters() if p.requires_grad}
    if parameters and seed is None:
        adam = torch.optim.Adam(parameters.values(), lr=RATE)
        for _ in range(3):
            _, gradients = step(trained)
            for n, p in parameters.items():
                p.grad = gradients[f"grad.{n}"]
            adam.step()
        file |= {f"adam3.{n}": p for n, p in parameters.items()} | {f"adam3_after.{n}": b for n, b in trained.named_buffers()}
    save_file({n: v.detach().clone().contiguous() for n, v in file.items()}, folder / f"{name}.safetensors")


def weighed(outputs):
    return sum((v * drawn(n, v.shape)).sum() for n, v in outputs.items())


def minimised(outputs):
    return outputs["loss"] if "loss" in outputs else sum(outputs.values())


def encoder(folder, name, build, size, batch=BATCH, seed=None, evaluated=None, **how):
    torch.manual_seed(zlib.crc32(name.encode()))
    module = build() if seed is not None else quiet(build())
    height, width = (size, size) if isinstance(size, int) else size
    export_encoder(module, size, folder / f"{name}.pt2", batch=batch, **how)
    images = drawn(f"images of {name}", (batch, how.get("channels", 3), height, width))
    record(module, images, weighed, folder, name, seed, evaluated)


def loss(folder, name, build, inputs):
    torch.manual_seed(zlib.crc32(name.encode()))
    module = build()
    export_loss(module, inputs, folder / f"{name}.pt2")
    record(module, inputs, minimised, folder, name)


def plain(folder, name, build, *examples, training=True):
    """As people write it who don't know infomax_export; folders of this machine are left out."""
    torch.manual_seed(zlib.crc32(b"conv"))
    module = quiet(build()).train(training)
    free = tuple({0: torch.export.Dim.AUTO} for _ in examples)
    program = torch.export.export(module, examples, dynamic_shapes=free)
    for node in program.graph.nodes:
        trace = node.meta.get("stack_trace", "").replace(str(Path(torch.__file__).parent.parent), "/site-packages")
        if trace:
            node.meta["stack_trace"] = trace.replace(str(Path(__file__).parent.resolve()), "/mine")
    torch.export.save(program, folder / f"{name}.pt2")


def compressed(folder):
    for file in [*folder.glob("*.pt2"), *folder.glob("*.safetensors")]:
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))
        file.unlink()


def networks():
    """Name: build, size. Where there is a head it is left out."""
    import timm
    import torchvision

    def vision(name, **heads):
        def build():
            module = torchvision.models.get_model(name, weights=None)
            for path in heads.values():
                module.set_submodule(path, nn.Identity())
            return module

        return build

    cases = {
        "resnet18": (vision("resnet18", head="fc"), 64),
        "resnet50": (vision("resnet50", head="fc"), 64),
        "vit_b_16": (vision("vit_b_16", head="heads"), 224),
        "convnext_tiny": (vision("convnext_tiny", head="classifier.2"), 64),
        "mobilenet_v3_small": (vision("mobilenet_v3_small", head="classifier"), 64),
        "efficientnet_b0": (vision("efficientnet_b0", head="classifier"), 64),
        "swin_t": (vision("swin_t", head="head"), 224),
        "regnet_y_400mf": (vision("regnet_y_400mf", head="fc"), 64),
        "densenet121": (vision("densenet121", head="classifier"), 64),
    }
    for name, size in {
        "vit_tiny_patch16_224": 224, "resnet18d": 64, "convnextv2_atto": 64, "efficientvit_b0": 64, "mobilenetv4_conv_small": 64,
        "mixer_s16_224": 224, "edgenext_xx_small": 64, "nfnet_l0": 64, "eva02_tiny_patch14_224": 224, "levit_128s": 224,
        "resnest14d": 64, "swinv2_tiny_window8_256": 256, "poolformer_s12": 64, "fastvit_t8": 64, "mvitv2_tiny": 224,
        "ghostnet_100": 64, "mambaout_femto": 64,
    }.items():  # fmt: skip
        cases[f"timm-{name}"] = (lambda name=name: timm.create_model(name, pretrained=False, num_classes=0), size)
    cases["timm-resnet18-maps"] = (lambda: timm.create_model("resnet18", pretrained=False, features_only=True), 64)
    return cases


class InfoNce(nn.Module):
    """With a trained temperature and a projector."""

    def __init__(self, channels=32):
        super().__init__()
        self.projector = nn.Sequential(nn.Linear(channels, 64, bias=False), nn.BatchNorm1d(64), nn.ReLU(inplace=True), nn.Linear(64, 16))
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, a, b):
        a, b = (nn.functional.normalize(self.projector(x), dim=1) for x in (a, b))
        scores = a @ b.T * self.log_scale.exp().clamp(max=100.0)
        labels = torch.arange(a.shape[0], device=a.device)
        return (nn.functional.cross_entropy(scores, labels) + nn.functional.cross_entropy(scores.T, labels)) / 2


class Queue(nn.Module):
    """MoCo's: keys of the momentum encoder against a queue of earlier ones, which moves in forward."""

    def __init__(self, channels=32, length=24):
        super().__init__()
        self.register_buffer("queue", nn.functional.normalize(torch.randn(length, channels), dim=1))

    def forward(self, query, key):
        query, key = nn.functional.normalize(query, dim=1), nn.functional.normalize(key, dim=1).detach()
        scores = torch.cat([(query * key).sum(1, keepdim=True), query @ self.queue.T], dim=1) / 0.2
        value = nn.functional.cross_entropy(scores, torch.zeros(scores.shape[0], dtype=torch.long, device=scores.device))
        self.queue = torch.cat([key, self.queue])[: self.queue.shape[0]]
        return value


class Pointer(nn.Module):
    """The same with a pointer into the queue, both moved in place."""

    def __init__(self, channels=32, length=24):
        super().__init__()
        self.register_buffer("queue", nn.functional.normalize(torch.randn(length, channels), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def forward(self, query, key):
        query, key = nn.functional.normalize(query, dim=1), nn.functional.normalize(key, dim=1)
        scores = torch.cat([(query * key).sum(1, keepdim=True), query @ self.queue.clone().T], dim=1) / 0.2
        value = nn.functional.cross_entropy(scores, torch.zeros(scores.shape[0], dtype=torch.long, device=scores.device))
        with torch.no_grad():
            rows = (self.pointer + torch.arange(key.shape[0], device=key.device)) % self.queue.shape[0]
            self.queue[rows] = key
            self.pointer.add_(key.shape[0]).remainder_(self.queue.shape[0])
        return value


class Terms(nn.Module):
    """A dict without `loss`: its sum is minimised."""

    def forward(self, a, b):
        spread = torch.relu(1 - torch.sqrt(torch.cat([a, b]).var(0) + 1e-4)).mean()
        return {"invariance": 25 * nn.functional.mse_loss(a, b), "spread": 25 * spread}


class Monitored(nn.Module):
    """A dict with `loss` and a number that is only watched."""

    def forward(self, a, b):
        value = nn.functional.mse_loss(a, b)
        return {"loss": value, "norm": a.detach().norm(dim=1).mean()}


class Labelled(nn.Module):
    """Supervised contrastive."""

    def forward(self, a, b, labels):
        z = nn.functional.normalize(torch.cat([a, b]), dim=1)
        labels = torch.cat([labels, labels])
        own = torch.eye(z.shape[0], dtype=torch.bool, device=z.device)
        same = (labels[:, None] == labels[None]) & ~own
        scores = (z @ z.T / 0.1).masked_fill(own, float("-inf"))
        log = torch.log_softmax(scores, dim=1).masked_fill(~same, 0.0)
        return -(log.sum(1) / same.sum(1)).mean()


class Centred(nn.Module):
    """DINO's, with prototypes and a centre that follows the momentum encoder."""

    def __init__(self, channels=32, prototypes=24):
        super().__init__()
        self.prototypes = nn.Linear(channels, prototypes, bias=False)
        self.register_buffer("centre", torch.zeros(1, prototypes))

    def forward(self, student0, student1, teacher0, teacher1):
        with torch.no_grad():
            teacher = self.prototypes(torch.cat([teacher0, teacher1]))
            target = torch.softmax((teacher - self.centre) / 0.04, dim=1).chunk(2)
            self.centre.mul_(0.9).add_(teacher.mean(0, keepdim=True), alpha=0.1)
        logs = [torch.log_softmax(self.prototypes(x) / 0.1, dim=1) for x in (student0, student1)]
        return -sum((target[1 - i] * logs[i]).sum(1).mean() for i in range(2)) / 2


def losses():
    """Name: build, inputs."""
    from lightly.loss import BarlowTwinsLoss, NTXentLoss, VICRegLoss

    def views(*names, rows=8, channels=32, maps=()):
        return {n: drawn(n, (rows, channels, *maps)) for n in names}

    two = views("view0.r1", "view1.r1")
    moving = views("view0.r1", "momentum1.r1")
    return {
        "nt-xent": (lambda: NTXentLoss(temperature=0.5, gather_distributed=False), two),
        "vicreg": (lambda: VICRegLoss(), two),
        "barlow-twins": (lambda: BarlowTwinsLoss(), two),
        "info-nce": (InfoNce, two),
        "queue": (Queue, moving),
        "pointer": (Pointer, moving),
        "terms": (Terms, two),
        "monitored": (Monitored, two),
        "labelled": (Labelled, two | {"labels": torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])}),
        "centred": (Centred, views("view0.r1", "view1.r1", "momentum0.r1", "momentum1.r1")),
    }


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["tiny", "nets", "losses"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", help="names of cases")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "tiny":
        from exported_cases import Conv, Projected, tiny

        cases = tiny()
        images, row = torch.zeros(BATCH, 3, 5, 5), torch.zeros(BATCH, 16)
        plain(given.folder, "plain", Conv, images)
        plain(given.folder, "evaluation", Conv, images, training=False)
        plain(given.folder, "plain-loss", Projected, row, row.clone())
    else:
        cases = networks() if given.what == "nets" else losses()
    for name, (build, size, *how) in cases.items():
        if not given.only or name in given.only:
            make = loss if isinstance(size, dict) else encoder
            make(given.folder, name, build, size, **(how[0] if how else {}))
    if given.what == "tiny":
        compressed(given.folder)


if __name__ == "__main__":
    main()
