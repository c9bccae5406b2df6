import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from labelgrid.api.study import report
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import write_text
from labelgrid.basics.progress import Silent
from labelgrid.basics.results import Result
from labelgrid.basics.shown import data_uri
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.report.project_data import project_report
from labelgrid.report.write_report import write_project_report
from tests.campaigns import cells_of, make_project, snapshot
from tests.support import Made
from tests.unit.report.reading import Page

COVERS = ["labelgrid.report.project_data"]

PRICES = {"semseg": 10.0, "depth": 1.0}


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    found = made(n=6, tasks=tuple(PRICES), size=(16, 24))
    return replace(found, rows=tuple(replace(row, cost=PRICES[row.name]) for row in found.rows))


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    """Two of six images are held out."""
    with make_project(
        tmp_path / "my flat", data, dict.fromkeys(data.names[-2:], "heldout")
    ) as project:
        yield project


def label(project: ProjectFolder, *cells: Cell) -> None:
    """Give cells a label at its price."""
    project.store.move(
        [Move(cell=cell, to=State.LABELLED, cost=PRICES[cell.task]) for cell in cells]
    )


def query(project: ProjectFolder, *cells: Cell) -> None:
    """Close a round by picking cells, the first with pictures, as `labelgrid query` leaves it."""
    row = project.store.current_round() or project.store.open_round()
    steps = [
        Move(
            cell=c,
            to=State.REQUESTED,
            round=row.number,
            request_id=f"r{row.number}-{i}",
            cost=PRICES[c.task],
            score=1 / (i + 2),
            why="unsure",
        )
        for i, c in enumerate(cells)
    ]
    folder = project.round_folder(row.number)
    kept = [
        {
            "request_id": s.request_id,
            "image": s.cell.image_id,
            "task": s.cell.task,
            "score": s.score,
            "cost": s.cost,
        }
        | {"weight": s.weight, "why": s.why}
        for s in steps
    ]
    write_text(folder / "picks.json", json.dumps(kept))
    project.store.close_round(replace(row, strategy="partal", budget=3.0, unit="labels"), steps)


#: What a JPEG file begins with.
JPEG = b"\xff\xd8"


def pictures(project: ProjectFolder, number: int) -> None:
    """The pictures of a round's first pick."""
    folder = project.round_folder(number) / "pictures"
    folder.mkdir()
    for what in ("image", "prediction", "uncertainty"):
        (folder / f"000-{what}.jpg").write_bytes(JPEG + what.encode())


def fit(
    project: ProjectFolder,
    labels: int,
    rmse: float,
    *,
    measured: str = "the same",
    finished: bool = True,
) -> None:
    """Open a round and leave what `labelgrid fit` leaves."""
    number = project.store.open_round().number
    folder, model = project.round_folder(number), f"model {number}"
    losses = {"epoch": 1, "loss": {"depth": 0.375}, "terms": {"crop.mse": 0.125}}
    write_text(folder / "fit" / "log.jsonl", json.dumps(losses) + "\n")
    kept = {
        "round": number,
        "model": model,
        "labels": {"semseg": labels, "depth": labels},
        "spent": 11.0 * labels,
    }
    depth = {"RMSE": asdict(Result("RMSE", rmse, "m", "lower"))}
    heldout = {
        "heldout_labels": {"depth": 2},
        "heldout_spent": 2.0,
        "metrics": {"depth": depth},
        "loss_mtl": 2 * rmse,
    }
    if measured:
        changed = {} if measured == "the same" else {"model": measured}
        write_text(folder / "heldout.json", json.dumps(kept | heldout | {"losses": {}} | changed))
    if finished:
        recipe = {
            "network": {"name": "pad_net", "options": {}},
            "backbone": {"name": "mobilenetv2_100"},
        }
        trained = {"checkpoint": "last.ckpt", "trained": ["depth"]}
        write_text(
            folder / "fit.json",
            json.dumps(kept | {"recipe": recipe, "seed": 0, "images": 3, **trained}),
        )


