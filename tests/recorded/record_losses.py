"""Records losses, terms, gradients and state changes of the losses in plugins/losses.

Each loss is restated here from its paper's equation, in plain loops and without a look at the Rust code, so that the two
agree only if both say what the paper says. W-MSE, MMCR, LeJEPA and DINO are the package lightly's own. Heads are PyTorch modules
whose parameter names are the plugin's.

    python tests/recorded/record_losses.py

Recorded with Python 3, torch 2.11.0 (CPU), safetensors 0.8.0, lightly 1.6.0 (and torchvision 0.26.0, which it imports).
Everything is computed in float64 from float32 numbers and
stored in float32. A file `<loss>[-<variant>].safetensors` holds:

    feature/<encoder|momentum_encoder>/<view>/<map>   what the loss gets          labels (where it asks)
    state/<name>          parameters and buffers before the step                  before/<name>  after `before_step`
    loss, term/<name>     scalars                                                 after/<name>   after `after_update`
    grad/feature/<view>/<map>, grad/state/<name>      gradients of the loss

and as metadata `recorded`: JSON with `loss`, `config`, `groups` (of the views), `step`, `total_steps`.
"""

import json
import math
from pathlib import Path
from unittest import mock

import torch
from lightly import loss as lightly_loss
from lightly.loss import lejepa_loss
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).parent / "losses"
B, C = 6, 10
VEC = "global"


class Sample:
    """Features, heads and state of one recorded step."""

    def __init__(self, name, variant=None, views=2, side=1, config=None, momentum=False, maps=None, groups=None,
                 step=3, total_steps=10, batch=B):
        self.name, self.variant, self.config = name, variant, config or {}
        self.step, self.total_steps, self.batch = step, total_steps, batch
        self.groups = groups or [0] * views
        torch.manual_seed(sum(map(ord, name + (variant or ""))))
        sides = maps or {VEC: side}
        base = {m: torch.randn(batch, C, s, s) for m, s in sides.items()}
        near = lambda m, s: (base[m] + 0.7 * torch.randn(batch, C, s, s)).double()
        self.features = {(v, m): near(m, s).requires_grad_() for v in range(views) for m, s in sides.items()}
        self.slow_features = {(v, m): near(m, s) for v in range(views) for m, s in sides.items()} if momentum else {}
        self.modules, self.buffers, self.no_gradient = {}, {}, set()
        self.labels = None
        self.stored, self.before, self.after = {}, {}, {}

    def vector(self, view):
        return self.features[view, VEC].mean(dim=(2, 3))

    def slow_vector(self, view):
        return self.slow_features[view, VEC].mean(dim=(2, 3))

    def module(self, name, module, trained=True):
        for key, p in module.named_parameters():
            with torch.no_grad():  # norms away from 1 and 0, or a swap of scale and shift would go unseen
                if p.dim() == 1 and p.numel() > 1:
                    p.copy_(torch.rand_like(p) + 0.5)
        module = module.double().requires_grad_(trained)
        self.modules[name] = module
        return module

    def state(self):
        for name, module in self.modules.items():
            for key, p in module.named_parameters():
                yield f"{name}.{key}", p
        yield from self.buffers.items()

    def write(self, loss, terms):
        out = {}
        for source, features in (("encoder", self.features), ("momentum_encoder", self.slow_features)):
            for (v, m), f in features.items():
                out[f"feature/{source}/{v}/{m}"] = f
        trained = [(f"grad/feature/{v}/{m}", f) for (v, m), f in self.features.items()]
        trained += [(f"grad/state/{n}", p) for n, p in self.state() if p.requires_grad and n not in self.no_gradient]
        gradients = torch.autograd.grad(loss, [t for _, t in trained], allow_unused=True)
        for (name, tensor), gradient in zip(trained, gradients):
            if gradient is not None:  # a feature that the loss does not use
                out[name] = gradient
            elif name.startswith("grad/state/"):
                out[name] = torch.zeros_like(tensor)
        out.update({f"state/{n}": self.stored.get(n, p) for n, p in self.state()} | {f"before/{n}": p for n, p in self.before.items()})
        out.update({f"after/{n}": p for n, p in self.after.items()})
        out.update({"loss": loss} | {f"term/{n}": t for n, t in terms.items()})
        if self.labels is not None:
            out["labels"] = self.labels
        keep = lambda t: t.detach().clone().contiguous()
        out = {n: keep(t) if t.dtype == torch.int64 else keep(t).float() for n, t in out.items()}
        facts = {"loss": self.name, "config": self.config, "groups": self.groups, "step": self.step,
                 "total_steps": self.total_steps}
        FOLDER.mkdir(exist_ok=True)
        file = FOLDER / f"{self.name}{'-' + self.variant if self.variant else ''}.safetensors"
        save_file(out, file, metadata={"recorded": json.dumps(facts)})
        print(f"{file.name:42} loss {loss.item():.6f}  {file.stat().st_size} bytes")


