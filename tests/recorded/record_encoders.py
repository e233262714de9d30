"""Records outputs, gradients and statistics of torchvision's, timm's and restated encoders.

    python tests/recorded/record_encoders.py

Written with torch 2.11.0, torchvision 0.26.0, timm 1.0.31, numpy and safetensors; computed in float64, stored in float32.
Weights and inputs are not stored: both sides compute them from their names (`fill` here, `filled` in
tests/integration/recorded/fill.rs). Inputs are
those of a few on which float32 gives the same gradients, and on which ReLU's are furthest from 0: where a number near it falls on the
other side, gradients jump. Beside this file it writes encoders/<case>.safetensors and encoders/names.txt.
"""
import copy
import json
import math
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torchvision.models import resnet

OUT = Path(__file__).parent / "encoders"
MASK = (1 << 64) - 1
BATCH = 4
SHARP = 5e-5  # of the largest number of a gradient
ATTEMPTS = 60
FAR = 3e-6  # of a channel's standard deviation: float32's rounding is a tenth of it
SMALL = 2000  # gradients of more numbers are stored as a projection and a norm


def pattern(name, shape):
    """Numbers in [-1, 1) from the name (FNV-1a) and the position (SplitMix64's finaliser), exact in float32."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK
    x = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(seed)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    unit = (x >> np.uint64(40)).astype(np.float64) / 2.0**24
    return torch.from_numpy(2.0 * unit - 1.0).reshape(tuple(shape))


def fill(name, shape):
    """A parameter or buffer: matrices and kernels uniform with variance 2 / inputs, scales near 1, the rest near 0.

    A bottleneck's last scale is smaller: sixteen of them would amplify float32's rounding over any tolerance.
    """
    numbers = pattern(name, shape)
    if len(shape) in (2, 4):
        numbers = numbers * math.sqrt(6.0 / (math.prod(shape) // shape[0]))
    elif name.endswith(("weight", "running_var")):
        numbers = (0.25 if name.endswith("bn3.weight") else 1.0) * (1.0 + 0.5 * numbers)
    else:
        numbers = 0.2 * numbers
    return numbers.float().double()


class Head(nn.Module):
    """The head of a local map, restated from AMDIM (Bachman et al. 2019): the shortcut has a bias, the end a norm."""

    def __init__(self, c, d, use_bn):
        super().__init__()
        self.conv1 = nn.Conv2d(c, d, 1, bias=False)
        self.conv2 = nn.Conv2d(d, d, 1, bias=False)
        self.shortcut = nn.Conv2d(c, d, 1)
        self.bn_hid = nn.BatchNorm2d(d) if use_bn else nn.Identity()
        self.bn_out = nn.BatchNorm2d(d)

    def forward(self, x):
        return self.bn_out(self.conv2(F.relu(self.bn_hid(self.conv1(x)))) + self.shortcut(x))


class ResNet(resnet.ResNet):
    """torchvision's network with another stem, another width and heads."""

    def __init__(self, block, layers, stem="small", width=64, n_rkhs=None, heads_use_bn=False):
        super().__init__(block, layers)
        del self.fc
        self.inplanes = width
        small = stem == "small"
        self.conv1 = nn.Conv2d(3, width, 3 if small else 7, 1 if small else 2, 1 if small else 3, bias=False)
        self.maxpool = nn.Identity() if small else self.maxpool
        self.bn1 = nn.BatchNorm2d(width)
        for i, count in enumerate(layers):
            setattr(self, f"layer{i + 1}", self._make_layer(block, width << i, count, stride=1 if i == 0 else 2))
        if n_rkhs:
            at_8, top = (width << 2) * block.expansion, (width << 3) * block.expansion  # sides 8 and 4 at 32 px
            heads = {"r1": Head(top, n_rkhs, heads_use_bn)}
            heads |= {name: Head(at_8, n_rkhs, heads_use_bn) for name in ("r5", "r7")}
            self.heads = nn.ModuleDict(heads)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = at_8 = self.layer3(self.layer2(self.layer1(x)))
        pool = self.avgpool(self.layer4(x))
        maps = {"pool": pool}
        if hasattr(self, "heads"):
            maps["r1"] = self.heads["r1"](pool)
            maps["r5"] = self.heads["r5"](F.adaptive_avg_pool2d(at_8, 5))
            maps["r7"] = self.heads["r7"](F.adaptive_avg_pool2d(at_8, 7))
        return maps


