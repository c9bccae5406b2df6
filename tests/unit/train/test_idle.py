"""Laws of what terms say before a training in which they can have no effect."""

from dataclasses import replace

import pytest

from labelgrid import plugins
from labelgrid.train.loop import fit
from labelgrid.train.options import TrainOptions
from tests.support import make_dataset
from tests.toys import toy_plan
from tests.unit.train.terms.stepped import Said, prepared

LIGHT = {"mapping": "light"}
#: Terms that compare the images of a batch, and those that learn from tasks without a label.
LEARNT = LIGHT | {"pairs": "learnt"}
IMAGES = [
    ("contrastive", LIGHT),
    ("discriminator", LIGHT),
    ("mtpsl", LEARNT),
    ("learning_loss", {}),
]
GAPS = [
    ("crop", {}),
    ("mtpsl", LIGHT),
    ("contrastive", LIGHT),
    ("direct_map", {"width": 2}),
    ("jtr", {"width": 2, "scale": "maximum"}),
    ("mean_teacher", {}),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=2, size=(32, 64), tasks=("depth", "normals"))


def said_by(made, name, options, **changes):
    """What a term says when it is prepared."""
    plan, said = toy_plan(made, TrainOptions(epochs=1, batch=2, known=0.0)), Said()
    module = plugins.module("train.terms", name)
    term = module.build(plan.tasks, plan.network, module.Options(**options))
    term.prepare(prepared(plan, said, data=plan.data, network=plan.network, **changes))
    return said.lines


@pytest.mark.parametrize(("name", "options"), IMAGES)
def test_terms_that_compare_images_say_so_where_batches_have_one(made, name, options):
    (line,) = said_by(made, name, options, batch=1)
    assert name in line and "the images of a batch: with one image in each" in line
    assert not said_by(made, name, options, batch=2)


@pytest.mark.parametrize(("name", "options"), GAPS)
def test_terms_of_unlabelled_tasks_say_so_where_every_image_has_all_labels(made, name, options):
    (line,) = said_by(made, name, options, complete=True)
    assert name in line and "every training image has all labels, so it teaches the network nothing" in line
    assert not said_by(made, name, options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("crop", {"tasks": "all"}), ("mtpsl", LIGHT | {"sources": "all"}), ("direct_map", {"width": 2, "sources": "all"})],
)
def test_terms_that_use_all_tasks_say_nothing(made, name, options):
    assert not said_by(made, name, options, complete=True)


def test_a_training_tells_its_terms_how_large_batches_are_and_whether_labels_are_complete(made, tmp_path):
    module = plugins.module("train.terms", "crop")
    for labels, expected in ((2, 1), (1, 0)):
        plan = toy_plan(made, TrainOptions(epochs=1, batch=1, known=0.0), labels=dict.fromkeys(made.names, labels))
        plan = replace(plan, terms={"crop": module.build(plan.tasks, plan.network, module.Options())})
        said = Said()
        fit(plan, tmp_path / str(labels), said)
        assert sum("every training image" in line for line in said.lines) == expected
        assert plan.largest_batch == 1 and plan.complete == bool(expected)
