"""Plans: lengths in epochs, steps and label visits, and batches of images or of labels."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.progress import Silent
from labelgrid.train.loop import fit
from labelgrid.train.train_options import TrainOptions
from tests.support import make_dataset
from tests.toys import toy_plan

BY_LABEL = TrainOptions(label_visits=5, fill="labels", batch=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("data"), n=8, size=(32, 64), tasks=("semseg", "depth")
    )


@pytest.fixture(scope="module")
def plan(data):
    return toy_plan(data, BY_LABEL)


def filled(plan, counts, options=BY_LABEL):
    labels = {name: frozenset(("semseg", "depth")[:count]) for name, count in counts.items()}
    return replace(plan, options=options, train=list(counts), labels=labels)


def test_equal_labels_take_equal_steps_however_many_images_they_spread_over(plan):
    whole = filled(plan, {f"i{n}": 2 for n in range(40)})
    spread = filled(plan, {f"i{n}": 1 for n in range(80)})
    assert whole.steps == spread.steps == 5 * 80 // (4 * 2)
    spread, whole = (
        replace(made, options=replace(BY_LABEL, fill="images")) for made in (spread, whole)
    )
    assert spread.steps == 2 * whole.steps == 100


@given(
    counts=st.lists(st.integers(0, 2), min_size=1, max_size=60),
    batch=st.integers(1, 9),
    order=st.randoms(),
)
def test_batches_of_labels_show_every_image_once_and_nearly_equally_many_labels(
    plan, counts, batch, order
):
    names = {f"i{n}": count for n, count in enumerate(counts)}
    made, shuffled = filled(plan, names, replace(BY_LABEL, batch=batch)), list(names)
    order.shuffle(shuffled)
    batches = made.batches(shuffled)
    assert len(batches) == made.steps_per_pass
    if sum(counts):
        assert [name for part in batches for name in part] == shuffled
        share = sum(counts) / len(batches)
        assert all(share - 2 < sum(names[name] for name in part) < share + 2 for part in batches)


def test_the_sets_of_labels_are_those_of_training_images_with_or_without_a_label(plan):
    made = filled(plan, {"a": 2, "b": 0, "c": 2})
    labels = {"a": made.labels["a"], "c": made.labels["c"], "val": frozenset({"depth"})}
    assert replace(made, labels=labels).label_sets == {frozenset({"semseg", "depth"}), frozenset()}


@pytest.mark.parametrize(("images", "sizes"), [(10, [4, 4]), (3, [3]), (4, [4])])
def test_batches_of_images_drop_an_incomplete_last_one_unless_it_is_the_only_one(
    plan, images, sizes
):
    made = filled(plan, {f"i{n}": 1 for n in range(images)}, TrainOptions(batch=4))
    assert [len(part) for part in made.batches(made.train)] == sizes


def test_a_training_visits_each_label_as_often_as_asked(data, tmp_path):
    both, one = frozenset({"semseg", "depth"}), frozenset({"depth"})
    labels = {name: both if n < 4 else one for n, name in enumerate(data.names)}
    options = replace(BY_LABEL, label_visits=3, batch=2, known=0.0, cache=0.0)
    made, seen = toy_plan(data, options, labels=labels), Counter()

    class Counting(Silent):
        def advance(self, amount=1, note=""):
            seen["steps"] += 1
            seen["images"] += amount

    fit(made, tmp_path, Counting())
    assert seen == {"steps": 3 * 12 // 4, "images": 3 * 8}


def test_a_training_ends_when_val_no_longer_improves_also_when_resumed(data, tmp_path):
    options = TrainOptions(epochs=12, batch=4, learning_rate=1e-12, val_every=1, patience=2)
    for _ in range(2):  # the second call finds the training finished
        fit(
            toy_plan(data, options, train=data.names[:4], val=list(data.names[4:])),
            tmp_path,
            Silent(),
        )
        losses = [
            json.loads(line)["val"]["loss_mtl"]
            for line in (tmp_path / "log.jsonl").read_text().splitlines()
        ]
        assert 3 <= len(losses) < 12
        assert min(losses[-2:]) >= min(losses[:-2])
        assert all(
            min(losses[end - 2 : end]) < min(losses[: end - 2]) for end in range(3, len(losses))
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 5, "label_visits": 2}, "steps and label_visits"),
        ({"patience": 2}, "patience needs val_every"),
        ({"fill": "labels", "images": "all"}, "fill = 'labels' needs images"),
        ({"label_visits": -1}, "label_visits must be from 0 to"),
    ],
)
def test_lengths_that_contradict_each_other_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        TrainOptions(**options)


def test_a_rate_that_is_halved_is_so_after_each_share(tmp_path):
    plan = toy_plan(
        make_dataset(tmp_path, n=4), TrainOptions(epochs=200, batch=4, learning_rate=1.0, halve=0.5)
    )
    assert [plan.learning_rate(epoch, 0) for epoch in (0, 99, 100, 199)] == [1.0, 1.0, 0.5, 0.5]
    assert [plan.learning_rate(epoch, 0, 8.0, 0.15) for epoch in (29, 30, 60, 199)] == [
        8.0,
        4.0,
        2.0,
        0.125,
    ]


def test_a_share_of_each_batch_has_labels_and_a_pass_is_over_these(plan):
    options = TrainOptions(images="all", labelled_share=0.5, batch=4, epochs=3)
    made = filled(plan, {f"i{n}": int(n < 6) for n in range(30)}, options)
    assert (made.steps_per_pass, made.steps) == (3, 9)
    batches = made.batches(made.train)
    assert [len(part) for part in batches] == [4, 4, 4]
    for part in batches:
        assert sum(name in {f"i{n}" for n in range(6)} for name in part) == 2
    assert len({name for part in batches for name in part}) == 12


@pytest.mark.parametrize("labelled", [0, 30])
def test_without_two_sorts_of_images_no_batch_is_mixed(plan, labelled):
    options = TrainOptions(images="all", labelled_share=0.5, batch=4)
    made = filled(plan, {f"i{n}": int(n < labelled) for n in range(30)}, options)
    assert [len(part) for part in made.batches(made.train)] == [4] * 7


@pytest.mark.parametrize(
    ("labelled", "options"),
    [
        (6, {"epochs": 2}),  # the images without a label are used up before a pass ends
        (6, {"steps": 9}),  # and the last pass ends before its small batches
        (1, {"epochs": 3, "labelled_share": 0.75}),  # fewer labelled images than a batch takes
    ],
)
def test_the_announced_images_are_those_that_a_training_sees(data, tmp_path, labelled, options):
    both = frozenset({"semseg", "depth"})
    shared = {"images": "all", "labelled_share": 0.25, "batch": 4, "known": 0.0, "cache": 0.0}
    made = toy_plan(
        data,
        TrainOptions(**(shared | options)),
        net="shared_heads",
        labels=dict.fromkeys(data.names[:labelled], both),
    )
    seen = Counter()

    class Counting(Silent):
        def start(self, what, total, unit):
            if what == "Training":
                seen["announced"] = total

        def advance(self, amount=1, note=""):
            seen["images"] += amount

    fit(made, tmp_path, Counting())
    assert seen["images"] == seen["announced"]


def test_a_share_of_labelled_images_needs_all_images():
    with pytest.raises(ValueError, match="needs images = 'all'"):
        TrainOptions(labelled_share=0.5)
