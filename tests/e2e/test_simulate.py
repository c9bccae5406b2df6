"""Studies from the command line: kill and resume, refusal of another study in the folder, and the report."""

import json
import os
import re
import shutil
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from labelgrid.cli import STOPPED
from labelgrid.lab.simulation import study_results as results
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from tests.e2e.commands import done, refused, typed
from tests.e2e.killing import preloaded_context
from tests.few_pictures import few_pictures as few_pictures
from tests.forked_servers import fork_servers
from tests.studies import make_data, make_recipe
from tests.unit.report.reading import Page

COVERS = [
    "labelgrid.rounds.previews",
    "labelgrid.cli.lab",
    "labelgrid.cli.study_screen",
    "labelgrid.lab.simulation.run_study",
    "labelgrid.lab.simulation.study_results",
    "labelgrid.basics.processes",
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    make_data(folder / "data")
    make_recipe(folder)
    assert "4 of 4 runs are done" in done(*words(folder, "whole")).out
    return folder


def words(studies: Path, out: str, recipe: str = "study.toml", jobs: int = 2) -> list[object]:
    return [
        "simulate",
        studies / recipe,
        "--data",
        studies / "data",
        "--out",
        studies / out,
        "--jobs",
        jobs,
    ]


def simulate(command: list[object]) -> None:
    """Run a command in this process, and end with its exit status."""
    fork_servers()
    sys.exit(typed(*command).code)


def start(studies: Path, out: str, jobs: int) -> BaseProcess:
    command = words(studies, out, jobs=jobs)
    process = preloaded_context().Process(target=simulate, args=(command,))
    process.start()
    return process


def test_every_run_round_task_and_metric_has_its_record(studies: Path) -> None:
    records = results.read_outcomes(studies / "whole")
    assert {record.strategy for record in records} == {"start", "partal", "random_cells", "full"}
    for strategy in ("partal", "random_cells"):
        rounds = sorted({(r.round, r.labels) for r in records if r.strategy == strategy})
        assert [labels for _, labels in rounds] == [6, 11, 16]
    firsts = {
        r.strategy: r.value
        for r in records
        if r.labels == 6 and r.task == "all" and r.kind != "full"
    }
    assert len(set(firsts.values())) == 1  # all continue from the same first network
    lines = (studies / "whole" / "outcomes.csv").read_text().splitlines()
    assert len(lines) == 1 + len(records) and lines[0].startswith('"kind","strategy","seed"')


def test_stopped_then_killed_and_resumed_with_other_jobs_a_study_ends_in_the_same_tables(
    studies: Path,
) -> None:
    out = studies / "killed"
    for least, jobs, by in ((1, 1, signal.SIGTERM), (3, 2, signal.SIGKILL)):
        process = start(studies, "killed", jobs)
        limit = time.monotonic() + 600
        while (
            len(list(out.glob("runs/*/rounds/*/heldout.json"))) < least and time.monotonic() < limit
        ):
            time.sleep(0.05)
        assert process.pid
        os.kill(process.pid, by)
        process.join()
        assert process.exitcode == (STOPPED if by == signal.SIGTERM else -by)
        assert results.read_outcomes(out)  # a stop writes the records so far, a kill changes none
    done(*words(studies, "killed", jobs=1))
    assert (out / "outcomes.csv").read_bytes() == (studies / "whole" / "outcomes.csv").read_bytes()


@pytest.mark.usefixtures("few_pictures")
def test_its_report_has_every_section_and_its_numbers_are_the_records_own(
    studies: Path, tmp_path: Path
) -> None:
    out, plots = tmp_path / "study.html", tmp_path / "plots"
    assert "files in" in done("report", studies / "whole", "--out", out, "--plots", plots).out
    page = Page(out.read_text())
    assert {"semseg", "depth"} <= {row[0] for row in page.section("grid").tables[0]}
    assert page.section("uncertainty").named("img") and len(
        page.section("curves").named("img")
    ) == 2 * (3 + 4)
    kinds = {image["alt"].split()[0] for image in page.section("cells").named("img")}
    assert kinds == {"image", "prediction", "uncertainty", "label"}
    names = {path.name for path in plots.iterdir()}
    assert {"curve-overall-labels.svg", "curve-overall-labels.png", "grid-1.png"} <= names
    values = json.loads(done("report", studies / "whole", "--out", out, "--json").out)
    final = next(
        m for m in values["points"][0]["measures"] if m["name"] == "loss_mtl after the last round"
    )
    records = results.read_outcomes(studies / "whole")
    last = next(r for r in records if (r.strategy, r.labels, r.task) == ("partal", 16, "all"))
    assert final["strategies"]["partal"]["seeds"] == {"0": last.value}
    assert values["unfinished"] == []


@pytest.mark.usefixtures("few_pictures")
def test_pictures_made_later_are_those_that_were_made_when_the_cells_were_picked(
    studies: Path, tmp_path: Path
) -> None:
    out, words = (
        tmp_path / "study.html",
        ("report", studies / "whole", "--out", tmp_path / "study.html"),
    )
    (folder,) = sorted(studies.glob("whole/runs/partal-seed0/rounds/*/pictures"))[-1:]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    done(*words)
    assert "No pictures of these cells were kept." in Page(out.read_text()).section("cells").words
    done(*words, "--pictures")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert Page(out.read_text()).section("cells").named("img")


def test_the_runs_read_a_recipe_that_no_edit_can_change(studies: Path) -> None:
    frozen, own = (
        load_recipe(str(studies / "whole" / "recipe.toml")),
        load_recipe(str(studies / "study.toml")),
    )
    assert frozen == own
    with ProjectFolder.open(studies / "whole" / "runs" / "partal-seed0") as project:
        assert load_recipe(project.settings.recipe, beside=project.folder) == own


def test_labels_that_no_run_was_granted_are_never_opened(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    recipe = make_recipe(tmp_path)
    text = recipe.read_text().replace("rounds = 2", "rounds = 1\nfull = false")
    recipe.write_text(text.replace('["partal", "random_cells"]', '["partal"]'))  # it asks a network
    done(*words(tmp_path, "open"))
    granted = set()
    for run in (tmp_path / "open" / "runs").iterdir():
        with ProjectFolder.open(run) as project:
            granted |= {row.cell for row in project.store.cells(state=State.LABELLED)}
    hidden = 0
    for path in (tmp_path / "data" / "labels").rglob("*.*"):
        task, name = path.relative_to(tmp_path / "data" / "labels").parts[0], path.stem
        if not any(cell.task == task and Path(cell.image_id).stem == name for cell in granted):
            path.write_bytes(b"nobody may read this")
            hidden += 1
    assert 0 < hidden < 22
    done(*words(tmp_path, "hidden"))
    assert (tmp_path / "hidden" / "outcomes.csv").read_bytes() == (
        tmp_path / "open" / "outcomes.csv"
    ).read_bytes()


def test_a_strategy_that_is_added_stays_beside_those_there_are(studies: Path) -> None:
    shutil.copytree(studies / "whole", studies / "more")
    assert (
        "5 of 5 runs are done" in done(*words(studies, "more"), "--strategy", "random_images").out
    )
    assert {r.strategy for r in results.read_outcomes(studies / "more")} >= {
        "partal",
        "random_cells",
        "random_images",
    }


def test_the_states_of_the_runs_are_printed_for_programs(studies: Path) -> None:
    values = json.loads(done(*words(studies, "whole"), "--json").out)
    assert values["outcomes"] == str(studies / "whole/outcomes.csv")
    assert len(values["runs"]) == 4
    for row in values["runs"].values():
        assert row == {"state": "done", "fault": ""}


def test_another_budget_is_refused(studies: Path) -> None:
    text = (studies / "study.toml").read_text()
    (studies / "other.toml").write_text(text.replace("budget = 5", "budget = 4"))
    found = refused(studies / "whole", *words(studies, "whole", "other.toml"))
    assert "with other settings: simulate.budget changed" in found and "Nothing was run" in found


def test_a_dry_run_lists_the_arms_and_makes_nothing(studies: Path) -> None:
    shown = done(*words(studies, "dry"), "--strategy", "partal", "--dry-run").out
    assert (
        re.search(r"partal +│ strategy │ +1 │ +2 │ +16 │ +4 │", shown)
        and "random_cells" not in shown
    ), shown
    assert re.search(
        r"3 runs train \d+ networks: \d+ steps at most, 2 runs at a time\..* known after the first",
        shown,
    ), shown
    values = json.loads(
        done(*words(studies, "dry"), "--strategy", "partal", "--dry-run", "--json").out
    )
    assert (values["runs"], values["at_once"], values["seconds"]) == (3, 2, None)
    rows = {(row["arm"], row["kind"]): row for row in values["arms"]}
    work = {"runs": 1, "trainings": 2, "labels": 16, "steps": 4}
    assert rows["partal", "strategy"] == {"arm": "partal", "kind": "strategy", **work}
    two = done(*words(studies, "dry"), "--strategy", "partal", "--seeds", "2", "--dry-run").out
    assert re.search(r"partal +│ strategy │ +2 │ +4 │ +16 │ +8 │", two), two
    assert not (studies / "dry").exists()
    assert "All runs are done" in done(*words(studies, "whole"), "--dry-run").out
    more = done(*words(studies, "whole"), "--seeds", "2", "--dry-run").out
    assert re.search(
        r"4 runs train \d+ networks: \d+ steps at most, 2 runs at a time, about \d+ (s|min) at the",
        more,
    ), more


@pytest.mark.usefixtures("few_pictures")
def test_single_task_networks_are_trained_by_one_flag_and_the_report_prints_delta_mtl_over_them(
    studies: Path,
) -> None:
    shutil.copytree(studies / "whole", studies / "single")
    assert "8 of 8 runs are done" in done(*words(studies, "single"), "--single").out
    records = results.read_outcomes(studies / "single")
    alone = {r.strategy: r.labels for r in records if r.kind == "single"}
    assert alone == {
        "single.semseg": 3,
        "single.depth": 3,
        "single.full.semseg": 8,
        "single.full.depth": 8,
    }
    printed = done("report", studies / "single").out
    for words_of_table in (
        "delta_mtl after the last round",
        "partal",
        "over single-task",
        "over every label",
    ):
        assert words_of_table in printed
    measures = json.loads(done("report", studies / "single", "--json").out)["points"][0]["measures"]
    assert (
        sum("delta_mtl over single-task networks" in measure["name"] for measure in measures) == 2
    )
