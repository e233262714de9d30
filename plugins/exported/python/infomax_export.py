"""Writes a PyTorch module to a `.pt2` file that infomax trains without Python: an encoder or a loss.

    from infomax_export import export_encoder, export_loss

    export_encoder(timm.create_model("resnet18d", num_classes=0), 64, "mine.pt2")
    export_loss(MyLoss(), {"view0.r1": torch.randn(8, 512), "view1.r1": torch.randn(8, 512)}, "loss.pt2")

    python infomax_export.py module.py:build --size 64 --out mine.pt2

Needs nothing but torch, 2.11 to 2.15. The weights go along, random ones too. Before the file gets its name it is read back and
compared with the module: outputs, gradients and buffers over two steps of training with different batches. What can't be
exported is told with the line of Python and a way to rewrite it. Your module stays as it was.
"""

import argparse
import builtins
import contextlib
import copy
import functools
import importlib.util
import inspect
import io
import json
import logging
import math
import os
import re
import sys
import sysconfig
import traceback
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import torch
from torch import nn

FORMAT = 1  # of extra/infomax.json
LARGEST_BATCH = 256  # batches up to this one are tried on the conditions that torch states
EXACT, CLOSE = 1e-5, 1e-4  # of the largest number: outputs and buffers, gradients
LOSS_INPUT = re.compile(r"labels|indices|(view|momentum)[0-9]+\.\w[\w.]*", re.ASCII)
DRAWS = re.compile(
    r"aten\.(bernoulli(\.|_\.Tensor)|cauchy_|exponential_|geometric_|log_normal_|multinomial|normal|poisson|rand|uniform_)"
)  # of the operators that draw, those that infomax refuses in an encoder
TORCH, PYTHON = str(Path(torch.__file__).parent) + os.sep, sysconfig.get_path("stdlib")

DATA = (
    "keep it a tensor: `torch.where(mask, a, b)` for `if`, arithmetic on the tensor for `.item()` and `int(…)`, indices like "
    "`(ptr + torch.arange(n)) % size` for slices, a mask multiplied in for `x[mask]`, no `assert` on values"
)
GATHER = "infomax hands a loss the rows of all devices: switch the gathering off (in lightly: gather_distributed=False)"
STATE = (
    "random numbers of Python or NumPy, counters in plain Python and `self.x = …` stay as they were at the export: use torch's, and buffers; "
    "with checkpointing (torch.utils.checkpoint) PyTorch moves statistics twice a step: switch it off"
)
HINTS = [  # of what an error says, the first that fits
    (r"DataDependent|data-dependent|unbacked", DATA),
    (r"[Nn]um[Pp]y", "NumPy can't be followed: use the functions of torch"),
    (r"process group|distributed|c10d", GATHER),
    (r"sparse", "use dense tensors"),
    (r"same device|different devices|CUDA|NVIDIA", "make tensors on the device of the input: `torch.zeros(n, device=x.device)`"),
    (r"positional argument", "forward gets the images, or the inputs of a loss one by one in their order"),
    (r"shape|size|dimension", "inputs are batch × channels × height × width: compare `size` and `channels` with what forward wants"),
]


class ExportError(Exception):
    """What can't be exported, where, and how to rewrite it."""

    def __init__(self, problem: str, hint: str = "", at: str = ""):
        super().__init__("\n".join([problem] + [f"  at: {at}"] * bool(at) + [f"hint: {hint}"] * bool(hint)))


def export_encoder(module, size, file, *, outputs=None, representation=None, channels=3, batch=4, dynamic_size=False):
    """Exports a network: images B×`channels`×H×W in, maps B×C×H×W or B×C out, in training mode.

    `size` is an int or (height, width). `outputs` names the maps (otherwise: the keys of a dict, `out` for one tensor,
    `out0`, `out1`, … for a tuple); `representation` is the one that is evaluated (otherwise the last). With `dynamic_size`
    height and width vary as well. `batch` is that of the example: others are allowed wherever forward allows them.
    """
    height, width = (size, size) if isinstance(size, int) else size
    module = _prepared(module)
    images = torch.randn(batch, channels, height, width, generator=_generator())
    maps = _maps(_eager(module, [images]), outputs, batch)
    representation = representation or list(maps)[-1]
    if representation not in maps:
        raise ExportError(f"the representation `{representation}` is none of the outputs: {', '.join(maps)}")
    facts = {"kind": "encoder", "inputs": [{"name": "images", "rank": 4}], "outputs": list(maps), "representation": representation}
    _write(module, [images], facts, file, lambda value, rows: _maps(value, outputs, rows), dynamic_size)


