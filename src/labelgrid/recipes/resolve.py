"""Checks a recipe's plug-ins without torch, and builds them from their checked options."""

from typing import Any

from labelgrid import plugins
from labelgrid.config import parse
from labelgrid.recipes.schema import PluginChoice, Recipe


def check_recipe(recipe: Recipe) -> None:
    """Check every plug-in of a recipe and its options. Loads no torch.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    chosen = [("nets", recipe.network), ("train.balance", recipe.balance)]
    for folder, tables in (("train.terms", recipe.terms), ("score", recipe.score)):
        chosen += [(folder, PluginChoice(name, options)) for name, options in tables.items()]
    for folder, choice in chosen:
        check_options(folder, choice)


def check_options(folder: str, choice: PluginChoice) -> Any:
    """Parse and check the options of a plug-in. Loads no torch.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    return parse(plugins.options_class(folder, choice.name), choice.options, f"options of {folder} '{choice.name}'")


def build_plugin(folder: str, choice: PluginChoice, *arguments: Any) -> Any:
    """Build a plug-in of a folder from the arguments and its checked options, which come last.

    Raises:
        PluginError: there is no such plug-in, or it cannot be built. RecipeError: an option is unknown or wrong.
    """
    build = plugins.resolve(folder, choice.name)  # first, so that the options are of the imported module's class
    return plugins.call(folder, choice.name, build, *arguments, check_options(folder, choice))
