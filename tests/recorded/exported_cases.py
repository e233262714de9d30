"""Small modules for record_exported.py: each holds one kind of thing that exported graphs hold."""

import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn import functional as F


def pooled(x):
    return x.mean((2, 3))


class Scaled(nn.Module):
    """Gives a module without parameters something to learn."""

    def __init__(self, module):
        super().__init__()
        self.scale, self.module = nn.Parameter(torch.randn(3, 1, 1)), module

    def forward(self, x):
        return self.module(x * self.scale)


class Conv(nn.Module):
    """Convolution, BatchNorm, ReLU in place, shortcut, dropout in place; two outputs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
        self.block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2))
        self.drop = nn.Dropout(0.0, inplace=True)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu(self.block(x) + x, inplace=True)
        return x, self.drop(pooled(x))


class Dict(nn.Module):
    """A dict whose order is not that of the alphabet."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 2, 3, stride=2), nn.Conv2d(2, 3, 2)

    def forward(self, x):
        low = self.a(x).relu()
        return {"low": low, "high": pooled(self.b(low)), "first": low.amax((2, 3))}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.tanh(self.a(pooled(x))))


class Buffers(nn.Module):
    """Persistent or not, a plain tensor, a constant made in forward, two views of one storage, float64, a frozen parameter."""

    def __init__(self):
        super().__init__()
        both = torch.randn(2, 3)
        self.register_buffer("kept", both[0])
        self.register_buffer("transposed", torch.randn(3, 3).T)
        self.register_buffer("brief", both[1], persistent=False)
        self.register_buffer("precise", torch.randn(3, dtype=torch.float64))
        self.register_buffer("none", torch.zeros(0, 3))
        self.plain = torch.randn(3)
        self.frozen = nn.Parameter(torch.randn(3), requires_grad=False)
        self.unused = nn.Parameter(torch.randn(2))
        self.scale = nn.Parameter(torch.randn(()))

    def forward(self, x):
        x = pooled(x) * self.kept + self.brief + self.plain * torch.tensor([1.0, -2.0, 0.5])
        return (x @ self.transposed + self.frozen) * self.scale + self.precise.to(x.dtype) + self.none.sum()


class Twice(nn.Module):
    """One module called twice: its statistics move twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        x = F.silu(self.norm(self.conv(x)), inplace=True)
        return self.norm(self.conv(x))


class Autocast(nn.Module):
    """Regions of full precision, named after the device or after CUDA, and casts that pin a type."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 4), nn.LayerNorm(4)

    def forward(self, x):
        y = self.linear(pooled(x))
        with torch.autocast(device_type=x.device.type, enabled=False):
            y = self.norm(y.float())
            z = y.softmax(1)
        with torch.autocast("cuda", enabled=False):
            z = z.double() @ y.double().T
        return z.to(x.dtype) @ y


class NoGrad(nn.Module):
    """Regions without gradient: with a result, with updates of buffers only, nested."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        y = self.linear(pooled(x))
        with torch.no_grad():
            target = y.exp()
            with torch.enable_grad():
                inner = y.sin()
        with torch.no_grad():
            self.mean.mul_(0.9).add_(target.mean(0), alpha=0.1)
            self.calls.add_(1)
        return y * target + inner - self.mean.clone() + y.detach()


class Factories(nn.Module):
    def forward(self, x):
        n, device = x.shape[0], x.device
        rows = torch.arange(n, device=device)
        y = pooled(x) + torch.eye(n, 3, device=device) + torch.linspace(0, 1, 3, device=device)
        y = y * torch.full((n, 3), 0.5, device=device) + torch.zeros_like(y) + x.new_ones(n, 3) + torch.ones(n, 1, device=device)
        upper = torch.triu(torch.ones(3, 3, device=device), diagonal=1)
        return y @ upper + rows[:, None] / n + torch.arange(0, 6, 2, device=device, dtype=x.dtype)


class Noise(nn.Module):
    """Dropout and stochastic depth that draw."""

    def __init__(self):
        super().__init__()
        self.linear, self.drop = nn.Linear(3, 8), nn.Dropout(0.5)

    def forward(self, x):
        y = self.drop(self.linear(pooled(x)))
        if self.training:
            y = y * y.new_empty(y.shape[0], 1).bernoulli_(0.7).div_(0.7)
        return F.dropout(y, 0.2, self.training)


class Attention(nn.Module):
    """Patches, class token, positions, LayerNorm, attention by PyTorch's function and by hand, GELU."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 2, stride=2)
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.randn(1, 5, 4))
        self.norm, self.qkv, self.out = nn.LayerNorm(4), nn.Linear(4, 12), nn.Linear(4, 4)
        self.whole = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        b, n, c = x.shape
        x = torch.cat([self.token.expand(b, -1, -1), x], dim=1) + self.position
        q, k, v = self.qkv(self.norm(x)).reshape(b, n + 1, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n + 1, c)
        x = x + F.gelu(self.out(y), approximate="tanh")
        x = x + self.whole(x, x, x, need_weights=False)[0]
        return x[:, 0], x[:, 1:].transpose(1, 2).unflatten(2, (2, 2))


