"""AMDIM checkpoints as the real `torch.save` writes them: protocols, containers, number formats, parameters, one storage for
all; and the features of each by our restatement of the model. Arguments: the folder of `amdim_torch.py`, and where to write."""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
from amdim_torch import Encoder, Evaluator  # noqa: E402

out = Path(sys.argv[2])
SIZES = dict(encoder_size=32, ndf=4, n_rkhs=16, n_depth=2, n_classes=10, tclip=20.0, use_bn=True)
torch.manual_seed(7)
encoder = Encoder(32, 4, 16, 2, use_bn=True)
for parameter in encoder.parameters():
    parameter.data += 0.1 * torch.randn_like(parameter)
views = torch.randn(6, 3, 32, 32)
for _ in range(3):
    encoder(torch.randn(8, 3, 32, 32))  # running statistics, and counters of 3
evaluator = Evaluator(16, 10)


def named(of_encoder):
    model = {f"encoder.module.{name}": tensor for name, tensor in of_encoder.items()}
    model.update({f"evaluator.{name}": tensor for name, tensor in evaluator.state_dict().items()})
    return {**model, "g2l_loss.masks_r5": torch.zeros(25)}


def newer(of_encoder):
    cursor = dict(info_epoch=3, info_step=1234, classifier_epoch=0, classifier_step=0)
    return {"model": named(of_encoder), "hyperparams": SIZES, "cursor": cursor}


def older(of_encoder):
    return {"model": named(of_encoder), "info_epochs": 3, "info_steps": 1234, "class_epochs": 0, "class_steps": 0}


def cast(kind):
    return {n: t.to(kind) if t.is_floating_point() else t for n, t in encoder.state_dict().items()}


def in_one_storage():
    state = encoder.state_dict()
    floats = {n: t for n, t in state.items() if t.is_floating_point()}
    flat, at = torch.cat([t.reshape(-1) for t in floats.values()]), 0
    for name, tensor in floats.items():
        state[name] = flat[at : at + tensor.numel()].view_as(tensor)
        at += tensor.numel()
    assert len({t.untyped_storage().data_ptr() for t in state.values() if t.is_floating_point()}) == 1
    return state


def transposed():
    """Weights whose memory runs the other way."""
    last_first = lambda t: t.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    return {n: last_first(t) if t.dim() == 4 else t for n, t in encoder.state_dict().items()}


plain = encoder.state_dict()
variants = {
    **{f"protocol-{p}": (newer(plain), dict(pickle_protocol=p)) for p in (2, 3, 4, 5)},
    "older-layout": (older(plain), {}),
    "older-container": (newer(plain), dict(_use_new_zipfile_serialization=False)),
    "older-both": (older(plain), dict(_use_new_zipfile_serialization=False)),
    "parameters": (newer(encoder.state_dict(keep_vars=True)), {}),
    "one-storage": (newer(in_one_storage()), {}),
    "one-storage-older": (newer(in_one_storage()), dict(_use_new_zipfile_serialization=False)),
    "transposed": (newer(transposed()), {}),
    "f64": (newer(cast(torch.float64)), {}),
    "f16": (newer(cast(torch.float16)), {}),
    "bf16": (newer(cast(torch.bfloat16)), {}),
}
expected = {"views": views}
encoder.eval()
# Rounded weights come last: the model keeps what it is given.
for name, (content, how) in variants.items():
    torch.save(content, out / f"{name}.pth", **how)
    inner = {n.removeprefix("encoder.module."): t for n, t in content["model"].items() if n.startswith("encoder.")}
    encoder.load_state_dict({n: t.detach().clone() for n, t in inner.items()})
    with torch.no_grad():
        for of, features in zip(("r1", "r5", "r7"), encoder(views)):
            expected[f"{name}/{of}"] = features.clone()
torch.save(newer(plain), out / "text.txt", pickle_protocol=0)
torch.save(newer(plain), out / "text-older.txt", pickle_protocol=0, _use_new_zipfile_serialization=False)
save_file(expected, out / "expected.safetensors")
