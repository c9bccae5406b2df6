"""Reads the share of a class from the statistic of all classes."""

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Floats

#: The statistic with the share of each image's pixels that is predicted as each class.
CLASSES = "classes"


def shares_of_class(statistic: AnyFloats, tasks: int, column: int, number: int) -> Floats:
    """The share [n] of a class in each image; 0 where the statistic has no such class.

    The statistic is [n, tasks * c], task after task; `column` is the number of the class's task,
    and `number` that of the class in its task.

    Example:
        >>> shares_of_class(np.array([[0.2, 0.8, 0.0, 1.0]]), 2, 0, 1)
        array([0.8])
    """
    width = statistic.shape[1] // tasks
    if number >= width:
        return np.zeros(len(statistic))
    return statistic[:, column * width + number].astype(np.float64)
