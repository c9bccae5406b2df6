"""Laws of declared fractions of an image's size: what could never be labelled is refused before anything is made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create, extend
from labelgrid.project.settings import Settings
from tests.support import Made

FAR = TaskRow("far", "depth", 1.0, {"stride": 4})
FAULT = r"The stride of 'far', 4, does not divide the sides of 1 of 3 images; the first is '0001.jpg' of 18x24"


@pytest.fixture
def photos(made: Callable[..., Made]) -> Made:
    return made(n=3, tasks=("depth",), size=[(16, 24), (18, 24), (16, 24)])


def test_init_refuses_a_stride_that_an_image_s_sides_are_no_multiples_of(
    photos: Made, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match=FAULT) as caught:
        create.create(
            tmp_path / "flat", [photos.images], tasks=[FAR], settings=Settings(), progress=Silent()
        )
    assert caught.value.unchanged == "Nothing was made." and not (tmp_path / "flat").exists()


def test_add_refuses_such_a_task_and_such_images(photos: Made, tmp_path: Path) -> None:
    odd = photos.images / "0001.jpg"
    content = odd.read_bytes()
    with create.create(
        tmp_path / "flat",
        [photos.images],
        tasks=[*photos.rows],
        settings=Settings(),
        progress=Silent(),
    ) as project:
        with pytest.raises(ImageError, match=FAULT):
            extend.add(project, [], tasks=[FAR], check="full", progress=Silent())
        assert [row.name for row in project.store.tasks()] == ["depth"]
    odd.unlink()
    with create.create(
        tmp_path / "even", [photos.images], tasks=[FAR], settings=Settings(), progress=Silent()
    ) as project:
        odd.write_bytes(content)
        with pytest.raises(ImageError, match=FAULT):
            extend.add(project, [photos.images], tasks=[], check="full", progress=Silent())
        assert project.store.count_images() == 2


def test_images_of_unknown_size_pass(photos: Made, tmp_path: Path) -> None:
    create.create(
        tmp_path / "flat",
        [photos.images],
        tasks=[FAR],
        settings=Settings(),
        progress=Silent(),
        check="none",
    ).close()