class WideBlock(nn.Module):
    """norm, ReLU, conv, twice, beside the input; a convolution where the input does not fit."""

    def __init__(self, c, o, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c), nn.Conv2d(c, o, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(o), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.convShortcut = nn.Conv2d(c, o, 1, stride, bias=False) if c != o else None

    def forward(self, x):
        activated = F.relu(self.bn1(x))
        shortcut = self.convShortcut(activated) if self.convShortcut else x
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(activated))))


class WideResNet(nn.Module):
    """Zagoruyko and Komodakis 2016, with the names of the PyTorch code of xternalz/WideResNet-pytorch."""

    def __init__(self, depth=28, widen=2):
        super().__init__()
        c = 16
        self.conv1 = nn.Conv2d(3, c, 3, 1, 1, bias=False)
        for i in range(3):
            o, block = (16 << i) * widen, nn.Module()
            blocks = [WideBlock(c if j == 0 else o, o, 2 if i and j == 0 else 1) for j in range((depth - 4) // 6)]
            block.layer = nn.Sequential(*blocks)
            setattr(self, f"block{i + 1}", block)
            c = o
        self.bn1 = nn.BatchNorm2d(c)

    def forward(self, x):
        x = self.conv1(x)
        for block in (self.block1, self.block2, self.block3):
            x = block.layer(x)
        return {"pool": F.adaptive_avg_pool2d(F.relu(self.bn1(x)), 1)}


class Vit(nn.Module):
    """timm's `vit_tiny_patch16_224` without its classifier; its tensors keep their names."""

    def __init__(self, image, patch=4, pool="token", depth=12):
        super().__init__()
        kind = {"token": "token", "mean": "avg"}[pool]
        options = dict(img_size=image, patch_size=patch, global_pool=kind, depth=depth)
        self.net = timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True, **options)

    def forward(self, x):
        return {"pool": self.net(x)[:, :, None, None]}


def tensors(model):
    return {name.removeprefix("net."): tensor for name, tensor in model.state_dict(keep_vars=True).items()}


def filled(model, kind, memory):
    model = copy.deepcopy(model).train()
    with torch.no_grad():
        for name, tensor in tensors(model).items():
            if tensor.is_floating_point():
                tensor.copy_(fill(name, tensor.shape))
    return model.to(kind).to(memory_format=memory)


def step(model, sizes, attempt, kind=torch.float64, memory=torch.contiguous_format):
    """The model after its views in train mode and a fixed functional's backward pass, and the maps of both modes."""
    model = filled(model, kind, memory)
    views = [pattern(f"{attempt}/view{i}", (BATCH, 3, *size)) * 2.0 for i, size in enumerate(sizes)]
    views = [view.to(kind).contiguous(memory_format=memory) for view in views]
    trained = [model(view) for view in views]
    total = 0.0
    for i, maps in enumerate(trained):
        for name, map in maps.items():
            total = total + (map * pattern(f"functional/{i}/{name}", map.shape)).sum()
    total.backward()
    with torch.no_grad():
        return model, trained, [model.eval()(view) for view in views]


class LeastInput(TorchFunctionMode):
    """The least input of any ReLU, as a share of its channel's standard deviation."""

    least = math.inf

    def __torch_function__(self, function, types, arguments=(), named=None):
        if getattr(function, "__name__", "") in ("relu", "relu_"):
            x = arguments[0].detach()
            spread = x.std(dim=[i for i in range(x.dim()) if i != 1], keepdim=True)
            self.least = min(self.least, (x.abs() / spread.clamp_min(1e-30)).min().item())
        return function(*arguments, **(named or {}))


def sharp(model, sizes, attempt):
    """The outcome of `step` and ReLU's least input, if float32 gives the same gradients: else one fell on the other side."""
    with LeastInput() as inputs:
        exact = step(model, sizes, attempt)
    gradients = {name: tensor.grad for name, tensor in tensors(exact[0]).items() if tensor.grad is not None}
    least = 1e-2 * max(gradient.abs().max() for gradient in gradients.values())
    for memory, mkldnn in ((torch.channels_last, True), (torch.channels_last, False), (torch.contiguous_format, True)):
        with torch.backends.mkldnn.flags(enabled=mkldnn):
            rough = tensors(step(model, sizes, attempt, torch.float32, memory)[0])
        for name, gradient in gradients.items():
            if (rough[name].grad - gradient).abs().max() > SHARP * max(gradient.abs().max(), least):
                return None
    return inputs.least, attempt, exact


def record(case, component, config, model, sizes):
    best = None
    for attempt in range(1, ATTEMPTS + 1):
        found = sharp(model, sizes, attempt)
        if found and (best is None or found[0] > best[0]):
            best = found
        if best and best[0] > FAR:
            break
    if best is None:
        raise SystemExit(f"{case}: float32 gives other gradients on each of {ATTEMPTS} inputs; choose a smaller network")
    least, attempt, exact = best
    print(f"{case}: input {attempt}, ReLU's least input {least:.1e}")
    model, trained, evaluated = exact
    stored = {f"train/{i}/{name}": map for i, maps in enumerate(trained) for name, map in maps.items()}
    stored |= {f"evaluate/{i}/{name}": map for i, maps in enumerate(evaluated) for name, map in maps.items()}
    for name, tensor in tensors(model).items():
        if tensor.grad is None:
            stored[f"after/{name}"] = tensor  # a buffer
        elif tensor.numel() <= SMALL:
            stored[f"grad/{name}"] = tensor.grad
        else:
            along = (tensor.grad * pattern(f"projection/{name}", tensor.shape)).sum()
            stored[f"projection/{name}"] = torch.stack([along, tensor.grad.norm()])
    stored = {name: tensor.detach().float().contiguous() for name, tensor in stored.items()}
    about = {"component": component, "config": json.dumps(config), "views": json.dumps(sizes), "batch": str(BATCH)}
    about |= {"attempt": str(attempt), "torch": torch.__version__, "timm": timm.__version__}
    save_file(stored, OUT / f"{case}.safetensors", about)


DEPTHS = {
    "resnet18": (resnet.BasicBlock, [2, 2, 2, 2]),
    "resnet34": (resnet.BasicBlock, [3, 4, 6, 3]),
    "resnet50": (resnet.Bottleneck, [3, 4, 6, 3]),
}


def record_resnet(case, name, config, sizes):
    record(case, name, config, ResNet(*DEPTHS[name], **config), sizes)


def names():
    """Every tensor's name and shape of the unchanged models, the classifiers left out."""
    models = {name: getattr(resnet, name)() for name in DEPTHS}
    models["wide-resnet"] = WideResNet()
    models["vit-tiny"] = timm.create_model("vit_tiny_patch16_224")
    lines = []
    for component, model in models.items():
        for name, tensor in model.state_dict().items():
            if not name.startswith(("fc.", "head.")):
                lines.append(" ".join([component, name, *map(str, tensor.shape)]))
    (OUT / "names.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    pair = [[16, 16], [16, 16]]
    record_resnet("resnet18", "resnet18", {}, pair)
    record_resnet("resnet18_imagenet", "resnet18", {"stem": "imagenet"}, [[64, 64], [64, 64]])
    record_resnet("resnet18_heads", "resnet18", {"width": 8, "n_rkhs": 48}, [[32, 32]] * 2)
    record_resnet("resnet18_heads_bn", "resnet18", {"width": 8, "n_rkhs": 16, "heads_use_bn": True}, [[32, 32]] * 2)
    record_resnet("resnet18_crops", "resnet18", {"width": 16}, [[16, 16], [16, 16], [12, 12], [12, 10]])
    record_resnet("resnet34", "resnet34", {"width": 32}, pair)
    record_resnet("resnet50", "resnet50", {"width": 16}, pair)
    record_resnet("resnet50_imagenet", "resnet50", {"width": 16, "stem": "imagenet"}, [[64, 64]] * 2)
    record("wide_resnet", "wide-resnet", {}, WideResNet(), pair)
    record("wide_resnet_16_1", "wide-resnet", {"depth": 16, "widen": 1}, WideResNet(16, 1), pair)
    record("vit_tiny", "vit-tiny", {}, Vit(32), [[32, 32]] * 2)
    record("vit_tiny_mean", "vit-tiny", {"pool": "mean", "patch": 8, "depth": 3}, Vit(64, 8, "mean", 3), [[64, 64]] * 2)
    record("vit_tiny_crops", "vit-tiny", {"depth": 3}, Vit(32, depth=3), [[32, 32], [24, 24], [16, 20]])
    names()
