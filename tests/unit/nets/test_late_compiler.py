"""A network is loaded without torch's compiler and exporters, which are there where they are needed."""

import shutil
import subprocess
import sys

import pytest

LOADED = """
import sys
import labelgrid.rounds.models, labelgrid.rounds.query, labelgrid.rounds.score

for name in (
    "torch._dynamo",
    "torch.onnx",
    "sympy",
    "scipy.ndimage",
    "scipy.sparse",
    "huggingface_hub.utils",
    "pyarrow.compute",
):
    assert name not in sys.modules, name
"""
WORKS = """
import sys
import torch
from labelgrid.nets.late_compiler import UTILS, late_compiler, timm
import torchvision

assert UTILS not in sys.modules
boxes = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
assert torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), boxes, 2).shape == (1, 1, 2, 2)
roi_align = sys.modules["torchvision.ops.roi_align"]
assert roi_align.is_compile_supported("cpu") in (True, False)
import torch._dynamo
assert sys.modules[UTILS] is torch._dynamo.utils and torch._dynamo.utils.counters is not None
with late_compiler():
    assert sys.modules[UTILS] is torch._dynamo.utils
"""
ASKED = """
import sys
from labelgrid.nets.late_compiler import UTILS, late_compiler

with late_compiler():
    stand_in = sys.modules[UTILS]
    import torch._dynamo
    assert sys.modules[UTILS] is not stand_in and torch._dynamo.utils.counters is not None
"""
TRAINED = """
import inspect
import sys
import torch
from labelgrid.nets.late_compiler import CLASSES, COMPILER, DISABLED, plain_step
from labelgrid.train.trainer import make_fabric

def train(optimiser):
    optimiser = fabric.setup_optimizers(optimiser)
    optimiser.zero_grad()
    layer(torch.ones(1, 2)).sum().backward()
    with plain_step():
        optimiser.step()
        optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())

layer = torch.nn.Linear(2, 1)
fabric = make_fabric("cpu", "32-true")
before = layer.weight.detach().clone()
train(torch.optim.Adam(layer.parameters(), lr=1.0))
train(torch.optim.AdamW([{"params": [each]} for each in layer.parameters()]))
assert not torch.equal(before, layer.weight)
assert COMPILER not in sys.modules and "sympy" not in sys.modules
from lightning_fabric import wrappers
assert not isinstance(layer, wrappers.OptimizedModule) and not wrappers.is_wrapped(layer)

import torch._dynamo  # from here on all is as without a stand-in
compiled = torch.compile(layer, backend="eager")
assert CLASSES in sys.modules and isinstance(compiled, wrappers.OptimizedModule)
assert wrappers.is_wrapped(torch.compile(fabric.setup_module(layer), backend="eager"))
assert not isinstance(layer, wrappers.OptimizedModule)
train(torch.optim.Adam(layer.parameters()))
for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
    disabled = getattr(vars(torch.optim.Optimizer)[name].__wrapped__, DISABLED)
    assert disabled._torchdynamo_disable is True, name
graph_break = torch._dynamo.graph_break
with plain_step():
    assert torch._dynamo.graph_break is graph_break
optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
layer(torch.ones(1, 2)).sum().backward()
before = layer.weight.detach().clone()
torch.compile(optimiser.step, backend="eager")()
assert torch.equal(layer.weight, before - 1)
"""
EXPORTED = """
import sys
import torch
from labelgrid.nets.late_compiler import EXPORTER, late_exporter, timm

assert EXPORTER not in sys.modules and "torch.onnx" not in sys.modules
from torch.onnx._internal.torchscript_exporter import registration
assert not registration.registry.is_registered_op("torchvision::nms", 11)
import torchvision.ops._register_onnx_ops as exporter
exporter._register_custom_op()
assert registration.registry.is_registered_op("torchvision::nms", 11)
with late_exporter():
    assert sys.modules[EXPORTER] is exporter
"""
COMPILED = """
import sys
import torch
from labelgrid.nets.late_compiler import UTILS

assert UTILS not in sys.modules
encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
image = torch.rand(2, 3, 16, 16)
plain = encoder(image)
from torch._inductor import config
config.compile_threads = 1
config.cpp.vec_isa_ok = True
encoder.compile()
assert torch.allclose(plain, encoder(image), rtol=1e-5, atol=1e-5)
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler was found")
def test_the_compiler_compiles_after_timm_was_loaded_without_it() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [LOADED, WORKS, ASKED, TRAINED, EXPORTED])
def test_the_compiler_is_loaded_where_it_is_needed_alone(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
