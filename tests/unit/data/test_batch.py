"""Laws of a batch: the form of images and targets, and that a missing label is valid nowhere."""

import dataclasses

import numpy as np
import pytest
import torch

from labelgrid.basics.camera import Camera
from labelgrid.data.batch import Item, SoftLabel, collate, network_inputs
from labelgrid.data.data_options import DataOptions
from labelgrid.data.frame import label_of, target_of
from labelgrid.data.transforms import fit_placement, place_label
from labelgrid.formats.codec import LabelArray
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import definitions
from tests.support import task_rows

TASKS = definitions(task_rows())
RNG = np.random.default_rng(0)


def image() -> np.ndarray:
    return RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_images_are_normalised_channels_first():
    images = [image(), image()]
    options = DataOptions(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    batch = collate(
        [Item(id="a", image=images[0], labels={}), Item(id="b", image=images[1], labels={})],
        {},
        options,
    )
    assert batch.ids == ("a", "b")
    expected = (np.stack(images) / 255 - np.array(options.mean)) / np.array(options.std)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous()
    assert np.allclose(batch.images.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_a_missing_label_is_zero_and_valid_nowhere_in_every_tasks_own_form():
    batch = collate(
        [Item(id="a", image=image(), labels={}, weights=[1.0] * 5)], TASKS, DataOptions()
    )
    for name, target in batch.targets.items():
        assert target.value.shape == (1, 3 if name == "normals" else 1, 6, 8)
        assert target.value.dtype == (torch.int64 if name == "semseg" else torch.float32)
        assert target.valid.shape == (1, 1, 6, 8)
        assert not target.valid.any()
        assert not target.value.any()


def test_labels_come_out_as_they_went_in_beside_missing_ones():
    value = RNG.normal(size=(6, 8, 3)).astype(np.float32)
    valid = RNG.random((6, 8)) > 0.5
    items = [
        Item(id="a", image=image(), labels={}),
        Item(id="b", image=image(), labels={"normals": LabelArray(value, valid)}),
    ]
    target = collate(items, TASKS, DataOptions()).targets["normals"]
    assert target.present.tolist() == [False, True]
    assert (target.value[1].permute(1, 2, 0).numpy() == value).all()
    assert (target.valid[1, 0].numpy() == valid).all()


def test_weights_are_images_by_tasks_and_everything_moves_to_a_device():
    items = [
        Item(id="a", image=image(), labels={}, weights=[1, 2, 3, 4, 5]),
        Item(id="b", image=image(), labels={}, weights=[6, 7, 8, 9, 10]),
    ]
    batch = collate(items, TASKS, DataOptions()).to("meta")
    assert batch.weights.shape == (2, 5)
    moved = [
        batch.images,
        batch.weights,
        *(part for t in batch.targets.values() for part in (t.value, t.valid)),
    ]
    assert {tensor.device.type for tensor in moved} == {"meta"}


def test_the_classes_that_were_annotated_reach_the_target_and_all_were_where_nobody_says():
    label = LabelArray(
        np.zeros((6, 8, 1), np.int64), np.ones((6, 8), bool), np.array([True, False, True, True])
    )
    free = LabelArray(label.value, label.valid)
    items = [
        Item(id="a", image=image(), labels={}),
        Item(id="b", image=image(), labels={"semseg": label}),
        Item(id="c", image=image(), labels={"semseg": free}),
    ]
    targets = collate(items, TASKS, DataOptions()).targets
    assert targets["semseg"].annotated.tolist() == [
        [True] * 4,
        [True, False, True, True],
        [True] * 4,
    ]
    assert targets["depth"].annotated is None
    assert collate([items[0], items[2]], TASKS, DataOptions()).targets["semseg"].annotated is None


def test_views_and_strides_keep_the_classes_that_were_annotated():
    label = LabelArray(
        np.zeros((6, 8, 1), np.int64), np.ones((6, 8), bool), np.array([True, False, True, True])
    )
    form = TASKS["semseg"].form
    coarse = dataclasses.replace(form, stride=2)
    views = [
        place_label(label, fit_placement((6, 8), DataOptions(size=(12, 12))), TASKS["semseg"]),
        coarse.upsample(label),
        coarse.downsample(label),
        label_of(target_of(label)),
    ]
    assert all((view.annotated == label.annotated).all() for view in views)


@pytest.mark.parametrize("first", [0, 1])
def test_batches_without_known_labels_beside_one_with_some_get_ones_that_are_nowhere_valid(first):
    plain = collate(
        [Item(id="a", image=image(), labels={}), Item(id="b", image=image(), labels={})],
        TASKS,
        DataOptions(),
    )
    given = dataclasses.replace(
        plain, known={"depth": Target(torch.rand(2, 1, 6, 8), torch.ones(2, 1, 6, 8).bool())}
    )
    batches = [plain, given] if first == 0 else [given, plain]
    images, known = network_inputs(batches)
    assert len(images) == 4 and set(known) == set(TASKS)
    assert known["depth"].present.tolist() == (
        [False, False, True, True] if first == 0 else [True, True, False, False]
    )
    rows = slice(2, 4) if first == 0 else slice(0, 2)
    assert torch.equal(known["depth"].value[rows], given.known["depth"].value)
    assert not known["semseg"].valid.any() and network_inputs([plain, plain])[1] is None


def test_a_batch_has_the_cameras_of_its_images_and_none_if_all_are_unknown():
    items = [
        Item(id="a", image=image(), labels={}, camera=Camera(8.0, 9.0, 3.5, 2.5)),
        Item(id="b", image=image(), labels={}),
    ]
    camera = collate(items, TASKS, DataOptions()).camera
    assert camera.dtype == torch.float32 and camera[0].tolist() == [8.0, 9.0, 3.5, 2.5]
    assert camera[1].isnan().all()
    assert collate(items, TASKS, DataOptions()).to("meta").camera.device.type == "meta"
    assert collate(items[1:], TASKS, DataOptions()).camera is None


def test_some_rows_of_a_batch_keep_all_that_belongs_to_their_images():
    soft = SoftLabel(
        LabelArray(np.full((6, 8, 1), 2.0, np.float32), np.ones((6, 8), bool)),
        np.full((6, 8), 0.5, np.float32),
    )
    items = [
        Item(id=name, image=image(), labels={}, weights=[place] * 5, camera=camera, soft=softs)
        for place, (name, camera, softs) in enumerate(
            [
                ("a", None, {}),
                ("b", Camera(8.0, 9.0, 3.5, 2.5), {"it/depth": soft}),
                ("c", None, {}),
            ]
        )
    ]
    whole = collate(items, TASKS, DataOptions(), terms=["it"])
    rows = whole.rows(torch.tensor([2, 1]))
    assert rows.ids == ("c", "b") and rows.weights[:, 0].tolist() == [2, 1]
    assert torch.equal(rows.images, whole.images[[2, 1]]) and rows.camera[1, 0] == 8
    assert rows.soft["it"]["depth"].target.present.tolist() == [False, True]
    assert rows.soft["it"]["depth"].confidence[:, 0, 0, 0].tolist() == [0, 0.5]
    assert all(len(target.value) == 2 for target in rows.targets.values())
