"""Labels that are valid and wrong in a systematic way stop a first import; right ones do not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.lab.scenes.maps import TASKS
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef
from tests.campaigns import make_project
from tests.rooms import room_labels
from tests.support import Made

SIZE = (96, 128)
#: Too few to say anything about an order of classes beside others; enough for all other checks.
COUNT = 10
NAMES = tuple(f"{number:04d}.png" for number in range(2 * COUNT))
ROWS = tuple(row for row in TASKS if row.name in ("semseg", "edges", "depth", "normals"))
Array = np.ndarray[Any, Any]
Change = Callable[[Array], Array]


def photograph(number: int) -> Array:
    """A picture of a room: a colour for each thing, shaded by where it faces, with noise."""
    labels = room_labels(number, SIZE)
    rng = np.random.default_rng(number)
    colours = rng.integers(40, 220, (256, 3))
    shade = 0.6 + 0.4 * labels["normals"].value @ np.array([0.3, 0.8, 0.5])
    picture = colours[labels["semseg"].value[..., 0]] * shade[..., None]
    picture = picture * (1 - 0.5 * labels["edges"].value) + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and right labels. Only read."""
    root = tmp_path_factory.mktemp("rooms")
    (root / "images").mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(photograph(number)).save(root / "images" / name)
        for row in ROWS:
            path = root / "labels" / row.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            TaskDef.of(row).write(path, room_labels(number, SIZE)[row.name])
    return root


@pytest.fixture
def project(rooms: Path, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", Made(rooms, NAMES, ROWS)) as project:
        yield project


def batch(rooms: Path, folder: Path, task: str, change: Change, first: int = 0) -> Path:
    """Labels of a task, changed as they are stored."""
    for name in NAMES[first : first + COUNT]:
        right = cv2.imread(str(rooms / "labels" / task / name), cv2.IMREAD_UNCHANGED)
        path = folder / task / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.ascontiguousarray(change(right)))
    return folder


def moved(label: Array) -> Array:
    """As labels of a picture that was padded by four pixels at the left."""
    return np.concatenate([label[:, :1].repeat(4, axis=1), label[:, :-4]], axis=1)


def letterboxed(label: Array) -> Array:
    found = np.zeros_like(label)
    found[:, 16:-16] = cv2.resize(label, (96, 96), interpolation=cv2.INTER_NEAREST)
    return found


def along_rays(label: Array) -> Array:
    """Depth along the rays of a camera with a view of 66°."""
    rows, columns = np.indices(label.shape)
    focal = 64 / np.tan(np.radians(33))
    squares = ((columns - 63.5) / focal) ** 2 + ((rows - 47.5) / focal) ** 2
    return np.rint(label * np.sqrt(1 + squares)).astype(np.uint16)


def inverted(label: Array) -> Array:
    return np.where(label > 0, np.rint(4e6 / np.maximum(label, 1)), 0).astype(np.uint16)


def vectors(order: tuple[int, int, int], flipped: int | None = None) -> Change:
    """Normals with other channels, of OpenCV's z, y, x; one of them flipped."""

    def change(label: Array) -> Array:
        turned = label[..., order].copy()
        if flipped is not None:
            turned[..., flipped] = np.iinfo(label.dtype).max - turned[..., flipped]
        return turned

    return change


def toward_camera(label: Array) -> Array:
    """One direction, of OpenCV's z, y, x."""
    return np.full_like(label, 0) + np.array([65535, 32768, 32768], label.dtype)