def export_loss(module, inputs, file):
    """Exports a loss. `inputs` has for each argument of forward, in order, what infomax hands in and an example of it.

    Names: `view0.r1` (the encoder's map `r1` of view 0; `view0.representation`: the one that is evaluated), `momentum0.r1` (the
    momentum encoder's), `labels` and `indices` (of the images, int64). A map comes as B×C×H×W, or as B×C where the example is. forward
    returns a scalar, or a dict of scalars: its entry `loss` is minimised, or where there is none the sum; the others are recorded.
    """
    for name, value in inputs.items():
        if not LOSS_INPUT.fullmatch(name):
            hint = "names are like `view0.r1`, `view0.representation`, `momentum0.r1`, `labels`, `indices`"
            raise ExportError(f"unknown input `{name}`", hint)
        dtype, ranks = (torch.int64, (1,)) if name in ("labels", "indices") else (torch.float32, (2, 4))
        if value.dtype != dtype or value.dim() not in ranks:
            hint = "labels and indices are int64 B, maps float32 B×C or B×C×H×W"
            raise ExportError(f"the example of `{name}` is {_kind(value)}", hint)
    values = [value.detach().cpu() for value in inputs.values()]
    if not values or min(v.shape[0] for v in values) < 2 or len({v.shape[0] for v in values}) > 1:
        raise ExportError("the examples have no common batch of two or more", "give all of them the same first dimension, 4 or more")
    module = _prepared(module)
    facts = {"kind": "loss", "inputs": [{"name": n, "rank": v.dim()} for n, v in inputs.items()]}
    facts["outputs"] = list(_terms(_eager(module, values)))
    _write(module, values, facts, file, lambda value, _: _terms(value), False)


def _prepared(module):
    """A copy in training mode, on the CPU, out of its wrappers."""
    while isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(module, "_orig_mod"):
        module = getattr(module, "_orig_mod", None) or module.module
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise ExportError("TorchScript can't be exported", "give the Python module that it was made of")
    moved = set()
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if isinstance(value, nn.parameter.UninitializedTensorMixin):
            raise ExportError(f"`{name}` has no size yet", "call the module once, so that its lazy layers know their inputs")
        hint = ""
        if value.is_complex():
            hint = "hold the real and the imaginary part as two float32 tensors"
        elif value.is_quantized or type(value.data) is not torch.Tensor:
            hint = "train plain float32 tensors; quantise and distribute afterwards"
        elif value.layout != torch.strided:
            hint = "make it dense: `.to_dense()`"
        elif isinstance(value, nn.Parameter) and value.dtype != torch.float32:
            hint = "call `module.float()`: infomax keeps weights in float32; the precision of a run is `train.precision`"
        if hint:
            raise ExportError(f"`{name}` is {_kind(value)}", hint)
        if value.device.type != "cpu":
            moved.add(str(value.device))
    if moved:
        _say(f"tensors on {', '.join(sorted(moved))} are written from the CPU; a run moves them to its own device")
    try:
        module = copy.deepcopy(module).cpu().train()
    except RuntimeError as error:
        hint = "compute such tensors in forward; for weight norm use torch.nn.utils.parametrizations.weight_norm"
        raise ExportError(f"the module can't be copied: {_first_line(error)}", hint) from error
    for name, part in module.named_modules():
        if not part.training:
            _say(f"`{name}` stays in evaluation mode after train(), and in the file: its statistics never move, nothing is dropped")
    return module


def _flat(value):
    """Named tuples and the dicts of libraries as plain dicts: a file has no names of classes."""
    return value._asdict() if hasattr(value, "_asdict") else dict(value) if isinstance(value, dict) else value