class Norm(nn.Module):
    """BatchNorm by its definition: per column, biased variance, eps 1e-5."""

    def __init__(self, size, affine=True):
        super().__init__()
        if affine:
            self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.affine = affine

    def forward(self, x):
        mean = x.sum(0) / len(x)
        y = (x - mean) / (((x - mean) ** 2).sum(0) / len(x) + 1e-5).sqrt()
        return y * self.weight + self.bias if self.affine else y


def unit(x):
    return F.normalize(x, dim=-1)


def cosine(a, b):
    return (a * b).sum() / (a.norm() * b.norm())


def mlp(*sizes, norm=True, activation=nn.ReLU):
    """Linear, norm, activation, …, linear."""
    parts = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        parts.append(nn.Linear(a, b))
        if i < len(sizes) - 2:
            parts += [Norm(b), activation()] if norm else [activation()]
    return nn.Sequential(*parts)


def small(**more):
    return {"projector_hidden": 7, "projector_dim": 5} | more


def spread(z):
    return unit(z.detach()).var(0, unbiased=False).sqrt().mean()


def average(sample, own, slow, start, end, name="momentum_projector"):
    """BYOL section 3.1, with an end that need not be 1."""
    k = sample.step / sample.total_steps
    m = end - (end - start) * (math.cos(math.pi * k) + 1) / 2
    for (key, a), b in zip(own.named_parameters(), slow.parameters()):
        sample.after[f"{name}.{key}"] = m * b + (1 - m) * a.detach()


# SimCLR, equation 1 and algorithm 1 -----------------------------------------------------------------------------------


def nt_xent(variant, side, temperature, norm):
    s = Sample("nt-xent", variant, side=side, config=small(temperature=temperature, projector_norm=norm))
    g = s.module("projector", mlp(C, 7, 5, norm=norm))
    z = [None] * (2 * B)
    for v in range(2):
        for k, row in enumerate(g(s.vector(v))):
            z[2 * k + v] = row  # algorithm 1: 2k − 1 and 2k belong together
    sim = lambda i, j: cosine(z[i], z[j]) / temperature
    loss = 0
    for k in range(B):
        for i, j in ((2 * k, 2 * k + 1), (2 * k + 1, 2 * k)):
            bottom = sum(sim(i, n).exp() for n in range(2 * B) if n != i)
            loss = loss - torch.log(sim(i, j).exp() / bottom) / (2 * B)
    positive = sum(cosine(z[2 * k], z[2 * k + 1]) for k in range(B)) / B
    s.write(loss, {"partner_cosine": positive})


# VICReg, algorithm 1 --------------------------------------------------------------------------------------------------


def vicreg(variant, side, weights, scale):
    lam, mu, nu = weights
    s = Sample("vicreg", variant, side=side, config=small(
        invariance_weight=lam, variance_weight=mu, covariance_weight=nu, loss_scale=scale))
    g = s.module("projector", mlp(C, 7, 7, 5))
    za, zb = g(s.vector(0)), g(s.vector(1))
    n, d = za.shape
    invariance = F.mse_loss(za, zb)
    std = lambda z: torch.sqrt(z.var(dim=0) + 1e-4)
    variance = (torch.relu(1 - std(za)).mean() + torch.relu(1 - std(zb)).mean()) / 2

    def covariance(z):
        c, total = torch.cov(z.T), 0
        for i in range(d):
            for j in range(d):
                if i != j:
                    total = total + c[i, j] ** 2
        return total / d

    covariances = covariance(za) + covariance(zb)
    loss = scale * (lam * invariance + mu * variance + nu * covariances)
    s.write(loss, {"invariance": invariance, "variance": variance, "covariance": covariances})