def page(project: ProjectFolder) -> Page:
    """The report, written and read."""
    return Page(
        write_project_report(project, project.folder / "report.html").page.read_text(
            encoding="utf-8"
        )
    )


def test_a_new_project_s_report_says_what_is_missing_and_how_to_go_on(
    project: ProjectFolder,
) -> None:
    shown = page(project)
    quoted = f"'{project.folder}'"
    assert "The held-out images have no labels yet" in shown.section("curves").words
    assert f"labelgrid export {quoted} --round 0" in shown.section("curves").words
    assert "No round has started yet." in shown.section("rounds").words
    assert (
        f"Nothing has been picked yet. Next: labelgrid query {quoted} --budget N"
        in shown.section("picks").words
    )
    training = shown.section("training").words
    assert (
        "No network has been trained yet. Next: labelgrid" in training
        and "labelgrid fit" not in training
    )
    assert shown.named("h1") and shown.text.lstrip().startswith("my flat: labelgrid report")


def test_a_project_that_holds_nothing_out_says_that_it_measures_nothing(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "project", data) as project:
        label(project, *cells_of(data))
        shown = page(project)
    assert "This project has no held-out images" in shown.section("curves").words
    assert (
        "labelgrid init NEW --images IMAGES --task TASK --holdout 50"
        in shown.section("curves").words
    )
    assert "Held out" not in shown.section("status").words
    assert f"labelgrid fit {project.folder}" in shown.section("training").words


def test_the_strategy_is_named_with_its_options(project: ProjectFolder) -> None:
    assert project_report(project).about["Strategy"] == "joint"
    chosen = PluginChoice("random_cells", {"spread": 2, "keep": "first"})
    other = ProjectFolder(project.folder, replace(project.settings, strategy=chosen), project.store)
    assert project_report(other).about["Strategy"] == "random_cells (spread = 2, keep = first)"


def test_cells_and_costs_are_counted_and_held_out_ones_apart(
    project: ProjectFolder, data: Made
) -> None:
    label(project, *cells_of(data)[:3], *cells_of(data)[-4:-2])
    query(project, cells_of(data)[3])
    learnt, requests, heldout = page(project).section("status").tables
    assert learnt[1:] == [
        ["semseg", "semseg", "2", "0", "0", "2", "10", "20", "0"],
        ["depth", "depth", "1", "1", "0", "2", "1", "1", "1"],
        ["all tasks", "", "3", "1", "0", "4", "", "21", "1"],
    ]
    assert requests == [
        ["task", "outside the rounds", "no answer yet", "skipped", "not requested"],
        ["semseg", "2", "0", "0", "2"],
        ["depth", "1", "1", "0", "2"],
    ]
    assert heldout[1:] == [
        ["semseg", "semseg", "1", "0", "0", "1", "10", "10", "0"],
        ["depth", "depth", "1", "0", "0", "1", "1", "1", "0"],
        ["all tasks", "", "2", "0", "0", "2", "", "11", "0"],
    ]


def test_images_of_other_splits_have_a_table_of_their_own(data: Made, tmp_path: Path) -> None:
    splits = {data.names[0]: "val", data.names[1]: "test"}
    with make_project(tmp_path / "project", data, splits) as project:
        assert [(part.name.split()[0], part.images) for part in project_report(project).parts] == [
            *(("Training", 4), ("Validation", 1), ("Test", 1))
        ]