class Pools(nn.Module):
    """GroupNorm, pools, resizing, padding."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect"), nn.GroupNorm(2, 4)

    def forward(self, x):
        x = self.norm(self.conv(x))
        x = F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        x = F.interpolate(x, scale_factor=2, mode="nearest") + F.interpolate(x, size=(4, 4), mode="bilinear", align_corners=False)
        x = F.pad(x, (1, 0, 0, 1)) + F.pad(x, (0, 1, 1, 0), mode="replicate")
        return F.adaptive_max_pool2d(x, 2), F.adaptive_avg_pool2d(x, 1).flatten(1), F.pixel_unshuffle(x[:, :, :4, :4], 2)


class Parts(nn.Module):
    """Outputs that are lists of tensors."""

    def forward(self, x):
        a, b = x.chunk(2, dim=2)
        c, d, e = x.split([2, 1, 1], dim=3)
        f = torch.stack(x.unbind(1), dim=1)
        rolled = torch.roll(f, (1, -1), (2, 3)).flip(2)
        g, h = torch.meshgrid(x[0, 0, 0], x[0, 0, 1], indexing="ij")
        return torch.cat([a, b], 1), pooled(c) + pooled(d) * pooled(e), rolled * (g + h)


class Orders(nn.Module):
    """Values with indices: maxima, sorting, the largest few, running sums, gathering."""

    def forward(self, x):
        x = x.flatten(1)
        top, where = x.max(dim=1, keepdim=True)
        values, index = x.topk(3, dim=1)
        ordered, _ = torch.sort(x, dim=1, descending=True)
        low = x.min(dim=1).values
        spread = torch.zeros_like(x).scatter(1, index, values)
        picked = x.gather(1, x.argmin(dim=1, keepdim=True))
        return values - top, ordered.cumsum(1)[:, :4], torch.stack([low, picked[:, 0], where[:, 0] * 0.01], 1), spread[:, :5]


class Indices(nn.Module):
    """Embedding, advanced indexing with gaps, writing through indices and slices."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 4)

    def forward(self, x):
        y = pooled(x).clone()
        i = torch.arange(x.shape[0], device=x.device)
        y[:, torch.tensor([0, 2])] = 0.5
        y[i, i % 3] += 1.0
        y[0, 1] = 3.0
        y = y.index_select(1, torch.tensor([2, 1, 0], device=x.device))
        z = x[:, :, torch.tensor([1, 0]), 2:5:2].sum(3)
        return torch.cat([y, self.table(i % 6)], 1), z.flatten(1), x[..., 0, None].squeeze(3)[:, 1].index_put((i,), y[:, :1] * 2)


class Products(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 5))

    def forward(self, x):
        t = x.flatten(2)
        gram = torch.einsum("bcn,bdn->bcd", t, t) / t.shape[2]
        y = torch.bmm(gram, self.w.expand(x.shape[0], -1, -1))
        y = torch.baddbmm(y, gram, y, beta=0.5) + torch.addcmul(y, y, y, value=0.1) + y.lerp(y.square(), 0.3)
        distance = torch.cdist(y.flatten(1), y.flatten(1) + 1.0)
        return y.sum(1), y.norm(dim=1), torch.linalg.vector_norm(y, ord=1, dim=2), torch.outer(y[:, 0, 0], self.w[0]), distance.mean(1, keepdim=True)


