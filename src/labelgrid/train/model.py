"""What a training leaves: the network with the weights that count, and the terms it was trained with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labelgrid.nets.network import Network
from labelgrid.train.term import Term


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what was trained with it.

    Args:
        network: holds the weights that are evaluated, in evaluation mode.
        terms: by name, with their trained states; a statistic may read one.
        digest: of the network's weights; stamps what the model made.
        members: further networks of a deep ensemble, each trained under a seed of its own; most models have none.
    """

    network: Network
    terms: Mapping[str, Term] = field(default_factory=dict)
    digest: str = ""
    members: tuple["TrainedModel", ...] = ()
