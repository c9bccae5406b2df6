"""How a recipe's plug-ins are checked, without torch, and built from their checked options."""

from typing import Any

from labelgrid import plugins
from labelgrid.config import parse
from labelgrid.recipes.schema import PluginChoice, Recipe


def check_recipe(recipe: Recipe) -> None:
    """Check every plug-in that a recipe names, and its options. Loads no torch.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    chosen = [("nets", recipe.network), ("train.balance", recipe.balance)]
    for folder, tables in (("train.terms", recipe.terms), ("score", recipe.score)):
        chosen += [(folder, PluginChoice(name, options)) for name, options in tables.items()]
    for folder, named in chosen:
        check_options(folder, named)


def check_options(folder: str, named: PluginChoice) -> Any:
    """The checked options of a plug-in. Loads no torch.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    return parse(plugins.options_class(folder, named.name), named.options, f"options of {folder} '{named.name}'")


def build_plugin(folder: str, named: PluginChoice, *arguments: Any) -> Any:
    """Build the plug-in `named` of `folder` from its checked options, which come after the arguments."""
    build = plugins.resolve(folder, named.name)  # first: then the options are of the class that its module knows
    return build(*arguments, check_options(folder, named))
