"""Defines the schema of recipes: tables of options. Loads no torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.data.data_options import DataOptions, SupplierChoice
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.relations.choice import RelationChoices
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions

__all__ = ["SECTIONS", "PluginChoice", "Recipe"]

#: The tables of a recipe that hold options of labelgrid itself.
SECTIONS: Mapping[str, type[Any]] = {
    "data": DataOptions,
    "backbone": BackboneOptions,
    "train": TrainOptions,
    "objective": ObjectiveOptions,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of loading, training and scoring.

    Paths and the strategy are settings of the project instead.

    Args:
        data: the transform from image to network input.
        backbone: the encoder.
        network: the network and its options.
        train: the training.
        objective: the supervised loss.
        balance: the balancer and its options.
        terms: the options of each term, by plug-in name.
        relations: the relations between tasks, by name.
        suppliers: the trust in suppliers' labels, by the supplier's name.
        score: the options of statistics, by plug-in name.
    """

    data: DataOptions = field(default_factory=DataOptions)
    backbone: BackboneOptions = field(default_factory=BackboneOptions)
    network: PluginChoice = field(default_factory=lambda: PluginChoice("pad_net"))
    train: TrainOptions = field(default_factory=TrainOptions)
    objective: ObjectiveOptions = field(default_factory=ObjectiveOptions)
    balance: PluginChoice = field(default_factory=lambda: PluginChoice("fixed"))
    terms: Tables = field(default_factory=dict)
    score: Tables = field(default_factory=dict)
    relations: RelationChoices = field(default_factory=dict)
    suppliers: Mapping[str, SupplierChoice] = field(default_factory=dict)

    @property
    def keeps_maps(self) -> bool:
        """Whether maps of a frozen encoder are kept: terms and mixing change each step's images."""
        is_frozen = self.backbone.train == "frozen" and self.backbone.kept > 0
        return is_frozen and self.train.mix == "none" and not self.terms

    def json(self) -> str:
        """The whole recipe as canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    def effective(self) -> Json:
        """The recipe as JSON values, without keys that are off and so change nothing.

        The named options are newer than the rest: work begun without them can be resumed.
        """
        tables: Json = json.loads(self.json())
        if not self.data.average_flips:
            del tables["data"]["average_flips"]
        if not self.data.kept_views:
            del tables["data"]["kept_views"]
        if not self.objective.pixels:
            del tables["objective"]["pixels"]
        for name in self.train.unused():
            del tables["train"][name]
        for name in self.backbone.unused():
            del tables["backbone"][name]
        # Terms may read a relation that is off.
        names = [name for name, choice in self.relations.items() if choice.trust or self.terms]
        tables["relations"] = {name: tables["relations"][name] for name in names}
        tables["suppliers"] = self._suppliers_that_count(tables["suppliers"])
        for name in ("relations", "suppliers"):
            if not tables[name]:
                del tables[name]
        return tables

    def _suppliers_that_count(self, tables: Values) -> Json:
        counting = {}
        for name, choice in self.suppliers.items():
            if choice.is_on:  # the place of the labels changes nothing
                counting[name] = {key: of for key, of in tables[name].items() if key != "folder"}
        return counting
