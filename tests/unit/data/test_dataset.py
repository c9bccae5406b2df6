"""A source of one's own: the example in one file is reached by its name and loads like the built-in ones."""

import csv

import pytest
import torch

from labelgrid.basics.plugins import resolve
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import weight_of
from labelgrid.data.layouts import folder
from labelgrid.data.loader import train_batches
from labelgrid.tasks.task import definitions


@pytest.fixture
def table(made, monkeypatch, request):
    """A made dataset with a table that leaves the depth of its first image out."""
    data = made(n=4, tasks=("semseg", "depth"))
    with (data.root / "labels.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["image", "task", "label", "split"])
        for i, name in enumerate(data.names):
            for task in ("semseg", "depth"):
                label = (
                    data.label(name, task).relative_to(data.root) if i or task == "semseg" else ""
                )
                lines.writerow([f"images/{name}", task, label, "train" if i < 3 else "val"])
    monkeypatch.syspath_prepend(request.config.rootpath / "examples")
    return data


def test_a_source_in_one_file_gives_images_labels_and_splits(table):
    source, tasks = resolve("layouts", "table_dataset:build")(table.root), definitions(table.rows)
    assert source.splits() == {
        "train": [f"images/000{i}.jpg" for i in range(3)],
        "val": ["images/0003.jpg"],
    }
    assert list(source.images()) == [f"images/{name}" for name in table.names]
    assert source.label("images/0000.jpg", tasks["depth"]) is None
    plain = folder.build(table.root)
    for task in tasks.values():
        assert (
            source.label("images/0001.jpg", task).value == plain.label("0001.jpg", task).value
        ).all()


def test_its_batches_are_those_of_any_source(table):
    source, tasks = resolve("layouts", "table_dataset:build")(table.root), definitions(table.rows)
    options = DataOptions(size=(24, 32))
    (batch,) = train_batches(
        source, tasks, source.splits()["train"], options, batch=4, seed=0, epoch=0
    )
    assert batch.images.shape == (3, 3, 24, 32)
    assert torch.equal(batch.weights, torch.ones(3, 2))
    assert sorted(batch.targets["depth"].present.tolist()) == [False, True, True]


def test_a_source_with_weights_gives_them_and_one_without_weighs_every_label_1(table):
    class Weighing:
        def weight(self, image_id, task):
            return 3.0 if task == "depth" else 0.5

    source = resolve("layouts", "table_dataset:build")(table.root)
    assert weight_of(source, "images/0001.jpg", "depth") == 1.0
    assert [weight_of(Weighing(), "images/0001.jpg", task) for task in ("semseg", "depth")] == [
        0.5,
        3.0,
    ]