def _maps(value, names, rows):
    """An encoder's outputs by name, each B×C or B×C×H×W."""
    value = _flat(value)
    if isinstance(value, dict):
        found = list(value.items())
    else:
        found = [(f"out{i}", v) for i, v in enumerate(value)] if isinstance(value, (tuple, list)) else [("out", value)]
    if names is not None and len(names) != len(found):
        raise ExportError(f"forward returns {len(found)} outputs, `outputs` names {len(names)}")
    maps = {name: v for name, (_, v) in zip(names, found)} if names else dict(found)
    for name, v in maps.items():
        if not re.fullmatch(r"\w[\w.]*", str(name), re.ASCII) or name == "_":
            raise ExportError(f"`{name}` can't name a map", "give `outputs` names of letters, digits, `_` and `.`")
        if not isinstance(v, torch.Tensor):
            raise ExportError(f"output `{name}` is of type {type(v).__name__}", "return a tensor, or a flat tuple or dict of tensors")
        if v.dim() not in (2, 4) or not v.is_floating_point():
            hint = "of tokens B×N×C return the class token `t[:, 0]`, a mean, or `t[:, 1:].transpose(1, 2).unflatten(2, (h, w))`"
            raise ExportError(f"output `{name}` is {_kind(v)}, a map is floating B×C or B×C×H×W", hint)
        if v.shape[0] != rows:
            raise ExportError(f"output `{name}` has {v.shape[0]} rows for {rows} images", "return one row for each image")
    return maps


def _terms(value):
    """A loss's outputs by name, each one number."""
    value = _flat(value)
    terms = value if isinstance(value, dict) else {"loss": value}
    for name, v in terms.items():
        if not isinstance(v, torch.Tensor):
            hint = "return a tensor (without `.item()`) or a flat dict of them"
            raise ExportError(f"the loss's `{name}` is of type {type(v).__name__}", hint)
        if v.numel() != 1 or not v.is_floating_point():
            raise ExportError(f"the loss's `{name}` is {_kind(v)}, not one floating number", "reduce it with `.mean()`")
    return terms


def _eager(module, values):
    """What the module itself returns: its own errors are told as such."""
    try:
        with torch.random.fork_rng(devices=[]):
            return copy.deepcopy(module)(*values)
    except Exception as error:
        shapes = ", ".join("×".join(map(str, v.shape)) for v in values)
        raise ExportError(f"forward itself fails on {shapes}: {_first_line(error)}", _hint(error), _place(error)) from error


def _write(module, values, facts, file, named, dynamic_size):
    """Exports, checks, and only then gives the file its name."""
    watch = _Watch()
    program = _traced(module, values, dynamic_size, watch)
    for node in _nodes(program):
        target = str(node.target)
        if target in ("aten.item.default", "aten._local_scalar_dense.default"):
            raise ExportError("a number is read out of a tensor (`.item()`, `int(…)`, `float(…)`)", DATA, _line(node))
        if "c10d" in target:
            raise ExportError(f"forward talks to other processes ({target})", GATHER, _line(node))
        if "vmap" in repr(node.target) or "lazy_load_decompositions" in repr(node.target):
            hint = "write it over the batch: `x / x.norm(dim=1, keepdim=True)`"
            raise ExportError("torch.func and vmap can't be exported", hint, _line(node))
        if isinstance(node.target, torch._ops.OpOverload) and node.target.namespace not in ("aten", "prims"):
            problem = f"`{target}` is an operator of a library, whose code is not in the file"
            raise ExportError(problem, "write it with the functions of torch", _line(node))
        if any(isinstance(v, torch.Tensor) and v.is_complex() for v in torch.utils._pytree.tree_leaves(node.meta.get("val"))):
            hint = "hold the real and the imaginary part apart; a Fourier transform of a fixed size is a product with cosines and sines"
            raise ExportError("complex numbers are not computed with", hint, _line(node))
        if facts["kind"] == "encoder" and DRAWS.match(target) and not _scaled_paths(node):
            hint = "draw by dropout or stochastic depth, which evaluation leaves out, or export with it switched off"
            raise ExportError(f"`{target}` draws numbers, which evaluation could not leave out", hint, _line(node))
    _shorten(program)
    sizes = _Sizes(_bytes(program, facts), values)
    rows = values[0].shape[0]
    if sizes.is_fixed(0):
        raise _fixed_batch(module, values, watch)
    batches = [n for n in range(1, LARGEST_BATCH + 1) if sizes.allow(n)]
    others = [n for n in batches if n != rows]
    if not others:
        raise ExportError(f"no batch but {rows} is allowed: {'; '.join(sizes.guards)[:300]}", "give the example another batch")
    step = math.gcd(*(b - a for a, b in zip(batches, batches[1:])))
    if step > 1 or batches[0] > 2 or batches[-1] < LARGEST_BATCH - step:
        shown, is_bounded = ", ".join(map(str, batches[:4])), batches[-1] < LARGEST_BATCH - step
        shown += (f", …, {batches[-1]}; for larger ones give a larger example" if is_bounded else ", …") if len(batches) > 4 else ""
        _say(f"batches allowed: {shown}")
    second = [_resized(v, next((n for n in others if n > rows), others[-1])) for v in values]
    if dynamic_size:
        height, width = values[0].shape[2:]
        if sizes.is_fixed(2) or sizes.is_fixed(3):
            hint = "leave `dynamic_size` out, or compute with x.shape[2:] and interpolate what has a fixed size"
            at = watch.fixed.get(height) or watch.fixed.get(width, "")
            raise ExportError("height and width can't vary: forward takes them as numbers", hint, at)
        other = next((d for d in (32, 16, 64, 8, 4, 2, 1) if sizes.allow(rows, (height + d, width + d))), 0)
        second = [torch.randn(*second[0].shape[:2], height + other, width + other, generator=_generator())]
    facts = {"format": FORMAT, **facts, "torch": torch.__version__, "batch": {"min": batches[0], "step": step}}
    loaded = _loaded(program, facts)
    _compare(module, loaded, [values, second], named, watch)
    if facts["kind"] == "encoder":
        facts["evaluation"] = _evaluates(module, loaded, values, named)
    partial = Path(f"{file}.partial")
    partial.write_bytes(_bytes(program, facts))
    os.replace(partial, file)
    numbers = sum(p.numel() for p in module.parameters())
    print(f"{file}: {facts['kind']}, {len(_nodes(program))} operations, {numbers:,} parameters, outputs {', '.join(facts['outputs'])}")


