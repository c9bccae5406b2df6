"""Laws of squares: about as many as asked for, nearly square, whatever the size."""

import numpy as np
import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.regions.maker import ImageToDivide, build_maker


def unread() -> np.ndarray:
    raise AssertionError("squares need no pixel")


def squares(size: tuple[int, int], count: int):
    image = ImageToDivide(image_id="a.jpg", size=size, read=unread)
    return build_maker("squares", {"count": count}).make(image)


@pytest.mark.parametrize("size", [(480, 640), (1, 500), (500, 1), (1, 1), (37, 53), (7, 3000)])
@pytest.mark.parametrize("count", [1, 2, 40, 1000])
def test_there_are_about_as_many_as_asked_for(size, count):
    partition = squares(size, count)
    most = min(count, size[0] * size[1])
    assert 0.5 * most <= partition.count <= 1.5 * most
    assert partition.areas.sum() == size[0] * size[1]


def test_they_are_nearly_square_and_of_nearly_one_size():
    partition = squares((480, 640), 40)
    sides = [
        (rows.stop - rows.start, columns.stop - columns.start) for rows, columns in partition.boxes
    ]
    assert all(0.8 <= height / width <= 1.25 for height, width in sides)
    assert partition.areas.max() <= 1.05 * partition.areas.min()


def test_the_most_are_as_many_as_16_bits_hold():
    assert squares((400, 400), 65_535).count <= 65_535
    with pytest.raises(RecipeError, match="count must be from 1 to 65535"):
        build_maker("squares", {"count": 65_536})
