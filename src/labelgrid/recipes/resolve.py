"""Resolves recipes: finds and merges files, checks and builds plug-ins.

The module itself loads no torch.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from labelgrid.basics import plugins
from labelgrid.basics.config import merge, parse, read_toml
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.task_subset import WITHOUT, remove_tasks
from labelgrid.train.train_options import LENGTHS


def load_recipe(name: str, changes: Values | None = None, beside: Path | None = None) -> Recipe:
    """Load a recipe.

    The recipe's keys override the keys of the recipe that it extends; `changes` override both.
    `false` in place of a term's table drops the term. `without_tasks` in `changes` lists tasks that
    are left out of the result; see `labelgrid.recipes.task_subset`.

    Raises:
        RecipeError: it does not exist, is not TOML, has an unknown key or a wrong value, or extends
            itself; or it cannot do without a task.
    """
    return parse(Recipe, load_tables(name, changes, beside), f"recipe {name}")


def load_tables(name: str, changes: Values | None = None, beside: Path | None = None) -> Json:
    """Load the tables of a recipe as `load_recipe`, without checking their keys and values.

    Raises:
        RecipeError: it does not exist, is not TOML, extends itself, or cannot do without a task.
    """
    values: Json = {}
    for tables in chain(find_recipe(name, beside)):
        for key in OTHER_KEYS:
            tables.pop(key, None)
        values = override(values, tables)
    values = override(values, changes or {})
    terms = values.get("terms")
    if isinstance(terms, Mapping):
        values["terms"] = dict(terms)
        for term, options in terms.items():
            if options is False:
                del values["terms"][term]
    removed_tasks = values.pop(WITHOUT, ())
    if removed_tasks:
        return remove_tasks(values, removed_tasks)
    return values


#: The options of a backbone that say how it is trained, whatever its form.
TRAINED = ("train", "rate", "kept")
#: The keys of a recipe's file that are not part of the recipe, with their types.
OTHER_KEYS: Mapping[str, tuple[type, str]] = {
    "extends": (str, "the name or path of a recipe"),
    "simulate": (dict, "a table"),  # see `labelgrid.lab.simulation.study_recipe`
}


@cache
def recipe_files() -> dict[str, Path]:
    """The files of the shipped recipes, by name; none is opened.

    Example:
        >>> "small" in recipe_files()
        True
    """
    folder = Path(str(resources.files("labelgrid.recipes")))
    paths = [*sorted(folder.glob("*.toml")), *sorted(folder.glob("published/*.toml"))]
    return {path.stem: path for path in paths}


def shipped_recipes() -> dict[str, str]:
    """The first lines of the shipped recipes, by name: what each is for."""
    lines = {}
    for name, path in recipe_files().items():
        text = path.read_text(encoding="utf-8")
        lines[name] = text.partition("\n")[0].removeprefix("# ")
    return lines


def find_recipe(name: str, beside: Path | None = None) -> Path:
    """Find the file of a recipe by the name of a shipped recipe, or by a path.

    A path is relative to the folder `beside`.

    Raises:
        RecipeError: there is no such recipe.
    """
    shipped = recipe_files()
    if name in shipped:
        return shipped[name]
    path = (beside or Path()) / name
    if path.is_file():
        return path
    raise RecipeError(
        f"There is no recipe '{name}'.",
        next_step=f"Shipped: {', '.join(shipped)}; name your own by its path, such as ./mine.toml.",
    )


#: The number of recipes that may extend one another.
LONGEST = 32


def chain(path: Path, seen: tuple[Path, ...] = ()) -> list[Json]:
    """Read a recipe's file and the files that the recipe extends, directly or indirectly.

    The base file comes first.

    Raises:
        RecipeError: a file is missing, is not TOML, or extends itself or too many others; `extends`
            or `simulate` has a wrong type.
    """
    path = Path(os.path.realpath(path))
    if len(seen) == LONGEST:
        raise RecipeError(f"More than {LONGEST} recipes extend one another.", where=seen[0])
    if path in seen:
        raise RecipeError("The recipe extends itself.", where=" -> ".join(map(str, (*seen, path))))
    values = read_toml(path)
    for key, (key_type, meaning) in OTHER_KEYS.items():
        if not isinstance(values.get(key, key_type()), key_type):
            raise RecipeError(f"{key} must be {meaning}; it is {values[key]!r}.", where=path)
    base = values.get("extends")
    if not base:
        return [values]
    return [*chain(find_recipe(base, path.parent), (*seen, path)), values]


def override(base: Values, change: Values) -> Json:
    """Merge a recipe's tables with overrides.

    A new length of the training replaces one in another unit. Another backbone is trained as the
    one before; its form does not follow from that.

    Example:
        >>> override({"train": {"steps": 500, "batch": 8}}, {"train": {"epochs": 20}})
        {'train': {'steps': 0, 'batch': 8, 'epochs': 20}}
        >>> frozen = {"backbone": {"name": "a", "train": "frozen", "fused": 64}}
        >>> override(frozen, {"backbone": {"name": "b"}})
        {'backbone': {'train': 'frozen', 'name': 'b'}}
    """
    merged = merge(base, change)
    backbone = base.get("backbone", {})
    if isinstance(backbone, Mapping) and "backbone" in change:
        trained = {name: backbone[name] for name in TRAINED if name in backbone}
        merged["backbone"] = merge(trained, merged["backbone"])
    train = change.get("train", {})
    if isinstance(train, Mapping) and any(map(train.get, LENGTHS)):
        replaced = ({"steps", *merged["train"]} & {"steps", "label_visits"}) - train.keys()
        merged["train"] = {**merged["train"], **dict.fromkeys(replaced, 0)}
    return merged


def hash_of(*parts: Any) -> str:
    """A short hash of JSON values, for stamps."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def check_recipe(recipe: Recipe) -> None:
    """Check every plug-in of a recipe and its options. Loads no torch.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is unknown or wrong, or the network has no encoder of timm to freeze.
    """
    check_options("networks", recipe.network)
    check_encoder(recipe)
    check_options("balance", recipe.balance)
    for folder, tables in (("terms", recipe.terms), ("statistics", recipe.score)):
        for name, options in tables.items():
            check_options(folder, PluginChoice(name, options))
    for name, relation in recipe.relations.items():
        check_options("relations", PluginChoice(relation.plugin or name, relation.options))