def _traced(module, values, dynamic_size, watch):
    """torch.export with the batch of every input free; what it says where it fails is put in plain words."""
    free = torch.export.Dim.AUTO  # states conditions on the size (`% 2 == 0`) where Dim("batch") demands to be told
    shapes = [{0: free, 2: free, 3: free} if dynamic_size else {0: free} for _ in values]
    kinds = [a.kind for a in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:  # forward(self, *views)
        first = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        shapes[first:] = [tuple(shapes[first:])] if first < len(shapes) else []
    quiet, of_list = io.StringIO(), len

    def of_tensor(x):  # Python wants a plain number of `len(x)`, which would fix the batch
        return x.shape[0] if isinstance(x, torch.Tensor) and x.dim() else of_list(x)

    try:
        with warnings.catch_warnings(record=True) as said, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("always")
            with watch.on(), torch.random.fork_rng(devices=[]), mock.patch.object(builtins, "len", of_tensor):
                followed = _with_assignments(copy.deepcopy(module))
                program = torch.export.export(followed, tuple(values), dynamic_shapes=tuple(shapes), strict=False)
    except Exception as error:
        by_value = _hint(error) == DATA
        problem = "forward depends on the value of a tensor" if by_value else f"forward can't be followed: {_first_line(error)}"
        raise ExportError(problem, _hint(error), _place(error)) from error
    remarks = (re.match(r"The tensor attributes? (.*) (?:was|were) assigned", str(w.message)) for w in said)
    watch.remarks = [found.group(1) for found in remarks if found]
    return program


def _with_assignments(module):
    """torch.export follows `self.buffer = new` in the outermost module and silently drops it in all others: copied at the end here.
    `self.buffer.data = new` it drops everywhere: a copy in the place where it stands."""
    forward = module.forward

    @functools.wraps(forward)
    def followed(*args, **kwargs):
        before = [(part, name, b) for part in module.modules() if part is not module
                  for name, b in part._buffers.items() if b is not None]  # fmt: skip
        with mock.patch.object(torch.Tensor, "data", _data_of([*module.parameters(), *module.buffers()])):
            result = _flat(forward(*args, **kwargs))
        for part, name, buffer in before:
            if part._buffers[name] is not buffer:
                buffer.copy_(part._buffers[name].detach())
                part._buffers[name] = buffer
        return result

    module.forward = followed
    return module


def _data_of(kept):
    """`Tensor.data`, which copies into these tensors where it is set."""
    plain, own = torch.Tensor.data, {id(t) for t in kept}

    def put(tensor, value):
        if id(tensor) in own and value.shape == tensor.shape:
            with torch.no_grad():
                tensor.copy_(value)
        else:
            plain.__set__(tensor, value)

    return property(plain.__get__, put)


class _Watch(logging.Handler):
    """Notes at which line of yours torch fixes a size to a number: what it returns or raises later does not say."""

    def __init__(self):
        super().__init__()
        self.fixed, self.remarks = {}, []

    def on(self):
        log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
        return mock.patch.multiple(log, handlers=[self], propagate=False, isEnabledFor=lambda level: level >= logging.INFO)

    def emit(self, record):
        if found := re.search(r"eval Eq\(s\d+, (\d+)\)", record.getMessage()):
            self.fixed.setdefault(int(found.group(1)), _user_line(traceback.extract_stack()))


def _fixed_batch(module, values, watch):
    """Why the batch of the example is the only one."""
    rows = values[0].shape[0]
    hint = "take it from x.shape[0] without `int(…)`, `float(…)`, `math.sqrt(…)`, and write loops over rows as operations over the batch"
    if "fill_diagonal_" in watch.fixed.get(rows, ""):
        hint = "write `x.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), value)`"
    try:
        _eager(module, [_resized(v, rows + 2) for v in values])
        return ExportError(f"the batch can't vary: forward takes it as the number {rows}", hint, watch.fixed.get(rows, ""))
    except ExportError as error:
        cause = error.__cause__
        return ExportError(f"the batch can't vary: with {rows + 2} rows forward fails: {_first_line(cause)}", hint, _place(cause))


def _bytes(program, facts):
    """The file; without the example inputs, which are a pickle that nobody reads."""
    program._example_inputs = None
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={"infomax.json": json.dumps(facts)})
    return buffer.getvalue()


