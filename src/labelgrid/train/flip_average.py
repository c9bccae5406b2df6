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

    With `average_flips` the outputs are the mean over the batch and its mirror image. A network in
    evaluation mode then gives a mirrored batch exactly the mirrored outputs.

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
    if torch.compiler.is_exporting():
        # The graph holds the network once: it is half as large, and recorded in half the time.
        joined = {}
        for name, label in batch.targets.items():
            joined[name] = Target.cat([label, mirrored_targets[name]])
        images = torch.cat([batch.images, mirrored_batch.images])
        both = _predict(network, replace(batch, images=images, targets=joined))
        count = batch.images.shape[0]
        plain = {name: raw[slice(count)] for name, raw in both.items()}
        mirrored = {name: raw[slice(count, None)] for name, raw in both.items()}
    else:
        plain = _predict(network, batch)
        mirrored = _predict(network, mirrored_batch)
    means = {}
    for name, raw in plain.items():
        back = tasks[name].scale.mirrored(mirrored[name].flip(-1))
        means[name] = (raw + back) / 2
    return means


def _predict(network: Network, batch: Batch) -> Raw:
    return network(batch.images, batch.targets or None).final
