"""What a recipe says: tables of options, checked without torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from labelgrid.data.transforms import DataOptions
from labelgrid.nets.options import BackboneOptions
from labelgrid.train.options import ObjectiveOptions, TrainOptions


@dataclass(frozen=True)
class PluginChoice:
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
    network: PluginChoice = field(default_factory=lambda: PluginChoice("pad_net"))
    train: TrainOptions = field(default_factory=TrainOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    balance: PluginChoice = field(default_factory=lambda: PluginChoice("fixed"))
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def json(self) -> str:
        """The whole recipe, canonically."""
        return json.dumps(asdict(self), sort_keys=True)
