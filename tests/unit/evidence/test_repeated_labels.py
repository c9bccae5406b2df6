"""A file that is the label of several images is doubted, unless it shows nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import make_project
from tests.support import Made, make_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Only read."""
    folder = tmp_path_factory.mktemp("repeated") / "made"
    return make_dataset(folder, n=4, size=(16, 24), tasks=("depth", "saliency"))


@pytest.fixture
def project(made: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", made) as opened:
        yield opened


def copies(made: Made, folder: Path, *names: str) -> Path:
    """The first image's depth as the label of several images."""
    (folder / "depth").mkdir(parents=True)
    for name in names:
        target = (folder / "depth" / name).with_suffix(".png")
        shutil.copyfile(made.label(made.names[0], "depth"), target)
    return folder


def test_a_file_for_several_images_is_doubted(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    with pytest.raises(DoubtedImport) as refused:
        import_labels(project, copies(made, tmp_path / "a", *made.names[1:]))
    assert f"1 file was used for 3 images: {made.names[1]}" in str(refused.value)


def test_a_file_that_an_earlier_import_used_is_doubted(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    import_labels(project, copies(made, tmp_path / "a", made.names[0]))
    import_labels(project, copies(made, tmp_path / "b", made.names[0]))
    with pytest.raises(DoubtedImport, match=f"images: {made.names[0]}, {made.names[2]}"):
        import_labels(project, copies(made, tmp_path / "c", made.names[2]))


def test_empty_maps_may_be_the_same(project: ProjectFolder, made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "saliency"
    folder.mkdir()
    for name in made.names:
        Image.fromarray(np.zeros((16, 24), np.uint8)).save((folder / name).with_suffix(".png"))
    import_labels(project, tmp_path)
