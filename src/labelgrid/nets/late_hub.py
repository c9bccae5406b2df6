"""Loads timm without the Hugging Face hub's client, which is loaded when weights are fetched."""

import sys
from collections.abc import Iterator
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
def late_hub() -> Iterator[None]:
    """Put off loading the hub's client inside the block, unless it is loaded."""
    if UTILS in sys.modules or CALLER in sys.modules:
        yield
        return
    hub = import_module(HUB)  # loads its parts when they are asked for, as timm does of three
    called = {name: partial(_call, name) for name in CALLED}
    stand_in = ModuleType(UTILS)

    def load(name: str) -> Any:
        """Whatever else is asked of the module is its own, but for what Python asks of each."""
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(UTILS) is stand_in:
            del sys.modules[UTILS]
        return getattr(import_module(UTILS), name)

    vars(stand_in).update({name: type(name, (Exception,), {}) for name in CAUGHT})
    vars(stand_in).update(__getattr__=load)
    vars(hub).update(called)
    sys.modules[UTILS] = stand_in
    try:
        yield
    finally:
        for name in called:
            vars(hub).pop(name)
        if sys.modules.get(UTILS) is stand_in:
            del sys.modules[UTILS]


def _call(name: str, *arguments: Any, **named: Any) -> Any:
    """Call a function of the client after timm has got the errors that it catches."""
    utils = import_module(UTILS)
    for error in CAUGHT:
        setattr(sys.modules[CALLER], error, getattr(utils, error))
    return getattr(import_module(HUB), name)(*arguments, **named)
