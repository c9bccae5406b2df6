"""Trainings with the terms `crop` and `mtpsl` on labels that are hard to learn from: they end, or say what is wrong."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from labelgrid.basics import plugins
from labelgrid.basics.errors import EmptyLabelError, TrainingError
from labelgrid.train.checkpoint import load
from labelgrid.train.loop import fit
from labelgrid.train.train_options import TrainOptions
from tests.projects import Said
from tests.support import make_dataset
from tests.toys import DATA, toy_plan

TASKS = ("semseg", "depth", "normals")
OPTIONS = TrainOptions(epochs=2, batch=2, known=0.5, val_every=1)
TERMS = {"crop": {}, "mtpsl": {"mapping": "light", "pairs": "learnt"}}


def plan_of(made, options=OPTIONS, **changes):
    """A plan with both terms."""
    plan = toy_plan(made, options, **changes)
    terms = {}
    for name, values in TERMS.items():
        module = plugins.module("terms", name)
        terms[name] = module.build(plan.tasks, plan.network, module.Options(**values))
    return replace(plan, terms=terms)


def trained(plan, folder):
    """Train it; its weights and its losses are finite. Returns its log and what it said."""
    said = Said()
    kept = load(fit(plan, folder, said))
    assert all(torch.isfinite(value).all() for value in kept.network.values())
    assert all(math.isfinite(loss) for record in kept.history for loss in record["loss"].values())
    return kept.history, said.lines


def keep(made, **tasks):
    """Remove all labels but those of a task's images, given by their numbers."""
    for task in TASKS:
        for number, name in enumerate(made.names):
            if number not in tasks.get(task, ()) and made.label(name, task).exists():
                made.label(name, task).unlink()


def test_batches_without_any_label_are_learnt_from_by_the_terms_alone(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=TASKS)
    keep(made, semseg=[0], depth=[0, 1])
    history, _ = trained(plan_of(made, replace(OPTIONS, batch=1)), tmp_path / "fit")
    assert set(history[-1]["loss"]) == {"semseg", "depth"}


@pytest.mark.parametrize("batch", [1, 8])
def test_one_image_is_enough(tmp_path, batch):
    made = make_dataset(tmp_path, n=1, size=(32, 64), tasks=TASKS)
    keep(made, depth=[0])
    _, said = trained(plan_of(made, replace(OPTIONS, batch=batch)), tmp_path / "fit")
    assert any("'mtpsl' learns which pairs" in line for line in said)


def test_one_task_is_enough(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=("depth",))
    made.label(made.names[0], "depth").unlink()
    _, said = trained(plan_of(made), tmp_path / "fit")
    assert any("'mtpsl' compares pairs of tasks" in line for line in said)


def test_a_depth_map_without_a_valid_pixel_is_refused_and_one_that_a_crop_leaves_none_is_no_label(
    tmp_path,
):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=TASKS)
    for name in made.names:
        values = np.zeros((32, 64), np.uint16)
        values[0, 0] = 1000 * (name != made.names[3])
        cv2.imwrite(str(made.label(name, "depth")), values)
    with pytest.raises(EmptyLabelError, match="none of its 2048 pixels is valid") as refusal:
        fit(plan_of(made), tmp_path / "refused", Said())
    assert refusal.value.where.endswith("0003.png")
    plan = plan_of(
        made,
        replace(OPTIONS, val_every=0),
        train=made.names[:3],
        data=replace(DATA, zoom=(2.0, 2.0)),
    )
    trained(plan, tmp_path / "fit")


def test_classes_that_no_training_image_has_leave_the_metrics_finite(tmp_path):
    made = make_dataset(tmp_path, n=6, size=(32, 64), tasks=TASKS)
    for name in made.names[:4]:
        path = str(made.label(name, "semseg"))
        cv2.imwrite(path, np.where(cv2.imread(path, -1) == 255, 255, 0).astype(np.uint8))
    history, _ = trained(plan_of(made, train=made.names[:4], val=made.names[4:]), tmp_path / "fit")
    assert all(math.isfinite(value) for value in history[-1]["val"].values()), history[-1]["val"]


def test_a_learning_rate_that_diverges_names_the_step_and_the_rate(tmp_path):
    made = make_dataset(tmp_path, n=4, size=(32, 64), tasks=TASKS)
    keep(made, semseg=[0, 1], depth=[1, 2], normals=[3])
    plan = plan_of(
        made,
        replace(OPTIONS, epochs=50, learning_rate=100.0, optimiser="adamw", weight_decay=100.0),
    )
    with pytest.raises(
        TrainingError, match=r"is (nan|inf) in epoch \d+, step \d+ of 100 at the learning rate \d"
    ) as refusal:
        fit(plan, tmp_path / "fit", Said())
    assert "Lower `learning_rate` in [train]" in refusal.value.next_step
    kept = load(tmp_path / "fit" / "last.ckpt")
    assert kept.history and all(torch.isfinite(value).all() for value in kept.network.values())


@pytest.mark.parametrize("rate", [3.0, 100.0])
def test_a_training_whose_losses_end_far_above_their_start_says_so(tmp_path, rate):
    made, said = make_dataset(tmp_path, n=4, size=(32, 64), tasks=TASKS), Said()
    options = replace(OPTIONS, epochs=3, learning_rate=rate, optimiser="adamw")
    fit(plan_of(made, options), tmp_path / "fit", said)
    (line,) = [line for line in said.lines if "diverged" in line]
    assert "'semseg' " in line and f"`learning_rate` in [train] (it is {rate:g})" in line
    calm = Said()
    fit(plan_of(made, replace(options, learning_rate=1e-3)), tmp_path / "calm", calm)
    assert not any("diverged" in line for line in calm.lines)
