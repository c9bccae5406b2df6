"""Laws of what terms say before a training in which they can have no effect."""

from dataclasses import replace

import pytest

from labelgrid.basics import plugins
from labelgrid.train.loop import fit
from labelgrid.train.train_options import TrainOptions
from tests.support import make_dataset
from tests.toys import toy_plan
from tests.unit.train.terms.stepped import Said, prepared

LIGHT = {"mapping": "light"}
#: Every training image has these labels.
COMPLETE = frozenset({frozenset({"depth", "normals"})})
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

#: What lets those terms that have an option for it learn from labelled tasks.
REMEDIES = {
    "crop": 'Set tasks = "all".',
    **dict.fromkeys(
        ("mtpsl", "contrastive", "direct_map"),
        'sources = "all" for predictions of labelled tasks, too.',
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=2, size=(32, 64), tasks=("depth", "normals")
    )


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("three"), n=2, size=(32, 64), tasks=("semseg", "depth", "normals")
    )


def said_by(made, name, options, net="pad_net", **changes):
    """What a term says when it is prepared."""
    plan, said = toy_plan(made, TrainOptions(epochs=1, batch=2, known=0.0), net=net), Said()
    module = plugins.module("terms", name)
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
    (line,) = said_by(made, name, options, label_sets=COMPLETE)
    assert (
        name in line
        and "every training image has all labels, so it teaches the network nothing" in line
    )
    assert line.endswith(REMEDIES.get(name, "nothing."))
    assert not said_by(made, name, options)


def test_known_labels_for_a_network_of_one_stage_are_said_to_do_nothing(made):
    (line,) = said_by(made, "mean_teacher", {"known": True}, net="shared_heads")
    assert "one stage" in line and "'known'" in line
    assert not said_by(made, "mean_teacher", {"known": True}) and not said_by(
        made, "mean_teacher", {}, "shared_heads"
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("crop", {"tasks": "all"}),
        ("mtpsl", LIGHT | {"sources": "all"}),
        ("direct_map", {"width": 2, "sources": "all"}),
    ],
)
def test_terms_that_use_all_tasks_say_nothing(made, name, options):
    assert not said_by(made, name, options, label_sets=COMPLETE)


@pytest.mark.parametrize(
    ("name", "options", "unused"),
    [
        ("mtpsl", LIGHT, "depth to normals; semseg to depth"),
        ("mtpsl", LIGHT | {"sources": "all"}, "depth to normals"),
        ("contrastive", LIGHT, "depth to normals; semseg to depth"),
        ("direct_map", {"width": 2}, "depth to normals; semseg to depth"),
        ("direct_map", {"width": 2, "sources": "all"}, "depth to normals"),
        ("perceptual_map", {"width": 2}, "normals to depth"),
    ],
)
def test_terms_name_the_listed_pairs_that_no_training_image_has(three, name, options, unused):
    listed = (("depth", "normals"), ("semseg", "depth"), ("normals", "depth"))
    sets = frozenset(map(frozenset, [("semseg", "depth"), ("semseg",), ()]))
    (line,) = said_by(three, name, options | {"listed": listed}, label_sets=sets)
    assert f"'{name}'" in line and line.endswith(f"and do nothing: {unused}.")
    assert not said_by(three, name, options, label_sets=sets)


@pytest.mark.parametrize(
    ("name", "options"),
    [("mtpsl", LIGHT), ("direct_map", {"width": 2}), ("jtr", {"width": 2, "scale": "maximum"})],
)
def test_terms_say_so_where_images_have_all_labels_or_none(made, name, options):
    (line,) = said_by(made, name, options, label_sets=COMPLETE | {frozenset()})
    assert (
        line
        == f"No training image has a pair of tasks that the term '{name}' uses: it does nothing."
    )
    assert not said_by(made, name, options, label_sets=COMPLETE | {frozenset({"depth"})})


def test_a_training_tells_its_terms_how_large_batches_are_and_whether_labels_are_complete(
    made, tmp_path
):
    module = plugins.module("terms", "crop")
    for number, (labels, expected) in enumerate([({"depth", "normals"}, 1), ({"depth"}, 0)]):
        labels = dict.fromkeys(made.names, frozenset(labels))
        plan = toy_plan(made, TrainOptions(epochs=1, batch=1, known=0.0), labels=labels)
        plan = replace(
            plan, terms={"crop": module.build(plan.tasks, plan.network, module.Options())}
        )
        said = Said()
        fit(plan, tmp_path / str(number), said)
        assert sum("every training image" in line for line in said.lines) == expected
        assert plan.largest_batch == 1 and plan.label_sets == {*labels.values()}
