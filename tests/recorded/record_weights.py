"""Files of weights as the real packages write them, tiny: a ResNet-18 of width 8 whose tensors repeat 8 random numbers each, so that
compressed files stay small. Argument: the folder to write. Recorded with torch 2.11.0, torchvision 0.26.0, timm 1.0.31,
lightning 2.6.6, lightly 1.6.0, transformers 5.24.0, safetensors 0.8.0, huggingface_hub 2.4.0, omegaconf 2.3.1, numpy 2.4.6 as

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 lightning==2.6.6 lightly==1.6.0 transformers==5.24.0 omegaconf==2.3.1
    python record_weights.py weights

Every file holds the encoder of `reference.safetensors` under some library's names; slow copies and students beside it hold others."""
import argparse
import copy
import datetime
import gzip
import json
import os
import pathlib
import shutil
import sys
import tempfile
import warnings
import zlib
from collections import OrderedDict

warnings.filterwarnings("ignore")
os.environ["TORCHDYNAMO_DISABLE"] = "1"

import lightning
import numpy as np
import timm
import torch
import torchvision
from lightly.models import ResNetGenerator
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import ResNetConfig, ResNetModel

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
WIDTH = 8


def resnet(counts=(2, 2, 2, 2), stem="small"):
    model = ResNet(BasicBlock, list(counts), num_classes=10)
    model.inplanes = WIDTH
    model.conv1 = nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False) if stem == "small" else nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False)
    model.bn1 = nn.BatchNorm2d(WIDTH)
    model.maxpool = nn.Identity() if stem == "small" else model.maxpool
    for i, count in enumerate(counts):
        setattr(model, f"layer{i + 1}", model._make_layer(BasicBlock, WIDTH << i, count, stride=1 if i == 0 else 2))
    model.fc = nn.Linear(8 * WIDTH, 10)
    return fill(model, 0)


