"""Laws of a request as a folder."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.annotate.request import Request, RequestItem
from labelgrid.annotate.tools.folder import _readme, build
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.basics.spreadsheets import unescape_formula
from labelgrid.formats.arrays import palette_of
from labelgrid.images.reading import image_size
from labelgrid.ledger.grid import Cell, Explanation, Pick, TaskRow
from labelgrid.tasks.task import TaskDef, definitions
from tests.campaigns import copy, manifest
from tests.support import Made


def request_of(made: Made, names: tuple[str, ...]) -> Request:
    asks = [
        RequestItem(
            pick=Pick(
                cell=Cell(name, row.name),
                score=0.5,
                why="it",
                cost=1.0,
                request_id=f"r1-{name[:-4]}-{row.name}",
            ),
            path=f"labels/{row.name}/{name[:-4]}.png",
            format=row.kind,
        )
        for name in names
        for row in made.rows
    ]
    return Request(
        items=asks,
        tasks=definitions(made.rows),
        images={name: made.images / name for name in names},
        names={name: name for name in names},
        sizes={name: image_size(made.images / name) for name in names},
        prelabels={},
    )


def write(request: Request, out: Path, link: bool = False) -> None:
    build().send(request, out, Silent(), link=link)


def listing(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_the_folder_holds_the_images_the_lists_and_what_to_do(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=2, tasks=("semseg", "depth"))
    request, out = request_of(data, data.names), tmp_path / "out"
    write(request, out)
    assert sorted(listing(out)) == [
        *(
            "README.txt",
            "images/0000.jpg",
            "images/0001.jpg",
            "manifest.csv",
            "manifest.json",
            "skips.csv",
        )
    ]
    assert (out / "images/0001.jpg").read_bytes() == (data.images / "0001.jpg").read_bytes()
    assert manifest(out) == [
        {
            "request_id": asked.request_id,
            "image": asked.cell.image_id,
            "file": f"images/{asked.cell.image_id}",
            "task": asked.cell.task,
            "path": asked.path,
            "format": asked.format,
            "score": 0.5,
            "cost": 1.0,
            "why": "it",
            "seconds": None,
            "annotator": "",
        }
        for asked in request.items
    ]
    with (out / "manifest.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [
            asked.path for asked in request.items
        ]
    assert (out / "skips.csv").read_text() == "request_id,reason\n"
    readme = (out / "README.txt").read_text()
    for words in (
        "Labels: 4. Images: 2.",
        "depth, labels: 2",
        "0.001 m",
        "Not labelled: 255",
        "    3  ball\n",
    ):
        assert words in readme


def test_a_manifest_explains_picks_and_one_that_does_not_is_updated(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    request, out = (
        request_of(made(n=2, tasks=("depth",)), ("0000.jpg", "0001.jpg")),
        tmp_path / "out",
    )
    write(request, out)
    why = Explanation(
        quantiles={"unsure": 0.5}, rank=3, without={"noise": 7}, nearest="=b.jpg", distance=1.5
    )
    pick = replace(request.items[0].pick, terms={"unsure": 2.0}, explanation=why)
    items = [replace(request.items[0], pick=pick), request.items[1]]
    write(replace(request, items=items), out)
    first, second = manifest(out)
    assert first["terms"] == {"unsure": 2.0} and "explanation" not in second
    assert first["explanation"] == {
        **{"quantiles": {"unsure": 0.5}, "rank": 3, "without": {"noise": 7}},
        **{"nearest": "=b.jpg", "distance": 1.5},
    }
    with (out / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], unescape_formula(row["nearest"])) for row in rows] == [
        ("3", "=b.jpg"),
        ("", ""),
    ]
    write(request, out)
    assert "terms" not in manifest(out)[0]


def test_written_twice_nothing_changes(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=2)
    for _ in range(2):
        write(request_of(data, data.names), tmp_path / "out")
    first = {path: path.lstat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()}
    before = listing(tmp_path / "out")
    write(request_of(data, data.names), tmp_path / "out")
    assert listing(tmp_path / "out") == before
    assert {
        path: path.lstat().st_mtime_ns for path in (tmp_path / "out" / "images").iterdir()
    } == first


def test_written_again_the_folder_follows_the_request_and_keeps_every_answer(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=3, tasks=("depth",)), tmp_path / "out"
    first = request_of(data, data.names)
    write(
        replace(
            first,
            prelabels={ask.cell: data.label(ask.cell.image_id, "depth") for ask in first.items},
        ),
        out,
    )
    assert (out / "prelabels/depth/0000.png").exists()
    copy(data.label("0000.jpg", "depth"), out / "labels/depth/0000.png")
    (out / "skips.csv").write_text("request_id,reason\nr1-0001-depth,too dark\n")
    (out / "images" / "notes.txt").write_text("mine")
    write(request_of(data, data.names[2:]), out)
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == [
        *(
            "README.txt",
            "images/0002.jpg",
            "images/notes.txt",
            "labels/depth/0000.png",
            "manifest.csv",
        ),
        *("manifest.json", "skips.csv"),
    ]
    assert "too dark" in (out / "skips.csv").read_text()


def test_predicted_classes_have_colours_and_a_legend_and_import_as_they_are(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=2, tasks=("semseg", "depth")), tmp_path / "out"
    first = request_of(data, data.names)
    predicted = {item.cell: data.label(item.cell.image_id, item.cell.task) for item in first.items}
    write(replace(first, prelabels=predicted), out)
    task = first.tasks["semseg"]
    for name in data.names:
        sent, label = out / f"prelabels/semseg/{name[:-4]}.png", data.label(name, "semseg")
        assert palette_of(sent) is not None
        assert np.array_equal(task.read(sent).value, task.read(label).value)
        assert np.array_equal(task.read(sent).valid, task.read(label).valid)
        depth = out / f"prelabels/depth/{name[:-4]}.png"
        assert depth.read_bytes() == data.label(name, "depth").read_bytes()
    assert (out / "prelabels/semseg/legend.csv").read_text().startswith("number,name,colour")
    assert not (out / "prelabels/depth/legend.csv").exists()
    before = listing(out)
    write(replace(first, prelabels=predicted), out)
    assert listing(out) == before
    write(first, out)
    assert not [name for name in listing(out) if name.startswith("prelabels")]


def test_written_again_the_lists_keep_the_times_that_were_filled_in(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=3, tasks=("depth",)), tmp_path / "out"
    request = request_of(data, data.names)
    write(request, out)
    table = (out / "manifest.csv").read_text()
    (out / "manifest.csv").write_text(
        table.replace("0001.png,depth,0.5,1.0,it,", "0001.png,depth,0.5,1.0,it,31.5")
    )
    rows = manifest(out)
    (out / "manifest.json").write_text(
        json.dumps([row | {"seconds": 8} for row in rows[2:]] + rows[:2])
    )
    write(replace(request, items=request.items[1:]), out)
    with (out / "manifest.csv").open(newline="") as file:
        assert [row["seconds"] for row in csv.DictReader(file)] == ["31.5", ""]
    assert [row["seconds"] for row in manifest(out)] == [None, 8.0]
    before = listing(out)
    write(replace(request, items=request.items[1:]), out)
    assert listing(out) == before
    (out / "manifest.csv").write_text(
        (out / "manifest.csv").read_text().replace("31.5", "half an hour")
    )
    before = listing(out)
    with pytest.raises(
        ProjectError, match=r"manifest.csv line 2: The label's time is 'half an hour'.*"
    ):
        write(request, out)
    assert listing(out) == before


def test_written_again_the_lists_keep_the_annotators_that_were_filled_in(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=2, tasks=("depth",)), tmp_path / "out"
    request = request_of(data, data.names)
    write(request, out)
    first, second = manifest(out)
    (out / "manifest.json").write_text(json.dumps([first | {"annotator": "Ada"}, second]))
    (out / "manifest.csv").write_text(
        (out / "manifest.csv")
        .read_text()
        .replace("0001.png,depth,0.5,1.0,it,,", "0001.png,depth,0.5,1.0,it,,Bob")
    )
    write(request, out)
    assert [row["annotator"] for row in manifest(out)] == ["Ada", ""]
    with (out / "manifest.csv").open(newline="") as file:
        assert [row["annotator"] for row in csv.DictReader(file)] == ["", "Bob"]


def test_images_can_be_links_and_predictions_are_copies(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data, out = made(n=1, tasks=("depth",)), tmp_path / "out"
    request = request_of(data, data.names)
    write(
        replace(request, prelabels={Cell("0000.jpg", "depth"): data.label("0000.jpg", "depth")}),
        out,
        link=True,
    )
    assert (out / "images/0000.jpg").readlink() == data.images / "0000.jpg"
    assert not (out / "prelabels/depth/0000.png").is_symlink()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.jpg", "x"),
        ("manifest.json", "{}"),
        ("manifest.json", '[{"image": "a"}]'),
        ("manifest.json", '[{"request_id": "", "image": "", "task": "", "path": ""}]'),
    ],
)
def test_a_folder_of_something_else_is_left_alone(
    made: Callable[..., Made], tmp_path: Path, name: str, content: str
) -> None:
    data, out = made(n=1), tmp_path / "out"
    out.mkdir()
    (out / name).write_text(content)
    with pytest.raises(ProjectError) as caught:
        write(request_of(data, data.names), out)
    assert str(caught.value) == (
        f"The folder is neither empty nor an earlier request ({out}).\n"
        "  Name a new one with --out. Nothing was written."
    )
    assert listing(out) == {name: content.encode()}


def test_a_file_in_the_folder_s_place_is_refused(made: Callable[..., Made], tmp_path: Path) -> None:
    data = made(n=1)
    (tmp_path / "out").write_text("")
    with pytest.raises(ProjectError, match="neither empty nor an earlier request"):
        write(request_of(data, data.names), tmp_path / "out")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support import make_dataset
from tests.unit.annotate.tools.test_folder import request_of, write
data, out, left = make_dataset(Path(sys.argv[1]), 4), Path(sys.argv[2]), int(sys.argv[3])
real = Path.replace
def replace(path, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, target)
Path.replace = replace
write(request_of(data, data.names), out)
"""