def check_encoder(recipe: Recipe) -> None:
    """Refuse to freeze a network's own encoder, or a compiled encoder.

    Raises:
        RecipeError: a network without an encoder of timm is to freeze it, or a frozen one is to be
            compiled.
    """
    set_options = sorted({"train", "rate"} - set(recipe.backbone.unused()))
    if set_options and has_own_encoder(recipe.network.name):
        raise RecipeError(
            f"The network '{recipe.network.name}' has an encoder of its own, which learns from the "
            f"start: [backbone] {' and '.join(set_options)} would have no effect.",
            next_step="Remove it, or name a network that uses [backbone], such as shared_heads.",
        )
    if recipe.train.compile and recipe.backbone.train == "frozen":
        raise RecipeError(
            "train.compile compiles an encoder that learns, and this one is frozen.",
            next_step="Set train.compile = false.",
        )


def check_options(folder: str, choice: PluginChoice) -> Any:
    """Parse and check the options of a plug-in. Loads no torch.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is unknown or wrong.
    """
    return parse(
        plugins.options_class(folder, choice.name),
        choice.options,
        f"options of {plugins.FOLDERS[folder].noun} '{choice.name}'",
    )


def has_own_encoder(network: str) -> bool:
    """Whether a network builds its encoder itself.

    Then [backbone] and a file of weights have no effect. Its class `Options` says so by
    `own_encoder = True`. Loads no torch.

    Raises:
        PluginError: there is no such plug-in, or it has no options.

    Example:
        >>> has_own_encoder("segnet"), has_own_encoder("pad_net")
        (True, False)
    """
    return bool(getattr(plugins.options_class("networks", network), "own_encoder", False))


def network_words(tables: Values) -> str:
    """A recipe's network and backbone in words, for reports; imports no own plug-in.

    Example:
        >>> network_words({"network": {"name": "pad_net"}, "backbone": {"name": "resnet18"}})
        'pad_net on resnet18'
        >>> network_words({"network": {"name": "segnet"}, "backbone": {"name": "resnet18"}})
        'segnet'
    """
    network = tables.get("network", {}).get("name", "?")
    backbone = tables.get("backbone", {}).get("name", "?")
    is_shipped = network in plugins.names("networks")
    if is_shipped and has_own_encoder(network):
        return str(network)
    return f"{network} on {backbone}"


def resolved_options(folder: str, names: Iterable[str], tables: Tables) -> dict[str, Json]:
    """All options of plug-ins as JSON values, with defaults. Loads no torch.

    Results are stamped with the resolved options, so that a changed default makes them stale.

    Args:
        folder: the folder of the plug-ins.
        names: the names of the plug-ins.
        tables: the given options, by plug-in name.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is unknown or wrong.

    Example:
        >>> resolved_options("strategies", ["partal"], {})["partal"]["normalise"]
        'first'
    """
    options = {}
    for name in sorted(set(names)):
        choice = PluginChoice(name, tables.get(name, {}))
        options[name] = asdict(check_options(folder, choice))
    return json.loads(json.dumps(options, default=str))


def training_options(recipe: Recipe) -> dict[str, dict[str, Json]]:
    """All options of the plug-ins that a training uses, by folder and name.

    Options with default values are included.

    Raises:
        PluginError: there is no such plug-in.
        RecipeError: an option is unknown or wrong.

    Example:
        >>> training_options(Recipe())["networks"]["pad_net"]["width"]
        256
    """
    network = {recipe.network.name: recipe.network.options}
    balance = {recipe.balance.name: recipe.balance.options}
    relations = {}
    for name, choice in recipe.relations.items():
        if choice.trust:
            plugin = choice.plugin or name
            options = resolved_options("relations", [plugin], {plugin: choice.options})
            relations[name] = options[plugin]
    return {
        "networks": resolved_options("networks", network, network),
        "balance": resolved_options("balance", balance, balance),
        "terms": resolved_options("terms", recipe.terms, recipe.terms),
        "relations": relations,
    }


def build_plugin(folder: str, choice: PluginChoice, *arguments: Any) -> Any:
    """Build a plug-in of a folder from the arguments and, last, checked options.

    Raises:
        PluginError: there is no such plug-in, or it cannot be built.
        RecipeError: an option is unknown or wrong.
    """
    # The module is imported first, so that the options are of its class.
    build = plugins.resolve(folder, choice.name)
    options = check_options(folder, choice)
    return plugins.call(folder, choice.name, build, *arguments, options)
