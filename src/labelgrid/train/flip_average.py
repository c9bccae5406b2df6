"""Predicts whole images, on request as the mean over an image and its mirror image."""

from collections.abc import Mapping

from labelgrid.data.batch import Batch
from labelgrid.data.options import DataOptions
from labelgrid.nets.network import Network, Raw
from labelgrid.tasks.task import Task
from labelgrid.train.crops import mirror_target


def predict_whole(
    network: Network, batch: Batch, tasks: Mapping[str, Task], options: DataOptions
) -> Raw:
    """Predict a batch of whole images, given its targets: the final raw outputs.

    With `average_flips` they are the mean over the batch and its mirror image, so that of a network
    in evaluation mode a mirrored batch gets exactly the mirrored outputs.

    Raw outputs are averaged, not predictions: losses read raw outputs, and kinds do not say which
    raw output gives a mean prediction. For classes this is the normalised geometric mean of the
    probabilities.
    """
    plain = network(batch.images, batch.targets or None).final
    if not options.average_flips:
        return plain
    known = {name: mirror_target(tasks[name], label) for name, label in batch.targets.items()}
    mirrored = network(batch.images.flip(-1), known or None).final
    means = {}
    for name, raw in plain.items():
        back = tasks[name].scale.mirrored(mirrored[name].flip(-1))
        means[name] = (raw + back) / 2
    return means
