"""Laws of taking labels in: all or nothing, in any order, twice without harm."""

import dataclasses
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.annotate import tools
from labelgrid.basics.errors import LabelError, LedgerError, PluginError, UsageError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.basics.trusted_code import VARIABLE
from labelgrid.formats.codec import LabelArray
from labelgrid.imports import import_labels as import_labels_module
from labelgrid.imports.import_labels import Imported, Tally, import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.create import create
from labelgrid.operations.export import export
from labelgrid.operations.remove import remove
from labelgrid.operations.task_change import drop_task
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef
from tests.campaigns import (
    ask,
    cells_of,
    copy,
    fill,
    ledger,
    make_project,
    manifest,
    put,
    refusal,
    snapshot,
    states,
)
from tests.support import Made

COVERS = ["labelgrid.imports.copy_labels", "labelgrid.imports.import_labels"]
TASKS = ("semseg", "depth")


def test_an_exported_request_comes_back_filled(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    done = import_labels(project, answered)
    assert done == Imported(tasks={"semseg": Tally(new=3), "depth": Tally(new=3)})
    semseg, depth, *_ = str(done).splitlines()
    assert semseg.startswith("semseg: 3 new; ") and depth.startswith("depth: 3 new; ")
    assert set(states(project).values()) == {"labelled"}
    for row in project.store.cells():
        original = data.label(row.cell.image_id, row.cell.task)
        assert project.inside(row.path).read_bytes() == original.read_bytes()
        assert row.digest == digest(original)
        assert (row.round, row.weight, row.cost) == (2, 2.0, 1.0)
        assert row.path == f"labels/{row.cell.task}/{row.cell.image_id[:-4]}.{row.digest[:8]}.png"


def test_importing_twice_changes_nothing(project: ProjectFolder, answered: Path) -> None:
    import_labels(project, answered)
    before = snapshot(project)
    done = import_labels(project, answered)
    assert done == Imported(tasks={"semseg": Tally(unchanged=3), "depth": Tally(unchanged=3)})
    assert snapshot(project) == before


def test_an_answer_may_come_in_parts_and_by_request_id(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    rows = manifest(answered)
    shutil.rmtree(answered / "labels")
    copy(
        data.label(rows[0]["image"], rows[0]["task"]),
        answered / "done" / f"{rows[0]['request_id']}.png",
    )
    import_labels(project, answered)
    assert list(states(project).values()).count("labelled") == 1
    fill(data, answered)
    shutil.rmtree(answered / "done")
    done = import_labels(project, answered)
    assert sum(tally.new for tally in done.tasks.values()) == 5
    assert sum(tally.unchanged for tally in done.tasks.values()) == 1


def test_the_requests_that_stay_open_are_named(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    rows = [row for row in manifest(answered) if row["task"] == "depth"]
    for row in rows[:2]:
        (answered / row["path"]).unlink()
    (answered / "skips.csv").write_text(f"request_id,reason\n{rows[0]['request_id']},too dark\n")
    for dry_run in (True, False):
        done = import_labels(project, answered, dry_run=dry_run)
        assert done.requested == {"depth": (rows[1]["image"],)}
        assert f"Still requested: depth of {rows[1]['image']}." in str(done).splitlines()
    fill(data, answered)
    (answered / "skips.csv").unlink()
    assert "Still requested" not in str(import_labels(project, answered))


def test_a_label_nobody_asked_for_is_welcome_and_costs_the_task_s_price(
    project: ProjectFolder, data: Made
) -> None:
    project.store.close_round(project.store.open_round())
    import_labels(project, data.labels)
    rows = list(project.store.cells())
    assert len(rows) == 6
    assert {(row.state, row.cost, row.weight, row.request_id, row.round) for row in rows} == {
        (State.LABELLED, 1.0, 1.0, "", 1)
    }


def test_the_answer_of_a_request_costs_what_was_promised(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    rows = {row.name: row for row in project.store.tasks()}
    project.store.update_task(dataclasses.replace(rows["depth"], cost=7.0))
    before = project.store.counts()["depth"].promised
    import_labels(project, answered)
    after = project.store.counts()["depth"]
    assert before == after.spent == 3.0 and not after.promised


def test_a_wrong_time_refuses_the_whole_import(project: ProjectFolder, answered: Path) -> None:
    rows = manifest(answered)
    rows[0]["seconds"], rows[1]["seconds"] = 20, -1
    (answered / "manifest.json").write_text(json.dumps(rows))
    (fault,) = refusal(project, answered).rows
    assert (fault.where, fault.cell) == ("manifest.json", Cell(rows[1]["image"], rows[1]["task"]))
    assert fault.what.startswith(
        "The label's time is '-1'; it must be a number of seconds above 0, at most a day."
    )


def test_skips_mark_cells_and_a_label_later_fills_them(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    row = manifest(answered)[0]
    cell = Cell(row["image"], row["task"])
    (answered / row["path"]).unlink()
    (answered / "skips.csv").write_text(f"request_id,reason\n{row['request_id']},too dark\n")
    assert import_labels(project, answered).tasks["semseg"] == Tally(new=2, skipped=1)
    assert states(project)[cell] == "skipped"
    assert project.store.history(cell)[-1].move.why == "too dark"
    assert import_labels(project, answered).tasks["semseg"] == Tally(unchanged=3)
    assert project.store.counts()["semseg"].spent == 2.0
    (answered / "skips.csv").unlink()
    copy(data.label(*(row["image"], row["task"])), answered / row["path"])
    assert import_labels(project, answered).tasks["semseg"] == Tally(new=1, unchanged=2)
    (kept,) = project.store.cells(image_id=cell.image_id, task=cell.task)
    assert (kept.state, kept.round, kept.request_id, kept.weight) == (
        State.LABELLED,
        2,
        row["request_id"],
        2.0,
    )


def test_other_content_is_refused_and_replace_keeps_the_old_version(
    project: ProjectFolder, data: Made, answered: Path
) -> None:
    import_labels(project, answered)
    cell = Cell(data.names[0], "depth")
    (old,) = project.store.cells(image_id=cell.image_id, task=cell.task)
    path = next(
        answered / row["path"]
        for row in manifest(answered)
        if Cell(row["image"], row["task"]) == cell
    )
    assert cv2.imwrite(str(path), np.full((16, 24), 1500, np.uint16))
    (fault,) = refusal(project, answered).rows
    assert str(fault) == (
        f"labels/depth/0000.png [0000.jpg, depth]: The cell has a label with other content, imported in round 2 "
        f"({old.path}). Use --replace to replace it; the old label is kept."
    )
    project.store.close_round(project.store.open_round())
    spent = project.store.spent()
    done = import_labels(project, answered, replace=True)
    assert done.tasks["depth"] == Tally(replaced=1, unchanged=2)
    assert project.store.spent() == spent + 1  # the correction is another answer
    (new,) = project.store.cells(image_id=cell.image_id, task=cell.task)
    assert (new.round, new.request_id, new.weight) == (old.round, old.request_id, old.weight)
    assert project.inside(old.path).is_file()
    assert project.inside(new.path).read_bytes() == path.read_bytes()
    assert [event.move.to.name for event in project.store.history(cell)][-3:] == [
        "LABELLED",
        "MISSING",
        "LABELLED",
    ]
    assert import_labels(project, answered).tasks["depth"] == Tally(unchanged=3)


def test_a_prediction_that_comes_back_as_it_was_is_counted(
    project: ProjectFolder, data: Made
) -> None:
    ask(project, cells_of(data), number=1)
    for cell in cells_of(data)[:3]:
        name = cell.image_id.replace(".jpg", ".png")
        copy(
            data.label(cell.image_id, cell.task),
            project.round_folder(1) / "prelabels" / cell.task / name,
        )
    done = export(project)
    assert done.prelabels == 3
    shutil.copytree(done.folders[0] / "prelabels", done.folders[0] / "labels", dirs_exist_ok=True)
    taken = import_labels(project, done.folders[0])
    assert sum(tally.predicted for tally in taken.tasks.values()) == 3
    assert "3 new labels are identical to the model's prediction." in str(taken)
    assert project.store.history(cells_of(data)[0])[-1].move.why == "the model's own prediction"


def test_a_missing_copy_of_a_known_label_is_put_back(
    project: ProjectFolder, answered: Path
) -> None:
    import_labels(project, answered)
    before = snapshot(project)
    row = next(project.store.cells())
    project.inside(row.path).unlink()
    import_labels(project, answered)
    assert snapshot(project) == before


def test_no_file_is_overwritten_even_where_its_name_is_taken(
    project: ProjectFolder, data: Made
) -> None:
    path = data.label(data.names[0], "depth")
    taken = project.folder / f"labels/depth/0000.{digest(path)[:8]}.png"
    taken.parent.mkdir(parents=True)
    taken.write_text("somebody's")
    import_labels(project, data.labels)
    (row,) = project.store.cells(image_id=data.names[0], task="depth")
    assert taken.read_text() == "somebody's"
    assert project.inside(row.path).read_bytes() == path.read_bytes()


def test_a_limit_draws_whole_images_by_the_seed(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=12, tasks=TASKS, size=(8, 8))
    drawn = []
    for seed in (0, 0, 1):
        with make_project(tmp_path / f"project{len(drawn)}", data) as project:
            import_labels(project, data.labels, limit=4, seed=seed)
            drawn.append(set(states(project)))
            assert len(drawn[-1]) == 4 * len(TASKS)
    assert drawn[0] == drawn[1] != drawn[2]
    with (
        make_project(tmp_path / "project", data) as project,
        pytest.raises(UsageError, match="--limit must not be"),
    ):
        import_labels(project, data.labels, limit=-1)


@pytest.mark.parametrize("case", ["suffix", "flat"])
def test_labels_come_in_under_other_names_and_the_result_says_how(
    made: Callable[..., Made], tmp_path: Path, case: str
) -> None:
    data = made(n=4, tasks=TASKS, size=(8, 8))
    folder = tmp_path / "named"
    for cell in cells_of(data):
        label = data.label(cell.image_id, cell.task)
        image = cell.image_id.removesuffix(".jpg")
        name = {"suffix": f"ulm_{image}_gtFine_label7.png", "flat": f"{image}.png"}[case]
        copy(label, folder / cell.task / name)
        photo = {"suffix": f"ulm_{image}_leftImg8bit.jpg", "flat": f"room {image}/{image}.jpg"}
        copy(data.images / cell.image_id, tmp_path / "photos" / photo[case])
    with create(
        tmp_path / "flat", [tmp_path / "photos"], data.rows, settings=Settings(), progress=Silent()
    ) as project:
        done = import_labels(project, folder)
        how = {"suffix": "'_leftImg8bit' and '_gtFine_label7'", "flat": "folders"}[case]
        assert set(done.notes) == {f"{task}: names matched without {how}." for task in TASKS}
        assert "\n".join(["", *done.notes, ""]) in str(done)
        for row in project.store.cells(state=State.LABELLED):
            number = row.cell.image_id[-8:-4] if case == "flat" else row.cell.image_id[4:8]
            original = data.label(f"{number}.jpg", row.cell.task)
            assert project.inside(row.path).read_bytes() == original.read_bytes()
        assert len(states(project)) == 8


def test_a_ledger_that_changed_meanwhile_is_not_written(
    project: ProjectFolder, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = import_labels_module.copy_labels

    def keep(*arguments: object, **named: object) -> list[str]:
        project.store.move([Move(cell=Cell("0000.jpg", "depth"), to=State.MISSING)])
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(import_labels_module, "copy_labels", keep)
    with pytest.raises(LedgerError, match="The ledger changed while the labels were checked"):
        import_labels(project, answered)
    assert "labelled" not in states(project).values()


def test_an_import_goes_on_beside_one_of_the_same_labels(
    project: ProjectFolder, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them may overlap: what the other one made is unchanged here, and the rest is new."""
    (answered / "labels/semseg/0000.png").unlink()
    rows = {row["path"]: row["request_id"] for row in manifest(answered)}
    skipped = rows["labels/semseg/0000.png"]
    (answered / "skips.csv").write_text(f"request_id,reason\n{skipped},dark\n")
    part = answered.parent / "part"
    shutil.copytree(answered, part)
    others = sorted((part / "labels").rglob("*.png"))[1:3]
    for path in set((part / "labels").rglob("*.png")) - set(others):
        path.unlink()
    real = import_labels_module.copy_labels

    def overtaken(*arguments: object, **named: object) -> list[str]:
        monkeypatch.setattr(import_labels_module, "copy_labels", real)
        with ProjectFolder.open(project.folder) as other:
            assert sum(tally.new for tally in import_labels(other, part).tasks.values()) == 2
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(import_labels_module, "copy_labels", overtaken)
    done = import_labels(project, answered).tasks.values()
    labels = len(list((answered / "labels").rglob("*.png")))
    assert (sum(tally.new for tally in done), sum(tally.unchanged for tally in done)) == (
        labels - 2,
        3,  # the skip, too
    )
    assert "requested" not in states(project).values()
    assert len(ledger(project)) == len({*ledger(project)})
    assert project.store.rebuild() == 0


@pytest.mark.parametrize(
    "step", ["_receive", "validate_labels", "_refuse_nothing", "copy_labels", "_keep"]
)
@pytest.mark.parametrize("what", ["task", "image"])
def test_a_task_or_image_that_is_taken_out_meanwhile_refuses_the_import(
    project: ProjectFolder,
    answered: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    what: str,
) -> None:
    (answered / "labels/semseg/0000.png").unlink()
    (skipped,) = [
        row["request_id"] for row in manifest(answered) if row["path"] == "labels/semseg/0000.png"
    ]
    (answered / "skips.csv").write_text(f"request_id,reason\n{skipped},dark\n")
    owner: object = import_labels_module
    if not hasattr(owner, step):
        owner = import_labels_module.LabelImport
    real = getattr(owner, step)

    def overtaken(*arguments: object, **named: object) -> object:
        result = real(*arguments, **named) if step == "_receive" else None
        with ProjectFolder.open(project.folder) as other:
            drop_task(other, "semseg") if what == "task" else remove(other, ["0000.jpg"])
        return result or real(*arguments, **named)

    monkeypatch.setattr(owner, step, overtaken)
    with pytest.raises(LedgerError, match=r"The ledger changed while(.|\n)*Nothing was imported"):
        import_labels(project, answered)
    assert "labelled" not in states(project).values()


def test_a_label_that_changes_while_it_is_imported_is_refused(
    project: ProjectFolder, answered: Path
) -> None:
    class Meddling(Silent):
        def start(self, what: str, total: int, unit: str) -> None:
            if what == "Copying labels":
                put(answered, Cell("0000.jpg", "depth"), np.full((16, 24), 7, np.uint16)).replace(
                    answered / "labels/depth/0000.png"
                )

    with pytest.raises(LabelError, match="The label changed while it was imported"):
        import_labels(project, answered, progress=Meddling())
    assert "labelled" not in states(project).values()


def test_the_order_of_the_files_does_not_matter(
    project: ProjectFolder, data: Made, answered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = project.folder.with_name("other")
    shutil.copytree(project.folder, other)
    import_labels(project, answered)
    real = os.walk

    def shuffled(
        *arguments: object, **options: object
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        for place, folders, names in real(*arguments, **options):  # type: ignore[call-overload]
            random.Random(1).shuffle(names)
            folders.reverse()
            yield place, folders, names

    monkeypatch.setattr(os, "walk", shuffled)
    with ProjectFolder.open(other) as mixed:
        import_labels(mixed, answered)
        assert ledger(mixed) == ledger(project)


def test_files_that_cannot_be_labels_are_listed_and_not_fatal(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    folder = tmp_path / "answer"
    for name in (
        "notes.txt",
        "Thumbs.db",
        "depth/Thumbs.db",
        "depth/.DS_Store",
        "depth/readme.md",
        ".hidden",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    copy(data.label(data.names[0], "depth"), folder / "depth" / "0000.png")
    done = import_labels(project, folder)
    stray = ["Thumbs.db", "notes.txt", "depth/.DS_Store", "depth/Thumbs.db", "depth/readme.md"]
    assert list(done.stray) == stray and done.tasks["depth"].new == 1
    assert f"Left out, since they are no labels: {', '.join(stray)}." in str(done)
    (folder / "depth" / "nowhere.png").write_bytes(b"x")
    with pytest.raises(LabelError, match="1 fault"):
        import_labels(project, folder)


def test_files_of_a_removed_image_are_listed_and_not_fatal(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    for name in data.names[:2]:
        copy(data.label(name, "depth"), tmp_path / "answer" / "depth" / f"{Path(name).stem}.png")
    remove(project, data.names[:1])
    done = import_labels(project, tmp_path / "answer")
    assert done.removed == ("depth/0000.png",) and done.tasks["depth"].new == 1
    assert "Left out, since their image was removed or their task dropped: depth/0000.png." in str(
        done
    )
    (tmp_path / "answer" / "depth" / "0001.png").unlink()
    assert import_labels(project, tmp_path / "answer").removed == done.removed


def test_an_image_with_the_longest_name_that_a_disk_allows_is_exported_and_imported(
    data: Made, tmp_path: Path
) -> None:
    longest = "x" * 251 + ".jpg"
    (data.images / data.names[0]).rename(data.images / longest)
    for task in TASKS:
        data.label(data.names[0], task).rename(data.labels / task / ("x" * 251 + ".png"))
    names = (longest, *data.names[1:])
    with make_project(tmp_path / "long", dataclasses.replace(data, names=names)) as project:
        ask(project, [Cell(longest, task) for task in TASKS], number=1)
        (folder,) = export(project).folders
        for row in manifest(folder):
            copy(data.labels / row["task"] / ("x" * 251 + ".png"), folder / row["path"])
        assert import_labels(project, folder).tasks["depth"].new == 1
        rows = list(project.store.cells(state=State.LABELLED))
        assert len(rows) == 2 and all(len(Path(row.path).name) == 255 for row in rows)


def spoil(path: Path, how: str) -> None:
    """Damage a label's file in the project."""
    content = path.read_bytes()
    path.unlink()
    if how == "overwritten":
        path.write_bytes(content[:-20] + bytes(20))
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "a link out":
        path.symlink_to("/dev/zero")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["overwritten", "missing", "a pipe", "a link out"])
def test_importing_the_right_file_again_repairs_it(
    project: ProjectFolder, answered: Path, how: str
) -> None:
    import_labels(project, answered)
    before, row = snapshot(project), next(project.store.cells(task="depth"))
    spoil(project.folder / row.path, how)
    done = import_labels(project, answered)
    assert done.tasks["depth"] == Tally(repaired=1, unchanged=2) and str(done).endswith(
        "1 repaired, 2 unchanged."
    )
    assert snapshot(project) == before and digest(project.inside(row.path)) == row.digest
    assert import_labels(project, answered).tasks["depth"] == Tally(unchanged=3)


@pytest.mark.parametrize("name", ["number", "smallest"])
def test_an_own_format_that_is_no_plug_in_is_refused(
    project: ProjectFolder,
    answered: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    (tmp_path / "own_formats.py").write_text("number, smallest = 5, min\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "own_formats")
    with pytest.raises(
        PluginError,
        match=f"'own_formats:{name}' cannot be built as a labelling tool",
    ):
        import_labels(project, answered, format=f"own_formats:{name}")


OTHER_TOOL = """
from labelgrid.annotate.answers import Answers, Fault
from labelgrid.basics.recognition import Recognition


class Other:
    send = None

    def recognise(self, path):
        return Recognition("mine", 2.0) if path.name == "other" else None

    def receive(self, path, index):
        return Answers(faults=[Fault("here", "Mine.")])


build = Other
"""


def test_without_a_format_the_tool_that_recognises_the_labels_is_asked(
    project: ProjectFolder, answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second tool is surer of one folder than the plain one, and refuses it."""
    package = tmp_path / "tools"
    package.mkdir()
    (package / "other_tool.py").write_text(OTHER_TOOL)
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(package)])
    other = tmp_path / "other"
    shutil.copytree(answered, other)
    assert str(refusal(project, other).rows[0]) == "here: Mine."
    import_labels(project, other, format="folder")
    assert set(states(project).values()) == {"labelled"}
    done = import_labels(project, answered)
    assert sum(tally.unchanged for tally in done.tasks.values()) == 6


def test_a_label_of_another_kind_is_called_by_its_name(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    pixels = np.arange(1000, 1000 + 16 * 24, dtype=np.uint16).reshape(16, 24)
    put(wrong, Cell(data.names[0], "semseg"), pixels)
    np.save(wrong / "semseg" / f"{data.names[1]}.npy", np.full((16, 24), 2.5))
    rows = refusal(project, wrong).rows
    sentence = "It looks like a depth map (kind of task: depth)."
    assert [sentence in row.what for row in rows] == [True, True]


def test_an_import_looks_for_predictions_once_a_round_and_takes_figures_once_a_label(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    taken: list[str] = []
    round_folder = ProjectFolder.round_folder
    figures = TaskDef.figures

    def look(self: ProjectFolder, number: int) -> Path:
        looked.append(number)
        return round_folder(self, number)

    def take(self: TaskDef, label: LabelArray) -> Mapping[str, LabelFigure]:
        taken.append(self.name)
        return figures(self, label)

    monkeypatch.setattr(ProjectFolder, "round_folder", look)
    monkeypatch.setattr(TaskDef, "figures", take)
    import_labels(project, data.labels, dry_run=True)
    assert len(taken) == 6  # of two tasks, three labels each
    assert len(looked) == 2 + 6  # of each task, and of each label of the sample
