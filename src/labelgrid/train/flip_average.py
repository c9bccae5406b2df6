"""Predicts whole images, on request as the mean over an image and its mirror image."""

from dataclasses import replace

import torch

from labelgrid.data.batch import Batch
from labelgrid.data.data_options import DataOptions
from labelgrid.nets.network import Network, Raw
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Tasks
from labelgrid.train.crop_boxes import mirror_target


def predict_whole(network: Network, batch: Batch, tasks: Tasks, options: DataOptions) -> Raw:
    """Predict a batch of whole images, given its targets: the final raw outputs.

    With `average_flips` they are the mean over the batch and its mirror image, so that of a network
    in evaluation mode a mirrored batch gets exactly the mirrored outputs.

    Raw outputs are averaged, not predictions: losses read raw outputs, and kinds do not say which
    raw output gives a mean prediction. For classes this is the normalised geometric mean of the
    probabilities.
    """
    if not options.average_flips:
        return _predict(network, batch)
    mirrored_targets = {}
    for name, label in batch.targets.items():
        mirrored_targets[name] = mirror_target(tasks[name], label)
    mirrored_batch = replace(batch, images=batch.images.flip(-1), targets=mirrored_targets)
    plain, mirrored = _predict_both(network, batch, mirrored_batch)
    means = {}
    for name, raw in plain.items():
        back = tasks[name].scale.mirrored(mirrored[name].flip(-1))
        means[name] = (raw + back) / 2
    return means


def _predict_both(network: Network, first: Batch, second: Batch) -> tuple[Raw, Raw]:
    """The final raw outputs for two batches of one size."""
    if torch.compiler.is_exporting():
        # The graph holds the network once: it is half as large, and recorded in half the time.
        count = first.images.shape[0]
        both = _predict(network, _join(first, second))
        return _part(both, slice(count)), _part(both, slice(count, None))
    return _predict(network, first), _predict(network, second)


def _predict(network: Network, batch: Batch) -> Raw:
    return network(batch.images, batch.targets or None).final


def _join(first: Batch, second: Batch) -> Batch:
    """The images and targets of the first, then those of the second."""
    targets = {}
    for name, label in first.targets.items():
        other = second.targets[name]
        assert label.annotated is None, "exported networks are given whole maps"
        value = torch.cat([label.value, other.value])
        valid = torch.cat([label.valid, other.valid])
        targets[name] = Target(value, valid)
    return replace(first, images=torch.cat([first.images, second.images]), targets=targets)


def _part(outputs: Raw, images: slice) -> Raw:
    return {name: raw[images] for name, raw in outputs.items()}
