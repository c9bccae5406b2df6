"""What a training leaves: the network with the weights that are evaluated, and the terms it was trained with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from labelgrid.errors import ModelError
from labelgrid.nets.network import Network
from labelgrid.train.checkpoint import Checkpoint


class OtherTasksError(ModelError):
    """A checkpoint is of other tasks, another network or other terms."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what was trained with it.

    Args:
        network: holds the weights that are evaluated, in evaluation mode.
        terms: by name, with their trained states, in evaluation mode; a statistic may read one.
        digest: of the network's weights and the terms' states; stamps what the model made.
        members: further networks of a deep ensemble, each trained under a seed of its own; most models have none.
    """

    network: Network
    terms: Mapping[str, nn.Module] = field(default_factory=dict)
    digest: str = ""
    members: tuple["TrainedModel", ...] = ()


def with_states(checkpoint: Checkpoint, network: Network, terms: Mapping[str, nn.Module]) -> TrainedModel:
    """The model of a checkpoint, in modules that were built as its training built them.

    Raises:
        OtherTasksError: they are of other tasks, another network or other terms.
    """
    try:
        network.load_state_dict(checkpoint.counting)
        for name, term in terms.items():
            term.load_state_dict(checkpoint.parts.get(name, {}))
    except RuntimeError as error:
        raise OtherTasksError(
            "The model was trained for other tasks, or with another network or other terms.",
            next_step="Run `labelgrid fit` again.",
        ) from error
    return TrainedModel(network.eval(), {name: term.eval() for name, term in terms.items()}, checkpoint.digest)
