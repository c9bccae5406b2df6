"""Labels whose outlines do not follow the edges of their images are doubted, and the cause is named."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from labelgrid.evidence.edge_agreement import on_grid
from labelgrid.evidence.edge_evidence import EdgeEvidence
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from tests.campaigns import make_project
from tests.support import Made

COVERS = [
    "labelgrid.evidence.edge_agreement",
    "labelgrid.tasks.outlines",
]
CLASSES = ("wall", "floor", "box", "door", "lamp")
SIZE = (96, 128)
COUNT = 20
Index = NDArray[np.uint8]


def draw(number: int) -> tuple[NDArray[np.uint8], Index]:
    """A photograph of coloured things with noise, and its class map."""
    rng = np.random.default_rng(number)
    index = np.zeros(SIZE, np.uint8)
    for _ in range(6):
        points = rng.integers((0, 0), (SIZE[1], SIZE[0]), (4, 2)).astype(np.int32)
        cv2.fillConvexPoly(index, cv2.convexHull(points), int(rng.integers(1, len(CLASSES))))
    colours = rng.integers(30, 220, (len(CLASSES), 3))
    photograph = colours[index] + rng.normal(0, 8, (*SIZE, 3))
    return np.clip(photograph, 0, 255).astype(np.uint8), index


def names() -> tuple[str, ...]:
    return tuple(f"{number:04d}.jpg" for number in range(COUNT))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Only read."""
    root = tmp_path_factory.mktemp("edges") / "made"
    (root / "images").mkdir(parents=True)
    for number, name in enumerate(names()):
        Image.fromarray(draw(number)[0]).save(root / "images" / name, quality=92)
    return root


def project(root: Path, folder: Path) -> ProjectFolder:
    row = TaskRow("semseg", "semseg", 1.0, {"classes": list(CLASSES)})
    return make_project(folder, Made(root, names(), (row,)))


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Iterator[ProjectFolder]:
    with project(folder, tmp_path / "project") as made:
        yield made


def write(folder: Path, change: Callable[[int], Index], count: int = COUNT) -> Path:
    (folder / "semseg").mkdir(parents=True)
    for number, name in enumerate(names()[:count]):
        label = np.ascontiguousarray(change(number))
        Image.fromarray(label).save((folder / "semseg" / name).with_suffix(".png"))
    return folder


WRONG: dict[str, tuple[Callable[[int], Index], str]] = {
    "mirrored": (lambda number: draw(number)[1][:, ::-1], "lie mirrored left to right"),
    "upside down": (lambda number: draw(number)[1][::-1, ::-1], "lie upside down"),
    "top to bottom": (lambda number: draw(number)[1][::-1], "lie mirrored top to bottom"),
    "shifted": (lambda number: np.roll(draw(number)[1], 20, 1), "% too far right"),
    "exchanged": (lambda number: draw((number + 1) % COUNT)[1], "with the next image"),
    "of nothing": (lambda number: draw(number + 500)[1], "do not follow the edges"),
}


@pytest.mark.parametrize("sort", WRONG)
def test_wrong_labels_are_doubted_and_the_cause_is_named(
    sort: str, opened: ProjectFolder, tmp_path: Path
) -> None:
    change, cause = WRONG[sort]
    with pytest.raises(DoubtedImport) as refused:
        import_labels(opened, write(tmp_path / "labels", change))
    assert cause in str(refused.value), str(refused.value)
    assert sum(" agree (" in str(row) for row in refused.value.rows) == (sort != "of nothing")
    assert ("drawn loosely" in str(refused.value)) == (sort == "of nothing")


def in_pairs(number: int) -> Index:
    """The label of the image five before or after, so that each pair has its labels exchanged."""
    return draw(number + 5 if number % 10 < 5 else number - 5)[1]


def test_labels_that_are_exchanged_in_pairs_are_named_with_each_other(
    opened: ProjectFolder, tmp_path: Path
) -> None:
    with pytest.raises(DoubtedImport) as refused:
        import_labels(opened, write(tmp_path / "labels", in_pairs, count=10))
    (row,) = refused.value.rows
    assert "once labels are exchanged: 0000.jpg with 0005.jpg, 0001.jpg with 0006.jpg, " in row.what


def loose(number: int) -> tuple[NDArray[np.uint8], Index]:
    """A photograph of small things with noise, and boxes around them that are far too wide."""
    rng = np.random.default_rng(number)
    photograph = np.clip(rng.normal(110, 30, (128, 128, 3)), 0, 255).astype(np.uint8)
    boxes = np.zeros((128, 128), np.uint8)
    for _ in range(6):
        x, y, side = (int(n) for n in rng.integers((4, 4, 5), (110, 110, 13)))
        photograph[y : y + side, x : x + side] = rng.integers(120, 255)
        boxes[max(0, y - 4) : y + side + 4, max(0, x - 4) : x + side + 4] = 1
    return photograph, boxes


def test_boxes_drawn_loosely_are_not_said_to_be_shifted(tmp_path: Path) -> None:
    (tmp_path / "made/images").mkdir(parents=True)
    for number, name in enumerate(names()):
        Image.fromarray(loose(number)[0]).save(tmp_path / "made/images" / name, quality=92)
    labels = write(tmp_path / "labels", lambda number: loose(number)[1])
    with (
        project(tmp_path / "made", tmp_path / "project") as made,
        pytest.raises(DoubtedImport, match="do not follow the edges") as refused,
    ):
        import_labels(made, labels)
    assert "too far" not in str(refused.value) and "drawn loosely" in str(refused.value)


