"""The laws of every relation, each with a wrong relation that breaks it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from labelgrid import plugins
from labelgrid.camera import Camera
from labelgrid.errors import LabelError
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.relations.relation import Relation
from labelgrid.tasks.task import spec_of
from tests.contracts import own, wrong_relations
from tests.contracts.format_laws import expect, run_alone
from tests.contracts.wrong_relations import BREAKS
from tools.notorch import WATCH

COVERS = ["labelgrid.relations.relation"]
RELATIONS = [*plugins.names("relations"), f"{wrong_relations.__name__}:right"]
#: Builds a relation where torch cannot be imported, and prints which labels it reads.
ALONE = f"""{WATCH}
from labelgrid import plugins
name = sys.argv[1]
options = plugins.options_class("relations", name)
relation = plugins.create("relations", name, options())
print(relation.reads, relation.gives, relation.needs_camera)
sys.exit(3 if Watch.asked else 0)
"""


def relation_of(name: str) -> Relation:
    relation: Relation = plugins.create(
        "relations", name, plugins.options_class("relations", name)()
    )
    return relation


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


def derive(relation: Relation, labels: Sequence[LabelArray]) -> LabelArray:
    return relation.derive(labels, Camera.of_view(66.0, labels[0].size))


def with_gaps(label: LabelArray, hidden: float) -> LabelArray:
    """The label without some pixels, behind which there is another number."""
    valid = np.random.default_rng(0).random(label.size) < 0.8
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
    label = derive(relation, labels)
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
        not derive(relation, labels).valid.any(),
        f"`derive` of {name} must return no valid pixel of labels that have none.",
    )


def what_is_not_valid_changes_nothing(name: str) -> None:
    relation = relation_of(name)
    found = []
    for hidden in (0, -1, 10**6):
        labels = [with_gaps(truth(kind), hidden) for kind in relation.reads]
        found.append(derive(relation, labels))
    first, *others = found
    for other in others:
        same = np.array_equal(first.valid, other.valid)
        expect(
            same and np.array_equal(first.value[first.valid], other.value[other.valid]),
            f"What `derive` of {name} returns must not change with numbers that are not valid.",
        )


def the_labels_that_it_reads_stay_as_they_are(name: str) -> None:
    relation = relation_of(name)
    try:
        derive(relation, [with_gaps(truth(kind), 0) for kind in relation.reads])
    except ValueError as error:
        raise AssertionError(
            f"`derive` of {name} must not write into the labels that it reads; it raised {error!r}."
        ) from error


def a_camera_that_it_needs_is_demanded(name: str) -> None:
    relation = relation_of(name)
    labels = [truth(kind) for kind in relation.reads]
    try:
        relation.derive(labels, None)
    except LabelError:
        refused = True
    else:
        refused = False
    expect(
        refused == relation.needs_camera,
        f"`derive` of {name} must refuse an unknown camera, with a LabelError, if and only if "
        f"`needs_camera`, which is {relation.needs_camera}.",
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
    the_labels_that_it_reads_stay_as_they_are,
    a_camera_that_it_needs_is_demanded,
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
