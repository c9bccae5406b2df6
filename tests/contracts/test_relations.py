"""The laws of every relation, each with a wrong relation that breaks it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation, connect
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.relation import Relation
from labelgrid.relations.search import OptionSearch
from labelgrid.relations.true_agreement import Measured, TruePair, measure_relation
from labelgrid.testing.laws import NotForItError
from labelgrid.testing.relations import LAWS, OF_PREDICTIONS, RelationCase, camera_of, truth
from tests.contracts import own, wrong_relations
from tests.contracts.wrong_relations import BREAKS, BREAKS_PREDICTED

COVERS = ["labelgrid.relations.relation", "labelgrid.testing.relations"]
ALL_BREAKS = (*BREAKS, *BREAKS_PREDICTED)
RELATIONS = [*plugins.names("relations"), f"{wrong_relations.__name__}:right"]


def case_at(name: str) -> RelationCase:
    """The relation, with what its test module declares."""
    options = own.declared("relations", name, "OPTIONS") or {}
    return RelationCase(name, options, own.declared("relations", name, "READS") or ())


LAW_OF_NAME = {law.__name__: law for law in LAWS}


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_relation_keeps(law: Callable[[RelationCase], None], name: str) -> None:
    with suppress(NotForItError):
        law(case_at(name))


def test_the_relations_that_can_be_differentiated_are_known() -> None:
    predicted = [name for name in RELATIONS if case_at(name).relation.on_predictions is not None]
    assert {"classes_saliency", "depth_normals", "semseg_edges"} <= set(predicted)


def test_every_law_has_a_relation_that_breaks_it() -> None:
    assert {law for law, _, _ in ALL_BREAKS} == set(LAW_OF_NAME)
    assert {law for law, _, _ in BREAKS_PREDICTED} == {law.__name__ for law in OF_PREDICTIONS}


@pytest.mark.parametrize(
    ("law", "wrong", "words"),
    ALL_BREAKS,
    ids=[f"{wrong.__name__}-{law}" for law, wrong, _ in ALL_BREAKS],
)
def test_a_wrong_relation_is_told_what_the_law_expects(
    law: str, wrong: Callable[[object], Relation], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        LAW_OF_NAME[law](RelationCase(f"{wrong_relations.__name__}:{wrong.__name__}"))


def part_of(label: LabelArray, step: int) -> LabelArray:
    """Half of a label's columns, from another one on in each step."""
    start = step * label.size[1] // 8
    part = (slice(None), slice(start, start + label.size[1] // 2))
    return LabelArray(label.value[part].copy(), label.valid[part].copy())


@dataclass(frozen=True)
class Planted:
    """Some images whose labels a relation made with options that are to be found."""

    bound: RelationCase
    options: Mapping[str, Any]

    def choice(self, options: Mapping[str, Any]) -> RelationChoice:
        """The relation between the made tasks."""
        reads = tuple(task.name for task in self.bound.reads)
        return RelationChoice(reads=reads, gives=self.bound.gives.name, options=options)

    def connected(self, options: Mapping[str, Any]) -> BoundRelation:
        tasks = {task.name: task for task in (*self.bound.reads, self.bound.gives)}
        return connect(self.bound.name, self.choice(options), tasks)

    def pairs(self, *, whole: bool) -> list[TruePair]:
        """Parts of the made world; `whole`: where nothing follows, the label is that of the world."""
        relation = self.connected(self.options)
        pairs = []
        for step in range(4):
            labels = {task.name: part_of(truth(task.kind), step) for task in self.bound.reads}
            world = part_of(truth(self.bound.gives.kind), step)
            pair = TruePair(labels, world, camera_of(list(labels.values())))
            label = pair.derive(relation)
            if whole:
                value = np.where(label.valid[..., None], label.value, world.value)
                label = LabelArray(value, world.valid)
            pairs.append(replace(pair, truth=label))
        return pairs

    def found(self, pairs: Sequence[TruePair]) -> Mapping[str, Any] | None:
        search = OptionSearch(
            relation=self.connected({}),
            start={},
            bind=self.connected,
            pairs=pairs,
            task=self.bound.gives,
        )
        return search.best()

    def measured(self, options: Mapping[str, Any], pairs: Sequence[TruePair]) -> Measured | None:
        relation = self.connected(options)
        if relation.is_open:
            return None
        return measure_relation(relation, pairs, self.bound.gives)


def planted_of(name: str) -> list[Mapping[str, Any]]:
    """What is planted: what the test module declares, and the last try of each option."""
    last = {}
    for tried in case_at(name).relation.tries:
        last.update(dict.fromkeys(tried, tried))
    unlike = [options for options in last.values() if options not in ({}, None)]
    return [*unlike, *(own.declared("relations", name, "PLANTED") or ())]


@pytest.mark.parametrize("name", plugins.names("relations"))
def test_the_options_that_made_the_labels_are_found(name: str) -> None:
    options = planted_of(name)
    assert options, f"Declare PLANTED in {own.place_of_test('relations', name)}."
    for each in options:
        planted = Planted(case_at(name), each)
        pairs = planted.pairs(whole=False)
        made = planted.measured(each, pairs)
        if not made or not made.chance:  # one value alone follows
            pairs = planted.pairs(whole=True)
            made = planted.measured(each, pairs)
        found = planted.found(pairs)
        assert found is not None and made is not None, f"{name} finds no options as {each}."
        best = planted.measured(found, pairs)
        assert best is not None and made.trust == 1, f"{name}: {each} says nothing here."
        assert best.use >= made.use - 0.01, f"{name} finds {found} where {each} made the labels."
