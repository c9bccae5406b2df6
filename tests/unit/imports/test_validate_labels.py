"""Laws of what is refused: each fault with its sentence, and nothing changed."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelgrid.annotate import answer_folder
from labelgrid.annotate.answers import ImportRefused
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics.progress import Silent
from labelgrid.formats import arrays
from labelgrid.images import png
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_numbers import DRAWN
from labelgrid.imports.validate_labels import validate_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.ledger.store import Store
from labelgrid.operations.cancel import unlabel
from labelgrid.operations.export import export_labels
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef
from tests.campaigns import copy, make_project, manifest, put, refusal
from tests.support import Made

ZEROS, CELL = np.zeros((16, 24), np.uint8), "[0000.jpg, {}]"


@pytest.mark.parametrize(
    ("task", "pixels", "sentence"),
    [
        (
            "depth",
            np.ones((8, 24), np.uint16),
            "The label is 8x24, its image is 16x24 (height x width).",
        ),
        (
            "semseg",
            ZEROS + 4,
            "It holds indices without a class: 4 (384 pixels): its 4 classes are 0 to 3.",
        ),
        (
            "semseg",
            ZEROS + 255,
            "All-invalid label: none of its 384 pixels is valid (not labelled are 255).",
        ),
        ("depth", ZEROS + 9, "The depth is 16x24 uint8, and its scale is not declared."),
        ("depth", ZEROS.astype(np.uint16), "All-invalid label: none of its 384 pixels is valid"),
    ],
)
def test_a_wrong_label_is_refused_with_its_sentence(
    project: ProjectFolder, tmp_path: Path, task: str, pixels: np.ndarray, sentence: str
) -> None:
    put(tmp_path / "answers", Cell("0000.jpg", task), pixels)
    (fault,) = refusal(project, tmp_path / "answers").rows
    assert fault.where == f"{task}/0000.jpg.png"
    assert fault.cell == Cell("0000.jpg", task)
    assert fault.what.startswith(sentence)
    assert fault.next_step


def test_a_time_that_a_connector_gives_is_checked(project: ProjectFolder, answered: Path) -> None:
    answers = answer_folder.read_answers(answered, ProjectIndex(project.store, project.tasks()))
    first, *others = answers.labels
    for seconds in (-1.0, float("nan"), 1e6):
        answers.labels = [replace(first, seconds=seconds), *others]
        found = validate_labels(project, answers, split=None, replace=False, progress=Silent())
        (fault,) = found.faults
        assert (fault.where, fault.cell) == (
            first.where,
            first.cell,
        ) and "The label's time is" in fault.what


def test_an_annotator_that_a_connector_gives_is_checked(
    project: ProjectFolder, answered: Path
) -> None:
    answers = answer_folder.read_answers(answered, ProjectIndex(project.store, project.tasks()))
    first, *others = answers.labels
    answers.labels = [replace(first, annotator="two\nlines"), *others]
    result = validate_labels(project, answers, split=None, replace=False, progress=Silent())
    (fault,) = result.faults
    assert (fault.where, fault.cell) == (first.where, first.cell)
    assert fault.what.startswith("The annotator is 'two\\nlines'; it must be one line")


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        (
            "depth/0000.npy",
            np.full((16, 24), np.nan),
            "All-invalid label: none of its 384 pixels is valid (numbers",
        ),
        (
            "depth/0000.npy",
            np.full((16, 24), np.inf, np.float32),
            "All-invalid label: none of its 384 pixels is",
        ),
        (
            "normals/0000.npy",
            np.full((16, 24, 3), 0.3, np.float32),
            "384 of 384 normals are not of unit length",
        ),
        (
            "normals/0000.npy",
            np.zeros((16, 24, 3), np.float32),
            "All-invalid label: none of its 384 pixels is valid",
        ),
    ],
)
def test_a_wrong_array_is_refused_with_its_sentence(
    made: Callable[..., Made], tmp_path: Path, name: str, array: np.ndarray, sentence: str
) -> None:
    data = made(n=1, tasks=("depth", "normals"), size=(16, 24))
    path = tmp_path / "answers" / name
    path.parent.mkdir(parents=True)
    np.save(path, array)
    with make_project(tmp_path / "project", data) as project:
        (fault,) = refusal(project, tmp_path / "answers").rows
    assert fault.what.startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The label file is empty: 0 bytes. Export it again."),
        (b"\x89PNG\r\n\x1a\nhalf", "The label file is damaged or cut short"),
        (b"GIF89a", "its name ends in .png, but its content is GIF."),
    ],
)
def test_a_damaged_file_is_refused(
    project: ProjectFolder, tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "answers" / "depth" / "0000.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert sentence in str(refusal(project, tmp_path / "answers"))


def test_every_fault_is_listed_and_one_is_enough_to_refuse_all(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    put(answered / "labels", Cell("0001.jpg", "depth"), ZEROS)
    put(answered, Cell("0009.jpg", "depth"), ZEROS)
    put(answered, Cell("0001.jpg", "dept"), ZEROS)
    (answered / "labels/semseg/0002.png").write_bytes(b"")
    (answered / "skips.csv").write_text("request_id,reason\nr9-nothing,dark\n")
    refused = refusal(project, answered)
    assert [fault.where for fault in refused.rows] == [
        *(
            "dept/0001.jpg.png",
            "depth/0009.jpg.png",
            "labels/depth/0001.jpg.png",
            "labels/depth/0001.png",
        ),
        *("labels/semseg/0002.png", "skips.csv line 2"),
    ]
    assert (
        "labels/depth/0001.png [0001.jpg, depth]: labels/depth/0001.jpg.png answers the same cell."
        in str(refused)
    )
    assert str(refused).startswith(f"The import has 6 faults ({answered}).")
    assert str(refused).endswith(
        "Fix them and run the same command again.\n"
        "  Or import all others without them: add --leave-out. Nothing was imported."
    )


def test_a_label_and_a_skip_for_one_cell_are_refused(
    project: ProjectFolder, answered: Path
) -> None:
    row = manifest(answered)[0]
    (answered / "skips.csv").write_text(f"request_id,reason\n{row['request_id']},dark\n")
    (fault,) = refusal(project, answered).rows
    assert fault.what == f"{row['path']} answers the same cell."


def test_a_stale_line_of_skips_does_not_stop_later_imports(
    project: ProjectFolder, answered: Path, tmp_path: Path
) -> None:
    import_labels(project, answered)
    row = manifest(answered)[0]
    (answered / row["path"]).unlink()
    (answered / "skips.csv").write_text(f"request_id,reason\n{row['request_id']},dark\n")
    before = list(project.store.events())
    import_labels(project, answered)  # the cell has a label
    cell = Cell(row["image"], row["task"])
    project.store.move(
        [Move(cell=cell, to=State.MISSING)]
    )  # the label is withdrawn: no open request has the line's id
    import_labels(project, answered)
    assert list(project.store.events())[len(before) :] == [project.store.history(cell)[-1]]
    (tmp_path / "late").mkdir()
    shutil.copy(answered / "skips.csv", tmp_path / "late")
    done = import_labels(project, tmp_path / "late")  # only such lines
    assert done.closed == ("skips.csv line 2",) and str(done).endswith(
        "request is not open any more: skips.csv line 2."
    )
    (answered / "skips.csv").write_text("request_id,reason\nnobody,dark\n")
    assert "The project has no request 'nobody'" in str(refusal(project, answered))


def test_a_withdrawn_label_is_refused_until_it_is_taken_back(
    project: ProjectFolder, data: Made
) -> None:
    import_labels(project, data.labels)
    cell, other = Cell(data.names[0], "depth"), Cell(data.names[1], "depth")
    assert unlabel(project, [f"{cell.image_id}:depth"]) == [cell]
    (fault,) = refusal(project, data.labels).rows
    assert (fault.cell, fault.what) == (cell, "This label was withdrawn.")
    assert fault.next_step == "Leave the file out, or use --replace to take the label back."
    spent = project.store.spent()
    assert import_labels(project, data.labels, replace=True).tasks["depth"].new == 1
    assert project.store.spent() == spent  # it was paid when it was imported first
    assert import_labels(project, data.labels).tasks["depth"].unchanged == 3
    copy(data.label(data.names[1], "depth"), data.label(data.names[0], "depth"))
    unlabel(project, [f"{name.image_id}:depth" for name in (cell, other)])
    (fault,) = refusal(project, data.labels).rows
    assert fault.cell == other  # the other file is a new label


def test_an_image_whose_size_the_ledger_does_not_know_is_measured(
    project: ProjectFolder, data: Made
) -> None:
    rows = [row.__class__(image_id=row.image_id, root=row.root) for row in project.store.images()]
    project.store.update_images(rows)
    put(data.labels, Cell("0000.jpg", "depth"), np.ones((8, 24), np.uint16))
    (data.labels / "depth/0000.png").unlink()
    (fault,) = refusal(project, data.labels).rows
    assert "The label is 8x24, its image is 16x24" in fault.what


def test_labels_put_their_images_into_a_split_with_their_groups(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=6, tasks=("depth",), size=(8, 8), group=2)
    with make_project(tmp_path / "project", data, group="room") as project:
        copy(data.label(data.names[0], "depth"), tmp_path / "answers/depth/room_00/0000.png")
        import_labels(project, tmp_path / "answers", split="val")
        splits = {row.image_id: row.split for row in project.store.images()}
        assert [name for name, split in splits.items() if split == "val"] == list(data.names[:2])
        (fault,) = refusal(project, tmp_path / "answers", split="test").rows[:1]
        assert fault.what == "The image has labels in the split 'val'; it cannot move to 'test'."


def test_a_held_out_image_stays_held_out(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=2, tasks=("depth",), size=(8, 8))
    with make_project(tmp_path / "project", data, {data.names[0]: "heldout"}) as project:
        (fault,) = refusal(project, data.labels, split="train").rows
        assert (
            str(fault)
            == "0000.jpg: The image is held out; it cannot move to 'train'. Leave out --split."
        )
        import_labels(project, data.labels)
        assert project.store.image(data.names[0]).split == "heldout"


def test_a_label_of_another_size_is_refused_before_it_is_decoded(
    project: ProjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "answers"
    (folder / "depth").mkdir(parents=True)
    (folder / "semseg").mkdir()
    Image.new("I;16", (12_000, 9_000)).save(folder / "depth/0000.png", compress_level=1)
    Image.new("F", (100, 100)).save(folder / "depth/0001.tiff")
    monkeypatch.setattr(png, "check_png", lambda _: pytest.fail("the pixels were read"))
    monkeypatch.setattr(arrays, "_pillow", lambda *_, **__: pytest.fail("the pixels were read"))
    text = str(refusal(project, folder))
    assert (
        "depth/0000.png [0000.jpg, depth]: The label is 9000x12000, its image is 16x24 (height x width)."
        in text
    )
    assert (
        "depth/0001.tiff [0001.jpg, depth]: The label is 100x100, its image is 16x24 (height x width)."
        in text
    )


def test_a_label_of_the_image_s_shape_but_not_its_size_is_refused_with_the_option_to_resample(
    project: ProjectFolder, tmp_path: Path
) -> None:
    put(tmp_path / "answers", Cell("0000.jpg", "depth"), np.ones((10, 15), np.uint16))
    put(tmp_path / "answers", Cell("0001.jpg", "depth"), np.ones((10, 16), np.uint16))
    alike, other = refusal(project, tmp_path / "answers").rows
    assert 'declare `resample = "nearest"`' in alike.next_step
    assert "depth --set 'resample=\"nearest\"'" in alike.next_step
    assert "resample" not in other.next_step


@pytest.mark.parametrize("name", ["a.png", "a.npy"])
def test_a_label_that_is_resampled_is_kept_at_its_image_s_size(
    project: ProjectFolder, tmp_path: Path, name: str
) -> None:
    change_task(project, "depth", TaskChange({"resample": "nearest"}), Silent())
    stored = np.random.default_rng(0).integers(500, 5000, (10, 15)).astype(np.uint16)
    stored[3, 4] = 0
    path = tmp_path / "answers/depth" / f"0000.jpg{Path(name).suffix}"
    path.parent.mkdir(parents=True)
    if name == "a.png":
        Image.fromarray(stored).save(path)
    else:
        np.save(path, stored / 1000)
    assert import_labels(project, tmp_path / "answers", accept=True).tasks["depth"].new == 1
    (row,) = project.store.cells(state=State.LABELLED)
    label = project.tasks()["depth"].read(project.inside(row.path))
    for y in range(16):
        for x in range(24):
            near = stored[int((y + 0.5) * 10 / 16), int((x + 0.5) * 15 / 24)]
            assert label.valid[y, x] == (near > 0)
            assert label.value[y, x, 0] == pytest.approx(near / 1000)
    assert import_labels(project, tmp_path / "answers", accept=True).tasks["depth"].unchanged == 1


def test_a_turned_label_is_not_resampled(project: ProjectFolder, tmp_path: Path) -> None:
    change_task(project, "depth", TaskChange({"resample": "nearest"}), Silent())
    put(tmp_path / "answers", Cell("0000.jpg", "depth"), np.ones((24, 16), np.uint16))
    (fault,) = refusal(project, tmp_path / "answers").rows
    assert fault.what.startswith("The label is 24x16, its image is 16x24")
    assert "resample" not in fault.next_step


def test_labels_are_decoded_once_even_those_that_are_drawn_and_no_image_is_asked_for_alone(
    made: Callable[..., Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    read = TaskDef.read
    monkeypatch.setattr(
        TaskDef,
        "read",
        lambda task, path, *size: (decoded.append(path), read(task, path, *size))[1],
    )
    monkeypatch.setattr(Store, "image", lambda *_, **__: pytest.fail("one query an image"))
    data = made(n=DRAWN + 2, size=(16, 24), tasks=("semseg", "depth", "normals"))
    with make_project(tmp_path / "project", data) as project:
        import_labels(project, data.labels)
        times = Counter(Counter(decoded).values())
        assert times == {1: (DRAWN + 2) * 3}
        export_labels(project, tmp_path / "out")


LEAVE_OUT = ImportOptions(leave_out=True)


def test_what_is_wrong_is_left_out_and_named_and_no_cell_with_a_fault_is_labelled(
    project: ProjectFolder, tmp_path: Path
) -> None:
    good = np.full((16, 24), 1500, np.uint16)
    answers = tmp_path / "answers"
    put(answers, Cell("0000.jpg", "depth"), good)
    put(answers, Cell("0001.jpg", "depth"), np.zeros((16, 24), np.uint16))
    put(answers, Cell("0002.jpg", "depth"), good)
    (answers / "labels/depth/0002.png").parent.mkdir(parents=True)
    shutil.copyfile(answers / "depth/0002.jpg.png", answers / "labels/depth/0002.png")
    refused = refusal(project, answers)
    assert "add --leave-out" in str(refused)
    tried = import_labels(project, answers, options=LEAVE_OUT, accept=True, dry_run=True)
    done = import_labels(project, answers, options=LEAVE_OUT, accept=True)
    assert done.left_out == tried.left_out == refused.rows and done.tasks["depth"].new == 1
    rows = project.store.cells(state=State.LABELLED)
    assert [row.cell for row in rows] == [Cell("0000.jpg", "depth")]
    assert "Left out, since it is wrong:" in str(done)
    for fault in refused.rows:
        assert fault.where in str(done)


def test_where_nothing_is_right_nothing_is_left_out(project: ProjectFolder, tmp_path: Path) -> None:
    put(tmp_path / "answers", Cell("0001.jpg", "depth"), np.zeros((16, 24), np.uint16))
    assert "leave-out" not in str(refusal(project, tmp_path / "answers"))
    with pytest.raises(ImportRefused):
        import_labels(project, tmp_path / "answers", options=LEAVE_OUT)


def test_more_than_are_shown_are_in_a_file_until_the_next_import(
    project: ProjectFolder, tmp_path: Path
) -> None:
    put(tmp_path / "answers", Cell("0000.jpg", "depth"), np.full((16, 24), 1500, np.uint16))
    for number in range(30):
        put(tmp_path / "answers", Cell(f"other{number}.jpg", "depth"), np.ones((3, 4), np.uint16))
    done = import_labels(project, tmp_path / "answers", options=LEAVE_OUT, accept=True)
    listed = Path(done.left_out_list)
    assert len(listed.read_text().splitlines()) == len(done.left_out) == 30
    assert str(listed) in str(done)
    shutil.rmtree(tmp_path / "answers")
    put(tmp_path / "answers", Cell("0000.jpg", "depth"), np.full((16, 24), 1500, np.uint16))
    import_labels(project, tmp_path / "answers", accept=True)
    assert not listed.exists()