# Barlow Twins, equations 1 and 2 --------------------------------------------------------------------------------------


def barlow_twins(variant, side, weight, scale):
    s = Sample("barlow-twins", variant, side=side, config=small(redundancy_weight=weight, loss_scale=scale))
    g = s.module("projector", mlp(C, 7, 7, 5))
    norm = lambda z: (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
    za, zb = norm(g(s.vector(0))), norm(g(s.vector(1)))
    invariance = redundancy = 0
    for i in range(5):
        for j in range(5):
            c = (za[:, i] * zb[:, j]).sum() / B
            if i == j:
                invariance = invariance + (1 - c) ** 2
            else:
                redundancy = redundancy + c**2
    s.write(scale * (invariance + weight * redundancy), {"invariance": invariance, "redundancy": redundancy})


# BYOL, equation 2 -----------------------------------------------------------------------------------------------------


def byol(variant, side, start, end):
    s = Sample("byol", variant, side=side, momentum=True, config=small(
        predictor_hidden=6, momentum_start=start, momentum_end=end))
    g, q = s.module("projector", mlp(C, 7, 5)), s.module("predictor", mlp(5, 6, 5))
    slow = s.module("momentum_projector", mlp(C, 7, 5), trained=False)
    loss = 0
    for v, w in ((0, 1), (1, 0)):
        prediction, target = unit(q(g(s.vector(v)))), unit(slow(s.slow_vector(w)))
        loss = loss + ((prediction - target) ** 2).sum(1).mean()
    average(s, g, slow, start, end)
    s.write(loss, {"spread": spread(g(s.vector(0)))})


# MoCo v2: He et al. 2020, equation 1 and algorithm 1 -------------------------------------------------------------------


def moco_v2(variant, side, symmetric, size, position, norm):
    directions = [(0, 1), (1, 0)][: 2 if symmetric else 1]
    s = Sample("moco-v2", variant, side=side, momentum=True, config=small(
        queue_size=size, symmetric=symmetric, projector_norm=norm, momentum_start=0.8, momentum_end=0.95))
    g = s.module("projector", mlp(C, 7, 5, norm=norm))
    slow = s.module("momentum_projector", mlp(C, 7, 5, norm=norm), trained=False)
    s.buffers["queue"] = unit(torch.randn(len(directions), size, 5).double()).float().double()
    s.buffers["queue_position"] = torch.tensor([position])
    loss, positives, queue = 0, 0, s.buffers["queue"].clone()
    for d, (query, key) in enumerate(directions):
        q, k = unit(g(s.vector(query))), unit(slow(s.slow_vector(key))).detach()
        for b in range(B):
            logits = torch.stack([q[b] @ k[b]] + [q[b] @ old for old in s.buffers["queue"][d]]) / 0.2
            loss = loss - torch.log(logits[0].exp() / logits.exp().sum()) / (B * len(directions))
            positives = positives + q[b] @ k[b] / (B * len(directions))
            queue[d, (position + b) % size] = k[b]  # the oldest first
    s.after["queue"], s.after["queue_position"] = queue, torch.tensor([(position + B) % size])
    average(s, g, slow, 0.8, 0.95)
    s.write(loss, {"partner_cosine": positives})


# SimSiam, equations 1 to 4 ---------------------------------------------------------------------------------------------


def simsiam(variant, side, layers):
    s = Sample("simsiam", variant, side=side, config=small(predictor_hidden=6, projector_layers=layers))
    parts = []
    for i in range(layers):
        last = i == layers - 1
        parts += [nn.Linear(C if i == 0 else 7, 5 if last else 7, bias=False), Norm(5 if last else 7, affine=not last)]
        parts += [] if last else [nn.ReLU()]
    f = s.module("projector", nn.Sequential(*parts))
    h = s.module("predictor", nn.Sequential(nn.Linear(5, 6, bias=False), Norm(6), nn.ReLU(), nn.Linear(6, 5)))
    z = [f(s.vector(0)), f(s.vector(1))]
    p = [h(z[0]), h(z[1])]
    distance = lambda p, z: -sum(cosine(p[b], z[b].detach()) for b in range(B)) / B
    s.write(distance(p[0], z[1]) / 2 + distance(p[1], z[0]) / 2, {"spread": spread(z[0])})


# SupCon, equation 2 ----------------------------------------------------------------------------------------------------


def supcon(variant, side, labels, temperature, norm):
    s = Sample("supcon", variant, side=side, config=small(temperature=temperature, projector_norm=norm))
    s.labels = torch.tensor(labels)
    g = s.module("projector", mlp(C, 7, 5, norm=norm))
    z = torch.cat([unit(g(s.vector(0))), unit(g(s.vector(1)))])
    loss = 0
    for i in range(2 * B):
        others = [a for a in range(2 * B) if a != i]
        bottom = sum((z[i] @ z[a] / temperature).exp() for a in others)
        label = labels[i % B]
        positives = [p for p in others if p % B == i % B or (label >= 0 and labels[p % B] == label)]
        for p in positives:
            loss = loss - torch.log((z[i] @ z[p] / temperature).exp() / bottom) / len(positives) / (2 * B)
    s.write(loss, {"partner_cosine": sum(z[b] @ z[b + B] for b in range(B)) / B})


# Decoupled contrastive learning, L_DC and L_DCW -----------------------------------------------------------------------


def dcl(variant, side, weighted, sigma, temperature, norm):
    s = Sample("dcl", variant, side=side, config=small(
        temperature=temperature, weighted=weighted, sigma=sigma, projector_norm=norm))
    g = s.module("projector", mlp(C, 7, 5, norm=norm))
    z = [unit(g(s.vector(0))), unit(g(s.vector(1)))]
    pull = [(z[0][b] @ z[1][b] / sigma).exp() for b in range(B)]
    loss = 0
    for b in range(B):
        weight = 2 - pull[b] / (sum(pull) / B) if weighted else 1
        for v in range(2):
            bottom = sum((z[v][b] @ z[w][j] / temperature).exp() for w in range(2) for j in range(B) if j != b)
            loss = loss + (-weight * (z[0][b] @ z[1][b]) / temperature + torch.log(bottom)) / (2 * B)
    s.write(loss, {"partner_cosine": sum(z[0][b] @ z[1][b] for b in range(B)) / B})


# Alignment and uniformity ----------------------------------------------------------------------------------------------


def align_uniform(variant, side, power, sharpness, weights, norm):
    s = Sample("align-uniform", variant, side=side, config=small(
        align_power=power, uniform_sharpness=sharpness, align_weight=weights[0], uniform_weight=weights[1],
        projector_norm=norm))
    g = s.module("projector", mlp(C, 7, 5, norm=norm))
    x, y = unit(g(s.vector(0))), unit(g(s.vector(1)))
    alignment = (x - y).norm(p=2, dim=1).pow(power).mean()
    uniform = lambda x: torch.pdist(x, p=2).pow(2).mul(-sharpness).exp().mean().log()
    uniformity = (uniform(x) + uniform(y)) / 2
    s.write(weights[0] * alignment + weights[1] * uniformity, {"alignment": alignment, "uniformity": uniformity})


# SwAV, sections 3.1 and 3.2 --------------------------------------------------------------------------------------------


def swav(variant, sides, groups, step, prototypes, config):
    s = Sample("swav", variant, views=len(groups), side=sides, groups=groups, step=step, total_steps=1000,
               config=small(prototypes=prototypes) | config)
    temperature, epsilon = config.get("temperature", 0.1), config.get("sinkhorn_epsilon", 0.05)
    g = s.module("projector", mlp(C, 7, 5))
    c = s.module("prototypes", nn.Linear(5, prototypes, bias=False))
    s.stored = {"prototypes.weight": c.weight.detach().clone()}  # not of unit length until `before_step`
    with torch.no_grad():
        c.weight.copy_(unit(c.weight))
    s.before["prototypes.weight"] = c.weight.detach().clone()
    frozen = step < config.get("freeze_prototypes_steps", 313)
    weight = c.weight.detach() if frozen else c.weight
    scores = [unit(g(s.vector(v))) @ weight.T for v in range(len(groups))]

    def sinkhorn(x):
        q = torch.exp(x.detach().T / epsilon)
        k, n = q.shape
        q = q / q.sum()
        for _ in range(config.get("sinkhorn_iterations", 3)):
            q = q / q.sum(dim=1, keepdim=True) / k
            q = q / q.sum(dim=0, keepdim=True) / n
        return (q * n).T

    losses = []
    for i in [v for v, group in enumerate(groups) if group == groups[0]]:
        q = sinkhorn(scores[i])
        for j in [v for v in range(len(groups)) if v != i]:
            losses.append(-(q * torch.log_softmax(scores[j] / temperature, dim=1)).sum(1).mean())
    mean = torch.softmax(scores[0] / temperature, dim=1).mean(0)
    s.write(sum(losses) / len(losses), {"prototypes_used": torch.exp(-(mean * mean.log()).sum())})


# Deep InfoMax, the local objective -------------------------------------------------------------------------------------


class Embed(nn.Module):
    def __init__(self, channels, hidden, dim, norm):
        super().__init__()
        self.nonlinear = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), Norm(hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.shortcut = nn.Linear(channels, dim, bias=False)
        self.norm = nn.LayerNorm(dim, eps=1e-5) if norm else nn.Identity()

    def forward(self, x):
        return self.norm(self.nonlinear(x) + self.shortcut(x))


def local_dim(variant, estimator, maps, local, views, config):
    s = Sample("local-dim", variant, views=views, maps=maps, config={
        "estimator": estimator, "embedding_hidden": 7, "embedding_dim": 5} | config)
    g = s.module("global_embedding", Embed(C, 7, 5, False))
    f = s.module("local_embedding", Embed(C, 7, 5, config.get("layer_norm", True)))
    positive = negative = 0
    for v in range(views):
        top = g(s.vector(v))
        places = maps[local] ** 2
        rows = [s.features[v, local][b, :, h, w] for b in range(B) for h in range(maps[local]) for w in range(maps[local])]
        low = f(torch.stack(rows)).reshape(B, places, 5)
        u = lambda b, j, l: top[b] @ low[j, l]
        own = torch.stack([u(b, b, l) for b in range(B) for l in range(places)])
        other = torch.stack([u(b, j, l) for b in range(B) for j in range(B) if j != b for l in range(places)])
        if estimator == "nce":
            of_image = other.reshape(B, -1)
            bottoms = [torch.log(u(b, b, l).exp() + of_image[b].exp().sum()) for b in range(B) for l in range(places)]
            e_pos, e_neg = own.mean(), torch.stack(bottoms).mean()
        elif estimator == "jsd":
            e_pos = (math.log(2) - torch.log(1 + torch.exp(-own))).mean()
            e_neg = (torch.log(1 + torch.exp(other)) - math.log(2)).mean()
        else:
            e_pos, e_neg = own.mean(), torch.log(other.exp().mean())
        positive, negative = positive + e_pos / views, negative + e_neg / views
    s.write(negative - positive, {"positive": positive, "negative": negative})


# Random draws: the SDK's keys and ChaCha8, restated from the definitions of SplitMix64 and ChaCha -----------------------

LONG = 2**64 - 1


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & LONG
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & LONG
    return x ^ (x >> 31)


def fold(key, number):
    a = mix(key[0] ^ mix((number + 0x9E3779B97F4A7C15) & LONG))
    return a, mix((((key[1] << 23) | (key[1] >> 41)) & LONG) ^ a)


def purpose(key, name):
    key = fold(key, len(name))
    for byte in name.encode():
        key = fold(key, byte)
    return key


KEY = mix(1), mix(1 ^ 0x6A09E667F3BCC908)  # of the step: the tests' `Key::new(1)`


def generator(key):
    """What `Key::permutation` and `Key::normal` draw from on a CPU."""
    return torch.Generator().manual_seed(key[0] >> 1)


# W-MSE, lightly's ------------------------------------------------------------------------------------------------------


def w_mse(variant, side, part, rounds, epsilon, batch):
    s = Sample("w-mse", variant, side=side, batch=batch, config=small(
        projector_dim=3, whitening_batch=part, whitening_rounds=rounds, whitening_epsilon=epsilon))
    g = s.module("projector", mlp(C, 7, 3))
    za, zb = g(s.vector(0)), g(s.vector(1))
    loss = lightly_loss.WMSELoss(
        embedding_dim=3, eps=epsilon, track_running_stats=False, w_iter=rounds, w_size=part).double()
    orders = [torch.randperm(batch, generator=generator(fold(purpose(KEY, "whitening"), i))) for i in range(rounds)]
    orders = iter(orders)
    with mock.patch("torch.randperm", lambda count: next(orders)):  # the one draw of lightly's
        s.write(loss(torch.cat([za, zb])), {"spread": spread(za)})


# MMCR, lightly's -------------------------------------------------------------------------------------------------------


def mmcr(variant, side, weight):
    s = Sample("mmcr", variant, side=side, config=small(image_weight=weight))
    g = s.module("projector", mlp(C, 7, 5))
    za, zb = unit(g(s.vector(0))), unit(g(s.vector(1)))
    nuclear = lambda m: torch.linalg.matrix_norm(m, "nuc")
    terms = {"centroids": nuclear((za + zb) / 2)}
    if weight:
        terms["images"] = sum(nuclear(torch.stack([a, b])) for a, b in zip(za, zb)) / B
    s.write(lightly_loss.MMCRLoss(weight)(za[:, None], zb[:, None]), terms)


# LeJEPA, lightly's -----------------------------------------------------------------------------------------------------


def lejepa(variant, side, config):
    s = Sample("lejepa", variant, side=side, config=small(**config))
    g = s.module("projector", mlp(C, 7, 7, 5))
    z = torch.stack([g(s.vector(0)), g(s.vector(1))])
    count, weight = config["directions"], config.get("sigreg_weight", 0.05)
    sigreg = lightly_loss.SIGReg(
        knots=config.get("frequencies", 17), t_max=config.get("frequency_limit", 3.0), num_vectors=count).double()
    drawn = torch.randn(count, 5, generator=generator(purpose(KEY, "directions"))).double().T.contiguous()
    with mock.patch("torch.randn", lambda *shape, **_: drawn.clone()):  # the one draw of lightly's
        gaussian = sigreg(z)
    invariance = lejepa_loss.lejepa_invariance_loss(all_proj=z, global_proj=z)  # both views are global
    s.write(weight * gaussian + (1 - weight) * invariance, {"invariance": invariance, "sigreg": gaussian})


# DINO, lightly's -------------------------------------------------------------------------------------------------------


def dino(variant, side, groups, step, temperature, config):
    s = Sample("dino", variant, views=len(groups), side=side, groups=groups, step=step, momentum=True, config=small(
        prototypes=9, momentum_start=0.8, momentum_end=0.95) | config)
    norm = config.get("projector_norm", False)
    sizes = (C, *[7] * (config.get("projector_layers", 3) - 1), 5)
    g = s.module("projector", mlp(*sizes, norm=norm, activation=nn.GELU))
    slow = s.module("momentum_projector", mlp(*sizes, norm=norm, activation=nn.GELU), trained=False)
    c = s.module("prototypes", nn.Linear(5, 9, bias=False))
    slow_c = s.module("momentum_prototypes", nn.Linear(5, 9, bias=False), trained=False)
    s.buffers["centre"] = (torch.randn(9) / 5).double()
    large = [v for v, group in enumerate(groups) if group == groups[0]]
    for view in set(range(len(groups))) - set(large):
        del s.slow_features[view, VEC]
    loss = lightly_loss.DINOLoss(
        9, student_temp=config.get("student_temperature", 0.1), center_momentum=config.get("centre_momentum", 0.9))
    loss.center = s.buffers["centre"].clone()[None, None]
    weight = c.weight.detach() if step < config.get("freeze_prototypes_steps", 195) else c.weight
    student = [unit(g(s.vector(v))) @ unit(weight).T for v in range(len(groups))]
    teacher = [unit(slow(s.slow_vector(v))) @ unit(slow_c.weight).T for v in large]
    assigned = torch.softmax((teacher[0] - s.buffers["centre"]) / temperature, dim=1)
    entropy = lambda p: -(p * p.log()).sum(-1)
    value = loss(teacher_out=teacher, student_out=student, teacher_temp=temperature)
    s.after["centre"] = loss.center.flatten()
    average(s, g, slow, 0.8, 0.95)
    average(s, c, slow_c, 0.8, 0.95, "momentum_prototypes")
    s.write(value, {"prototypes_used": entropy(assigned.mean(0)).exp(), "target_entropy": entropy(assigned).mean()})


if __name__ == "__main__":
    nt_xent(None, 1, 0.2, False)
    nt_xent("norm-map", 2, 0.5, True)
    vicreg(None, 1, (25.0, 25.0, 1.0), 1.0)
    vicreg("weights-map", 2, (10.0, 5.0, 2.0), 0.1)
    barlow_twins(None, 1, 0.0051, 1.0)
    barlow_twins("weight-map", 2, 0.1, 0.1)
    byol(None, 1, 0.99, 1.0)
    byol("fast-map", 2, 0.6, 0.9)
    moco_v2(None, 1, True, 8, 5, False)
    moco_v2("one-way-map", 2, False, 4, 3, True)
    simsiam(None, 1, 3)
    simsiam("short-map", 2, 2)
    supcon(None, 1, [0, 1, 0, 2, 1, 0], 0.2, False)
    supcon("unlabelled-map", 2, [0, -1, 0, -1, 1, 2], 0.5, True)
    dcl(None, 1, False, 0.5, 0.1, False)
    dcl("weighted-map", 2, True, 0.5, 0.3, True)
    align_uniform(None, 1, 2.0, 2.0, (1.0, 1.0), False)
    align_uniform("power-map", 2, 1.5, 3.0, (0.98, 0.96), True)
    swav(None, 1, [0, 0], 400, 9, {})
    swav("frozen-multi-crop", 2, [0, 0, 1, 1, 1], 3, 4, {"temperature": 0.3, "sinkhorn_epsilon": 0.2, "sinkhorn_iterations": 2})
    two_maps = {VEC: 1, "local": 3}
    local_dim(None, "nce", two_maps, "local", 2, {})
    local_dim("jsd", "jsd", two_maps, "local", 2, {"layer_norm": False})
    local_dim("dv", "dv", {VEC: 1, "coarse": 2, "local": 3}, "coarse", 1, {})
    local_dim("named", "nce", {VEC: 2, "local": 3}, "local", 3, {"local_map": "local"})
    w_mse(None, 1, 6, 1, 1e-4, 6)
    w_mse("parts-map", 2, 6, 3, 0.05, 12)
    mmcr(None, 1, 0.0)
    mmcr("images-map", 2, 0.5)
    lejepa(None, 1, {"directions": 16})
    lejepa("few-frequencies-map", 2, {
        "directions": 7, "frequencies": 5, "frequency_limit": 2.0, "sigreg_weight": 0.3})
    dino(None, 1, [0, 0], 3, 0.3, {
        "freeze_prototypes_steps": 2, "teacher_temperature": 0.4, "teacher_temperature_start": 0.2,
        "teacher_temperature_warmup_steps": 6})
    dino("frozen-multi-crop", 2, [0, 0, 1, 1, 1], 3, 0.2, {
        "teacher_temperature": 0.2, "teacher_temperature_warmup_steps": 3, "student_temperature": 0.3,
        "centre_momentum": 0.6, "projector_layers": 2, "projector_norm": True})
