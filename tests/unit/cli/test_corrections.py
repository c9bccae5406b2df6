"""Laws of the commands that correct a project: what they print, as text and as JSON."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.cli import app
from labelgrid.cli.screen import as_options
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import make_project
from tests.commands import run, values
from tests.support import Made


@pytest.fixture
def flat(data: Made, tmp_path: Path) -> Path:
    with make_project(tmp_path / "flat", data) as project:
        project.store.move(
            [
                Move(
                    cell=Cell("0000.jpg", "depth"),
                    to=State.LABELLED,
                    path="labels/x",
                    digest="d",
                    cost=1.0,
                )
            ]
        )
        project.store.move(
            [
                Move(
                    cell=Cell("0001.jpg", "depth"),
                    to=State.REQUESTED,
                    round=1,
                    request_id="r1",
                    cost=1.0,
                )
            ]
        )
    return tmp_path / "flat"


def test_a_task_is_changed_shown_dropped_and_restored(flat: Path) -> None:
    done = values(
        "task", flat, "semseg", "--class", "lamp", "--merge", "box=ball", "--set", "cost=4"
    )
    assert done["options"] == {
        "classes": ["wall", "floor", "box", "ball", "lamp"],
        "merge": {"box": "ball"},
    }
    assert (done["cost"], done["checked"], done["requested"], done["stale"]) == (4.0, 0, 0, True)
    assert run("task", flat, "semseg").startswith("semseg (semseg), cost 4 a label: 5 classes, PNG")
    assert values("task", flat, "depth", "--drop") == {
        "task": "depth",
        "dropped": True,
        "cancelled": 1,
    }
    assert values("status", flat)["removed"] == {"images": 0, "tasks": ["depth"]}
    assert "Dropped tasks: depth; 1 was spent on them." in run("status", flat)
    assert run("task", flat, "depth", "--restore").startswith("depth (depth), cost 1 a label")
    with pytest.raises(UsageError):
        run("task", flat, "depth", "--drop", "--set", "cost=1")
    with pytest.raises(LabelgridError, match="--set needs KEY=VALUE"):
        run("task", flat, "depth", "--set", "cost")


def test_a_change_without_labels_and_models_mentions_neither(flat: Path) -> None:
    said = run("task", flat, "semseg", "--class", "lamp")
    assert "    4  lamp" in said and "0 labels" not in said and "stale" not in said


def test_labels_are_withdrawn_and_images_removed(flat: Path) -> None:
    assert values("unlabel", flat, "0000.jpg:depth") == {"withdrawn": 1}
    assert values("remove", flat, "0001.jpg") == {"images": 1, "cancelled": 1, "labels": 0}
    assert run("remove", flat, "0002.jpg") == "Removed 1 image, cancelled 0 requests.\n"
    assert "Removed: 2 images." in run("status", flat)
    assert values("remove", flat, "0001.jpg", "--restore") == {"images": 1, "labels": 0}
    assert "Removed: 1 image." in run("status", flat)
    with ProjectFolder.open(flat) as project:
        assert not list(project.store.cells())


def test_labels_are_requested_and_skipped_by_hand(flat: Path) -> None:
    said = run("request", flat, "0002.jpg:depth")
    assert said.startswith("Requested 1 label.\nNext: labelgrid ")
    assert values("request", flat, "0000.jpg:semseg", "0001.jpg:semseg") == {"requested": 2}
    assert run("skip", flat, "0000.jpg:semseg", "--why", "too dark") == (
        "Skipped 1 request. `labelgrid cancel --requeue` asks for them again.\n"
    )
    assert values("skip", flat, "0001.jpg:semseg") == {"skipped": 1}


def test_only_withdrawn_labels_of_held_out_images_are_said_to_be_requested_again(
    flat: Path,
) -> None:
    assert run("unlabel", flat, "0000.jpg:depth") == "Withdrew 1 label.\n"
    with ProjectFolder.open(flat) as project:
        project.store.update_images([replace(project.store.image("0000.jpg"), split="heldout")])
        project.store.move(
            [
                Move(
                    cell=Cell("0000.jpg", "depth"),
                    to=State.LABELLED,
                    path="labels/x",
                    digest="d",
                    cost=1.0,
                )
            ]
        )
    assert run("unlabel", flat, "0000.jpg:depth") == (
        "Withdrew 1 label. 1 cell of a held-out image is requested again.\n"
    )


def test_images_are_held_out_later(flat: Path) -> None:
    said = run("add", flat, "--holdout", "30%")
    assert "1 held out now" in said and f"\nNext: labelgrid export {flat} " in said
    assert values("status", flat)["heldout_images"] == 1
    with pytest.raises(UsageError):
        run("add", flat)


def test_a_folder_of_a_study_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(LabelgridError) as caught:
        run("status", tmp_path)
    assert "holds a study, not a project" in str(
        caught.value
    ) and f"labelgrid report {tmp_path}" in str(caught.value)


def test_an_init_says_what_will_be_missing(data: Made, tmp_path: Path) -> None:
    for number in range(2):
        (data.images / f"{number}.gif").write_bytes(b"GIF89a")
    (data.images / "notes").write_text("x")
    words = (
        "init",
        tmp_path / "new",
        "--images",
        data.images,
        "--task",
        "depth",
        "--recipe",
        "small",
    )
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"")
    done = CliRunner().invoke(app, [str(word) for word in (*words, "--weights", weights)])
    assert (
        "Not taken, because they are not images that can be read: 2 .gif, 1 without an extension."
        in done.output
    )
    assert "No image is held out, so nothing will be measured" in done.output
    assert f"Next: labelgrid query {tmp_path / 'new'} --budget 3" in done.output
    with pytest.raises(LabelgridError) as caught:
        run(*words[:-4], "--task", "edge")
    assert "Write --task edges, or --task edge:kind=edges." in as_options(str(caught.value))