def _loaded(program, facts):
    """The program as the file has it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(io.BytesIO(_bytes(program, facts)))
    except torch._export.verifier.SpecViolationError:
        _say("torch.export.load can't read back a no_grad region that returns nothing: compared before it was written; infomax reads it")
        return program
    finally:
        logging.disable(disabled)


def _nodes(program):
    graphs = [g.graph for g in program.graph_module.modules() if isinstance(g, torch.fx.GraphModule)]
    return [node for graph in graphs for node in graph.nodes if node.op == "call_function"]


def _line(node):
    """Where the node comes from: the innermost line outside torch."""
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', node.meta.get("stack_trace", ""))
    frames = [f for f in frames if not f[0].startswith((TORCH, "torch/", "<")) and f[0] != __file__]
    return f'File "{os.path.basename(frames[-1][0])}", line {frames[-1][1]}, in {frames[-1][2]}' if frames else ""


def _shorten(program):
    """Of the origin of a node only your line stays, without folders: wherever it is made, the file is the same."""
    for node in _nodes(program):
        line = _line(node)
        for key in ("stack_trace", "torch_fn", "from_node", "source_fn_stack"):
            node.meta.pop(key, None)
        if line:
            node.meta["stack_trace"] = line


def _scaled_paths(node):
    """The nodes that stochastic depth of the older kind leaves out at rest: `x / keep * (keep + torch.rand(…)).floor()`."""

    def only(node, name):
        user = next(iter(node.users)) if node is not None and len(node.users) == 1 else None
        return user if user is not None and str(user.target).startswith(name) else None

    total = only(node, "aten.add") if str(node.target) == "aten.rand.default" else None
    floored = only(total, "aten.floor")
    if floored is None or not isinstance(total.args[1], float):
        return []
    factors = [f for product in floored.users if str(product.target).startswith("aten.mul") for f in product.all_input_nodes]
    return [node, total, *(f for f in factors if str(f.target).startswith("aten.div") and f.args[1] == total.args[1])]


class _Sizes:
    """What a file says of the sizes of its inputs: which are fixed, and conditions on the others."""

    def __init__(self, data, values):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            model = json.loads(archive.read("archive/models/model.json"))
        self.guards, self.values, self.inputs, symbols = model["guards_code"], values, {}, set()
        for spec in model["graph_module"]["signature"]["input_specs"]:
            if "user_input" in spec:
                name = spec["user_input"]["arg"]["as_tensor"]["name"]
                self.inputs[name] = model["graph_module"]["graph"]["tensor_values"][name]["sizes"]
                symbols |= set(re.findall(r"Symbol\('(\w+)'", json.dumps(self.inputs[name][0])))
        self.ranges = [r for symbol, r in model["range_constraints"].items() if symbol in symbols]

    def is_fixed(self, dim):
        return any("as_int" in sizes[dim] for sizes in self.inputs.values())

    def allow(self, rows, size=None):
        shapes = {name: [rows, *v.shape[1:2], *(size or v.shape[2:])] for name, v in zip(self.inputs, self.values)}

        def number(found):  # L['x'].size()[0], or L['views'][1].size()[0] of *views
            return str(shapes["_".join(re.findall(r"\w+", found.group(1)))][int(found.group(2))])

        if any((r["min_val"] or 0) > rows or (r["max_val"] or rows) < rows for r in self.ranges):
            return False
        for guard in self.guards:
            with contextlib.suppress(SyntaxError, NameError, KeyError, ZeroDivisionError):  # another form: the comparison tells
                if not eval(re.sub(r"L((?:\[[^\]]*\])+)\.size\(\)\[(\d+)\]", number, guard), {"__builtins__": {}}):
                    return False
        return True


class _Graph(torch.fx.Interpreter):
    """Runs a file's graph as infomax does; with `evaluation` as in evaluation mode, of which a training graph knows nothing."""

    def __init__(self, graph, evaluation=False):
        super().__init__(graph)
        self.last = {used: node for node in self.graph.nodes for used in node.all_input_nodes}
        self.evaluation, self.assigned, self.taken = evaluation, {}, set()
        for node in self.graph.nodes if evaluation else ():
            self.taken.update(_scaled_paths(node))

    def run_node(self, node):
        if node in self.taken:  # of stochastic depth at rest
            return torch.ones_like(super().run_node(node)) if str(node.target) == "aten.rand.default" else self.env[node.args[0]]
        if str(node.target) == "aten.copy_.default" and self._is_late(node.args[0], node) and not node.users:
            self.assigned[node.args[0].name] = self.env[node.args[1]]  # `self.buffer = new`: gradients may need the old one
            return None
        kind = {"wrap_with_set_grad_enabled": torch.set_grad_enabled, "wrap_with_autocast": torch.autocast}.get(str(node.target))
        if kind is None:
            return super().run_node(node)
        args, _ = self.fetch_args_kwargs_from_env(node)
        at = next(i for i, value in enumerate(args) if isinstance(value, torch.fx.GraphModule))
        with kind(*args[:1], **dict(zip(("dtype", "enabled", "cache_enabled"), args[1:at]))):
            inner = _Graph(args[at], self.evaluation)
            result = inner.run(*args[at + 1 :])
        for placeholder, outer, value in zip(inner.graph.find_nodes(op="placeholder"), node.args[at + 1 :], args[at + 1 :]):
            if (new := inner.assigned.get(placeholder.name)) is not None:
                if self._is_late(outer, node):
                    self.assigned[outer.name] = new
                else:
                    with torch.no_grad():
                        value.copy_(new)
        return result

    def _is_late(self, value, node):
        """Whether an input of the graph is not looked at after this node."""
        return value.op == "placeholder" and self.last[value] is node

    def call_function(self, target, args, kwargs):
        name = str(target)
        if self.evaluation and name == "aten.bernoulli_.float":  # stochastic depth divides by this probability
            return args[0].fill_(args[1])
        if self.evaluation and name.startswith("aten.") and not (name == "aten.batch_norm.default" and args[3] is None):
            off = {"training": False, "train": False, "dropout_p": 0.0}
            off |= {"use_input_stats": False} if name == "aten.instance_norm.default" and args[3] is not None else {}
            names = [a.name for a in target._schema.arguments]
            args = [off.get(name, value) for name, value in zip(names, args)]
            kwargs = {name: off.get(name, value) for name, value in kwargs.items()}
        return super().call_function(target, args, kwargs)


