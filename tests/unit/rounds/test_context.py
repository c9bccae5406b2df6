"""Laws of the cameras of a project's images: an image that is gone has none, and each is found once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.context import context_of
from tests.projects import make_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    project, _ = make_project(tmp_path, n=4, tasks=("depth",))
    with project:
        yield project


def test_exif_of_a_file_that_is_gone_is_no_camera(project: ProjectFolder) -> None:
    (project.folder / "camera.toml").write_text("exif = true")
    cameras = context_of(project).cameras
    row = next(project.store.images(("train",)))
    (Path(row.root) / row.image_id).unlink()
    assert not cameras.is_known(row.image_id)
    assert cameras.size(row.image_id) == (row.height, row.width)


def test_a_camera_is_in_the_pixels_of_its_image(project: ProjectFolder) -> None:
    (project.folder / "camera.toml").write_text("fx = 60\nsize = [32, 64]\n")
    cameras = context_of(project).cameras
    for row in project.store.images(("train",)):
        camera = cameras.camera(row.image_id)
        assert (camera is not None) == ((row.height, row.width) == (32, 64))
        assert cameras.camera(row.image_id) is camera
