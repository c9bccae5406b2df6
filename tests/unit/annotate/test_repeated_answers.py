"""Of several answers for one cell none is taken until somebody says which."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answers import Answer, Answers, ImportRefused, Skip
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions, Keep
from labelgrid.annotate.label_studio_json import answers_of
from labelgrid.annotate.repeated_answers import keep_one, repeated_faults
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_sources import Source
from labelgrid.ledger.grid import Cell
from labelgrid.operations.export import export
from labelgrid.project.folder import ProjectFolder
from tests.annotators import coco, cvat, label_studio
from tests.annotators import folder as plain_folder
from tests.campaigns import ask, cells_of, make_project, states
from tests.support import Made, make_dataset

CELL = Cell("a.jpg", "depth")
OTHER = Cell("b.jpg", "depth")


def skips(*places: tuple[str, str]) -> Answers:
    return Answers(skips=[Skip(CELL, where, where, made) for where, made in places])


@pytest.mark.parametrize(
    ("places", "order"),
    [
        ([("b.json", ""), ("a.json", "")], ["a.json", "b.json"]),
        ([("task 12", ""), ("task 9", "")], ["task 9", "task 12"]),
        ([("1" * 5000, ""), ("9" * 4999, "")], ["9" * 4999, "1" * 5000]),
        ([("task 9", "2026-02-01"), ("task 12", "2026-01-01")], ["task 12", "task 9"]),
        ([("b.json", "2026-01-01"), ("a.json", "")], ["a.json", "b.json"]),
    ],
)
def test_the_order_is_that_of_times_or_else_of_names(
    places: list[tuple[str, str]], order: list[str]
) -> None:
    answers = skips(*places)
    answers.skips.append(Skip(OTHER, "other", "other"))
    (fault,) = repeated_faults(answers)
    assert (fault.where, fault.what) == (order[1], f"{order[0]} answers the same cell.")
    assert "--keep first or --keep last" in fault.next_step
    for keep, kept in (("first", order[0]), ("last", order[-1])):
        chosen = keep_one(answers, keep)  # type: ignore[arg-type]
        assert [skip.reason for skip in chosen.skips] == [kept, "other"]
        assert not list(repeated_faults(chosen))


def test_a_note_says_which_answers_were_kept() -> None:
    cells = [Cell(f"{number}.jpg", "depth") for number in range(4)]
    both = Answers(notes=["Upright."])
    for cell in cells:
        both.skips += [Skip(cell, "a.zip", "dark"), Skip(cell, "z.json", "far")]
    first = Answers(skips=both.skips[:2])
    assert keep_one(first, "first").notes == ["1 cell had two answers; kept a.zip: 0.jpg:depth."]
    assert keep_one(both, "last").notes == [
        "Upright.",
        "4 cells had two answers; kept z.json: 0.jpg:depth, z.json: 1.jpg:depth, "
        "z.json: 2.jpg:depth, and 1 more.",
    ]
    both.skips.append(Skip(cells[0], "b.json", "far"))
    assert keep_one(both, "last").notes[1].startswith("4 cells had several answers; kept z.json")
    assert keep_one(Answers(skips=[both.skips[0]]), "last").notes == []


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("places", [("a.json", "b.json"), ("b.json", "a.json")])
def test_a_skip_counts_only_where_nobody_drew(keep: Keep, places: tuple[str, str]) -> None:
    label = Answer(cell=CELL, where=places[0], label=Path("a.png"))
    both = Answers(labels=[label], skips=[Skip(CELL, places[1], "dark")])
    assert list(repeated_faults(both))
    chosen = keep_one(both, keep)
    assert (chosen.labels, chosen.skips) == ([label], [])
    assert chosen.notes == [f"1 cell had two answers; kept {places[0]}: a.jpg:depth."]


@pytest.mark.parametrize(
    "tool", [plain_folder, label_studio, coco, cvat], ids=lambda tool: tool.CONNECTOR
)
@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("skipping", [0, 1])
def test_of_a_label_and_a_skip_in_two_deliveries_the_label_is_kept(
    project: ProjectFolder, made: Made, tmp_path: Path, *, tool: Any, keep: Keep, skipping: int
) -> None:
    cell = min(row.cell for row in project.store.cells())
    request_id = project.store.find([cell])[cell].request_id
    label = {request_id: made.label(cell.image_id, cell.task)}
    sources: list[Source] = []
    for number in range(2):
        out = tmp_path / str(number)
        export(project, out, tool=tool.CONNECTOR)
        skips = {request_id: "too dark"} if number == skipping else {}
        sources.append(tool.answer(out, {} if skips else label, skips))
    done = import_labels(project, sources, options=ImportOptions(keep=keep))
    assert states(project)[cell] == "labelled"
    kept = str(sources[1 - skipping])
    assert any("had two answers; kept" in note and kept in note for note in done.notes)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=2, size=(8, 12), tasks=("semseg",))


@pytest.fixture
def project(tmp_path: Path, made: Made) -> ProjectFolder:
    project = make_project(tmp_path / "project", made)
    ask(project, cells_of(made), 1)
    return project


def two_answers(project: ProjectFolder, made: Made, tool: Any, out: Path) -> list[Path]:
    """The folders of two answers to one request, the second with all classes one further."""
    sent = []
    for number in range(2):
        labels: dict[str, Path] = {}
        for row in project.store.cells():
            label = made.label(row.cell.image_id, row.cell.task)
            labels[row.request_id] = label
            if number:
                pixels = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
                shifted = np.where(pixels == 255, 255, (pixels + 1) % 4).astype(np.uint8)
                labels[row.request_id] = made.root / "second" / label.name
                (made.root / "second").mkdir(exist_ok=True)
                assert cv2.imwrite(str(labels[row.request_id]), shifted)
        folder = out / str(number)
        export(project, folder, tool=tool.CONNECTOR)
        sent.append(tool.answer(folder, labels, {}))
    return sent


def json_files(folders: list[Path], name: str, out: Path) -> Path:
    out.mkdir()
    for number, folder in enumerate(folders):
        shutil.copyfile(folder / name, out / f"answers-{number}.json")
    return out


def cvat_zips(folders: list[Path], out: Path) -> Path:
    out.mkdir()
    for number, folder in enumerate(folders):
        part = folder / "answers" / "semseg-1"
        shutil.make_archive(str(out / f"task_{number}"), "zip", part)
    return out


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("tool", [label_studio, coco, cvat], ids=lambda tool: tool.CONNECTOR)
def test_of_two_files_with_answers_for_one_cell_keep_chooses(
    project: ProjectFolder, made: Made, tmp_path: Path, tool: Any, keep: Keep
) -> None:
    folders = two_answers(project, made, tool, tmp_path / "sent")
    if tool is cvat:
        answer = cvat_zips(folders, tmp_path / "answer")
    else:
        names = {"coco": "annotations/instances_answers.json", "label_studio": "answers.json"}
        answer = json_files(folders, names[tool.CONNECTOR], tmp_path / "answer")
    with pytest.raises(ImportRefused, match=r"answers the same cell.*--keep first or --keep last"):
        import_labels(project, answer)
    assert set(states(project).values()) == {"requested"}
    import_labels(project, answer, options=ImportOptions(keep=keep))
    for row in project.store.cells():
        pixels = cv2.imread(str(project.inside(row.path)), cv2.IMREAD_UNCHANGED)
        expected = made.label(row.cell.image_id, "semseg")
        if keep == "last":
            expected = made.root / "second" / expected.name
        assert np.array_equal(pixels, cv2.imread(str(expected), cv2.IMREAD_UNCHANGED))


def test_of_two_tasks_of_one_server_the_one_that_was_answered_later_can_be_kept(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    folders = two_answers(project, made, label_studio, tmp_path / "sent")
    tasks = []
    for number, folder in enumerate(folders):
        task = json.loads((folder / "answers.json").read_text())[0]
        task["annotations"][0]["created_at"] = f"2026-01-0{2 - number}T00:00:00Z"
        tasks.append({**task, "id": 9 + 3 * number})
    index = ProjectIndex(project.store, project.tasks())
    answers = answers_of({"": iter(tasks)}, index)
    (fault,) = repeated_faults(answers)
    assert fault.where == "task 9" and fault.what == "task 12 answers the same cell."
    assert [label.where for label in keep_one(answers, "last").labels] == ["task 9"]
    assert replace(answers, labels=[]) == Answers()