class _File:
    """A loaded file with a state of its own; parameters that share their numbers are one, as in the module."""

    def __init__(self, program):
        self.program, self.parameters, self.buffers, self.inputs, tied = program, {}, {}, [], {}
        for spec in program.graph_signature.input_specs:
            if spec.kind.name == "USER_INPUT":
                continue
            stored = program.state_dict[spec.target] if spec.target in program.state_dict else program.constants[spec.target]
            value = stored.detach().clone()
            if spec.kind.name == "PARAMETER":
                key = stored.data_ptr(), stored.shape, stored.stride()
                value = self.parameters[spec.target] = tied.setdefault(key, value.requires_grad_(stored.requires_grad))
            elif spec.kind.name == "BUFFER":
                self.buffers[spec.target] = value
            self.inputs.append((spec.arg.name, value))

    def __call__(self, values, evaluation=False):
        self.graph = _Graph(self.program.graph_module, evaluation)
        flat = self.graph.run(*(v for _, v in self.inputs), *values)
        return torch.utils._pytree.tree_unflatten(flat, self.program.call_spec.out_spec)

    def finish(self):
        for name, value in self.inputs:
            if name in self.graph.assigned:
                value.copy_(self.graph.assigned[name].detach())


def _compare(module, program, batches, named, watch):
    """Two steps of training without an update: outputs, gradients and buffers of the file and of the module."""
    own, file = copy.deepcopy(module), _File(program)
    parameters = dict(own.named_parameters(remove_duplicate=False))
    state = "".join(f"`{a}` is set in forward and no buffer (register_buffer); " for a in watch.remarks) + STATE
    for step, values in enumerate(batches):
        try:
            outputs, gradients, custom = _trained(lambda v: own(*v), parameters, values, named, step)
        except RuntimeError as error:
            hint = "of a buffer that changes in forward hand the gradient a copy: `x @ self.queue.clone()`" if "inplace" in str(error) else ""
            raise ExportError(f"the module itself fails in step {step + 1} of training: {_first_line(error)}", hint) from error
        found, found_gradients, _ = _trained(file, file.parameters, values, named, step)
        file.finish()
        buffers = {n: b for n, b in own.named_buffers(remove_duplicate=False) if n in file.buffers}
        lost = "what hooks on tensors and modules do to gradients"
        if custom:
            lost = f"the backward of {', '.join(custom)} (torch.autograd.Function)"
        lost += " is not in a file: write operations that have this derivative, e.g. `x + (f(x) - x).detach()` for a straight-through gradient"
        largest = max((float(g.abs().max()) for g in gradients.values() if g.numel()), default=0.0)
        for what, mine, other, least, tolerance, hint in (
            ("output", outputs, found, 0.0, EXACT, state),
            ("the gradient of", gradients, found_gradients, 1e-3 * largest, CLOSE, lost),
            ("buffer", buffers, file.buffers, 0.0, EXACT, state),
        ):
            for name, expected in mine.items():
                gap = _gap(expected, other.get(name), least)
                if gap > tolerance:
                    where = f"step {step + 1}, batch {values[0].shape[0]}"
                    problem = f"the file computes other numbers: {what} `{name}` is off by {gap:.1e} of the largest ({where})"
                    raise ExportError(problem, hint)