def test_of_one_file_for_all_images_only_that_is_said(
    opened: ProjectFolder, tmp_path: Path
) -> None:
    with pytest.raises(DoubtedImport, match=f"1 file was used for {COUNT} images") as refused:
        import_labels(opened, write(tmp_path / "labels", lambda number: draw(500)[1]))
    assert len(refused.value.rows) == 1, str(refused.value)


def twice(first: int, second: int, shown: int) -> Callable[[int], Index]:
    """Right labels, but those of two images are the same: that of a third, or of one of them."""
    return lambda number: draw(shown if number in (first, second) else number)[1]


def test_of_one_file_for_two_images_the_one_that_it_fits_worse_is_said(
    opened: ProjectFolder, tmp_path: Path
) -> None:
    for right, wrong in ((3, 7), (7, 3)):
        folder = tmp_path / str(right)
        with pytest.raises(DoubtedImport, match="1 file was used for 2 images") as refused:
            import_labels(opened, write(folder, twice(3, 7, right)))
        text = str(refused.value)
        assert f"It follows the edges of {names()[right]} (agreement " in text
        assert f", and those of {names()[wrong]} less (" in text
        assert "with --keep last" in text and "`import --replace`" in text
        assert "class numbers" not in text


def test_of_one_file_that_fits_neither_image_nothing_more_is_said(
    opened: ProjectFolder, tmp_path: Path
) -> None:
    with pytest.raises(DoubtedImport, match="1 file was used for 2 images") as refused:
        import_labels(opened, write(tmp_path / "labels", twice(3, 7, 500)))
    assert "follows the edges" not in str(refused.value)


def test_right_labels_are_not_doubted(opened: ProjectFolder, tmp_path: Path) -> None:
    import_labels(opened, write(tmp_path / "labels", lambda number: draw(number)[1]))


def test_few_labels_say_nothing(opened: ProjectFolder, tmp_path: Path) -> None:
    labels = write(tmp_path / "labels", lambda number: draw(number + 500)[1], count=2)
    import_labels(opened, labels)


@pytest.mark.parametrize(
    ("orientation", "lie"), [(2, "mirrored left to right"), (3, "upside down")]
)
def test_labels_in_the_stored_orientation_of_their_photographs_are_named(
    tmp_path: Path, orientation: int, lie: str
) -> None:
    root = tmp_path / "made"
    (root / "images").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows = slice(None, None, -1 if orientation == 3 else 1)
    for number, name in enumerate(names()):
        stored = Image.fromarray(np.ascontiguousarray(draw(number)[0][rows, ::-1]))
        stored.save(root / "images" / name, quality=92, exif=exif)
    with project(root, tmp_path / "project") as made:
        with pytest.raises(DoubtedImport, match=f"EXIF orientation {orientation}") as refused:
            import_labels(made, write(tmp_path / "stored", lambda n: draw(n)[1][rows, ::-1]))
        assert lie in str(refused.value)
        import_labels(made, write(tmp_path / "upright", lambda number: draw(number)[1]))


def test_where_earlier_labels_do_not_follow_edges_others_need_not(
    opened: ProjectFolder, tmp_path: Path
) -> None:
    labels = write(tmp_path / "labels", lambda number: draw(number + 500)[1])
    moved: list[Any] = sorted((labels / "semseg").iterdir())[10:]
    later = tmp_path / "later" / "semseg"
    later.mkdir(parents=True)
    for path in moved:
        path.rename(later / path.name)
    import_labels(opened, labels, accept=True)
    import_labels(opened, later.parent)


def test_both_images_of_labels_that_look_exchanged_are_noted(opened: ProjectFolder) -> None:
    outlines = {}
    for number, name in enumerate(names()[:10]):
        index = in_pairs(number)[..., None]
        outline = opened.tasks()["semseg"].outline(LabelArray(index, index[..., 0] < 255))
        assert outline is not None
        outlines[name] = on_grid(outline)
    (doubt,) = EdgeEvidence(ProjectLabels(opened)).doubts("semseg", outlines, names())
    first, second, *_ = doubt.notes.items()
    assert first == ("0000.jpg", "its label looks exchanged with that of 0005.jpg")
    assert second == ("0005.jpg", "its label looks exchanged with that of 0000.jpg")
    assert len(doubt.notes) == 10


@pytest.mark.parametrize("shape", [(240, 320), (333, 201), (30, 400), (320, 40), (700, 900)])
def test_the_grid_is_that_of_blurring_cutting_and_shrinking(shape: tuple[int, int]) -> None:
    outline = np.random.default_rng(0).random(shape, np.float32)
    scale = 320 / max(shape)
    size = (max(8, round(shape[1] * scale)), max(8, round(shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fine = cv2.GaussianBlur(cv2.resize(outline, size, interpolation=way), (0, 0), 2.0)
    border = min(6, min(fine.shape) // 4)
    local = (fine - cv2.GaussianBlur(fine, (0, 0), 20.0))[border:-border, border:-border]
    grid = cv2.resize(local, (77, 57), interpolation=cv2.INTER_AREA)
    wanted = (grid - grid.mean()) / grid.std()
    assert np.abs(on_grid(outline) - wanted.ravel()).max() < 1e-3


def test_no_thread_spins_after_a_grid_is_made() -> None:
    # NumPy's products of these sizes are divided among threads, which then spin for 30 ms each.
    outline = np.random.default_rng(0).random((240, 320), dtype=np.float32)
    on_grid(outline)
    own = time.thread_time()
    all_threads = time.process_time()
    for _ in range(20):
        on_grid(outline)
    own = time.thread_time() - own
    all_threads = time.process_time() - all_threads
    assert all_threads < 2 * own + 0.2
