"""Defines the trained model: the network with the evaluated weights, and the trained terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from labelgrid.basics.errors import ModelError
from labelgrid.nets.network import Network
from labelgrid.train.checkpoint import Checkpoint


class OtherTasksError(ModelError):
    """A checkpoint belongs to different tasks, a different network or different terms."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained network and the terms trained with it.

    Args:
        network: holds the evaluated weights, in evaluation mode.
        terms: the terms by name, with their trained states, in evaluation mode; statistics may read
            them.
        digest: a hash of the network's weights and the terms' states; stamps everything computed
            with the model.
        members: further networks of a deep ensemble, each trained under its own seed; most models
            have none. Evaluation and prediction use `network` alone; a statistic may use all.
        trained: the tasks that had a training label; None if that is not known. The heads of other
            tasks learnt from terms alone.
    """

    network: Network
    terms: Mapping[str, nn.Module] = field(default_factory=dict)
    digest: str = ""
    members: tuple["TrainedModel", ...] = ()
    trained: frozenset[str] | None = None


def restore_states(
    checkpoint: Checkpoint, network: Network, terms: Mapping[str, nn.Module]
) -> TrainedModel:
    """Load a checkpoint into a network and terms that were built for the same training.

    Raises:
        OtherTasksError: the checkpoint belongs to other tasks, another network or other terms.
    """
    try:
        network.load_state_dict(checkpoint.counting)
        for name, term in terms.items():
            term.load_state_dict(checkpoint.parts.get(name, {}))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise OtherTasksError(
            "The model was trained for other tasks, with another network or other terms, "
            "or by an earlier version.",
            next_step="Run `labelgrid fit` again.",
        ) from error
    return TrainedModel(
        network=network.eval(),
        terms={name: term.eval() for name, term in terms.items()},
        digest=checkpoint.digest,
    )
