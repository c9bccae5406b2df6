"""Loads timm and torchvision without torch's compiler, which is then loaded where it is needed.

Both load it for a few functions that nearly no network calls: it took a third of the time of
loading a network.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch._compile import _disable_dynamo  # torch's own way of putting it off

from labelgrid.nets.late_hub import late_hub

#: The module from which torchvision takes one function.
UTILS = "torch._dynamo.utils"


@contextmanager
def late_compiler() -> Iterator[None]:
    """Put off loading torch's compiler inside the block, unless it is loaded."""
    if UTILS in sys.modules:
        yield
        return
    stand_in = ModuleType(UTILS)
    disable = torch.compiler.disable

    def load(name: str) -> Any:
        """Whatever else is asked of the module is its own, but for what Python asks of each."""
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(UTILS) is stand_in:
            del sys.modules[UTILS]
        return getattr(import_module(UTILS), name)

    def is_compile_supported(*arguments: Any) -> Any:
        return load("is_compile_supported")(*arguments)

    def disable_late(
        function: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str = ""
    ) -> Callable[..., Any]:
        del reason  # torch only shows it
        return _disable_dynamo(function, recursive)

    vars(stand_in).update(__getattr__=load, is_compile_supported=is_compile_supported)
    sys.modules[UTILS] = stand_in
    torch.compiler.disable = disable_late
    try:
        yield
    finally:
        torch.compiler.disable = disable
        if sys.modules.get(UTILS) is stand_in:
            del sys.modules[UTILS]


with late_compiler(), late_hub():
    import timm
    from torchvision.models.resnet import BasicBlock, Bottleneck

__all__ = ["BasicBlock", "Bottleneck", "late_compiler", "timm"]
