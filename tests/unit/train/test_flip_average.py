"""Averaged flips: exact under a mirror, with and without known labels; off, nothing changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import fit_placement, place_label
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all, definitions
from labelgrid.train.evaluation import evaluate, predictions
from labelgrid.train.flip_average import predict_whole
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel
from tests.support import make_dataset
from tests.toys import DATA, source_of, toy_network

FLIPS = replace(DATA, average_flips=True)
#: What a mirror does to the values of normals.
SIGNS = torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = make_dataset(tmp_path_factory.mktemp("data"), n=3, size=(32, 64))
    found = definitions(list(made.rows))
    tasks = build_all(found)
    return made, found, tasks, toy_network(tasks).eval()


class Mirrored:
    """A data set whose images and labels are seen in a mirror."""

    def __init__(self, source):
        self.source = source

    def __getattr__(self, name):
        return getattr(self.source, name)

    def image(self, image_id):
        return np.ascontiguousarray(self.source.image(image_id)[:, ::-1])

    def label(self, image_id, task):
        label = self.source.label(image_id, task)
        placement = replace(fit_placement(label.size, DATA), flip=True)
        return place_label(label, placement, task)


def mirror(batch):
    """The batch in a mirror, without the code that is tested."""
    targets = {}
    for name, target in batch.targets.items():
        value = target.value.flip(-1) * (SIGNS if name == "normals" else 1)
        targets[name] = Target(value.to(target.value.dtype), target.valid.flip(-1))
    return replace(batch, images=batch.images.flip(-1), targets=targets)


def batch_of(parts, known=()):
    made, found, _, _ = parts
    source = source_of(made)
    chosen = {name: found[name] for name in known}

    def labels(image_id):
        return {name: source.label(image_id, task) for name, task in chosen.items()}

    (batch,) = eval_batches(
        source, found, made.names, DATA, batch=3, known_labels=labels if known else None
    )
    return batch


@pytest.mark.parametrize("known", [(), ("normals", "semseg")])
@torch.inference_mode()
def test_the_mirrored_image_gets_exactly_the_mirrored_prediction(parts, known):
    _, _, tasks, network = parts
    batch = batch_of(parts, known)
    plain = predict_whole(network, batch, tasks, FLIPS)
    mirrored = predict_whole(network, mirror(batch), tasks, FLIPS)
    alone = predict_whole(network, batch, tasks, DATA)
    for name, raw in plain.items():
        assert torch.equal(mirrored[name], raw.flip(-1) * (SIGNS if name == "normals" else 1))
        assert not torch.equal(alone[name], raw)


@torch.inference_mode()
def test_it_is_the_mean_of_both_raw_outputs(parts):
    _, _, tasks, network = parts
    batch = batch_of(parts)
    found = predict_whole(network, batch, tasks, FLIPS)
    plain = network(batch.images).final
    other = network(batch.images.flip(-1)).final
    for name, raw in found.items():
        back = other[name].flip(-1) * (SIGNS if name == "normals" else 1)
        torch.testing.assert_close(raw, (plain[name] + back) / 2)


@pytest.mark.parametrize("known", [(), ("normals", "semseg")])
@torch.inference_mode()
def test_an_exported_graph_runs_the_network_once_and_computes_the_same(parts, known, monkeypatch):
    _, _, tasks, network = parts
    batch = batch_of(parts, known)
    whole = {name: replace(label, annotated=None) for name, label in batch.targets.items()}
    batch = replace(batch, targets=whole)
    expected = predict_whole(network, batch, tasks, FLIPS)
    sizes = []
    watch = network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    exporting = iter([True])  # the network itself is asked, too, and computes as ever
    monkeypatch.setattr("torch.compiler.is_exporting", lambda: next(exporting, False))
    found = predict_whole(network, batch, tasks, FLIPS)
    watch.remove()
    assert sizes == [2 * len(batch.images)]
    for name, raw in expected.items():
        torch.testing.assert_close(found[name], raw, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_off_it_is_the_networks_own_output(parts):
    _, _, tasks, network = parts
    batch = batch_of(parts)
    plain = network(batch.images).final
    found = predict_whole(network, batch, tasks, DATA)
    assert all(torch.equal(found[name], raw) for name, raw in plain.items())


def test_predictions_of_whole_images_are_averaged(parts):
    made, found, tasks, network = parts
    outputs = predictions(
        TrainedModel(network=network),
        found,
        source=source_of(made),
        image_ids=list(made.names),
        data=FLIPS,
    )
    with torch.inference_mode():
        wanted = predict_whole(network, batch_of(parts), tasks, FLIPS)
    for row, (_, raws, _) in enumerate(outputs):
        assert all(torch.equal(raw, wanted[name][row]) for name, raw in raws.items())


def test_with_it_a_data_set_and_its_mirror_image_measure_alike(parts):
    made, found, tasks, network = parts
    source = source_of(made)
    losses = []
    for seen in (source, Mirrored(source)):
        for data in (FLIPS, DATA):
            measured = evaluate(
                TrainedModel(network=network),
                tasks,
                definitions=found,
                source=seen,
                image_ids=list(made.names),
                data=data,
                objective=ObjectiveOptions(),
            )
            losses.append(measured.loss_mtl.value)
    averaged, plain, mirrored, mirrored_plain = losses
    assert mirrored == pytest.approx(averaged, rel=1e-6)
    assert mirrored_plain != pytest.approx(plain, rel=1e-4)
