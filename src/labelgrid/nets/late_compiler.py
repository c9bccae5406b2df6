"""Loads timm and torchvision without what they load for nearly no network, until it is needed.

Both load torch's compiler for a few functions: it took a third of the time of loading a network.
timm loads the Hugging Face hub's client, which is needed when weights are fetched.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch._compile import _disable_dynamo  # torch's own way of putting it off

#: The module from which torchvision takes one function.
UTILS = "torch._dynamo.utils"
HUB = "huggingface_hub"
HUB_UTILS = f"{HUB}.utils"
#: What timm takes from the client to call it, and to catch it; the module that does.
CALLED = ("HfApi", "hf_hub_download", "model_info")
CAUGHT = ("EntryNotFoundError", "RepositoryNotFoundError")
CALLER = "timm.models._hub"


@contextmanager
def _stand_in(name: str, **given: Any) -> Iterator[Callable[[str], Any]]:
    """Put a module with what is given in the place of one, inside the block.

    Yields the function by which whatever else is asked of it comes from the module itself.
    """
    module = ModuleType(name)

    def load(attribute: str) -> Any:
        """What Python asks of each module is not the module's own."""
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    vars(module).update(given, __getattr__=load)
    sys.modules[name] = module
    try:
        yield load
    finally:
        if sys.modules.get(name) is module:
            del sys.modules[name]


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

    with _stand_in(UTILS, is_compile_supported=is_compile_supported) as load:
        torch.compiler.disable = disable_late
        try:
            yield
        finally:
            torch.compiler.disable = disable


@contextmanager
def late_hub() -> Iterator[None]:
    """Put off loading the hub's client inside the block, unless it is loaded."""
    if HUB_UTILS in sys.modules or CALLER in sys.modules:
        yield
        return
    hub = import_module(HUB)  # loads its parts when they are asked for, as timm does of three
    vars(hub).update({name: partial(_call, name) for name in CALLED})
    with _stand_in(HUB_UTILS, **{name: type(name, (Exception,), {}) for name in CAUGHT}):
        try:
            yield
        finally:
            for name in CALLED:
                vars(hub).pop(name)


def _call(name: str, *arguments: Any, **named: Any) -> Any:
    """Call a function of the client after timm has got the errors that it catches."""
    utils = import_module(HUB_UTILS)
    for error in CAUGHT:
        setattr(sys.modules[CALLER], error, getattr(utils, error))
    return getattr(import_module(HUB), name)(*arguments, **named)


with late_compiler(), late_hub():
    import timm
    from torchvision.models.resnet import BasicBlock, Bottleneck

__all__ = ["BasicBlock", "Bottleneck", "late_compiler", "timm"]
