"""120 photographs of one's own: labels of nine tools come in by one command each, and go out and back."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests.contracts.test_connectors import annotator
from tests.e2e.commands import done
from tests.photographs import TOOLS, VOID, Photograph, make_photographs, png
from tests.campaigns import ask
from tests.support import CLASSES

COUNT = 120


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Photograph]]:
    """A folder with `photos`, and the project `new` of them, to copy."""
    folder = tmp_path_factory.mktemp("own")
    photographs = make_photographs(folder / "photos", COUNT)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    task = f"semseg:{folder / 'classes.txt'}"
    said = done("init", folder / "new", "--images", folder / "photos", "--task", task)
    assert f"{COUNT} images" in said.out
    return folder, photographs


@pytest.fixture
def project(made: tuple[Path, list[Photograph]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0] / "new", tmp_path / "project"))


def labels(project: Path) -> Mapping[str, np.ndarray]:
    """The pixels of the label file of each image."""
    with ProjectFolder.open(project) as opened:
        paths = {row.cell.image_id: opened.inside(row.path) for row in opened.store.cells()}
    return {name: np.asarray(Image.open(path)) for name, path in paths.items()}


def assert_same(project: Path, photographs: list[Photograph]) -> None:
    found = labels(project)
    assert found.keys() == {photograph.name for photograph in photographs}
    for photograph in photographs:
        np.testing.assert_array_equal(found[photograph.name], photograph.truth, photograph.name)


@pytest.mark.parametrize("name", TOOLS)
def test_labels_of_a_tool_come_in_by_one_command_pixel_by_pixel(
    made: tuple[Path, list[Photograph]], project: Path, tmp_path: Path, name: str
) -> None:
    tool = TOOLS[name]
    (tmp_path / "from-tool").mkdir()
    answer = tool.write(made[1], tmp_path / "from-tool")
    done("import", project, answer, *tool.options)
    assert_same(project, made[1])
