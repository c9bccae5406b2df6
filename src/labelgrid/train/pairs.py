"""Lists pairs of tasks of a batch's images: the prediction of a source, the label of a target."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.basics.errors import RecipeError
from labelgrid.train.objective import half_to_float
from labelgrid.train.term_options import Sources


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
        """Return the images with a task as a source, and the images with it as a target."""
        as_source = torch.unique(self.image[self.source == task])
        as_target = torch.unique(self.image[self.target == task])
        return as_source, as_target

    def of_another_image(self) -> Tensor:
        """Find for each pair the next pair of the same two tasks, which has another image, [p].

        It is the pair itself if there is none.

        Example:
            >>> none = torch.zeros(3, dtype=torch.long)
            >>> pairs = Pairs(torch.tensor([0, 1, 1]), torch.tensor([1, 1, 2]), none, none)
            >>> pairs.of_another_image()
            tensor([1, 0, 2])
        """
        tasks = torch.stack([self.source, self.target], 1)
        others = torch.arange(len(self), device=tasks.device)
        for pair in torch.unique(tasks, dim=0):
            rows = (tasks == pair).all(1).nonzero()[:, 0]
            others[rows] = rows.roll(-1)
        return others

    def per_image(self, values: Tensor) -> Tensor:
        """Sum values [p] over each image's pairs: [b]."""
        return values.new_zeros(len(self.divisors)).index_add(0, self.image, values)


def pairs_of(present: Tensor, allowed: Tensor, sources: Sources) -> Pairs:
    """List the pairs of a batch.

    Args:
        present: bool [b, t], True where an image has a task's label.
        allowed: bool [t, t], True for the sources (rows) and targets (columns) that are used.
        sources: the tasks whose predictions are used.

    Example:
        >>> allowed = allowed_pairs("abc", [], "")
        >>> pairs = pairs_of(torch.tensor([[True, False, False]]), allowed, "unlabelled")
        >>> pairs.source.tolist(), pairs.target.tolist(), pairs.divisors.tolist()
        ([1, 2], [0, 0], [2])
    """
    predicted = torch.ones_like(present) if sources == "all" else ~present
    is_pair = predicted[:, :, None] & present[:, None] & allowed
    image, source, target = is_pair.nonzero(as_tuple=True)
    return Pairs(image, source, target, predicted.sum(1).clamp(min=1))


def allowed_pairs(names: Sequence[str], pairs: Sequence[Sequence[str]], term: str) -> Tensor:
    """Return where a source and a target are a listed pair, bool [t, t].

    All pairs of two tasks are allowed if none is listed.

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
    """Compute 1 - cosine over the channels of maps [m, c, h, w], the mean over their places: [m].

    It is 1 where a vector is 0.

    Source: MTPSL section 3.2, L_ct and R. As in the released code it is the distance at each place,
    not of one vector an image.
    """
    cosines = functional.cosine_similarity(half_to_float(first), half_to_float(second), 1)
    return 1 - cosines.mean((1, 2))
