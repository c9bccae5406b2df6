"""Laws of a batch: the form of images and targets, and that a missing label is valid nowhere."""

import numpy as np
import torch

from labelgrid.data.batch import Item, collate
from labelgrid.data.transforms import DataOptions
from labelgrid.labels.codec import LabelArray
from labelgrid.tasks.task import definitions
from tests.support import task_rows

TASKS = definitions(task_rows())
RNG = np.random.default_rng(0)


def image() -> np.ndarray:
    return RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_images_are_normalised_channels_first():
    images = [image(), image()]
    options = DataOptions(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    batch = collate([Item("a", images[0], {}), Item("b", images[1], {})], {}, options)
    assert batch.ids == ("a", "b")
    expected = (np.stack(images) / 255 - np.array(options.mean)) / np.array(options.std)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous()
    assert np.allclose(batch.images.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_a_missing_label_is_zero_and_valid_nowhere_in_every_tasks_own_form():
    batch = collate([Item("a", image(), {}, [1.0] * 5)], TASKS, DataOptions())
    for name, target in batch.targets.items():
        assert target.value.shape == (1, 3 if name == "normals" else 1, 6, 8)
        assert target.value.dtype == (torch.int64 if name == "semseg" else torch.float32)
        assert target.valid.shape == (1, 1, 6, 8)
        assert not target.valid.any()
        assert not target.value.any()


def test_labels_come_out_as_they_went_in_beside_missing_ones():
    value = RNG.normal(size=(6, 8, 3)).astype(np.float32)
    valid = RNG.random((6, 8)) > 0.5
    items = [Item("a", image(), {}), Item("b", image(), {"normals": LabelArray(value, valid)})]
    target = collate(items, TASKS, DataOptions()).targets["normals"]
    assert target.present.tolist() == [False, True]
    assert (target.value[1].permute(1, 2, 0).numpy() == value).all()
    assert (target.valid[1, 0].numpy() == valid).all()


def test_weights_are_images_by_tasks_and_everything_moves_to_a_device():
    items = [Item("a", image(), {}, [1, 2, 3, 4, 5]), Item("b", image(), {}, [6, 7, 8, 9, 10])]
    batch = collate(items, TASKS, DataOptions()).to("meta")
    assert batch.weights.shape == (2, 5)
    moved = [batch.images, batch.weights, *(part for t in batch.targets.values() for part in (t.value, t.valid))]
    assert {tensor.device.type for tensor in moved} == {"meta"}
