"""What a recipe says, and how its names become objects."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from labelgrid import plugins
from labelgrid.campaign.recipefile import OTHERS, chain, find, lay
from labelgrid.config import parse
from labelgrid.data.transforms import DataOptions
from labelgrid.nets.backbones import BackboneOptions
from labelgrid.train.objective import ObjectiveOptions
from labelgrid.train.plan import TrainOptions


@dataclass(frozen=True)
class Named:
    """A plug-in and its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How to load, train and score. It names no path and no strategy; those are the project's.

    Args:
        terms: by plug-in name, their options. score: by statistic, their options.
    """

    data: DataOptions = field(default_factory=DataOptions)
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    network: Named = field(default_factory=lambda: Named("pad_net"))
    train: TrainOptions = field(default_factory=TrainOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    balance: Named = field(default_factory=lambda: Named("fixed"))
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def json(self) -> str:
        """The whole recipe, canonically."""
        return json.dumps(asdict(self), sort_keys=True)


def load(name: str, changes: Mapping[str, Any] | None = None, beside: Path | None = None) -> Recipe:
    """The recipe `name`, laid over the recipe it extends, with `changes` laid over it.

    Raises:
        RecipeError: it is missing, no TOML, has an unknown key or a wrong value, or extends itself.
    """
    values: dict[str, Any] = {}
    for tables in chain(find(name, beside)):
        own = {key: table for key, table in tables.items() if key not in OTHERS}
        values = lay(values, own)
    return parse(Recipe, lay(values, changes or {}), f"recipe {name}")


def make(folder: str, named: Named, *arguments: Any) -> Any:
    """Build the plug-in `named` of `folder` from its checked options."""
    return plugins.resolve(folder, named.name)(*arguments, check_options(folder, named))


def check_options(folder: str, named: Named) -> Any:
    """The checked options of a plug-in.

    Raises:
        PluginError: there is no such plug-in. RecipeError: an option is unknown or wrong.
    """
    path = named.name.partition(":")[0]
    source = import_module(path) if ":" in named.name else plugins.module(folder, named.name)
    return parse(source.Options, named.options, f"options of {folder} '{named.name}'")
