"""Laws of what `status` says of cameras."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.ledger.grid import ImageRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_cameras import camera_status, camera_step
from labelgrid.project.settings import Oracle
from tests.campaigns import make_project
from tests.support import make_dataset

CHANGES = {"relations": {"depth_normals": {"trust": 1.0}}}


@pytest.fixture
def project(tmp_path: Path) -> ProjectFolder:
    """A project of two images of 48x64, one of 64x48, and one whose size is unknown."""
    made = make_dataset(
        tmp_path / "made", n=3, size=[(48, 64), (64, 48)], tasks=("depth", "normals")
    )
    project = make_project(tmp_path / "flat", made)
    project.store.add_images([ImageRow(image_id="x.jpg", root=str(made.images))])
    return project


def text(project: ProjectFolder) -> str:
    values = camera_status(project)
    assert values is not None and values["images"] == 4
    return f"{values['known']}: {values['text']}"


def test_nothing_is_said_without_a_file_and_a_relation_that_needs_one(
    project: ProjectFolder,
) -> None:
    assert camera_status(project) is None
    off = {"relations": {"depth_normals": {"trust": 0.0}}}
    project.settings = replace(project.settings, changes=off)
    assert camera_status(project) is None


def test_a_relation_without_a_camera_names_the_file_to_write(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, changes=CHANGES)
    said = text(project)
    assert said.startswith("0: camera: unknown, and the relation 'depth_normals' needs it. Write")
    assert f"{project.folder}/camera.toml" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("field_of_view = 66.0", "4: camera: 66° across for all images."),
        ("fx = 5\nsize = [480, 640]", "3: camera: known for 3 of 4 images."),
        ('["kitchen/"]\nfield_of_view = 66.0', "0: camera: known for 0 of 4 images."),
        ("exif = true", "0: camera: known for 0 of 4 images; that of others by their EXIF data"),
        ("fov = 66.0", "0: camera: fov: unknown key"),
    ],
)
def test_images_with_a_known_camera_are_counted(
    project: ProjectFolder, content: str, said: str
) -> None:
    (project.folder / "camera.toml").write_text(content)
    assert text(project).startswith(said)


def test_a_wrong_recipe_is_said_and_stops_no_status(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, recipe="missing.toml")
    assert "There is no recipe 'missing.toml'" in text(project)


def test_a_simulated_campaign_is_sent_to_its_data_set(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, oracle=Oracle("folder", "rooms"), changes=CHANGES)
    assert camera_status(project) is None
    assert "rooms/camera.toml" in camera_step(project)
