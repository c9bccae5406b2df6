"""Computes the uncertainty of each task on each image with a deep ensemble.

It is made of networks that are trained under different seeds. The further networks are trained on
the round's labels with the model's recipe before the pool is scored; a stopped training resumes.
The uncertainty of all networks' predictions is averaged over the image's pixels, as in `dropout`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from labelgrid.basics.array_types import AnyFloats
from labelgrid.basics.errors import ModelError
from labelgrid.score.maps import MOMENTS, Outputs, image_means
from labelgrid.score.measure_choices import At, Measure
from labelgrid.score.statistic import FitContext, PoolBatch, Reads, TrainedStatistic
from labelgrid.score.table import Axis


@dataclass(frozen=True)
class Options:
    """A deep ensemble (Lakshminarayanan, Pritzel & Blundell 2017).

    Args:
        members: the number of networks, the round's own among them; `normals` needs at least 4.
        at: the pixels, as in `dropout`.
        measure: the measure of the networks' predictions: as in `dropout`.
        known: feed the known labels of other tasks in.
    """

    members: Annotated[int, Field(ge=2, le=100)] = 5
    at: At = "half"
    measure: Measure = "entropy"
    known: bool = True


class Ensemble(TrainedStatistic):
    """The mean over pixels of each task's uncertainty over the members.

    Entropies are in nats, variances in the values' unit squared. The members are found in the model
    by the digests of their weights: another statistic may have trained further networks.
    """

    axis: Axis = "cell"
    reads: Reads = "passes"

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.digests: list[str] = []

    @property
    def members(self) -> Sequence[str]:
        """The names of the further networks."""
        return [f"ensemble-{number:03d}" for number in range(1, self.options.members)]

    def setup(self, example: PoolBatch) -> None:
        """Build nothing: the members are networks of the model."""

    def fit(self, context: FitContext) -> None:
        """Train the members, or resume."""
        self.digests = [context.train_member(name).digest for name in self.members]

    def get_extra_state(self) -> list[str]:
        """The digests of the members' weights, which are saved with the scores."""
        return self.digests

    def set_extra_state(self, state: Any) -> None:
        """Find the members of saved scores again."""
        self.digests = list(state)

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The mean uncertainties of a batch, float64 [b, t]."""
        passes = batch.passes(partial(self._outputs, batch))
        make = MOMENTS[self.options.measure]
        return image_means(
            passes, batch.tasks, frames=batch.batch.frames, make=make, at=self.options.at
        )

    def _outputs(self, batch: PoolBatch) -> Outputs:
        model = batch.model
        networks = {member.digest: member.network for member in (model, *model.members)}
        lost = set(self.digests) - networks.keys()
        if lost:
            raise ModelError(
                f"{len(lost)} of the ensemble's {len(self.digests)} further networks are not in "
                "the round's folder.",
                next_step="Run `labelgrid fit` and `labelgrid score` again.",
                unchanged="Nothing was scored.",
            )
        known_labels = batch.known if self.options.known else None
        raws = [batch.decoded(self.options.known).final]
        raws += [
            networks[digest](batch.batch.images, known_labels).final for digest in self.digests
        ]
        return Outputs(raws)


def build(seed: int, options: Options) -> Ensemble:
    """Build the uncertainty of a deep ensemble."""
    return Ensemble(options)
