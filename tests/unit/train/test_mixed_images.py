"""Mixed images: every pixel against a slow copy, gaps stay gaps, and what was not mixed is bitwise as it was."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import stream
from labelgrid.data.batch import Batch
from labelgrid.data.loader import train_batch
from labelgrid.pixel.target import SoftTarget, Target
from labelgrid.testing.trainings import different, states
from labelgrid.train.checkpoint import save
from labelgrid.train.loop import fit
from labelgrid.train.mixed_images import mix_images
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan, weights_of

TASKS = ("semseg", "depth", "normals")
SIZE = (32, 64)
DRAW = partial(stream, 0, "mix", 0, 0)
CUT = TrainOptions(mix="cut", mix_share=1.0)
CLASS = TrainOptions(mix="class", mix_share=1.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=6, size=SIZE, tasks=TASKS)


@pytest.fixture(scope="module")
def plan(made):
    return toy_plan(made, TrainOptions(epochs=2, batch=3, learning_rate=1e-3))


@pytest.fixture
def batch(plan) -> Batch:
    return train_batch(plan.source, plan.definitions, plan.train, plan.data, seed=0, soft={})


def with_gaps(batch):
    """The batch in which image i has a label of task i modulo 3 alone; values elsewhere are NaN or 999."""
    targets = {}
    for column, (name, target) in enumerate(batch.targets.items()):
        kept = target.where(torch.arange(len(batch.ids)) % 3 == column)
        worst = torch.nan if target.value.is_floating_point() else 999
        targets[name] = replace(kept, value=kept.safe(worst))
    return replace(batch, targets=targets)


def number(batch):
    """The batch with images that show their row, so that a mixed image tells where a pixel is from."""
    rows = torch.arange(len(batch.ids), dtype=torch.float32).view(-1, 1, 1, 1)
    return replace(batch, images=rows.expand_as(batch.images).clone())


def mixed(batch, plan, options=CUT):
    """The mixed batch, and the row that each of its pixels is from, [b, h, w]."""
    found = mix_images(number(batch), plan.tasks, options, DRAW)
    return found, found.images[:, 0].long()


@pytest.mark.parametrize("options", [CUT, CLASS])
def test_every_pixel_of_images_and_labels_is_from_one_of_two_images(batch, plan, options):
    batch = with_gaps(batch)
    found = mix_images(batch, plan.tasks, options, DRAW)
    _, origin = mixed(batch, plan, options)
    some = 0
    for row in range(len(batch.ids)):
        assert set(origin[row].unique().tolist()) - {row} or options is CLASS
        assert len(set(origin[row].unique().tolist()) - {row}) <= 1
        for y in range(SIZE[0]):
            for x in range(SIZE[1]):
                source = int(origin[row, y, x])
                some += source != row
                assert torch.equal(found.images[row, :, y, x], batch.images[source, :, y, x])
                for name, target in batch.targets.items():
                    valid = bool(target.valid[source, 0, y, x])
                    assert bool(found.targets[name].valid[row, 0, y, x]) == valid
                    if valid:
                        value = found.targets[name].value[row, :, y, x]
                        assert torch.equal(value, target.value[source, :, y, x])
    assert some


def test_a_rectangle_covers_half_of_an_image(batch, plan):
    sides = set()
    for number_ in range(20):
        found = mix_images(number(batch), plan.tasks, CUT, partial(stream, 0, number_))
        for row, image in enumerate(found.images[:, 0].long()):
            pasted = image != row
            height, width = int(pasted.any(1).sum()), int(pasted.any(0).sum())
            assert int(pasted.sum()) == height * width
            assert height * width == pytest.approx(SIZE[0] * SIZE[1] / 2, rel=0.05)
            assert height >= SIZE[0] / 2 and width >= SIZE[1] / 2
            sides.add(height)
    assert min(sides) < 18 and max(sides) > 30


def test_classes_are_pasted_whole_and_half_of_them(batch, plan):
    _, origin = mixed(batch, plan, CLASS)
    semseg = batch.targets["semseg"]
    for row in range(len(batch.ids)):
        (partner,) = set(origin[row].unique().tolist()) - {row}
        pasted = origin[row] == partner
        value, valid = semseg.value[partner, 0], semseg.valid[partner, 0]
        classes = set(value[valid].unique().tolist())
        chosen = set(value[pasted].unique().tolist())
        assert len(chosen) == (len(classes) + 1) // 2
        whole = torch.isin(value, torch.tensor(sorted(chosen))) & valid
        assert torch.equal(pasted, whole)


def test_only_labelled_classes_are_pasted_and_images_without_any_label_stay_whole(batch, plan):
    batch = with_gaps(batch)
    _, origin = mixed(batch, plan, CLASS)
    for row in range(len(batch.ids)):
        others = set(origin[row].unique().tolist()) - {row}
        assert others <= {0, 3}  # the images with classes
    none = {name: target.where(torch.zeros(6).bool()) for name, target in batch.targets.items()}
    for options in (CUT, CLASS):
        _, origin = mixed(replace(batch, targets=none), plan, options)
        assert torch.equal(origin, torch.arange(6).view(-1, 1, 1).expand_as(origin))


def test_other_tasks_than_mix_tasks_keep_their_own_labels_outside_of_the_paste(batch, plan):
    options = replace(CUT, mix_tasks=("semseg",))
    found, origin = mixed(batch, plan, options)
    own = origin == torch.arange(6).view(-1, 1, 1)
    assert not own.all()
    for name, target in batch.targets.items():
        stays = found.targets[name].valid[:, 0] & own
        assert torch.equal(stays, target.valid[:, 0] & own)
        pasted = found.targets[name].valid[:, 0] & ~own
        assert bool(pasted.any()) == (name == "semseg")


def test_images_without_a_label_of_mix_tasks_stay_whole(batch, plan):
    found, origin = mixed(with_gaps(batch), plan, replace(CUT, mix_tasks=("semseg",)))
    for row in range(6):
        assert set(origin[row].unique().tolist()) == ({0, 3} if row in (0, 3) else {row})
    depth = with_gaps(batch).targets["depth"]
    assert torch.equal(found.targets["depth"].valid, depth.valid)


def test_the_share_is_that_of_images_and_none_of_them_changes_the_others_draws(batch, plan):
    counts = []
    for share in (0.0, 0.3, 1.0):
        found = mix_images(batch, plan.tasks, replace(CUT, mix_share=share), DRAW)
        changed = [not torch.equal(a, b) for a, b in zip(found.images, batch.images, strict=True)]
        counts.append(sum(changed))
        for row in range(6):
            if not changed[row]:
                for name, target in batch.targets.items():
                    assert torch.equal(found.targets[name].value[row], target.value[row])
                    assert torch.equal(found.targets[name].valid[row], target.valid[row])
                assert torch.equal(found.weights[row], batch.weights[row])
    assert counts[0] == 0 and 0 < counts[1] < 6 and counts[2] == 6
    rest = batch.ids[1:]
    full = mix_images(batch, plan.tasks, CUT, lambda name: DRAW(name))
    other = mix_images(
        batch, plan.tasks, CUT, lambda name: DRAW(name if name in rest else f"{name} again")
    )
    assert torch.equal(full.images[1:], other.images[1:])
    assert not torch.equal(full.images[0], other.images[0])


def test_weights_are_means_over_the_valid_pixels_of_both_labels(batch, plan):
    weights = 0.1 + torch.arange(18.0).view(6, 3) / 4
    batch = with_gaps(replace(batch, weights=weights))
    found, origin = mixed(batch, plan)
    for column, target in enumerate(batch.targets.values()):
        for row in range(6):
            from_row = [
                int(origin[row, y, x])
                for y in range(SIZE[0])
                for x in range(SIZE[1])
                if target.valid[int(origin[row, y, x]), 0, y, x]
            ]
            wanted = np.mean(weights[from_row, column].tolist()) if from_row else None
            if wanted is not None:
                assert float(found.weights[row, column]) == pytest.approx(wanted, rel=1e-5)
    equal = mix_images(
        replace(batch, weights=torch.full((6, 3), 0.3)), plan.tasks, CUT, DRAW
    ).weights
    assert torch.equal(equal, torch.full((6, 3), 0.3))


def test_a_camera_is_known_only_where_both_images_have_it(batch, plan):
    camera = torch.tensor([[50.0, 50, 32, 16]] * 3 + [[60.0, 60, 32, 16]] * 2 + [[torch.nan] * 4])
    found, origin = mixed(replace(batch, camera=camera), plan)
    seen = set()
    for row in range(6):
        (partner,) = set(origin[row].unique().tolist()) - {row}
        same = torch.equal(camera[row], camera[partner])  # NaN is not equal
        seen.add(same)
        assert (
            torch.equal(found.camera[row], camera[row]) if same else found.camera[row].isnan().all()
        )
    assert seen == {True, False}
    none = mix_images(replace(batch, camera=camera), plan.tasks, replace(CUT, mix_share=0.0), DRAW)
    assert torch.equal(none.camera[:5], camera[:5])


def test_classes_that_one_of_two_labels_did_not_annotate_are_not_annotated(batch, plan):
    annotated = torch.ones(6, 4, dtype=torch.bool)
    annotated[torch.arange(6), torch.arange(6) % 4] = False
    semseg = batch.targets["semseg"]
    some = Target(semseg.value, semseg.valid, annotated)
    found, origin = mixed(replace(batch, targets={**batch.targets, "semseg": some}), plan)
    for row in range(6):
        (partner,) = set(origin[row].unique().tolist()) - {row}
        wanted = annotated[row] & annotated[partner]
        assert torch.equal(found.targets["semseg"].annotated[row], wanted)
    alone = some.where(torch.arange(6) % 2 == 0)
    found, origin = mixed(replace(batch, targets={**batch.targets, "semseg": alone}), plan)
    for row in range(6):
        (partner,) = set(origin[row].unique().tolist()) - {row}
        if (row + partner) % 2:
            kept = row if row % 2 == 0 else partner
            assert torch.equal(found.targets["semseg"].annotated[row], annotated[kept])


def test_soft_labels_are_mixed_with_their_confidence(batch, plan):
    rows = torch.arange(6.0).view(-1, 1, 1, 1) / 10 + 0.1
    soft = {name: SoftTarget(target, rows * target.valid) for name, target in batch.targets.items()}
    options = replace(CUT, mix_tasks=("semseg",))
    found, origin = mixed(replace(batch, soft={"it": soft}), plan, options)
    own = (origin == torch.arange(6).view(-1, 1, 1))[:, None]
    semseg, depth = found.soft["it"]["semseg"], found.soft["it"]["depth"]
    wanted = (origin[:, None] / 10 + 0.1) * semseg.target.valid
    torch.testing.assert_close(semseg.confidence, wanted)
    assert torch.equal(semseg.target.valid, found.targets["semseg"].valid)
    assert torch.equal(depth.target.valid, batch.targets["depth"].valid & own)
    assert torch.equal(depth.confidence, soft["depth"].confidence * own)


@pytest.mark.parametrize("options", [CUT, CLASS])
def test_values_behind_masks_have_no_effect_on_a_step_with_mixed_images(made, batch, options):
    left = []
    for value in (0.0, torch.nan):
        training = Trainer(toy_plan(made, replace(options, known=0.5, device="cpu")))
        training.network.train()
        given = with_gaps(batch)
        targets = {}
        for name, target in given.targets.items():
            garbage = value if target.value.is_floating_point() else int(value == 0) * 999
            targets[name] = replace(target, value=target.safe(garbage))
        torch.manual_seed(0)
        step = training._mix(replace(given, targets=targets), 0)
        assert not torch.equal(step.images, batch.images)
        training.train_step(step, 0)
        left.append(states(training))
    assert not different(*left)


@pytest.mark.parametrize("options", [CUT, CLASS])
def test_a_stopped_training_with_mixed_images_resumes_exactly_with_any_workers(
    made, tmp_path, options
):
    options = replace(options, epochs=2, batch=3, learning_rate=1e-3, mix_share=0.7, device="cpu")
    whole = fit(toy_plan(made, options), tmp_path / "whole", Silent())
    stopped = Trainer(toy_plan(made, options))
    stopped.run_epoch(Silent())
    save(stopped.checkpoint(), tmp_path / "cut/last.ckpt")
    resumed = fit(toy_plan(made, replace(options, workers=2)), tmp_path / "cut", Silent())
    plain = fit(toy_plan(made, replace(options, mix="none")), tmp_path / "plain", Silent())
    assert not different(weights_of(whole), weights_of(resumed))
    assert different(weights_of(whole), weights_of(plain))


def test_off_the_options_of_mixing_are_no_part_of_what_shapes_a_training():
    off = TrainOptions(mix_share=0.2, mix_tasks=("depth",)).shaping()
    assert off == TrainOptions().shaping() and not {name for name in off if "mix" in name}
    assert CUT.shaping()["mix"] == "cut"


def test_a_task_that_is_not_there_and_a_share_above_one_are_refused(made):
    with pytest.raises(RecipeError, match=r"train\.mix_tasks names sofa"):
        Trainer(toy_plan(made, TrainOptions(mix="cut", mix_tasks=("sofa",))))
    with pytest.raises(ValueError, match="mix_share must be from 0 to 1"):
        TrainOptions(mix_share=1.5)


def test_a_training_without_class_maps_says_that_classes_are_not_mixed(made, tmp_path):
    class Notes(Silent):
        def __init__(self):
            self.said = []

        def say(self, text):
            self.said.append(text)

    said = []
    for tasks in (("depth",), ()):
        notes = Notes()
        options = replace(CLASS, mix_tasks=tasks, epochs=1, batch=6, device="cpu")
        fit(toy_plan(made, options), tmp_path / f"{tasks}", notes)
        said.append([text for text in notes.said if "does nothing" in text])
    assert said == [['mix = "class" does nothing: none of its tasks has class maps.'], []]
