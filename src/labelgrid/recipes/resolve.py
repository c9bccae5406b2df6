"""Checks a recipe's plug-ins without torch, and builds them from their checked options."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
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


def resolved_options(
    folder: str, names: Iterable[str], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """All options of these plug-ins as JSON values, those at their defaults too. Loads no torch.

    What is computed with options is stamped with these, so that it is stale once a default changes.

    Args:
        folder: of the plug-ins.
        names: of the plug-ins.
        tables: the given options, by plug-in name.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.

    Example:
        >>> resolved_options("select", ["partal"], {})["partal"]["normalise"]
        'first'
    """
    options = {n: asdict(check_options(folder, PluginChoice(n, tables.get(n, {})))) for n in sorted(set(names))}
    values: dict[str, dict[str, Any]] = json.loads(json.dumps(options, default=str))
    return values


def training_options(recipe: Recipe) -> dict[str, dict[str, dict[str, Any]]]:
    """All options of the plug-ins that a training uses, by folder and name, those at their defaults too.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.

    Example:
        >>> training_options(Recipe())["nets"]["pad_net"]["width"]
        256
    """
    one = {"nets": recipe.network, "train.balance": recipe.balance}
    tables = {folder: {choice.name: choice.options} for folder, choice in one.items()} | {"train.terms": recipe.terms}
    return {folder: resolved_options(folder, chosen, chosen) for folder, chosen in tables.items()}


def build_plugin(folder: str, choice: PluginChoice, *arguments: Any) -> Any:
    """Build a plug-in of a folder from the arguments and its checked options, which come last.

    Raises:
        PluginError: there is no such plug-in, or it cannot be built. RecipeError: an option is unknown or wrong.
    """
    build = plugins.resolve(folder, choice.name)  # first, so that the options are of the imported module's class
    return plugins.call(folder, choice.name, build, *arguments, check_options(folder, choice))
