"""Loads timm without the Hugging Face hub's client, which is loaded when weights are fetched."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

HUB = "huggingface_hub"
UTILS = f"{HUB}.utils"
#: What timm takes from the client to call it, and to catch it; the module that does.
CALLED = ("HfApi", "hf_hub_download", "model_info")
CAUGHT = ("EntryNotFoundError", "RepositoryNotFoundError")
CALLER = "timm.models._hub"


@contextmanager
def stand_in(name: str, **given: Any) -> Iterator[Callable[[str], Any]]:
    """Replace a module by a stand-in with the given attributes, inside the block.

    Yields the function that gets any other attribute from the replaced module.
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
def late_hub() -> Iterator[None]:
    """Put off loading the hub's client inside the block, unless it is loaded."""
    if UTILS in sys.modules or CALLER in sys.modules:
        yield
        return
    hub = import_module(HUB)  # loads its parts when they are asked for, as timm does of three
    vars(hub).update({name: partial(_call, name) for name in CALLED})
    with stand_in(UTILS, **{name: type(name, (Exception,), {}) for name in CAUGHT}):
        try:
            yield
        finally:
            for name in CALLED:
                vars(hub).pop(name)


def _call(name: str, *arguments: Any, **named: Any) -> Any:
    """Call a function of the client, after timm has got the errors to catch."""
    utils = import_module(UTILS)
    for error in CAUGHT:
        setattr(sys.modules[CALLER], error, getattr(utils, error))
    return getattr(import_module(HUB), name)(*arguments, **named)
