"""Direct-Map: the prediction of an unlabelled task, mapped to a labelled one, agrees with the label of that one.

Each mapping is a network of its own for an ordered pair of tasks. Their cost and memory grow with the number of pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from labelgrid.nets.network import Network
from labelgrid.nets.options import WIDEST
from labelgrid.tasks.task import Task
from labelgrid.train.cross_maps import CrossMaps, by_image, direct_losses
from labelgrid.train.idle import say_if_idle
from labelgrid.train.objective import targets_present
from labelgrid.train.pairs import listed as allowed_pairs
from labelgrid.train.pairs import pairs_of
from labelgrid.train.term import Preparation, RateGroup, Step, Term


@dataclass(frozen=True)
class Options:
    """The mappings (MTPSL section 3.2), and which pairs of tasks have one.

    Args:
        weight: of the loss, beside the weight of each target task; the paper gives none.
        width: filters of the mappings' first stage; the other stages have 2, 4, 8 and 8 times as many. 64 is the whole
            SegNet of the paper, 25 million parameters for each ordered pair; 8 or 16 trains on a CPU.
        divide: by the number of the image's source tasks (1/|U| of eq. 4); `false` sums over pairs.
        sources: whose predictions are mapped: the `"unlabelled"` tasks', or `"all"` (full supervision).
        listed: only these pairs of a source and a target, such as [["depth", "normals"]]; all if empty.
        learning_rate: of the mappings; 0: the training's.
        recompute: compute each mapping's activations again for its gradients, so that memory does not grow with the
            number of pairs.
    """

    weight: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    width: Annotated[int, Field(ge=1, le=WIDEST // 8)] = 64
    divide: bool = True
    sources: Literal["unlabelled", "all"] = "unlabelled"
    listed: tuple[tuple[str, str], ...] = ()
    learning_rate: Annotated[float, Field(ge=0, le=100)] = 0.0
    recompute: bool = False


class DirectMap(Term):
    """The losses of mapped predictions of source tasks to the labels of target tasks.

    Source: MTPSL section 3.2, L_ct(m_{s->t}(prediction of s), label of t) in place of eq. 4's terms:
    (1/|U|) sum over s in U, t in T. Gradients reach the mapping and, through it, the prediction of s.

    Deviation: L_ct is the cosine distance, which is constant for maps of one channel, such as depth. Here the loss is
    the target task's own, with its weight in the objective.
    """

    allowed: Tensor

    def __init__(self, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__()
        self.options, self.names = options, list(tasks)
        self.register_buffer("allowed", allowed_pairs(self.names, options.listed, "direct_map"), persistent=False)
        self.maps = CrossMaps(tasks, self.allowed, options.width, recompute=options.recompute)

    def groups(self) -> Sequence[RateGroup]:
        """The mappings."""
        return [RateGroup(list(self.maps.parameters()), self.options.learning_rate)] if len(self.names) > 1 else []

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle("direct_map", data, pairs=True, unlabelled=self.options.sources == "unlabelled")

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The loss [b]; 0 for images without a pair."""
        options = self.options
        pairs = pairs_of(targets_present(step.batch.targets, self.names), self.allowed, options.sources)
        losses = direct_losses(self.maps, step, pairs)
        return {"direct": options.weight * by_image(step, pairs, losses, divide=options.divide)}


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> DirectMap:
    """Build the term."""
    return DirectMap(tasks, options)
