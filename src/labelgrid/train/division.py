"""Refuses trainings that processes cannot divide, and says how results change for the rest.

Otherwise the gradients equal those of one process, up to rounding.
"""

from collections.abc import Iterator

from torch import nn

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.words import bytes_text
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.train.batch_norm import norms_of
from labelgrid.train.group import TrainingGroup
from labelgrid.train.plan import Plan

#: Torch's layers that draw which values they drop.
DROPOUTS = nn.modules.dropout._DropoutNd


def refuse_undivided(plan: Plan, group: TrainingGroup) -> None:
    """Refuse a plan with a part that needs all images of a batch in a single process.

    Raises:
        TrainingError: it has such a part.
    """
    if group.size == 1:
        return
    parts = {"network": plan.network.undivided, "balancer": plan.balancer.undivided}
    for name, term in plan.terms.items():
        parts[f"term '{name}'"] = term.undivided
    for part, why in parts.items():
        if why:
            raise TrainingError(
                f"The {part} cannot be trained by several processes: {why}.",
                next_step="Train with one process, or change the recipe.",
                unchanged="Nothing was trained.",
            )


def division_remarks(plan: Plan, group: TrainingGroup) -> Iterator[str]:
    """Say how the results change where several processes divide the batches."""
    if group.size == 1:
        return
    options = plan.options
    encoder = plan.network.get_submodule("encoder") if options.norm == "frozen" else None
    if norms_of(plan.network, frozen=encoder):
        yield (
            f"Batch norm normalises with the images of each of the {group.size} processes alone: "
            "the result is not that of one process. Running statistics are averaged after each "
            "epoch."
        )
    if any(map(_drops, plan.network.modules())):
        yield "Each process draws dropout masks of its own."
    if options.mix != "none":
        yield "With `mix`, every process reads all images of a batch: it costs more processors."
    if options.cache:
        cache = bytes_text(options.cache * 2**30 / group.size)
        yield f"Each process has a cache of its own, of {cache}."
    if options.fill == "images" and options.batch < group.size:
        yield (
            f"A batch has {options.batch} images, fewer than the {group.size} processes: "
            "some do nothing."
        )


def _drops(module: nn.Module) -> bool:
    if isinstance(module, ChannelDropout):
        return module.rate > 0
    return isinstance(module, DROPOUTS) and module.p > 0
