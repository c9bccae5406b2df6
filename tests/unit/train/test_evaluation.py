"""Evaluation: at original size, in strips, split over batches, whatever the images' sizes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from labelgrid.basics.errors import LabelError
from labelgrid.data.frame import Frame, target_of
from labelgrid.data.transforms import fit_placement
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train import evaluation as module
from labelgrid.train.evaluation import Measure, evaluate, predictions, strips
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

SIZES = [(32, 64), (60, 40), (48, 96)]


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = make_dataset(tmp_path_factory.mktemp("data"), n=6, size=SIZES)
    found = definitions(list(made.rows))
    tasks = build_all(found)
    return made, found, tasks, toy_network(tasks)


def run(parts, **changes):
    made, found, tasks, network = parts
    options = {"batch": 4, **changes}
    names = options.pop("names", list(made.names))
    return evaluate(
        TrainedModel(network=network),
        tasks,
        definitions=found,
        source=source_of(made),
        image_ids=names,
        data=DATA,
        objective=ObjectiveOptions(),
        **options,
    )


def close(first, second):
    a, b = first.flat(), second.flat()
    assert a.keys() == b.keys()
    np.testing.assert_allclose([a[k] for k in a], [b[k] for k in a], rtol=1e-5, atol=1e-6)


def test_strips_of_rows_give_what_whole_images_give(parts, monkeypatch):
    whole = run(parts)
    monkeypatch.setattr(module, "STRIP", 64 * 7)
    monkeypatch.setattr(module, "FEW", 1)
    assert len(list(strips(4, 32, 64))) > 1
    close(whole, run(parts))


def test_batches_workers_and_order_change_no_figure(parts):
    whole = run(parts)
    close(whole, run(parts, batch=1))
    close(whole, run(parts, workers=2))
    close(whole, run(parts, names=list(parts[0].names)[::-1]))


@pytest.mark.parametrize("blocks", [6, 3])
def test_figures_without_a_block_are_the_figures_of_the_other_images(parts, monkeypatch, blocks):
    monkeypatch.setattr(module, "BLOCKS", blocks)
    names, size = list(parts[0].names), 6 // blocks
    found = run(parts)
    for block in range(blocks):
        rest = run(parts, names=names[: block * size] + names[(block + 1) * size :])
        for task, metrics in found.without.items():
            assert metrics.keys() == rest.metrics[task].keys()
            for name, values in metrics.items():
                assert len(values) == blocks
                assert values[block] == pytest.approx(rest.metrics[task][name].value, rel=1e-5)


def test_no_block_divides_a_group(parts, monkeypatch):
    names = list(parts[0].names)
    groups = dict(zip(names, ["a", "", "b", "a", "b", "b"], strict=True))
    blocks = module.blocks_of(names, groups.get)
    assert [blocks[name] for name in names] == [0, 1, 2, 0, 2, 2]
    monkeypatch.setattr(module, "BLOCKS", 2)
    blocks = module.blocks_of(names, groups.get)
    assert [blocks[name] for name in names] == [0, 0, 1, 0, 1, 1]
    found = run(parts, group=groups.get)
    rest = run(parts, names=[name for name in names if groups[name] == "b"])
    for task, metrics in found.without.items():
        for name, values in metrics.items():
            assert values[0] == pytest.approx(rest.metrics[task][name].value, rel=1e-5)


def test_classes_are_measured_by_name_and_their_mean_is_the_metric(parts):
    result = run(parts)
    scores = result.classes["semseg"]
    assert set(result.classes) == {"semseg"} and list(scores) == list(
        parts[1]["semseg"].class_names
    )
    ious = [score.iou for score in scores.values()]
    assert np.nanmean(ious) == pytest.approx(result.metrics["semseg"]["mIoU"].value)
    assert sum(score.pixels for score in scores.values()) > 0


def test_one_image_alone_cannot_be_left_out(parts):
    assert not any(run(parts, names=list(parts[0].names)[:1]).without.values())


def test_the_losses_are_per_pixel_means_over_the_set_and_weighted_into_loss_mtl(parts):
    made, found, tasks, network = parts
    measured, source = run(parts), source_of(made)
    total, pixels = 0.0, 0
    for name, raws, frame in predictions(
        TrainedModel(network=network), found, source=source, image_ids=list(made.names), data=DATA
    ):
        label = source.label(name, found["depth"])
        raw = functional.interpolate(
            raws["depth"][None], size=frame.original, mode="bilinear", align_corners=False
        )
        error = (raw[0, 0] - torch.from_numpy(label.value[..., 0])).abs()[
            torch.from_numpy(label.valid)
        ]
        total, pixels = total + float(error.double().sum()), pixels + error.numel()
    assert measured.losses["depth"] == pytest.approx(total / pixels, rel=1e-5)
    weighted = sum(tasks[name].weight * loss for name, loss in measured.losses.items())
    assert measured.loss_mtl.value == pytest.approx(weighted)
    assert measured.labels == dict.fromkeys(tasks, 6)


def test_known_labels_are_fed_in_and_change_the_other_tasks_alone(parts):
    made = parts[0]

    class DepthOnly:
        def __getattr__(self, name):
            return getattr(source_of(made), name)

        def label(self, image_id, task):
            return source_of(made).label(image_id, task) if task.name == "depth" else None

    plain, fed = run(parts).flat(), run(parts, known_source=DepthOnly()).flat()
    assert plain["depth/RMSE"] == fed["depth/RMSE"]
    assert plain["normals/mErr"] != fed["normals/mErr"]


def test_the_network_is_left_in_the_mode_it_was_in(parts):
    network = parts[3].train()
    run(parts)
    assert network.training
    network.eval()


def test_strips_cover_the_rows_once():
    cut = list(strips(2**20, 7, 8))
    assert len(cut) > 1 and [i for s in cut for i in range(7)[s]] == list(range(7))
    assert list(strips(3, 10_000, 10_000)) == [slice(0, 10_000)]


def test_rows_of_a_label_become_a_target():
    label = LabelArray(np.arange(12.0).reshape(3, 4, 1), np.eye(3, 4, dtype=bool))
    target = target_of(label, slice(1, 3))
    assert (
        target.value.shape == (1, 1, 2, 4)
        and target.valid.sum() == 2
        and float(target.value[0, 0, 0, 0]) == 4
    )


@pytest.mark.parametrize("size", [(12, 24), (24, 24), (48, 48)])
def test_a_label_of_another_size_than_its_image_is_refused(parts, size):
    tasks = parts[2]
    measure = Measure(tasks["depth"])
    frame = Frame.of((24, 48), fit_placement((24, 48), DATA))
    label = LabelArray(np.ones((*size, 1), np.float32), np.ones(size, bool))
    with pytest.raises(LabelError, match=rf"depth label is {size[0]}x{size[1]}, its image 24x48"):
        measure.add(torch.zeros(1, 8, 16), frame, label)
