"""Lists the pairs of tasks of a batch's images: a source, whose prediction is used, and a target, whose label is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.errors import RecipeError
from labelgrid.train.joint_options import Sources
from labelgrid.train.objective import half_to_float


@dataclass(frozen=True)
class Pairs:
    """The pairs of a batch, each an image and two different tasks, by number.

    Args:
        image: [p], the image's place in the batch.
        source: [p].
        target: [p].
        divisors: [b], the number of source tasks of each image, at least 1 (|U| of MTPSL eqs. 3 and
            4).
    """

    image: Tensor
    source: Tensor
    target: Tensor
    divisors: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def images_of(self, task: int) -> tuple[Tensor, Tensor]:
        """The images in which a task is a source, and those in which it is a target."""
        return torch.unique(self.image[self.source == task]), torch.unique(
            self.image[self.target == task]
        )

    def of_another_image(self) -> Tensor:
        """For each pair the next one of the same two tasks, which has another image, [p].

        Itself if there is none.

        Example:
            >>> none = torch.zeros(3, dtype=torch.long)
            >>> Pairs(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 2]), none, none).of_another_image()
            tensor([1, 0, 2])
        """
        tasks = torch.stack([self.source, self.target], 1)
        others = torch.arange(len(self), device=tasks.device)
        for pair in torch.unique(tasks, dim=0):
            rows = (tasks == pair).all(1).nonzero()[:, 0]
            others[rows] = rows.roll(-1)
        return others

    def per_image(self, values: Tensor) -> Tensor:
        """The sums [b] over each image's pairs of values [p]."""
        return values.new_zeros(len(self.divisors)).index_add(0, self.image, values)


def pairs_of(present: Tensor, allowed: Tensor, sources: Sources) -> Pairs:
    """The pairs of a batch.

    Args:
        present: bool [b, t], True where an image has a task's label.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that are used.
        sources: the tasks whose predictions are used.

    Example:
        >>> pairs = pairs_of(torch.tensor([[True, False, False]]), listed("abc", [], ""), "unlabelled")
        >>> pairs.source.tolist(), pairs.target.tolist(), pairs.divisors.tolist()
        ([1, 2], [0, 0], [2])
    """
    predicted = torch.ones_like(present) if sources == "all" else ~present
    image, source, target = (predicted[:, :, None] & present[:, None] & allowed).nonzero(
        as_tuple=True
    )
    return Pairs(image, source, target, predicted.sum(1).clamp(min=1))


def allowed_pairs(names: Sequence[str], pairs: Sequence[Sequence[str]], term: str) -> Tensor:
    """Bool [t, t]: True for the listed pairs of a source and a target.

    For all of two tasks if none is listed.

    Raises:
        RecipeError: a pair is not one of two different tasks.
    """
    allowed = torch.full((len(names), len(names)), not pairs).fill_diagonal_(fill_value=False)
    for pair in pairs:
        if len(pair) != 2 or len({*pair}) != 2 or not {*pair} <= {*names}:
            raise RecipeError(
                f"terms.{term}.listed has {list(pair)}, which is not a pair of two tasks.",
                next_step=f"The tasks are: {', '.join(names)}.",
                unchanged="Nothing was trained.",
            )
        allowed[names.index(pair[0]), names.index(pair[1])] = True
    return allowed


def distance(first: Tensor, second: Tensor) -> Tensor:
    """1 - cosine over the channels of maps [m, c, h, w], the mean over their places: [m].

    1 where a vector is 0.

    Source: MTPSL section 3.2, L_ct and R. As in the released code it is the distance at each place,
    not of one vector an image.
    """
    return 1 - functional.cosine_similarity(half_to_float(first), half_to_float(second), 1).mean(
        (1, 2)
    )
