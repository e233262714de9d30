"""Vision transformers of width 192 as timm, torchvision, Hugging Face and DINO's code save them, with the features of each. Argument:
the folder to write. Files are `NAME.pth`, or a folder `NAME`; `cases.safetensors` has `view` and `NAME`."""
import sys
from pathlib import Path

import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn
from transformers import ViTConfig, ViTForImageClassification

out = Path(sys.argv[1])
torch.manual_seed(1)
view = torch.randn(2, 3, 64, 64)
cases = {"view": view}


def shaken(model):
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


with torch.no_grad():
    plain = dict(img_size=64, patch_size=8, depth=2, num_classes=0)
    model = shaken(timm.create_model("vit_tiny_patch16_224", **plain))
    cases["timm"] = model(view)
    torch.save(model.state_dict(), out / "timm.pth")
    teacher = {f"backbone.{name}": tensor for name, tensor in model.state_dict().items()}
    student = {f"module.backbone.{name}": tensor * 2 for name, tensor in model.state_dict().items()}
    torch.save({"student": {**student, "module.head.last.weight": view}, "teacher": teacher, "epoch": 3}, out / "dino.pth")
    cases["dino"] = cases["timm"]
    # Of a larger grid, as timm itself takes it over.
    larger = shaken(timm.create_model("vit_tiny_patch16_224", **{**plain, "img_size": 96, "num_classes": 10}))
    torch.save(larger.state_dict(), out / "timm-larger.pth")
    state = {name: tensor for name, tensor in larger.state_dict().items() if not name.startswith("head.")}
    model.load_state_dict(checkpoint_filter_fn(state, model))
    cases["timm-larger"] = model(view)
    model = shaken(torchvision.models.VisionTransformer(64, 8, 2, 3, 192, 768))
    tokens = torch.cat([model.class_token.expand(2, -1, -1), model._process_input(view)], 1)
    cases["torchvision"] = model.encoder(tokens)[:, 0]
    torch.save(model.state_dict(), out / "torchvision.pth")
    config = ViTConfig(hidden_size=192, num_hidden_layers=2, num_attention_heads=3, intermediate_size=768, image_size=64,
                       patch_size=8, layer_norm_eps=1e-6)
    model = shaken(ViTForImageClassification(config))
    cases["huggingface"] = model.vit(view).last_hidden_state[:, 0]
    model.save_pretrained(out / "huggingface", max_shard_size="1MB")
save_file({name: tensor.contiguous().clone() for name, tensor in cases.items()}, out / "cases.safetensors")