def test_a_campaign_s_figures_rounds_picks_and_training_are_all_there(
    project: ProjectFolder, data: Made
) -> None:
    cells = cells_of(data)
    label(project, *cells[:2], *cells[-4:])
    fit(project, 1, 1.125)
    query(project, *cells[2:5])
    label(project, cells[2])
    project.store.move([Move(cell=cells[3], to=State.SKIPPED)])
    fit(project, 2, 0.875)
    query(project, *cells[5:7])
    pictures(project, 2)
    shown = page(project)
    curves = shown.section("curves")
    assert curves.tables[0][1:] == [
        ["depth", "RMSE", "0.875", "m", "lower is better", "−0.25", "–", "cannot tell", "2"]
    ]
    assert curves.tables[1][1:] == [["0", "2", "11", "2.25", "2"], ["1", "4", "22", "1.75", "2"]]
    assert len(curves.named("img")) == 4
    assert shown.section("rounds").tables[0][1:] == [
        ["1", "closed", "3", "2", "partal", "3 labels", "2", "1", "21", "1", "1", "1"],
        ["2", "closed", "3", "4", "partal", "3 labels", "1", "1", "11", "0", "0", "2"],
    ]
    picks = shown.section("picks")
    assert "The first 2 of the 2 picks of round 2" in picks.words
    assert (
        f"1. depth {cells[5].image_id}" in picks.words
        and "score 0.5, cost 1: unsure" in picks.words
    )
    assert [image["src"] for image in picks.named("img")] == [
        data_uri(JPEG + what) for what in (b"image", b"prediction", b"uncertainty")
    ]
    assert shown.section("training").tables[0] == [
        ["epoch", "depth", "crop.mse"],
        ["1", "0.375", "0.125"],
    ]
    assert "pad_net on mobilenetv2_100" in shown.words and project.store.pool_hash() in shown.words
    assert set(project_report(project).hints) == {"pictures"}  # nothing was predicted here
    assert f"Next: labelgrid evaluate '{project.folder}'" in shown.words


def test_a_round_s_cancelled_picks_are_neither_answered_nor_waited_for(
    project: ProjectFolder, data: Made
) -> None:
    cells = cells_of(data)
    query(project, *cells[:3])
    project.store.move(
        [Move(cell=cells[0], to=State.MISSING), Move(cell=cells[1], to=State.LABELLED, cost=1.0)]
    )
    assert project_report(project).rounds[0].now == {"labelled": 1, "skipped": 0, "requested": 1}


def test_one_measured_round_asks_for_a_second(project: ProjectFolder, data: Made) -> None:
    label(project, *cells_of(data)[-4:])
    fit(project, 1, 1.125)
    words = page(project).section("curves").words
    assert "One round is measured. Curves need two." in words and "1.125" in words


def test_labels_that_no_network_was_measured_on_ask_for_a_fit(
    project: ProjectFolder, data: Made
) -> None:
    label(project, *cells_of(data)[-4:])
    assert "labelgrid fit" in page(project).section("curves").words


def test_figures_of_weights_that_were_trained_over_are_left_out(
    project: ProjectFolder, data: Made
) -> None:
    label(project, *cells_of(data)[-4:])
    fit(project, 1, 1.125, measured="an older model")
    assert project_report(project).measured == []
    assert "No network has been measured" in page(project).section("curves").words


def test_figures_that_are_no_numbers_leave_a_readable_page(
    project: ProjectFolder, data: Made
) -> None:
    label(project, *cells_of(data)[-4:])
    fit(project, 1, math.nan)
    section = page(project).section("curves")
    assert ["0", "2", "2", "11", "–", "2"] in [
        [row[0], row[1], row[1], *row[-3:]] for row in section.tables[2]
    ]
    assert not re.search(r"\bnan\b", section.text.lower())


def test_a_training_cut_short_is_shown_as_far_as_it_got(project: ProjectFolder, data: Made) -> None:
    label(project, *cells_of(data)[:2])
    fit(project, 1, 1.0, measured="", finished=False)
    words = page(project).section("training").words
    assert "The training of round 1 is not finished" in words and "0.375" in words


def test_picks_of_an_open_round_were_never_asked_for_and_are_not_shown(
    project: ProjectFolder, data: Made
) -> None:
    query(project, *cells_of(data)[:2])
    number = project.store.open_round().number
    first = project.round_folder(1) / "picks.json"
    write_text(project.round_folder(number) / "picks.json", first.read_text())
    found = project_report(project)
    assert found.picked and found.picked.round == 1
    assert found.rounds[1].picks == {}


def test_picks_made_without_a_network_say_why_there_are_no_pictures(
    project: ProjectFolder, data: Made
) -> None:
    query(project, *cells_of(data)[:2])
    section = page(project).section("picks")
    assert "There are no pictures" in section.words and cells_of(data)[0].image_id in section.words
    assert not section.named("img")