KINDS: dict[str, tuple[str, Change, str]] = {
    "classes shifted": ("semseg", moved, "% too far right"),
    "edges shifted": ("edges", moved, "% too far right"),
    "depth shifted": ("depth", moved, "% too far right"),
    "normals shifted": ("normals", moved, "% too far right"),
    "classes letterboxed": ("semseg", letterboxed, "borders of 12% at the left and right"),
    "depth letterboxed": ("depth", letterboxed, "borders of 12% at the left and right"),
    "edges letterboxed": ("edges", letterboxed, "borders of 12% at the left and right"),
    "classes upside down": ("semseg", lambda label: label[::-1], "mirrored top to bottom"),
    "one class": ("semseg", lambda label: np.full_like(label, 1), "10 labels show nothing"),
    "no edges": ("edges", np.zeros_like, "10 labels show nothing"),
    "wide edges": (
        "edges",
        lambda label: cv2.dilate(label, np.ones((9, 9), np.uint8)),
        "the width of the lines is",
    ),
    "a disparity": ("depth", inverted, "declare `disparity = true`"),
    "along rays": ("depth", along_rays, "distances along the rays of a camera"),
    "cut off": ("depth", lambda label: np.minimum(label, 2550), "look cut off at 2.55"),
    "bits moved": ("depth", lambda label: label << 3, "are multiples of 8"),
    "bytes exchanged": ("depth", lambda label: label.byteswap(), "Exchange the bytes"),
    "x and y exchanged": ("normals", vectors((0, 2, 1)), '"x up, y right, z toward the camera"'),
    "y down": ("normals", vectors((0, 1, 2), 1), '"x right, y down, z toward the camera"'),
    "one direction": ("normals", toward_camera, "10 labels show nothing"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_import_of_a_wrong_kind_is_stopped_and_says_what_to_do(
    project: ProjectFolder, rooms: Path, tmp_path: Path, kind: str
) -> None:
    task, change, says = KINDS[kind]
    with pytest.raises(DoubtedImport) as refused:
        import_labels(project, batch(rooms, tmp_path / "batch", task, change))
    assert any(row.where == task and says in row.what for row in refused.value.rows)
    assert "--accept" in str(refused.value) and "Nothing was imported" in str(refused.value)


@pytest.mark.parametrize("task", [row.name for row in ROWS])
def test_right_labels_are_imported(
    project: ProjectFolder, rooms: Path, tmp_path: Path, task: str
) -> None:
    for first in (0, COUNT):
        folder = batch(rooms, tmp_path / str(first), task, np.asarray, first)
        assert import_labels(project, folder).tasks[task].new == COUNT


@pytest.mark.parametrize("kind", ["classes shifted", "cut off", "along rays", "x and y exchanged"])
def test_what_is_said_once_and_accepted_is_not_said_of_the_next_batch(
    project: ProjectFolder, rooms: Path, tmp_path: Path, kind: str
) -> None:
    task, change, _ = KINDS[kind]
    import_labels(project, batch(rooms, tmp_path / "first", task, change), accept=True)
    done = import_labels(project, batch(rooms, tmp_path / "next", task, change, COUNT))
    assert done.tasks[task].new == COUNT


@pytest.mark.parametrize(
    ("task", "change", "shown"),
    [
        ("depth", lambda label: np.rint(label / 10).astype(np.uint16), "centimetres: "),
        ("depth", lambda label: label * 5, "1/256 m: "),
        ("normals", vectors((0, 1, 2), 2), "(left half -0."),
    ],
)
def test_what_no_first_import_can_tell_is_shown_by_a_number(
    project: ProjectFolder, rooms: Path, tmp_path: Path, task: str, change: Change, shown: str
) -> None:
    done = import_labels(project, batch(rooms, tmp_path / "batch", task, change))
    assert shown in done.numbers[task].text


def test_one_empty_map_among_others_is_no_doubt(
    project: ProjectFolder, rooms: Path, tmp_path: Path
) -> None:
    folder = batch(rooms, tmp_path / "batch", "edges", np.asarray)
    cv2.imwrite(str(folder / "edges" / NAMES[0]), np.zeros(SIZE, np.uint8))
    assert import_labels(project, folder).tasks["edges"].new == COUNT


def test_depth_of_another_scale_that_is_declared_may_be_in_large_steps(
    rooms: Path, tmp_path: Path
) -> None:
    row = TaskRow("depth", "depth", 1.0, {"scale": 0.000125})
    with make_project(tmp_path / "project", Made(rooms, NAMES, (row,))) as project:
        folder = batch(rooms, tmp_path / "batch", "depth", lambda label: label << 3)
        assert import_labels(project, folder).tasks["depth"].new == COUNT
