"""Records the embedded case of `infomax selfcheck`: one step of a small AMDIM, in f64, by an independent PyTorch restatement.

    python3 record_case.py --reference FOLDER

FOLDER holds `amdim_torch.py`, the restatement, with its `Encoder` and `infomax_loss`. Written with torch 2.11.0 and
safetensors. Out: case.safetensors beside this script (f32): `init/<parameter>`, `x1`, `x2`, `locations` (view, image),
`map/<view>/<name>`, `loss/<term>`, `gradient/<parameter>`.
"""

import argparse
import pathlib
import sys

import torch
from safetensors.torch import save_file

NDF, RKHS, DEPTH, BATCH = 4, 16, 1, 8


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=pathlib.Path, required=True)
    sys.path.insert(0, str(parser.parse_args().reference))
    import amdim_torch

    torch.manual_seed(1)
    encoder = amdim_torch.Encoder(32, NDF, RKHS, DEPTH, use_bn=True)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.dim() > 1 and parameter.abs().max() == 0:
                parameter.normal_(0, 0.05)  # what begins at zero would hide the gradients behind it
    case = {f"init/{name}": parameter.detach().clone() for name, parameter in encoder.named_parameters()}
    views = [torch.randn(BATCH, 3, 32, 32) for _ in range(2)]
    locations = torch.randint(0, 25, (2, BATCH))
    encoder.double()
    maps = [encoder(view.double()) for view in views]
    terms = amdim_torch.infomax_loss(maps[0], maps[1], locations[0], locations[1])
    sum(terms.values()).backward()
    case |= {"x1": views[0], "x2": views[1], "locations": locations.float()}
    for view, of_view in enumerate(maps):
        case |= {f"map/{view}/{name}": m.detach().float() for name, m in zip(("r1", "r5", "r7"), of_view)}
    case |= {f"loss/{name}": term.detach().float() for name, term in terms.items()}
    gradients = ((name, parameter.grad) for name, parameter in encoder.named_parameters())
    case |= {f"gradient/{name}": gradient.float() for name, gradient in gradients if gradient is not None}
    save_file({name: tensor.contiguous() for name, tensor in case.items()}, pathlib.Path(__file__).with_name("case.safetensors"))


if __name__ == "__main__":
    main()
