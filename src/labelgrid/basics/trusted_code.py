"""Decides whose code may run: own plug-ins only from modules that the user has named.

None of them is imported.
"""

import os
import re
import sys
from collections.abc import Iterable

from labelgrid.basics.errors import PluginError, UsageError

#: The environment variable with the trusted modules, separated by commas. Processes that this one
#: starts inherit it.
VARIABLE = "LABELGRID_TRUST"
#: A module and an object in it: "package.module:object".
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
#: What can be trusted: a module or package, or a source of backbones such as hf-hub.
PREFIX = re.compile(r"[^\W\d][\w-]*(\.[^\W\d]\w*)*")


def trust(prefixes: Iterable[str]) -> None:
    """Let this process and all children run plug-ins of some modules.

    Plug-ins of modules inside them may run, too.

    Raises:
        UsageError: one is not the name of a module, or is of labelgrid or of Python's standard
            library.
    """
    texts = list(prefixes) if isinstance(prefixes, Iterable) else [prefixes]
    if isinstance(prefixes, str) or not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f"trust(prefixes={prefixes!r:.60}): `prefixes` must be a list of names of modules.",
            next_step="Such as trust(['mine']).",
            unchanged="Nothing was done.",
        )
    wanted = [prefix.strip() for text in texts for prefix in text.split(",")]
    for prefix in wanted:
        if not PREFIX.fullmatch(prefix) or is_never_trusted(prefix):
            raise UsageError(
                f"{prefix!r} cannot be trusted: it is not a module of yours.",
                next_step="Name the module or package of your plug-ins, such as --trust mine.",
                unchanged="Nothing was done.",
            )
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*trusted_prefixes(), *wanted]))


def trusted_prefixes() -> list[str]:
    """The modules and packages that the user trusts."""
    return [prefix.strip() for prefix in os.environ.get(VARIABLE, "").split(",") if prefix.strip()]


def is_trusted(module: str) -> bool:
    """Whether the user has named a module, or a package around the module.

    Example:
        >>> is_trusted("os.path")
        False
    """
    prefixes = [prefix for prefix in trusted_prefixes() if not _is_of_python(prefix)]
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def check_trusted(name: str, shown: str = "") -> str:
    """Check that the code "package.module:object" may run; returns the module.

    Args:
        name: the code.
        shown: the name in a refusal, if it differs from the module's.

    Raises:
        PluginError: the name has another form, the module is labelgrid's or Python's, or the user
            has not named it.
    """
    if not NAME.fullmatch(name):
        raise PluginError(
            f"{shown or repr(name)} is not the name of a plug-in.",
            next_step="Name your own code as 'package.module:name'.",
        )
    module = name.partition(":")[0]
    shown = shown or f"'{name}'"
    if _is_of_python(module):
        raise PluginError(
            f"{shown} is not a plug-in: the module is Python's own.", unchanged="It was not run."
        )
    if _is_of_labelgrid(module):
        plugin = module.rpartition(".")[2]
        raise PluginError(
            f"{shown} is not code of your own: the module is labelgrid's.",
            next_step=f"Name a plug-in of labelgrid without its module: '{plugin}'.",
            unchanged="It was not run.",
        )
    if not is_trusted(module):
        package = module.partition(".")[0]
        raise PluginError(
            f"{shown} is code from outside labelgrid, and you have not said that you trust it.",
            next_step=f"If you know its author, add `--trust {package}` to the command, "
            f"or set {VARIABLE}={package}.",
            unchanged="It was not run.",
        )
    return module


def is_never_trusted(module: str) -> bool:
    """Whether a module is Python's or labelgrid's, which nobody's plug-ins are in.

    Example:
        >>> is_never_trusted("os.path")
        True
    """
    return _is_of_python(module) or _is_of_labelgrid(module)


def _is_of_python(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def _is_of_labelgrid(module: str) -> bool:
    return module.partition(".")[0] == "labelgrid"