class Masks(nn.Module):
    def forward(self, x):
        y = pooled(x)
        own = torch.eye(x.shape[0], dtype=torch.bool, device=x.device)
        scores = (y @ y.T).masked_fill(own, float("-inf"))
        near = torch.where(scores > 0, scores, torch.full_like(scores, float("nan"))).nan_to_num(0.0)
        keep = ((y > 0) & (y < 1)) | (y == y.amax(1, keepdim=True))
        return scores.logsumexp(1, keepdim=True), near.clamp(max=2).sum(1, keepdim=True), torch.where(keep, y, 0.0), y.masked_fill(~keep, -1.0)


class Guards(nn.Module):
    """Branches and arithmetic on sizes."""

    def forward(self, x):
        b, _, h, w = x.shape
        assert h == w, "square images only"
        y = pooled(x) * b**0.5 / (b - 1)
        if b > 2:
            y = y * max(b, 3) / min(b, 5)
        return y + (b // 2) % 3


class Even(nn.Module):
    """Halves of the batch meet."""

    def forward(self, x):
        a, b = pooled(x).chunk(2)
        return torch.cat([a + b, a * b]), pooled(x).view(x.shape[0] // 2, 2, 3).flip(1).reshape(-1, 3)


class AnySize(nn.Module):
    """Height and width vary."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        h, w = x.shape[2:]
        y = self.conv(F.pad(x, (0, w % 2, 0, h % 2)))
        y = F.interpolate(y, size=(h // 2, w // 2), mode="bilinear")
        tokens = y.flatten(2).transpose(1, 2)
        return y, tokens.softmax(1).sum(1) * h, tokens.reshape(x.shape[0], h // 2, w // 2, 4).permute(0, 3, 1, 2)


class Weights(nn.Module):
    """Weights that are computed: weight norm, spectral norm whose buffers move, standardised by batch_norm without statistics."""

    def __init__(self):
        super().__init__()
        norms = nn.utils.parametrizations
        self.a, self.b, self.c = norms.weight_norm(nn.Linear(3, 4)), norms.spectral_norm(nn.Linear(4, 3)), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        weight = self.c.weight
        weight = F.batch_norm(weight.reshape(1, 4, -1), None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(weight)
        return self.b(self.a(pooled(x))), pooled(F.conv2d(x, weight, self.c.bias))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(3, 4, batch_first=True, bidirectional=True), nn.GRU(8, 3, batch_first=True)

    def forward(self, x):
        y, _ = self.lstm(x.flatten(2).transpose(1, 2)[:, :6])
        return self.gru(y)[1][0]


class Activations(nn.Module):
    def __init__(self):
        super().__init__()
        self.prelu = nn.PReLU(3)

    def forward(self, x):
        x = self.prelu(pooled(x))
        y = F.gelu(x) + F.elu(x) + F.leaky_relu(x, 0.1) + F.softplus(x) + F.mish(x) + F.hardsigmoid(x) + F.selu(x) + F.celu(x)
        y = y + F.relu6(x) + F.logsigmoid(x) + F.softsign(x) + F.hardswish(x) + F.glu(torch.cat([x, x], 1)) + F.tanhshrink(x)
        for in_place in (F.hardswish, F.silu, F.leaky_relu, F.hardtanh):
            y = in_place(y * 0.3, inplace=True)
        return y, torch.special.erf(x) + x.sigmoid().sqrt() * x.abs().rsqrt() + x.square().log1p() + x.sign().expm1(), x.atan2(y).pow(2)


class Norms(nn.Module):
    """Other norms: of instances, without weights, without running statistics, of vectors."""

    def __init__(self):
        super().__init__()
        self.instance = nn.InstanceNorm2d(3, affine=True)
        self.bare, self.fresh, self.vector = nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, track_running_stats=False), nn.BatchNorm1d(3)

    def forward(self, x):
        x = self.instance(x) + self.bare(x) * self.fresh(x)
        y = self.vector(pooled(x) + x.std((2, 3), unbiased=False))
        return F.normalize(y, dim=1) + F.rms_norm(y, (3,)) + F.layer_norm(y, (3,)) + F.local_response_norm(x, 2)[:, :, 0, 0]


class Convolutions(nn.Module):
    """Transposed, depthwise, dilated, one-dimensional; weights in channels-last order."""

    def __init__(self):
        super().__init__()
        self.up, self.deep = nn.ConvTranspose2d(3, 4, 2, stride=2), nn.Conv2d(4, 4, 3, padding="same", dilation=2, groups=4)
        self.line = nn.Conv1d(4, 2, 3, padding=1)
        self.deep.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = self.deep(self.up(x)).contiguous(memory_format=torch.channels_last)
        return self.line(x.flatten(2)).mean(2), F.unfold(x, 2, stride=4)[:, :, 0]


class Again(nn.Module):
    """Recomputed in the backward pass; the same tensor twice among the outputs; an unused result."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        y = torch.utils.checkpoint.checkpoint(self.linear, pooled(x), use_reentrant=False)
        _unused, _ = y.max(dim=0)
        return y, y, x


class Assigned(nn.Module):
    """A buffer replaced in forward, whose old value gradients need."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(3))

    def forward(self, x):
        y = pooled(x) * self.mean
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y


class Nce(nn.Module):
    """A loss of ten lines."""

    def forward(self, a, b):
        z = F.normalize(torch.cat([a, b]), dim=1)
        scores = z @ z.T / 0.5
        scores = scores.masked_fill(torch.eye(z.shape[0], dtype=torch.bool, device=z.device), float("-inf"))
        half = a.shape[0]
        positive = (torch.arange(z.shape[0], device=z.device) + half) % z.shape[0]
        return F.cross_entropy(scores, positive)


class Maps(nn.Module):
    """A loss on maps of any number of views, with a projector."""

    def __init__(self):
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(4, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 3, 1))

    def forward(self, *views):
        views = [self.project(v).mean((2, 3)) for v in views]
        mean = torch.stack(views).mean(0)
        return {"spread": torch.relu(1 - mean.std(0)).mean(), "loss": sum(F.mse_loss(v, mean) for v in views)}


class Small(nn.Module):
    """An encoder for runs on images of 32 pixels: maps of 1, 5 and 7 locations a side, BatchNorm, stochastic depth."""

    def __init__(self, drop=0.0):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.drop = drop
        self.down = nn.Conv2d(8, 16, 2, bias=False)
        self.last = nn.BatchNorm2d(16)
        self.fifth = nn.Conv2d(16, 16, 3)
        self.head = nn.Linear(16, 16)

    def forward(self, x):
        x = self.stem(x)
        y = self.block(x)
        if self.training and self.drop > 0.0:
            y = y * torch.empty(y.shape[0], 1, 1, 1, device=y.device).bernoulli_(1 - self.drop).div_(1 - self.drop)
        r7 = self.last(self.down(x + y))
        return {"r1": self.head(r7.mean((2, 3))), "r5": self.fifth(r7), "r7": r7}


class SmallTied(nn.Module):
    """For runs: two names of one weight, BatchNorm."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 8, stride=8), nn.BatchNorm2d(16)
        self.one, self.other = nn.Linear(16, 16), nn.Linear(16, 16)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.other(self.one(self.norm(self.conv(x)).relu().mean((2, 3))).tanh())


class SmallEven(nn.Module):
    """For runs: the batch must be even."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 8, stride=8), nn.Linear(8, 16)

    def forward(self, x):
        halves = x.view(2, x.shape[0] // 2, *x.shape[1:])
        return self.head(self.conv(halves.flatten(0, 1)).relu().mean((2, 3)))


class Floored(nn.Module):
    """Stochastic depth as older code draws it; resizing with antialias."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 3)

    def forward(self, x):
        x = F.interpolate(x, size=(3, 3), mode="bilinear", antialias=True)
        y = self.conv(x)
        if self.training:
            keep = 0.75
            mask = keep + torch.rand((y.shape[0],) + (1,) * (y.ndim - 1), dtype=y.dtype, device=y.device)
            mask.floor_()
            y = y.div(keep) * mask
        return self.head(pooled(x + y))


class Projected(nn.Module):
    """An InfoNCE of ten lines with a projector and a trained temperature."""

    def __init__(self, channels=16):
        super().__init__()
        self.projector = nn.Sequential(nn.Linear(channels, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(inplace=True), nn.Linear(32, 16))
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, a, b):
        a, b = (F.normalize(self.projector(x), dim=1) for x in (a, b))
        scores = a @ b.T * self.log_scale.exp().clamp(max=100.0)
        return F.cross_entropy(scores, torch.arange(a.shape[0], device=a.device))


class Agreement(nn.Module):
    """A mean over images that looks at each alone."""

    def forward(self, a, b):
        return {"loss": (2 - 2 * F.cosine_similarity(a, b, dim=1)).mean(), "size": a.square().mean()}


class Ratio(nn.Module):
    """Of two sums over the batch: no mean over images."""

    def forward(self, a, b):
        return F.mse_loss(a, b, reduction="sum") / a.square().sum()


class Noisy(nn.Module):
    """A loss that draws."""

    def forward(self, a, b):
        return F.mse_loss(F.dropout(a, 0.5, self.training), b + 0.1 * torch.randn_like(b))


def drawn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tiny():
    """Name: build, and the size of the images or the inputs of a loss, and arguments of export_encoder."""
    from record_exported import Centred, Labelled, Pointer, Queue

    two = {"view0.r1": drawn(1, 4, 4), "view1.r1": drawn(2, 4, 4)}
    moving = {"view0.r1": drawn(1, 4, 4), "momentum1.r1": drawn(2, 4, 4)}
    crops = {"view0.r1": drawn(1, 4, 4), "view1.r1": drawn(2, 4, 4), "momentum0.r1": drawn(3, 4, 4), "momentum1.r1": drawn(4, 4, 4)}
    return {
        "conv": (Conv, 5, {"outputs": ["r5", "r1"]}),
        "dict": (Dict, 6, {"representation": "high"}),
        "tied": (Tied, 4),
        "buffers": (Buffers, 4),
        "twice": (Twice, 4),
        "autocast": (Autocast, 4),
        "no-grad": (NoGrad, 4),
        "factories": (lambda: Scaled(Factories()), 4),
        "noise": (Noise, 4, {"seed": 7}),
        "attention": (Attention, 4),
        "pools": (Pools, 4),
        "parts": (lambda: Scaled(Parts()), 4),
        "orders": (lambda: Scaled(Orders()), 4),
        "indices": (Indices, 6),
        "products": (Products, 4),
        "masks": (lambda: Scaled(Masks()), 4),
        "guards": (lambda: Scaled(Guards()), 4),
        "even": (lambda: Scaled(Even()), 4),
        "any-size": (AnySize, (5, 7), {"dynamic_size": True}),
        "grey": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(2), nn.AdaptiveMaxPool1d(1), nn.Flatten(1)), (5, 9), {"channels": 1}),
        "weights": (Weights, 4),
        "recurrent": (Recurrent, 4),
        "activations": (Activations, 4),
        "norms": (Norms, 4),
        "convolutions": (Convolutions, 4),
        "again": (Again, 4),
        "assigned": (lambda: Scaled(Assigned()), 4),
        "small": (Small, 32, {"representation": "r1"}),
        "small-drop": (lambda: Small(0.2), 32, {"representation": "r1", "seed": 7}),
        "floored": (Floored, 6, {"seed": 11, "evaluated": True}),
        "small-tied": (SmallTied, 32, {"outputs": ["r1"]}),
        "small-even": (SmallEven, 32, {"outputs": ["r1"]}),
        "projected": (Projected, {"view0.r1": drawn(1, 4, 16), "view1.r1": drawn(2, 4, 16)}),
        "agreement": (Agreement, {"view0.r1": drawn(1, 4, 16), "view1.r1": drawn(2, 4, 16)}),
        "queue-16": (lambda: Queue(16, 64), {"view0.r1": drawn(1, 4, 16), "momentum1.r1": drawn(2, 4, 16)}),
        "ratio": (Ratio, {"view0.r1": drawn(1, 4, 16), "view1.r1": drawn(2, 4, 16)}),
        "noisy": (Noisy, two),
        "nce": (Nce, two),
        "maps": (Maps, {"view0.map": drawn(1, 4, 4, 2, 2), "view1.map": drawn(2, 4, 4, 2, 2), "view2.map": drawn(3, 4, 4, 2, 2)}),
        "queue": (lambda: Queue(4, 6), moving),
        "pointer": (lambda: Pointer(4, 6), moving),
        "labelled": (Labelled, two | {"labels": torch.tensor([0, 1, 0, 1])}),
        "centred": (lambda: Centred(4, 6), crops),
    }
