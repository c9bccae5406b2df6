"""How a plug-in named in a recipe is built from checked options."""

from importlib import import_module
from typing import Any

from labelgrid import plugins
from labelgrid.config import parse
from labelgrid.recipes.schema import PluginChoice


def build_plugin(folder: str, named: PluginChoice, *arguments: Any) -> Any:
    """Build the plug-in `named` of `folder` from its checked options."""
    return plugins.resolve(folder, named.name)(*arguments, check_options(folder, named))


def check_options(folder: str, named: PluginChoice) -> Any:
    """The checked options of a plug-in.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    path = named.name.partition(":")[0]
    source = import_module(path) if ":" in named.name else plugins.module(folder, named.name)
    return parse(source.Options, named.options, f"options of {folder} '{named.name}'")