@pytest.mark.parametrize("files", [0, 1, 3, 6])
def test_killed_anywhere_it_is_completed_by_the_next_run(
    made: Callable[..., Made], tmp_path: Path, files: int
) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-c", KILLED, str(tmp_path / "made"), str(out), str(files)]
    root = Path(__file__).parents[4]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (root, root / "src")))}
    assert subprocess.run(words, check=False, env=environment).returncode == -signal.SIGKILL
    data = made(n=4)
    write(request_of(data, data.names), out)
    write(request_of(data, data.names), tmp_path / "undisturbed")
    assert {k: v for k, v in listing(out).items() if not Path(k).name.startswith(".")} == listing(
        tmp_path / "undisturbed"
    )


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("semseg", {"classes": ["a", "b"], "ignore": [7]}, "255, 7 "),
        ("depth", {"scale": 0.004}, "steps of 0.004 m"),
        (
            "depth",
            {"disparity": True, "maximum": 90.0},
            "disparity (larger is nearer)",
        ),
        ("depth", {"maximum": 90.0}, "The largest possible value is 90 m."),
        ("edges", {}, "255 is yes, 0 is no"),
        ("saliency", {"one_is_positive": True}, "1 is yes, 0 is no"),
        ("normals", {"axes": "x left, y up, z toward the camera"}, "x left, y up, z toward"),
    ],
)
def test_what_to_write_is_what_the_task_declares(
    kind: str, options: dict[str, object], words: str
) -> None:
    task = TaskDef.of(TaskRow("mine", kind, 1.0, options))
    pick = Pick(cell=Cell("a.jpg", "mine"), score=None, cost=1.0, request_id="r1")
    asked = RequestItem(pick=pick, path="labels/mine/a.png", format=task.spec.codec)
    text = _readme(
        Request(items=[asked], tasks={"mine": task}, images={}, names={}, sizes={}, prelabels={})
    )
    assert words in " ".join(text.split())
