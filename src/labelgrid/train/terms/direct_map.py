"""Direct-Map: an unlabelled task's prediction, mapped to a labelled task, agrees with its label.

Each mapping is a network of its own for an ordered pair of tasks. Their cost and memory grow with
the number of pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.cross_maps import CrossMapTerm, direct_losses, sum_by_image
from labelgrid.train.idle_terms import SOURCES_ALL, say_if_idle
from labelgrid.train.objective import targets_present
from labelgrid.train.pairs import pairs_of
from labelgrid.train.term import Preparation, RateGroup, Step
from labelgrid.train.term_options import CrossMapOptions, OwnRate, Sources


@dataclass(frozen=True)
class Options(CrossMapOptions):
    """Whose predictions are mapped, and how the mappings learn (MTPSL section 3.2).

    Args:
        sources: whose predictions are mapped: the `"unlabelled"` tasks', or `"all"` (full
            supervision).
        learning_rate: the learning rate of the mappings; 0: the training's.
    """

    sources: Sources = "unlabelled"
    learning_rate: OwnRate = 0.0


class DirectMap(CrossMapTerm):
    """The losses of mapped predictions of source tasks to the labels of target tasks.

    Source: MTPSL section 3.2, L_ct(m_{s->t}(prediction of s), label of t) in place of eq. 4's
    terms: (1/|U|) sum over s in U, t in T. Gradients reach the mapping and, through it, the
    prediction of s.

    Deviation: L_ct is the cosine distance, which is constant for maps of one channel, such as
    depth. Here the loss is the target task's own, with its weight in the objective.
    """

    plugin = "direct_map"
    options: Options

    def groups(self) -> Sequence[RateGroup]:
        """Return the mappings; none with one task."""
        if len(self.names) < 2:
            return []
        return [RateGroup(list(self.maps.parameters()), self.options.learning_rate)]

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        options = self.options
        say_if_idle(
            "direct_map",
            data,
            unlabelled=options.sources == "unlabelled",
            remedy=SOURCES_ALL,
            listed=options.listed,
            pairs=partial(pairs_of, sources=options.sources),
        )

    def loss(self, step: Step) -> Tensors:
        """Compute the loss [b]; 0 for images without a pair."""
        options = self.options
        present = targets_present(step.batch.targets, self.names)
        pairs = pairs_of(present, self.allowed, options.sources)
        losses = direct_losses(self.maps, step, pairs)
        return {"direct": options.weight * sum_by_image(step, pairs, losses, divide=options.divide)}


def build(tasks: Tasks, network: Network, options: Options) -> DirectMap:
    """Build the term."""
    return DirectMap(tasks, options)
