"""Laws of what leaves a project: requests, and all labels."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import ImageError, LedgerError, ProjectError, UsageError
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.export import export, export_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef
from tests.campaigns import ask, cells_of, copy, fill, ledger, make_project, manifest, put, states
from tests.support import Made, make_dataset


def listing(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_each_round_has_its_own_folder_and_one_named_takes_all(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    cells = cells_of(data)
    ask(project, cells[:2], number=0)
    ask(project, cells[2:5], number=3)
    done = export(project)
    assert done.folders == (
        project.folder / "rounds/0000/request",
        project.folder / "rounds/0003/request",
    )
    assert [len(manifest(folder)) for folder in done.folders] == [2, 3]
    assert export(project, round=3).folders == done.folders[1:]
    assert len(manifest(export(project, tmp_path / "all").folders[0])) == 5
    assert str(done) == (
        f"Wrote requests (3 semseg, 2 depth) to {done.folders[0]}, {done.folders[1]}."
    )


def test_a_drawing_tool_gets_what_can_be_drawn_and_the_command_for_the_rest_is_said(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    ask(project, cells_of(data), number=2)
    out = tmp_path / "to-cvat"
    done = export(project, out, tool="cvat")
    assert (done.tasks, done.left) == ({"semseg": 3}, {"depth": 3})
    rest = f"{out}-others"
    assert str(done) == (
        f"Wrote requests (3 semseg) to {out}.\n"
        f"Not for cvat: 3 depth. `labelgrid export {project.folder} --task depth --out {rest}` "
        "writes them to a folder."
    )
    assert export(project, Path(rest), task=["depth"]).tasks == {"depth": 3}
    with pytest.raises(UsageError, match=r"Labels of depth cannot be drawn in CVAT."):
        export(project, tmp_path / "depth", tool="cvat", task="depth")
    assert not export(project, tmp_path / "all").left


def test_several_tasks_are_exported_together(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=2, tasks=("semseg", "depth", "normals"))
    with make_project(tmp_path / "project", data) as project:
        ask(project, cells_of(data), number=1)
        done = export(project, tmp_path / "out", task=("depth", "normals"))
        assert done.tasks == {"depth": 2, "normals": 2}
        done = export(project, tmp_path / "drawn", tool="coco", round=1)
        assert "--task depth --task normals --round 1 --out" in str(done)


def test_the_manifest_says_what_the_ledger_says(project: ProjectFolder, data: Made) -> None:
    cell = Cell("0001.jpg", "depth")
    project.store.move(
        [
            Move(
                cell=cell,
                to=State.REQUESTED,
                round=1,
                request_id="r1-x",
                cost=2.5,
                score=0.25,
                why="unsure",
            )
        ]
    )
    assert manifest(export(project).folders[0]) == [
        {
            "request_id": "r1-x",
            "image": "0001.jpg",
            "file": "images/0001.jpg",
            "task": "depth",
            "path": "labels/depth/0001.png",
            "format": "depth",
            "score": 0.25,
            "cost": 2.5,
            "why": "unsure",
            "seconds": None,
            "annotator": "",
        }
    ]


def test_an_export_changes_no_state_and_follows_the_answers(
    project: ProjectFolder, data: Made
) -> None:
    ask(project, cells_of(data), number=1)
    before = ledger(project)
    (folder,) = export(project).folders
    assert ledger(project) == before
    copy(data.label("0000.jpg", "depth"), folder / "labels/depth/0000.png")
    import_labels(project, folder)
    export(project)
    assert len(manifest(folder)) == 5
    assert (folder / "labels/depth/0000.png").is_file()
    fill(data, folder)
    import_labels(project, folder)
    assert set(states(project).values()) == {"labelled"}
    with pytest.raises(ProjectError) as caught:
        export(project)
    assert str(caught.value) == (
        f"No request is open ({project.folder}).\n  Next: labelgrid fit {project.folder}. Nothing was written."
    )
    with pytest.raises(ProjectError, match="Round 7 has no open request"):
        export(project, round=7)


def test_predictions_of_the_request_s_round_go_along(project: ProjectFolder, data: Made) -> None:
    ask(project, cells_of(data), number=2)
    copy(data.label("0002.jpg", "depth"), project.round_folder(2) / "prelabels/depth/0002.png")
    copy(data.label("0001.jpg", "depth"), project.round_folder(1) / "prelabels/depth/0001.png")
    done = export(project, link=True)
    assert done.prelabels == 1
    assert "(3 semseg, 3 depth, 1 of them with the model's prediction)" in str(done)
    assert listing(done.folders[0] / "prelabels") == ["depth/0002.png"]
    assert (done.folders[0] / "images/0002.jpg").is_symlink()


def test_images_of_one_stem_come_back_to_their_own_cells(tmp_path: Path) -> None:
    jpg = make_dataset(tmp_path / "made", 1, size=(8, 8), tasks=("depth",))
    make_dataset(tmp_path / "made", 1, size=(8, 8), tasks=("depth",), extension=".png")
    both = Made(jpg.root, ("0000.jpg", "0000.png"), jpg.rows)
    with make_project(tmp_path / "project", both) as project:
        ask(project, cells_of(both), number=1)
        copy(jpg.label("0000.jpg", "depth"), project.round_folder(1) / "prelabels/depth/0000.png")
        done = export(project)
        assert done.prelabels == 0  # nobody can say which of the two it is of
        assert [row["path"] for row in manifest(done.folders[0])] == [
            "labels/depth/0000.jpg.png",
            "labels/depth/0000.png.png",
        ]
        for step, row in enumerate(manifest(done.folders[0])):
            put(
                done.folders[0] / "labels",
                Cell(row["image"], "depth"),
                np.full((8, 8), 100 * (step + 1), np.uint16),
            )
        import_labels(project, done.folders[0])
        assert _values(project, both) == [100, 200]
        (again,) = export_labels(project, tmp_path / "labels").folders
    with make_project(tmp_path / "fresh", both) as fresh:
        import_labels(fresh, again)
        assert _values(fresh, both) == [100, 200]


def _values(project: ProjectFolder, data: Made) -> list[int]:
    task: TaskDef = project.tasks()["depth"]
    rows = [next(project.store.cells(image_id=name)) for name in data.names]
    return [round(task.read(project.inside(row.path)).value.max() * 1000) for row in rows]


def test_all_labels_go_into_a_fresh_project_as_they_are(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=4, size=(16, 24), group=2)
    with make_project(tmp_path / "one", data) as one, make_project(tmp_path / "two", data) as two:
        import_labels(one, data.labels)
        done = export_labels(one, tmp_path / "labels")
        assert str(done) == (
            f"Wrote labels (4 semseg, 4 depth, 4 normals, 4 edges, 4 saliency) to {tmp_path / 'labels'}."
        )
        import_labels(two, tmp_path / "labels")
        assert [(row.cell, row.digest) for row in two.store.cells()] == [
            (row.cell, row.digest) for row in one.store.cells()
        ]


def test_the_list_of_labels_says_what_they_cost_and_where_they_belong(
    project: ProjectFolder, answered: Path, tmp_path: Path
) -> None:
    import_labels(project, answered, split="val")
    export_labels(project, tmp_path / "labels")
    with (tmp_path / "labels" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "image": "0000.jpg",
        "task": "depth",
        "path": "depth/0000.png",
        "round": "2",
        "cost": "1.0",
        "weight": "2.0",
        "split": "val",
        "seconds": "",
        "annotator": "",
    }


def test_annotators_and_class_lists_are_recorded_and_annotators_go_out_with_the_labels(
    project: ProjectFolder, data: Made, answered: Path, tmp_path: Path
) -> None:
    rows = manifest(answered)
    rows[0]["annotator"] = "Ada"
    (answered / "manifest.json").write_text(json.dumps(rows))
    import_labels(project, answered)
    by = {row.cell: row.annotator for row in project.store.cells()}
    ada = Cell(rows[0]["image"], rows[0]["task"])
    assert by == {cell: "Ada" if cell == ada else "" for cell in by}
    for row in project.store.cells():
        event = project.store.history(row.cell)[-1]
        assert (event.operation.command, event.move.annotator) == ("import", row.annotator)
        assert event.move.classes == row.classes == project.tasks()[row.cell.task].classes
    assert {bool(row.classes) for row in project.store.cells()} == {True, False}
    export_labels(project, tmp_path / "labels")
    with make_project(tmp_path / "other", data) as other:
        import_labels(other, tmp_path / "labels")
        assert {row.cell: row.annotator for row in other.store.cells()} == by


def test_times_go_out_with_the_labels_and_come_back_with_them(
    project: ProjectFolder, data: Made, answered: Path, tmp_path: Path
) -> None:
    rows = [row | {"seconds": 10.5 + number} for number, row in enumerate(manifest(answered)[:4])]
    (answered / "manifest.json").write_text(json.dumps(rows + manifest(answered)[4:]))
    import_labels(project, answered)
    times = {row.cell: row.seconds for row in project.store.cells()}
    assert sorted(map(str, times.values())) == ["10.5", "11.5", "12.5", "13.5", "None", "None"]
    assert [project.store.history(cell)[-1].move.seconds for cell in times] == list(times.values())
    export_labels(project, tmp_path / "labels")
    with make_project(tmp_path / "other", data) as other:
        import_labels(other, tmp_path / "labels")
        assert {row.cell: row.seconds for row in other.store.cells()} == times


def test_labels_exported_again_are_the_labels_there_are_now(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    with pytest.raises(ProjectError, match="There are no labels yet"):
        export_labels(project, out)
    import_labels(project, data.labels)
    export_labels(project, out)
    project.store.move([Move(cell=Cell("0001.jpg", "depth"), to=State.MISSING)])
    put(tmp_path / "new", Cell("0000.jpg", "depth"), np.full((16, 24), 900, np.uint16))
    import_labels(project, tmp_path / "new", replace=True)
    export_labels(project, out)
    assert listing(out) == [
        *(
            "depth/0000.png",
            "depth/0002.png",
            "labels.csv",
            "semseg/0000.png",
            "semseg/0001.png",
            "semseg/0002.png",
        )
    ]
    assert (out / "depth/0000.png").read_bytes() == (
        tmp_path / "new/depth/0000.jpg.png"
    ).read_bytes()


@pytest.mark.parametrize(("name", "text"), [("mine.txt", ""), ("labels.csv", "image,label\n")])
def test_labels_are_not_written_among_other_files(
    project: ProjectFolder, data: Made, tmp_path: Path, name: str, text: str
) -> None:
    import_labels(project, data.labels)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(text)
    with pytest.raises(ProjectError, match="neither empty nor an earlier export of labels"):
        export_labels(project, tmp_path / "out")
    assert listing(tmp_path / "out") == [name]


def test_a_request_for_an_image_that_changed_is_not_written(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    ask(project, cells_of(data)[:1])
    image = data.images / data.names[0]
    kept = image.read_bytes()
    image.write_bytes(kept + b"more")
    with pytest.raises(ImageError, match="not the one that was added"):
        export(project, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    image.write_bytes(kept)
    assert export(project, tmp_path / "out").folders == (tmp_path / "out",)


def test_a_ledger_whose_index_of_names_is_damaged_is_refused(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import_labels(project, data.labels)
    # Damage is found by `./dev torture` alone: a lookup by name then misses an image that has cells.
    found = list(project.store.images())[1:]
    monkeypatch.setattr(type(project.store), "images", lambda *_, **__: iter(found))
    with pytest.raises(LedgerError, match="an image that it does not find"):
        export_labels(project, tmp_path / "out")
