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


@pytest.mark.parametrize("code", [LOADED, WORKS, ASKED, EXPORTED])
def test_the_compiler_is_loaded_where_it_is_needed_alone(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
