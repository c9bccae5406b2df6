"""Imports of files with a systematic fault are refused with numbers and a picture, and accepted with `--accept`."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.basics.progress import Silent
from labelgrid.formats.naming import label_name
from labelgrid.imports.import_doubts import SHEET, DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, State, TaskRow
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask, copy, make_project, put
from tests.support import Made, make_dataset

Fault = Callable[[Any], Any]
TASKS = ("semseg", "depth", "normals", "edges", "saliency")


def flip(channel: int) -> Fault:
    """Flip a channel of OpenCV's normals: z, y, x."""
    return lambda pixels: np.where(np.arange(3) == channel, 255 - pixels, pixels).astype(np.uint8)


FAULTS: dict[str, tuple[str, Fault]] = {
    "whole metres": ("depth", lambda mm: np.rint(mm / 1000).astype(np.uint16)),
    "millimetres as floats": ("depth", lambda mm: mm.astype(np.float32)),
    "x flipped": ("normals", flip(2)),
    "y flipped": ("normals", flip(1)),
    "z flipped": (
        "normals",
        lambda pixels: np.hstack([pixels[:, :28], flip(0)(pixels[:, 28:])]),
    ),  # the format sees more
    "BGR": ("normals", lambda pixels: pixels[..., ::-1]),
    "x and y exchanged": ("normals", lambda pixels: pixels[..., [0, 2, 1]]),
    "classes swapped": (
        "semseg",
        lambda index: np.choose(np.minimum(index, 4), [1, 0, 2, 3, 255]).astype(np.uint8),
    ),
    "edges inverted": ("edges", lambda pixels: 255 - pixels),
}
#: What a first batch shows by itself, given the other labels of its images.
AT_ONCE = (
    "whole metres",
    "millimetres as floats",
    "x flipped",
    "y flipped",
    "z flipped",
    "BGR",
    "x and y exchanged",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Only read."""
    folder = tmp_path_factory.mktemp("suspicion") / "made"
    return make_dataset(folder, n=24, size=(48, 64), tasks=TASKS)


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", data) as project:
        yield project


def batch(
    data: Made, folder: Path, names: Any, tasks: tuple[str, ...] = TASKS, fault: str = ""
) -> Path:
    """Labels of some images, with a fault in those of one task."""
    wrong, change = FAULTS.get(fault, ("", None))
    for name in names:
        for task in tasks:
            if change is None or task != wrong:
                copy(data.label(name, task), folder / task / f"{name}.png")
                continue
            pixels = change(cv2.imread(str(data.label(name, task)), cv2.IMREAD_UNCHANGED))
            if pixels.dtype == np.float32:
                np.save(copy(data.label(name, task), folder / task / f"{name}.npy"), pixels)
            else:
                put(folder, Cell(name, task), pixels)
    return folder


@pytest.fixture(scope="module")
def earlier(data: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with all labels of twelve images, which no test changes."""
    folder = tmp_path_factory.mktemp("earlier")
    with make_project(folder / "project", data) as project:
        import_labels(project, batch(data, folder / "old", data.names[:12]))
        return project.folder


@pytest.mark.parametrize("fault", AT_ONCE)
def test_a_wrong_first_batch_is_refused(
    project: ProjectFolder, data: Made, tmp_path: Path, fault: str
) -> None:
    folder = batch(data, tmp_path / "new", data.names[:8], fault=fault)
    with pytest.raises(DoubtedImport) as caught:
        import_labels(project, folder)
    assert not list(project.store.cells())
    assert any(FAULTS[fault][0] in str(row) for row in caught.value.rows)
    assert "--accept" in str(caught.value) and str(project.folder / SHEET) in str(caught.value)


@pytest.mark.parametrize(
    "fault", sorted(FAULTS.keys() - {"x flipped"})
)  # these scenes are alike from left to right
def test_a_wrong_batch_is_refused_beside_earlier_labels(
    earlier: Path, data: Made, tmp_path: Path, fault: str
) -> None:
    task = FAULTS[fault][0]
    wrong = batch(data, tmp_path / "new", data.names[12:], tasks=(task,), fault=fault)
    copied = shutil.copytree(earlier, tmp_path / "project")
    with ProjectFolder.open(copied) as project, pytest.raises(DoubtedImport) as caught:
        import_labels(project, wrong)
    assert {row.where for row in caught.value.rows} == {task}


def test_good_batches_are_accepted(project: ProjectFolder, data: Made, tmp_path: Path) -> None:
    for start in range(0, 24, 6):
        done = import_labels(
            project, batch(data, tmp_path / str(start), data.names[start : start + 6])
        )
        assert all(tally.new == 6 for tally in done.tasks.values())
    assert not (project.folder / SHEET).exists()


def test_the_picture_shows_labels_of_the_import_and_earlier_ones(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, batch(data, tmp_path / "old", data.names[:12]))
    folder = batch(
        data, tmp_path / "new", names=data.names[12:], tasks=("depth",), fault="whole metres"
    )
    with pytest.raises(DoubtedImport):
        import_labels(project, folder)
    assert cv2.imread(str(project.folder / SHEET)) is not None


def test_accept_imports_them_and_removes_the_picture(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = batch(
        data, tmp_path / "new", names=data.names[:8], tasks=("depth",), fault="whole metres"
    )
    with pytest.raises(DoubtedImport):
        import_labels(project, folder)
    assert import_labels(project, folder, accept=True).tasks["depth"].new == 8
    assert not (project.folder / SHEET).exists()


def test_labels_that_replace_wrong_ones_are_not_compared_with_them(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    wrong = batch(
        data,
        tmp_path / "wrong",
        names=data.names[:12],
        tasks=("depth",),
        fault="millimetres as floats",
    )
    import_labels(project, wrong, accept=True)
    right = batch(data, tmp_path / "right", data.names[:12], ("depth",))
    assert import_labels(project, right, replace=True).tasks["depth"].replaced == 12


def test_labels_that_are_in_the_project_are_not_judged_again(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    wrong = batch(
        data,
        tmp_path / "wrong",
        names=data.names[:12],
        tasks=("depth",),
        fault="millimetres as floats",
    )
    import_labels(project, wrong, accept=True)
    assert import_labels(project, wrong).tasks["depth"].unchanged == 12


def test_normals_contradict_depth_that_was_imported_before(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, batch(data, tmp_path / "old", data.names[:5], ("depth",)))
    with pytest.raises(DoubtedImport, match="contradict depth of the same 5 images along x"):
        import_labels(
            project,
            batch(
                data, tmp_path / "new", names=data.names[:5], tasks=("normals",), fault="x flipped"
            ),
        )


def predicted(
    project: ProjectFolder, data: Made, names: Any, number: int, task: str = "normals"
) -> None:
    """Request labels in a round, with right ones as the model's predictions."""
    ask(project, [Cell(name, task) for name in names], number=number)
    for name in names:
        kept = label_name(name, ".png", whole=True)
        copy(data.label(name, task), project.round_folder(number) / "prelabels" / task / kept)


def test_classes_in_another_order_than_in_predictions_are_refused_without_earlier_labels(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    names = data.names[:4]
    predicted(project, data, names, 1, task="semseg")
    wrong = batch(data, tmp_path / "new", names, tasks=("semseg",), fault="classes swapped")
    with pytest.raises(DoubtedImport) as caught:
        import_labels(project, wrong)
    (row,) = caught.value.rows
    assert "than in the model's predictions" in row.what
    assert "'wall' like 'floor'" in row.what and "'floor' looks like 'wall'" in row.what
    right = batch(data, tmp_path / "right", names, tasks=("semseg",))
    assert import_labels(project, right).tasks["semseg"].predicted == 4


def test_labels_that_show_nothing_contradict_no_image(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "made", n=12, size=(96, 128), tasks=("saliency",))
    for name in data.names:
        put(tmp_path / "new", Cell(name, "saliency"), np.zeros((96, 128), np.uint8))
    with make_project(tmp_path / "project", data) as project:
        assert import_labels(project, tmp_path / "new").tasks["saliency"].new == 12


def test_labels_that_show_nothing_are_refused_where_earlier_ones_all_show_something(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, batch(data, tmp_path / "old", data.names[:12], ("edges",)))
    for name in data.names[12:]:
        put(tmp_path / "new", Cell(name, "edges"), np.zeros((48, 64), np.uint8))
    with pytest.raises(DoubtedImport, match="12 labels show nothing") as caught:
        import_labels(project, tmp_path / "new")
    (row,) = caught.value.rows
    assert row.where == "edges"
    for name in data.names[19:]:
        (tmp_path / "new" / "edges" / f"{name}.png").unlink()
    assert import_labels(project, tmp_path / "new").tasks["edges"].new == 7


def test_labels_that_contradict_good_predictions_are_refused(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "made", n=12, size=(48, 64), tasks=("normals",))
    with make_project(tmp_path / "project", data) as project:
        predicted(project, data, data.names[:8], 2)
        import_labels(project, batch(data, tmp_path / "old", data.names[:8], ("normals",)))
        predicted(project, data, data.names[8:], 3)
        wrong = batch(
            data, tmp_path / "new", names=data.names[8:], tasks=("normals",), fault="x flipped"
        )
        with pytest.raises(
            DoubtedImport,
            match="contradict the model's predictions of the same 4 images along x",
        ):
            import_labels(project, wrong)


def test_an_earlier_label_that_changed_does_not_stop_an_import(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    import_labels(project, batch(data, tmp_path / "old", data.names[:9], ("depth",)))
    row = next(project.store.cells(state=State.LABELLED, task="depth"))
    (project.folder / row.path).write_bytes(b"")
    assert (
        import_labels(project, batch(data, tmp_path / "new", data.names[9:], ("depth",)))
        .tasks["depth"]
        .new
        == 15
    )


def test_a_missing_image_leaves_the_rest_of_the_picture(data: Made, tmp_path: Path) -> None:
    folder = batch(
        data, tmp_path / "new", names=data.names[:8], tasks=("depth",), fault="whole metres"
    )
    copied = Made(tmp_path / "made", data.names, data.rows)
    shutil.copytree(data.images, copied.images)
    with make_project(tmp_path / "project", copied) as project:
        shutil.rmtree(copied.images)
        with pytest.raises(DoubtedImport) as refused:
            import_labels(project, folder)
        assert cv2.imread(str(project.folder / SHEET)) is not None
    assert SHEET in str(refused.value) and "depth" in str(refused.value)


@pytest.mark.nyuv2
def test_real_depth_and_normals_agree_and_flipped_ones_do_not(nyuv2: Path, tmp_path: Path) -> None:
    names = tuple(path.name for path in sorted((nyuv2 / "images").glob("*.jpg"))[::40][:10])
    made = Made(nyuv2, names, (TaskRow("depth", "depth", 1.0), TaskRow("normals", "normals", 1.0)))
    for name in names:
        for task, folder in (("depth", "good"), ("normals", "good"), ("depth", "bad")):
            copy(
                (nyuv2 / task / name).with_suffix(".png"), tmp_path / folder / task / f"{name}.png"
            )
        pixels = cv2.imread(str((nyuv2 / "normals" / name).with_suffix(".png")))
        put(tmp_path / "bad", Cell(name, "normals"), flip(2)(pixels))
    with make_project(tmp_path / "project", made) as project:
        with pytest.raises(DoubtedImport, match=r"along x \(right\): agreement -0"):
            import_labels(project, tmp_path / "bad")
        assert import_labels(project, tmp_path / "good").tasks["normals"].new == 10


def test_comparing_labels_loads_no_torch() -> None:
    code = "import sys, labelgrid.imports.import_doubts, labelgrid.drawings.contact_sheet; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("fault", "axes"),
    [
        ("x flipped", "x left, y up, z toward the camera"),
        ("BGR", "x toward the camera, y up, z right"),
        ("x and y exchanged", "x up, y right, z toward the camera"),
    ],
)
def test_of_the_48_axes_the_one_that_agrees_with_depth_is_named_and_cures(
    project: ProjectFolder, data: Made, tmp_path: Path, fault: str, axes: str
) -> None:
    import_labels(project, batch(data, tmp_path / "old", data.names[:8], ("depth",)))
    wrong = batch(data, tmp_path / "new", data.names[:8], ("normals",), fault)
    with pytest.raises(DoubtedImport) as caught:
        import_labels(project, wrong)
    assert f"with `axes = \"{axes}\"` of 'normals'" in str(caught.value)
    change_task(project, "normals", TaskChange({"axes": axes}), Silent())
    assert import_labels(project, wrong).tasks["normals"].new == 8


def test_mirrored_labels_are_not_said_to_have_other_axes(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "made", n=16, size=(96, 128), tasks=("depth", "normals"))
    for name in data.names:
        for task in ("depth", "normals"):
            pixels = cv2.imread(str(data.label(name, task)), cv2.IMREAD_UNCHANGED)
            put(tmp_path / "new", Cell(name, task), np.ascontiguousarray(pixels[:, ::-1]))
    with (
        make_project(tmp_path / "project", data) as project,
        pytest.raises(DoubtedImport, match="lie mirrored left to right") as refused,
    ):
        import_labels(project, tmp_path / "new")
    assert "axes =" not in str(refused.value) and "slopes" not in str(refused.value)


def test_one_label_in_another_unit_is_refused_and_drawn_though_the_median_is_right(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = batch(data, tmp_path / "new", data.names[:12], tasks=("depth",))
    wrong = batch(data, folder, data.names[5:6], tasks=("depth",), fault="whole metres")
    for accepted in (False, True):
        if not accepted:
            with pytest.raises(DoubtedImport) as caught:
                import_labels(project, wrong)
            (row,) = caught.value.rows
            assert f"the median depth of {data.names[5]} is 0.00" in row.what
            assert "in 11 other labels (median)" in row.what
        else:
            assert import_labels(project, wrong, accept=True).tasks["depth"].new == 12


def test_edges_of_what_a_class_hides_are_usual_where_earlier_labels_have_them(
    tmp_path: Path,
) -> None:
    """Classes of things, and edges of all that is on the walls, too: a sixth of the images has much."""
    made = make_dataset(tmp_path / "made", n=48, size=(96, 128), tasks=("semseg", "edges"))
    for name in made.names:
        index, lines = hidden_borders(int(name.split(".")[0]))
        cv2.imwrite(str(made.label(name, "semseg")), index)
        cv2.imwrite(str(made.label(name, "edges")), lines)
        cv2.imwrite(str(made.images / name), np.maximum(60 * index + 40, lines))
    tasks = ("semseg", "edges")
    with make_project(tmp_path / "project", made) as project:
        first = batch(made, tmp_path / "first", made.names[:24], tasks)
        with pytest.raises(DoubtedImport, match="do not follow each other in a part of 4 images"):
            import_labels(project, first)
        import_labels(project, first, accept=True)
        more = import_labels(project, batch(made, tmp_path / "more", made.names[24:], tasks))
    assert more.tasks["semseg"].new == 24


def hidden_borders(number: int) -> tuple[Any, Any]:
    """A class map and the edges of an image; a wall in every sixth one has lines of its own."""
    draw = np.random.default_rng(number)
    index = np.zeros((96, 128), np.uint8)
    for _ in range(3):
        top, left = (int(draw.integers(48, 78)), int(draw.integers(0, 100)))
        index[top : top + 16, left : left + 24] = 1 + int(draw.integers(2))
    lines = np.zeros((96, 128), np.uint8)
    lines[:, 1:] = index[:, 1:] != index[:, :-1]
    lines[1:] |= index[1:] != index[:-1]
    if number % 6 == 0:
        lines[4:44:5, 4:124] = 1
    return index, lines * np.uint8(255)
