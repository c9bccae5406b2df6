"""Loads timm and torchvision without torch's compiler and its exporters, which few networks need.

Both load the compiler for a few functions that nearly no network calls, which took a third of the
time of loading a network. torchvision also registers its operators for the TorchScript exporter to
ONNX, which `export-model` does not use. Whoever exports a detection network in this process that
way imports `torchvision.ops._register_onnx_ops` first, and calls its `_register_custom_op()`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._compile import _disable_dynamo  # torch's own way of putting it off

from labelgrid.nets.late_hub import late_hub, stand_in

#: The module from which torchvision takes one function.
UTILS = "torch._dynamo.utils"
#: The module in which torchvision tells its operators to an exporter.
EXPORTER = "torchvision.ops._register_onnx_ops"


@contextmanager
def late_compiler() -> Iterator[None]:
    """Put off loading torch's compiler inside the block, unless it is loaded."""
    if UTILS in sys.modules:
        yield
        return
    disable = torch.compiler.disable

    def is_compile_supported(*arguments: Any) -> Any:
        return load("is_compile_supported")(*arguments)

    def disable_late(
        function: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str = ""
    ) -> Callable[..., Any]:
        del reason  # torch only shows it
        return _disable_dynamo(function, recursive)

    with stand_in(UTILS, is_compile_supported=is_compile_supported) as load:
        torch.compiler.disable = disable_late
        try:
            yield
        finally:
            torch.compiler.disable = disable


@contextmanager
def late_exporter() -> Iterator[None]:
    """Put off loading torch's exporters inside the block, unless they are loaded."""
    if EXPORTER in sys.modules or "torch.onnx" in sys.modules:
        yield
        return
    with stand_in(EXPORTER, _register_custom_op=lambda: None):
        yield


with late_compiler(), late_exporter(), late_hub():
    import timm
    from torchvision.models.resnet import BasicBlock, Bottleneck

__all__ = ["BasicBlock", "Bottleneck", "late_compiler", "timm"]
