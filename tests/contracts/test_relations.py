"""The laws of every relation, each with a wrong relation that breaks it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.data.transforms import place_label
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.bands import rows_of
from labelgrid.relations.bound import BoundRelation, connect
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.relation import Relation
from labelgrid.relations.search import OptionSearch
from labelgrid.relations.true_agreement import Measured, TruePair, measure_relation
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import TaskDef, spec_of
from tests.contracts import own, wrong_relations
from tests.contracts.format_laws import expect, run_alone
from tests.contracts.wrong_relations import BREAKS
from tools.notorch import WATCH

COVERS = ["labelgrid.relations.relation"]
RELATIONS = [*plugins.names("relations"), f"{wrong_relations.__name__}:right"]
#: Builds a relation where torch cannot be imported, and prints which labels it reads.
ALONE = f"""{WATCH}
from labelgrid.basics import plugins
name = sys.argv[1]
options = plugins.options_class("relations", name)
relation = plugins.create("relations", name, options())
print(relation.reads, relation.gives, relation.needs_camera)
sys.exit(3 if Watch.asked else 0)
"""


#: The options of tasks that have required ones, by label format.
TASK_OPTIONS: dict[str, dict[str, Any]] = {
    "classes": {"classes": ["background", "person", "wall", "floor"]}
}


def relation_of(name: str) -> Relation:
    """The relation, with the options that its test module declares as `OPTIONS`, or its own."""
    values = own.declared("relations", name, "OPTIONS") or {}
    relation: Relation = plugins.create(
        "relations", name, plugins.options_class("relations", name)(**values)
    )
    return relation


@dataclass(frozen=True)
class Bound:
    """A relation between made tasks; its test module declares the options of those as `READS`."""

    name: str

    @property
    def relation(self) -> Relation:
        return relation_of(self.name)

    @property
    def reads(self) -> list[TaskDef]:
        kinds = self.relation.reads
        declared = own.declared("relations", self.name, "READS") or ({},) * len(kinds)
        tasks = []
        for number, (kind, options) in enumerate(zip(kinds, declared, strict=True)):
            tasks.append(task_of(kind, f"read{number}", options))
        return tasks

    @property
    def gives(self) -> TaskDef:
        return task_of(self.relation.gives, "given", {})

    def derive(self, labels: Sequence[LabelArray], camera: Camera | None) -> LabelArray:
        return self.relation.between(self.reads, self.gives)(labels, camera)


def task_of(kind: str, name: str, options: dict[str, Any]) -> TaskDef:
    needed = TASK_OPTIONS.get(spec_of(kind).codec, {})
    return TaskDef.of(TaskRow(name, kind, 1.0, {**needed, **options}))


def truth(kind: str) -> LabelArray:
    """The label of a made world, valid everywhere; read-only."""
    from tests.task_laws import TRUTHS

    world = TRUTHS.get(spec_of(kind).codec) or own.declared("kinds", kind, "TRUTH")
    value = world(False, 1.0)
    return frozen(value, np.ones(value.shape[:2], np.bool_))


def frozen(value: np.ndarray, valid: np.ndarray) -> LabelArray:
    value.flags.writeable = False
    valid.flags.writeable = False
    return LabelArray(value, valid)


def derive(name: str, labels: Sequence[LabelArray]) -> LabelArray:
    return Bound(name).derive(labels, camera_of(labels))


def camera_of(labels: Sequence[LabelArray]) -> Camera:
    """A camera that does not look through the middle."""
    return Camera.of_view(66.0, labels[0].size).shift(1.3, -0.4)


def with_gaps(label: LabelArray, hidden: float) -> LabelArray:
    """The label without some pixels, behind which there is another number."""
    return without(label, np.random.default_rng(0).random(label.size) < 0.2, hidden)


def without(label: LabelArray, gaps: np.ndarray, hidden: float = 0) -> LabelArray:
    valid = label.valid & ~gaps
    value = label.value.copy()
    value[~valid] = hidden
    return frozen(value, valid)


def it_declares_kinds(name: str) -> None:
    relation = relation_of(name)
    kinds = plugins.names("kinds")
    expect(
        bool(relation.reads) and all(kind in kinds or ":" in kind for kind in relation.reads),
        f"`reads` of {name} must be one or more kinds of tasks; it is {relation.reads!r}.",
    )
    expect(
        relation.gives in kinds or ":" in relation.gives,
        f"`gives` of {name} must be a kind of task; it is {relation.gives!r}.",
    )


def it_derives_a_label_of_its_kind(name: str) -> None:
    relation = relation_of(name)
    labels = [truth(kind) for kind in relation.reads]
    label = derive(name, labels)
    form = codec(spec_of(relation.gives).codec)
    expect(
        label.value.shape == (*labels[0].size, form.CHANNELS) and label.size == labels[0].size,
        f"`derive` of {name} must return a label of the size of those that it reads, with "
        f"{form.CHANNELS} numbers a pixel; it returned {label.value.shape} and {label.size}.",
    )
    expect(
        label.value.dtype == form.DTYPE and label.valid.dtype == np.bool_,
        f"`derive` of {name} must return values of {form.DTYPE.__name__} and a mask of bool; "
        f"it returned {label.value.dtype} and {label.valid.dtype}.",
    )
    expect(
        bool(label.valid.any() and np.isfinite(label.value[label.valid]).all()),
        f"`derive` of {name} must return some valid pixel of whole labels, and finite values there.",
    )


def nothing_is_valid_of_labels_that_are_nowhere_valid(name: str) -> None:
    relation = relation_of(name)
    labels = []
    for kind in relation.reads:
        label = truth(kind)
        labels.append(frozen(np.zeros_like(label.value), np.zeros(label.size, np.bool_)))
    expect(
        not derive(name, labels).valid.any(),
        f"`derive` of {name} must return no valid pixel of labels that have none.",
    )


def what_is_not_valid_changes_nothing(name: str) -> None:
    relation = relation_of(name)
    found = []
    for hidden in (0, -1, 10**6):
        labels = [with_gaps(truth(kind), hidden) for kind in relation.reads]
        found.append(derive(name, labels))
    first, *others = found
    for other in others:
        same = np.array_equal(first.valid, other.valid)
        expect(
            same and np.array_equal(first.value[first.valid], other.value[other.valid]),
            f"What `derive` of {name} returns must not change with numbers that are not valid.",
        )


def what_is_far_from_all_that_is_valid_is_not_sure(name: str) -> None:
    relation = relation_of(name)
    labels = []
    for kind in relation.reads:
        label = truth(kind)
        columns = np.broadcast_to(np.arange(label.size[1]), label.size)
        labels.append(without(label, columns < label.size[1] // 2))
    far = derive(name, labels).valid[:, : labels[0].size[1] // 4]
    expect(
        not far.any(),
        f"`derive` of {name} must not be sure of pixels that lie deep in what is not valid.",
    )


def a_mirrored_image_has_the_mirrored_label(name: str) -> None:
    bound = Bound(name)
    labels = [with_gaps(truth(kind), 0) for kind in bound.relation.reads]
    height, width = labels[0].size
    whole = (slice(0, height), slice(0, width))
    plain = Placement(source=whole, target=whole, canvas=(height, width))
    flip = replace(plain, flip=True)
    mirrored = [
        place_label(label, flip, task) for label, task in zip(labels, bound.reads, strict=True)
    ]
    camera = camera_of(labels)
    found = place_label(bound.derive(mirrored, camera.mirror(width)), plain, bound.gives)
    wanted = place_label(bound.derive(labels, camera), flip, bound.gives)
    same = np.array_equal(found.valid, wanted.valid)
    expect(
        same and np.array_equal(found.value[found.valid], wanted.value[wanted.valid]),
        f"`derive` of {name} must derive of mirrored labels exactly the mirrored label.",
    )


def the_labels_that_it_reads_stay_as_they_are(name: str) -> None:
    relation = relation_of(name)
    try:
        derive(name, [with_gaps(truth(kind), 0) for kind in relation.reads])
    except ValueError as error:
        raise AssertionError(
            f"`derive` of {name} must not write into the labels that it reads; it raised {error!r}."
        ) from error


def a_camera_that_it_needs_is_demanded(name: str) -> None:
    relation = relation_of(name)
    labels = [truth(kind) for kind in relation.reads]
    try:
        Bound(name).derive(labels, None)
    except LabelError:
        refused = True
    else:
        refused = False
    expect(
        refused == relation.needs_camera,
        f"`derive` of {name} must refuse an unknown camera, with a LabelError, if and only if "
        f"`needs_camera`, which is {relation.needs_camera}.",
    )


def rows_beyond_its_margin_change_nothing(name: str) -> None:
    bound = Bound(name)
    margin = bound.relation.margin
    labels = [truth(kind) for kind in bound.relation.reads]
    camera = camera_of(labels)
    height = labels[0].size[0]
    if margin is None or height < 2 * margin + 3:
        return
    whole = rows_of(bound.derive(labels, camera), slice(height - 2, height))
    first = height - 2 - margin
    parts = [rows_of(label, slice(first, height)) for label in labels]
    part = rows_of(bound.derive(parts, camera.shift(0, first)), slice(margin, margin + 2))
    close = np.allclose(part.value[whole.valid], whole.value[whole.valid], atol=1e-5)
    expect(
        close and np.array_equal(part.valid, whole.valid),
        f"`derive` of {name} must not look further than `margin`, {margin} rows.",
    )


def a_guess_is_a_number(name: str) -> None:
    bound = Bound(name)
    labels = [truth(kind) for kind in bound.relation.reads]
    values = bound.derive(labels, camera_of(labels)).value
    expect(
        not bound.relation.guesses or bool(np.isfinite(values).all()),
        f"`derive` of {name} must return finite values also where it is not sure, as `guesses` "
        "says: they become predictions.",
    )


def every_option_is_tried_that_labels_can_settle(name: str) -> None:
    bound = Bound(name)
    relation = bound.relation
    defaults = plugins.options_class("relations", name)()
    options = {field.name for field in fields(defaults)}
    values = defaultdict(list)
    for tried in relation.tries:
        for option, value in tried.items():
            values[option].append(value)
    found = relation.finder(bound.reads, bound.gives).finds if relation.finder else ()
    for option in (*values, *found, *relation.unsettled):
        expect(option in options, f"{name} names `{option}`, which is no option of it.")
    for option in options - {*found, *relation.unsettled}:
        expect(
            option in values,
            f"`{option}` of {name} is neither tried nor found by labels: add it to `tries`, to "
            "`finder`, or to `unsettled` with the reason.",
        )
        expect(
            any(value != getattr(defaults, option) for value in values[option]),
            f"`tries` of {name} must give `{option}` two values at least, with the default.",
        )
    expect(
        all(relation.unsettled.values()),
        f"`unsettled` of {name} must say why labels do not settle each option.",
    )


def it_does_not_import_torch(name: str) -> None:
    run = run_alone(ALONE, name)
    expect(
        run.returncode == 0,
        f"{name} must say what it reads without importing torch; it ended with {run.returncode}: "
        f"{run.stderr[-400:]}",
    )


LAWS: tuple[Callable[[str], None], ...] = (
    it_declares_kinds,
    it_derives_a_label_of_its_kind,
    nothing_is_valid_of_labels_that_are_nowhere_valid,
    what_is_not_valid_changes_nothing,
    what_is_far_from_all_that_is_valid_is_not_sure,
    a_mirrored_image_has_the_mirrored_label,
    the_labels_that_it_reads_stay_as_they_are,
    a_camera_that_it_needs_is_demanded,
    rows_beyond_its_margin_change_nothing,
    a_guess_is_a_number,
    every_option_is_tried_that_labels_can_settle,
    it_does_not_import_torch,
)
LAW_OF_NAME = {law.__name__: law for law in LAWS}


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_relation_keeps(law: Callable[[str], None], name: str) -> None:
    law(name)


def test_every_law_has_a_relation_that_breaks_it() -> None:
    assert {law for law, _, _ in BREAKS} == set(LAW_OF_NAME)


@pytest.mark.parametrize(
    ("law", "wrong", "words"), BREAKS, ids=[f"{wrong.__name__}-{law}" for law, wrong, _ in BREAKS]
)
def test_a_wrong_relation_is_told_what_the_law_expects(
    law: str, wrong: Callable[[object], Relation], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        LAW_OF_NAME[law](f"{wrong_relations.__name__}:{wrong.__name__}")


def part_of(label: LabelArray, step: int) -> LabelArray:
    """Half of a label's columns, from another one on in each step."""
    start = step * label.size[1] // 8
    part = (slice(None), slice(start, start + label.size[1] // 2))
    return LabelArray(label.value[part].copy(), label.valid[part].copy())


@dataclass(frozen=True)
class Planted:
    """Some images whose labels a relation made with options that are to be found."""

    bound: Bound
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
    for tried in relation_of(name).tries:
        last.update(dict.fromkeys(tried, tried))
    unlike = [options for options in last.values() if options not in ({}, None)]
    return [*unlike, *(own.declared("relations", name, "PLANTED") or ())]


@pytest.mark.parametrize("name", plugins.names("relations"))
def test_the_options_that_made_the_labels_are_found(name: str) -> None:
    options = planted_of(name)
    assert options, f"Declare PLANTED in {own.place_of_test('relations', name)}."
    for each in options:
        planted = Planted(Bound(name), each)
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
