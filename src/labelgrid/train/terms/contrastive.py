"""Contrastive loss: in a joint space of two tasks, maps of one image are nearer than maps of two.

A further loss in place of MTPSL's consistency and regulariser. Each pair needs a further image with
the same two tasks in the batch.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.joint_space import Codes, JointTerm
from labelgrid.train.pairs import distance
from labelgrid.train.term_options import JointOptions, Weight


@dataclass(frozen=True)
class Options(JointOptions):
    """MTPSL's Contrastive-Loss; the paper gives neither the margin nor the weight.

    Args:
        weight: the weight of the loss.
        margin: the margin by which the maps of one image should be nearer. With 0 (the paper) a
            constant mapping is best.
    """

    weight: Weight = 1.0
    margin: Annotated[float, Field(ge=0, le=2)] = 0.5


class Contrastive(JointTerm):
    """A hinge by which maps of the same image are nearer than maps of two images of the batch.

    It is max(0, d(m(y_s), m(y_t)) - d(m(y'_s), m(y_t)) + margin), with the prediction y'_s for
    another image; d is the cosine distance of L_ct. Pairs without another image do not count.

    Source: MTPSL section 3.2, "Alternative loss and regularization strategies".
    """

    plugin = "contrastive"
    options: Options
    across_images = True

    def compared(self, codes: Codes) -> Tensors:
        """Compute the hinge of each pair, [p]; 0 for pairs without another image."""
        others = codes.pairs.of_another_image()
        near = distance(codes.sources, codes.targets)
        far = distance(codes.sources[others], codes.targets)
        counts = codes.pairs.image[others] != codes.pairs.image
        hinges = (near - far + self.options.margin).clamp(min=0)
        return {"hinge": self.options.weight * counts * hinges}


def build(tasks: Tasks, network: Network, options: Options) -> Contrastive:
    """Build the term."""
    return Contrastive(tasks, network, options)