def fill(model, seed):
    """Every tensor repeats 8 numbers, drawn by the network's own name of it and a seed."""
    for name, tensor in model.state_dict().items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) ^ seed)
        if tensor.is_floating_point():
            eight = torch.rand(8, generator=generator) + (0.5 if name.endswith("running_var") else -0.5)
            tensor.copy_(eight.repeat(tensor.numel() // 8 + 1)[: tensor.numel()].view_as(tensor))
        else:
            tensor.fill_(7)
    return model


def headless(model):
    return OrderedDict((name, tensor) for name, tensor in model.state_dict().items() if not name.startswith("fc."))


def pack(path, name):
    with open(path, "rb") as file, open(out / f"{name}.gz", "wb") as packed:
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as archive:
            shutil.copyfileobj(file, archive)


def save(name, content, **how):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        torch.save(content, path, **how)
        pack(path, name)


def under(prefix, state):
    return OrderedDict((prefix + name, tensor) for name, tensor in state.items())


class Module(nn.Module):
    """Children by name, as self-supervised code has them."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)


def data_parallel(model):
    wrapper = nn.DataParallel(model)  # DistributedDataParallel names alike: `module.`
    return wrapper.state_dict()


net, other = resnet(), fill(resnet(), 1)
state = headless(net)
adam = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9).state_dict()
arguments = argparse.Namespace(arch="resnet18", lr=0.03, path=pathlib.PurePosixPath("/data"))

with tempfile.TemporaryDirectory() as folder:
    save_file({name: tensor.clone() for name, tensor in state.items()}, f"{folder}/r.safetensors")
    pack(f"{folder}/r.safetensors", "reference.safetensors")

# torchvision: flat, in the container of today and in that before PyTorch 1.6.
save("torchvision.pth", net.state_dict())
save("torchvision-older.pth", net.state_dict(), _use_new_zipfile_serialization=False)
save("torchvision-resnet34.pth", resnet((3, 4, 6, 3)).state_dict())
save("torchvision-imagenet-stem.pth", resnet(stem="imagenet").state_dict())

# MoCo, SimSiam, MoCo v3: `{epoch, arch, state_dict, optimizer}` of a DistributedDataParallel.
moco = Module(encoder_q=net, encoder_k=other)
moco.register_buffer("queue", torch.zeros(4, 8))
moco.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
save("moco.pth.tar", {"epoch": 200, "arch": "resnet18", "state_dict": data_parallel(moco), "optimizer": adam})
simsiam = Module(encoder=net, predictor=nn.Linear(8, 8))
save("simsiam.pth.tar", {"epoch": 100, "arch": "resnet18", "state_dict": data_parallel(simsiam), "optimizer": adam})
moco3 = Module(base_encoder=net, momentum_encoder=other, predictor=nn.Linear(8, 8))
save("moco-v3.pth.tar", {"epoch": 100, "state_dict": data_parallel(moco3), "scaler": {"scale": 65536.0}})
# SwAV: `{epoch, state_dict, optimizer}`, the projection beside the network.
swav = resnet()
swav.fc = None
swav.projection_head, swav.prototypes = nn.Linear(8 * WIDTH, 8), nn.Linear(8, 4, bias=False)
save("swav.pth.tar", {"epoch": 400, "state_dict": data_parallel(swav), "optimizer": adam, "amp": {}})
# torch.compile.
compiled = torch.compile(net)
save("compiled.pth", {"model": compiled.state_dict(), "epoch": np.int64(3)})
# DINO: student in DistributedDataParallel, teacher as it is, argparse's arguments.
trunk, student = resnet(), fill(resnet(), 2)
trunk.fc = student.fc = nn.Identity()
dino = {
    "student": data_parallel(Module(backbone=student, head=nn.Linear(8, 8))),
    "teacher": Module(backbone=trunk, head=nn.Linear(8, 8)).state_dict(),
    "optimizer": adam, "epoch": 100, "args": arguments, "dino_loss": {"center": torch.zeros(1, 8)},
}
save("dino.pth", dino)
# Barlow Twins, VICReg: `{epoch, model, optimizer}` with the backbone beside projector and norm.
twins = Module(backbone=trunk, projector=nn.Linear(8, 8), bn=nn.BatchNorm1d(8, affine=False))
save("barlow-twins.pth", {"epoch": 1000, "model": data_parallel(twins), "optimizer": adam})
save("vicreg.pth", {"epoch": 1000, "model": data_parallel(Module(backbone=trunk, projector=nn.Linear(8, 8)))})


# Lightning, with what users keep in hyperparameters; solo-learn's names are these, with a momentum backbone.
class Learner(lightning.LightningModule):
    def __init__(self, config, momentum=False):
        super().__init__()
        self.save_hyperparameters()
        self.backbone, self.projector, self.classifier = trunk, nn.Linear(64, 8), nn.Linear(64, 10)
        if momentum:
            self.momentum_backbone, self.momentum_projector = copy.deepcopy(student), nn.Linear(8, 8)

    def training_step(self, batch, _):
        return self.projector(self.backbone(batch[0])).square().mean() * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.projector.parameters(), 0.1)


def fitted(name, learner):
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(default_root_dir=folder, max_steps=1, logger=False, enable_checkpointing=False,
                                    enable_progress_bar=False, enable_model_summary=False, accelerator="cpu")
        learner.backbone.eval()  # its statistics stay as they were drawn
        learner.backbone.requires_grad_(False)
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(2, 3, 32, 32)), batch_size=2)
        trainer.fit(learner, data)
        fill(learner.backbone, 0)
        path = f"{folder}/last.ckpt"
        trainer.save_checkpoint(path)
        pack(path, name)


config = OmegaConf.create({"method": "simclr", "optimizer": {"lr": 0.3}, "sizes": [32, 64]})
fitted("solo-learn.ckpt", Learner(config, momentum=True))
fitted("lightning.ckpt", Learner({"when": datetime.date(2024, 5, 1), "out": pathlib.PurePosixPath("/x"), "lr": np.float64(0.3)}))


# lightly: its own ResNet and torchvision's, in a Sequential without the last layer.
def lightly_model():
    generator = ResNetGenerator("resnet-18", width=WIDTH / 64)
    renamed = {name.replace("downsample", "shortcut"): tensor for name, tensor in state.items()}
    missing, unexpected = generator.load_state_dict(renamed, strict=False)
    assert not unexpected and all(name.startswith("linear.") for name in missing), (missing, unexpected)
    return nn.Sequential(*list(generator.children())[:-1], nn.AdaptiveAvgPool2d(1))


sequential = nn.Sequential(*list(net.children())[:-1])
slow = nn.Sequential(*list(other.children())[:-1])
save("lightly.pth", Module(backbone=lightly_model(), projection_head=nn.Linear(8, 8)).state_dict())
save("lightly-torchvision.ckpt", {
    "state_dict": Module(backbone=sequential, backbone_momentum=slow, projection_head=nn.Linear(8, 8)).state_dict(),
    "pytorch-lightning_version": lightning.__version__,
})
# SimCLR by way of a Sequential without max-pooling and last layer.
kept = [child for name, child in net.named_children() if name not in ("maxpool", "fc")]
save("simclr-sequential.pth", Module(f=nn.Sequential(*kept), g=nn.Linear(8, 8)).state_dict())
# MMPretrain: `{meta, state_dict}` with `backbone.`, `neck.` and `head.`, and an averaged model's names.
mm = Module(backbone=trunk, neck=nn.Linear(8, 8), head=nn.Linear(8, 8), target_net=Module(module=student))
save("mmpretrain.pth", {"meta": {"epoch": 200, "experiment": config, "time": datetime.datetime(2024, 5, 1)},
                        "state_dict": mm.state_dict(), "message_hub": {"log": np.zeros(2)}})
# VISSL: deep inside, under `_feature_blocks.`.
blocks = under("_feature_blocks.", state)
vissl = {"phase_idx": 1, "classy_state_dict": {"train": True, "base_model": {"meta": {}, "model": {
    "trunk": blocks, "heads": Module(clf=nn.Linear(8, 8)).state_dict()}}}}
save("vissl.torch", vissl)
# timm's CheckpointSaver, with an averaged model.
with tempfile.TemporaryDirectory() as folder:
    averaged = timm.utils.ModelEmaV2(net)
    trained = fill(resnet(), 3)
    trained.default_cfg, trained.pretrained_cfg = {"architecture": "resnet18"}, {}
    saver = timm.utils.CheckpointSaver(trained, torch.optim.SGD(trained.parameters(), 0.1), model_ema=averaged,
                                       args=argparse.Namespace(model="resnet18", lr=0.1), checkpoint_dir=folder, recovery_dir=folder)
    saver.save_checkpoint(0, metric=1.0)
    pack(f"{folder}/last.pth.tar", "timm-saver.pth.tar")
# Hugging Face: its own names.
hugging = ResNetModel(ResNetConfig(embedding_size=WIDTH, hidden_sizes=[WIDTH << i for i in range(4)], depths=[2, 2, 2, 2], layer_type="basic"))
hugging.embedder.embedder.convolution = nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False)
with torch.no_grad():
    names = list(hugging.state_dict())
    order = [n for n in names if ".shortcut." not in n] + [n for n in names if ".shortcut." in n]
    own = list(state)
    own = [n for n in own if ".downsample." not in n] + [n for n in own if ".downsample." in n]
    for theirs, ours in zip(order, own, strict=True):
        hugging.state_dict()[theirs].copy_(state[ours])
with tempfile.TemporaryDirectory() as folder:
    hugging.save_pretrained(folder)
    pack(f"{folder}/model.safetensors", "huggingface-resnet.safetensors")
# In pieces, with an index.
with tempfile.TemporaryDirectory() as folder:
    from huggingface_hub import save_torch_state_dict
    save_torch_state_dict({n: t.clone() for n, t in net.state_dict().items()}, folder, max_shard_size="400KB")
    for path in sorted(pathlib.Path(folder).iterdir()):
        pack(path, f"sharded-{path.name}")
# Tensors of classes of their own, in a dictionary of its own, with attributes; a parameter.
parameters = OrderedDict((n, nn.Parameter(t) if t.is_floating_point() else t) for n, t in state.items())
parameters["conv1.weight"].is_shared = True
save("parameters.pth", {"model": parameters, "numpy": np.float32(1.5), "device": torch.device("cpu"), "dtype": torch.bfloat16,
                        "size": torch.Size([1, 2]), "set": {1, 2}, "when": datetime.timedelta(seconds=1), "complex": 1j})
save("float8-beside.pth", {"model": state, "scales": torch.zeros(4).to(torch.float8_e4m3fn)})

# What can't be read, to be named.
save("whole-model.pth", net)
with tempfile.TemporaryDirectory() as folder:
    tiny = torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()))
    tiny.save(f"{folder}/s.pt")
    pack(f"{folder}/s.pt", "torchscript.pt")
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, distribute_tensor
    dcp.save({"model": {"conv1.weight": torch.zeros(2)}}, checkpoint_id=f"{folder}/dcp")
    for path in sorted(pathlib.Path(folder, "dcp").iterdir()):
        pack(path, f"dcp-{path.name}")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    mesh = init_device_mesh("cpu", (1,))
    save("fsdp2.pth", {"model": {"conv1.weight": distribute_tensor(torch.zeros(8, 3, 3, 3), mesh, [Replicate()])}})
    dist.destroy_process_group()
print(sorted((path.name, path.stat().st_size) for path in out.iterdir()), sum(path.stat().st_size for path in out.iterdir()))