def _trained(call, parameters, values, named, seed):
    """Outputs, gradients of a fixed weighing of them, and names of custom functions that they went through."""
    leaves = {f"input {i}": v.clone().requires_grad_(v.is_floating_point()) for i, v in enumerate(values)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = named(call([v.clone() for v in leaves.values()]), values[0].shape[0])
    generator = _generator()
    total = sum((v * torch.randn(v.shape, generator=generator)).sum() for v in outputs.values())
    wanted = {name: v for name, v in (leaves | parameters).items() if v.requires_grad}
    custom, seen, stack = set(), set(), [total.grad_fn]
    while stack:
        if (node := stack.pop()) is not None and node not in seen:
            seen.add(node)
            stack += [n for n, _ in node.next_functions]
            if isinstance(node, torch.autograd.function.BackwardCFunction):
                custom.add(type(node).__name__.removesuffix("Backward"))
    custom -= {"BackwardHookFunction"}
    gradients = [None] * len(wanted)
    if total.requires_grad:
        gradients = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    gradients = {name: torch.zeros_like(v) if g is None else g for (name, v), g in zip(wanted.items(), gradients)}
    return {name: v.detach() for name, v in outputs.items()}, gradients, sorted(custom)


def _gap(expected, found, least):
    """The largest difference as a part of the largest number; infinite where shapes or what is finite differ."""
    if found is None or expected.shape != found.shape or not torch.equal(expected.isfinite(), found.isfinite()):
        return math.inf
    kept = expected.isfinite()
    expected, found = expected.detach()[kept].double(), found.detach()[kept].double()
    return float((expected - found).abs().max() / max(float(expected.abs().max()), least, 1e-12)) if kept.any() else 0.0


def _evaluates(module, program, values, named):
    """Whether the training graph with fixed statistics and nothing dropped is the module in evaluation mode."""
    with torch.no_grad():
        found = named(_File(program)(values, evaluation=True), values[0].shape[0])
        try:
            own = named(copy.deepcopy(module).eval()(*values), values[0].shape[0])
        except Exception:  # some return other outputs then
            own = {}
    same = own.keys() == found.keys() and all(_gap(v, found[name], 0.0) <= EXACT for name, v in own.items())
    if not same:
        _say("in evaluation mode the module computes something else than its training graph with fixed statistics, without dropout and "
             "stochastic depth (`if self.training`, noise of another kind): infomax evaluates the training graph")  # fmt: skip
    return same


def _resized(value, rows):
    """An example of another batch: its rows again, slightly moved, so that no two are alike."""
    value = value[torch.arange(rows) % value.shape[0]]
    return value * (1 + 0.1 * torch.randn(value.shape, generator=_generator())) if value.is_floating_point() else value


def _generator():
    return torch.Generator().manual_seed(1)


def _hint(error):
    return next((hint for pattern, hint in HINTS if re.search(pattern, f"{type(error).__name__} {error}")), "")


def _first_line(error):
    return f"{next((line.strip() for line in str(error).splitlines() if line.strip()), '')[:200]} ({type(error).__name__})"


def _user_line(frames):
    """The innermost line that is neither torch's, nor Python's, nor this file's."""
    others = (f for f in frames if not f.filename.startswith((TORCH, "<")) and f.filename != __file__)
    own = [f for f in others if not f.filename.startswith(PYTHON) or "site-packages" in f.filename]
    return f'File "{own[-1].filename}", line {own[-1].lineno}, in {own[-1].name}: {own[-1].line}' if own else ""


def _place(error):
    while error is not None:
        if place := _user_line(traceback.extract_tb(error.__traceback__)):
            return place
        error = error.__cause__ or error.__context__
    return ""


def _kind(value):
    layout = "" if value.layout == torch.strided else f", {value.layout}"
    return f"{value.dtype} {'×'.join(map(str, value.shape)) or 'scalar'}{layout}".removeprefix("torch.")


def _say(text):
    print(f"infomax_export: {text}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Exports a PyTorch module for infomax.")
    parser.add_argument("module", help="file.py:function; it returns an encoder, or a loss and the dict of its inputs")
    parser.add_argument("--out", required=True, help="the .pt2 file to write")
    parser.add_argument("--size", type=int, nargs="+", help="height and width of the images, or one number for both")
    parser.add_argument("--channels", type=int, default=3, help="channels of the images")
    parser.add_argument("--batch", type=int, default=4, help="images in the example; a run may have another batch")
    parser.add_argument("--outputs", nargs="+", help="names of the maps")
    parser.add_argument("--representation", help="the map that is evaluated")
    parser.add_argument("--dynamic-size", action="store_true", help="let height and width vary")
    given = parser.parse_args()
    path, _, function = given.module.rpartition(":")
    if not Path(path).is_file():
        parser.error(f"no file `{path}`: the module is given as file.py:function")
    sys.path.insert(0, str(Path(path).resolve().parent))
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    if not callable(getattr(source, function, None)):
        parser.error(f"`{path}` has no function `{function}`")
    built = getattr(source, function)()
    try:
        if isinstance(built, tuple):
            export_loss(*built, given.out)
        elif given.size:
            size = tuple(given.size) if len(given.size) == 2 else given.size[0]
            named = {key: getattr(given, key) for key in ("outputs", "representation", "channels", "batch", "dynamic_size")}
            export_encoder(built, size, given.out, **named)
        else:
            parser.error("an encoder needs --size")
    except ExportError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
