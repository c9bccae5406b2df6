"""Loads timm, torchvision and Fabric, and steps optimisers, without torch's compiler and exporters.

All load the compiler for a few functions that nearly no network calls, which took a third of the
time of loading a network, and as much again before a training. torchvision also registers its
operators for the TorchScript exporter to ONNX, which `export-model` does not use. Whoever exports a
detection network in this process that way imports `torchvision.ops._register_onnx_ops` first, and
calls its `_register_custom_op()`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch._compile import _disable_dynamo  # torch's own way of putting it off
from torch.optim import Optimizer

from labelgrid.nets.late_hub import late_hub, stand_in

COMPILER = "torch._dynamo"
#: The module of the compiler's classes, which no stand-in replaces.
CLASSES = f"{COMPILER}.eval_frame"
#: The module from which torchvision takes one function.
UTILS = f"{COMPILER}.utils"
#: Where torch keeps the form of a function that the compiler leaves alone.
DISABLED = "__dynamo_disable"
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


class _OfCompiled(type):
    """Finds in no module what the compiler made, as long as it is not loaded."""

    def __instancecheck__(cls, instance: object) -> bool:
        loaded = sys.modules.get(CLASSES)
        return loaded is not None and isinstance(instance, loaded.OptimizedModule)


class _Compiled(metaclass=_OfCompiled):
    """What Fabric takes for the class of compiled modules."""


@contextmanager
def late_fabric() -> Iterator[None]:
    """Put off loading torch's compiler where Fabric is loaded inside the block.

    Optimisers do not load it then to be kept from it, which is nothing before it is loaded.
    """
    if COMPILER in sys.modules:
        yield
        return
    for method in vars(Optimizer).values():
        function = getattr(method, "__wrapped__", None)
        if callable(function) and not hasattr(function, DISABLED):
            setattr(function, DISABLED, partial(_call_undisturbed, method, function))
    with stand_in(COMPILER, OptimizedModule=_Compiled):
        yield


def _call_undisturbed(
    method: Callable[..., Any], function: Callable[..., Any], *arguments: Any, **named: Any
) -> Any:
    """Call an optimiser's method; the compiler is kept from it by torch as soon as it is loaded."""
    if CLASSES in sys.modules:
        delattr(function, DISABLED)
        return method(*arguments, **named)
    return function(*arguments, **named)


@contextmanager
def plain_step() -> Iterator[None]:
    """Put off loading torch's compiler where optimisers step inside the block.

    A step tells the compiler where it ends, and nothing compiles one before the compiler is loaded.
    """
    if COMPILER in sys.modules:
        yield
        return
    with stand_in(COMPILER, graph_break=lambda: None):
        yield


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

__all__ = ["BasicBlock", "Bottleneck", "late_compiler", "late_fabric", "plain_step", "timm"]
