"""Laws of what `status` says of cameras."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.ledger.grid import ImageRow
from labelgrid.operations.create import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.known_cameras import camera_status, camera_step
from labelgrid.project.settings import Oracle, Settings
from tests.campaigns import make_project
from tests.projects import Said
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


def taken(tmp_path: Path, content: str) -> tuple[ProjectFolder, str]:
    """A new project of images with this file beside their folder, and what was said."""
    made = make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    (made.root / "camera.toml").write_text(content)
    said = Said()
    project = create(
        tmp_path / "flat",
        [made.images],
        tasks=list(made.rows),
        settings=Settings(),
        progress=said,
    )
    return project, "".join(line for line in said.lines if "camera" in line)


def test_a_new_project_takes_the_cameras_beside_its_images(tmp_path: Path) -> None:
    project, said = taken(tmp_path, "field_of_view = 66.0\n")
    assert said == f"The cameras of {tmp_path}/made/camera.toml are the project's."
    assert (project.folder / "camera.toml").read_text() == "field_of_view = 66.0\n"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("zoom = 3", "camera.toml was not taken: zoom: unknown key"),
        ('table = "cameras.csv"', "camera.toml has a table of cameras: copy both into"),
    ],
)
def test_cameras_that_cannot_be_taken_are_said_and_stop_no_new_project(
    tmp_path: Path, content: str, fault: str
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "cameras.csv").write_text("image,fx\n0000.jpg,50\n")
    project, said = taken(tmp_path, content)
    assert fault in said and not (project.folder / "camera.toml").exists()


def test_a_simulated_campaign_is_sent_to_its_data_set(project: ProjectFolder) -> None:
    project.settings = replace(project.settings, oracle=Oracle("folder", "rooms"), changes=CHANGES)
    assert camera_status(project) is None
    assert "rooms/camera.toml" in camera_step(project)