def test_only_the_first_picks_are_shown_and_all_are_counted(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelgrid.report.project_view.SHOWN", 2)
    query(project, *cells_of(data)[:3])
    found = project_report(project).picked
    assert found and (len(found.first), found.total) == (2, 3)
    assert [shown.pick.score for shown in found.first] == [1 / 2, 1 / 3]


def test_an_image_s_name_is_text_whatever_it_holds(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    data = made(n=2, tasks=("depth",), size=(16, 24))
    evil = "<script>alert(1)<img src=x onerror=alert(2)>&amp;\"'.jpg"
    (data.images / data.names[0]).rename(data.images / evil)
    data = replace(data, names=(evil, data.names[1]))
    with make_project(tmp_path / "<b>project", data) as project:
        query(project, Cell(evil, "depth"))
        shown = page(project)
    assert not shown.named("script") and not shown.named("b")
    assert all(
        image["src"].startswith("data:image/svg+xml;base64,") for image in shown.named("img")
    )
    assert evil in shown.text and "<b>project" in shown.text


def test_reporting_changes_nothing_but_the_report(project: ProjectFolder, data: Made) -> None:
    label(project, *cells_of(data)[:2])
    fit(project, 1, 1.0)
    before = snapshot(project)
    path = write_project_report(project, project.folder / "report.html").page
    *others, files = snapshot(project)
    assert files.pop("report.html") == path.read_bytes()
    assert (*others, files) == before


def test_a_report_is_written_over_an_older_one_and_over_nothing_else(
    project: ProjectFolder, tmp_path: Path
) -> None:
    out = tmp_path / "out.html"
    write_project_report(project, out)
    out.write_text(out.read_text() + "older")
    write_project_report(project, out)
    assert out.read_text().endswith("</html>")
    precious = project.folder / "labelgrid.toml"
    before = precious.read_bytes()
    with pytest.raises(
        ProjectError, match=r"The file exists and is not a labelgrid report"
    ) as caught:
        write_project_report(project, precious)
    assert caught.value.unchanged == "Nothing was written." and precious.read_bytes() == before


def test_a_place_that_cannot_hold_the_report_is_refused(
    project: ProjectFolder, tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match="The report's folder does not exist") as caught:
        write_project_report(project, tmp_path / "nowhere" / "report.html")
    assert (
        f"Create {tmp_path / 'nowhere'}" in caught.value.next_step
        and not (tmp_path / "nowhere").exists()
    )
    with pytest.raises(ProjectError, match="but this is a folder") as caught:
        write_project_report(project, tmp_path)
    assert str(tmp_path / "report.html") in caught.value.next_step


def test_a_damaged_file_stops_the_report_and_leaves_the_older_one(
    project: ProjectFolder, data: Made
) -> None:
    out = write_project_report(project, project.folder / "report.html").page
    before = out.read_bytes()
    query(project, cells_of(data)[0])
    (project.round_folder(1) / "picks.json").write_text("[")
    with pytest.raises(ProjectError, match=r"A file of a round is damaged"):
        write_project_report(project, out)
    assert out.read_bytes() == before


def test_reporting_loads_no_torch(project: ProjectFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from labelgrid.project.folder import ProjectFolder;"
        "from labelgrid.report.write_report import write_project_report; folder = Path(sys.argv[1]);"
        "write_project_report(ProjectFolder.open(folder), folder / 'report.html'); sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, str(project.folder)], check=False).returncode
        == 0
    )


class _Steps(Silent):
    """Keeps the steps and how far they came."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = {}

    def start(self, what: str, total: int, unit: str) -> None:
        self.steps[what] = [0, total]
        self.newest = what

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.steps[self.newest][0] += amount


def test_a_report_shows_its_steps_and_finishes_each(project: ProjectFolder) -> None:
    shown = _Steps()
    report(project.folder, progress=shown)
    assert shown.steps == {"Reading what was measured": [1, 1], "Drawing the page": [1, 1]}
