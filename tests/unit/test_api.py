"""The public face: lazy, without torch until it is needed, and what the commands stand on."""

import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import typer.main

import labelgrid
from labelgrid import cli
from labelgrid.api.cells import ProjectCell
from labelgrid.api.contents import ChangedCells
from labelgrid.api.former_members import OF_A_CELL
from labelgrid.api.study import report
from labelgrid.project.settings import Settings, read_settings
from tests.databases import content
from tests.e2e.commands import done
from tests.projects import RECIPE, Said
from tests.support import make_dataset

COVERS = [
    "labelgrid.api.cells",
    "labelgrid.api.former_members",
    "labelgrid.api.places",
    "labelgrid.api.project",
    "labelgrid.api.reader",
    "labelgrid.api.study",
    "labelgrid.cli.opening",
    "labelgrid.operations.operation_log",
]

#: What needs no network loads neither torch nor the command line.
LIGHT = """
import sys
import labelgrid
assert not [name for name in sys.modules if name.startswith("labelgrid.")]
place = sys.argv[1]
with labelgrid.Project.create(place + "/flat", place + "/images", "depth", holdout=1) as project:
    assert project.status()["tasks"]["depth"]["requested"] == 1
    assert project.export().tasks == {"depth": 1} and len(project.cancel(round=0).cells) == 1
    assert project.add(tasks="normals").new == 0
    project.import_labels(place + "/labels")
    assert not project.verify().faults
    assert project.label("0000.jpg:depth").size == project.image("0000.jpg").shape[:2]
    assert project.change_task("depth", {"cost": 2}).row.cost == 2
    assert len(project.cells()) == 6 and repr(project).startswith("<Project ")
    assert len(project.unlabel(["0000.jpg:depth"]).cells) == 1
    missing = project.cells(state="missing")[0]
    chosen = [missing["image"] + ":" + missing["task"]]
    assert project.request(chosen).cells == project.skip(chosen, why="dark").cells
    assert project.remove(["0001.jpg"]).images == 1
    project.report()
assert not {"torch", "typer"} & sys.modules.keys()
"""


def test_importing_the_package_loads_none_of_it_and_a_project_no_torch_until_it_is_needed(tmp_path):
    make_dataset(tmp_path, n=3, size=(16, 24), tasks=("depth",))
    subprocess.run([sys.executable, "-c", LIGHT, str(tmp_path)], check=True)


def test_the_face_names_what_it_has_and_nothing_else():
    assert (
        all(getattr(labelgrid, name) for name in labelgrid.__all__)
        and dir(labelgrid) == labelgrid.__all__
    )
    with pytest.raises(AttributeError, match="module 'labelgrid' has no attribute 'Projekt'"):
        labelgrid.Projekt  # noqa: B018


@pytest.fixture
def place(tmp_path):
    make_dataset(tmp_path / "made", n=8, size=(32, 64), tasks=("depth", "normals"))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def images_of_the_pool(project):
    """The images of the pool, which scoring must have read."""
    rows = project.cells(state="missing")
    return sorted({row["image"] for row in rows if row["split"] == "train"})


def fill(place, request):
    for row in json.loads((request / "manifest.json").read_text()):
        target = request / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(
            (place / "made/labels" / row["task"] / row["image"]).with_suffix(".png").read_bytes()
        )


def test_calls_do_what_the_commands_of_their_names_do(place):
    images, recipe = place / "made/images", place / "tiny.toml"
    options = ("--recipe", recipe, "--holdout", 2, "--strategy", "partal")
    done("init", place / "typed", "--images", images, "--task", "depth:cost=2", *options)
    done("add", place / "typed", "--task", "normals")
    done("query", place / "typed", "--budget", 2, "--unit", "images")
    done("export", place / "typed", "--out", place / "asked")
    fill(place, place / "asked")
    done("import", place / "typed", place / "asked")
    trained = json.loads(done("fit", place / "typed", "--json", "--epochs", 1).out)
    picked = json.loads(done("query", place / "typed", "--budget", 3, "--json").out)

    heard = Said()
    with labelgrid.Project.create(
        place / "called",
        images,
        "depth:cost=2",
        recipe=str(recipe),
        strategy="partal",
        holdout=2,
        progress=heard,
    ) as project:
        assert project.add(tasks=["normals"]).new == 0
        assert project.query(2, "images").strategy == "random_images"
        assert project.export(place / "again").folders == (place / "again",)
        fill(place, place / "again")
        assert project.import_labels(place / "again").tasks["depth"].new == 4
        fit = project.fit(epochs=1)
        assert list(project.score().images) == images_of_the_pool(project)
        found = project.query(3)
    assert (fit.model, fit.labels) == (trained["model"], trained["labels"])
    assert [[p.cell.image_id, p.cell.task, p.score] for p in found.picks] == [
        [p["cell"]["image"], p["cell"]["task"], p["score"]] for p in picked["picks"]
    ]
    events = [content(place / name / "labelgrid.db")["events"] for name in ("typed", "called")]
    assert events[0] == events[1] and any("no model yet" in line for line in heard.lines)

    with labelgrid.Project.open(place / "called") as project:
        values = json.loads(done("evaluate", place / "typed", "--json").out)
        assert project.evaluate()["labels"] == values["labels"] == {"depth": 2, "normals": 2}
        assert project.evaluate(place / "made/labels")["labels"]["depth"] == 8
        perfect = project.evaluate(predictions=place / "made/labels")
        assert (
            perfect["labels"] == values["labels"]
            and perfect["metrics"]["depth"]["RMSE"]["value"] == 0
        )
        with pytest.raises(labelgrid.LabelgridError, match="LABELS were given too"):
            project.evaluate(place / "made/labels", predictions=place / "made/labels")
        assert project.predict(images, place / "out", known=place / "made/labels") == 16
        assert (place / "out/depth/0000.png").is_file()
        assert project.report(plots=place / "plots").page == project.folder / "report.html"
        typed = json.loads(done("status", place / "typed", "--json").out)
        assert json.loads(json.dumps(project.status()).replace("called", "typed")) == typed


def test_keys_of_one_training_are_set_and_recorded(place):
    images, recipe = place / "made/images", place / "tiny.toml"
    made = {"recipe": str(recipe), "changes": {"train": {"epochs": 5}, "data": {"fit": "pad"}}}
    with labelgrid.Project.create(place / "flat", images, ["depth", "normals"], **made) as project:
        project.import_labels(place / "made/labels")
        typed = ("fit", place / "flat", "--set", "train.steps=1", "--set", "train.batch=2")
        fit = json.loads(done(*typed, "--json").out)
        assert fit["changes"] == {"train": {"steps": 1, "batch": 2}}
        assert (fit["recipe"]["train"]["steps"], fit["recipe"]["data"]["fit"]) == (1, "pad")
        assert len((place / "flat/rounds/0001/fit/log.jsonl").read_text().splitlines()) == 1
        same = project.fit(changes=fit["changes"])
        assert same.model == fit["model"]
        project.score("partal")
        both = project.fit(changes={"train": {"steps": 7, "batch": 2}}, epochs=1)
        assert both.changes == {"train": {"steps": 0, "batch": 2, "epochs": 1}}
        assert both.model != fit["model"]
        with pytest.raises(labelgrid.LabelgridError, match="A training computes no scores") as no:
            project.fit(changes={"score": {"dropout": {"passes": 3}}})
        assert "[changes.score]" in str(no.value)
        assert project.fit(changes=both.changes).model == both.model


def test_one_process_fits_or_queries_a_project(place):
    with labelgrid.Project.create(place / "flat", place / "made/images", ["depth"]) as project:
        with labelgrid.Project.open(place / "flat") as other, project._project.lock():
            for call in (other.fit, lambda: other.query(1)):
                with pytest.raises(labelgrid.LabelgridError, match="is running on this project"):
                    call()
        assert project.status()["tasks"]["depth"]["requested"] == 0


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"recipe": "smal"}, "There is no recipe 'smal'"),
        (
            {"changes": {"train": {"step": 3}}},
            r"train\.step: unknown key \(did you mean 'steps'\?\)",
        ),
        (
            {"changes": {"network": {"options": {"widht": 3}}}},
            r"widht: unknown key \(did you mean 'width'\?\)",
        ),
        ({"strategy": "partl"}, "Did you mean 'partal'"),
        (
            {"strategy": "partal", "options": {"units": "cells"}},
            r"units: unknown key \(did you mean 'unit'\?\)",
        ),
        ({"tasks": "dept"}, "Did you mean 'depth'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_made(place, wrong, fault):
    given = {"tasks": ["depth"], **wrong}
    with pytest.raises(labelgrid.LabelgridError, match=fault):
        labelgrid.Project.create(place / "flat", place / "made/images", **given)
    assert not (place / "flat").exists()


#: Commands that stand on the method of their name.
NAMESAKES = (
    *("add", "cancel", "export", "remove", "unlabel", "request", "skip"),
    *("verify", "duplicates", "status", "cells", "log", "undo"),
    *("fit", "score", "query", "predict", "evaluate", "audit", "relate", "control", "advise"),
    *("supply", "time"),
)
#: Each command that stands on a call.
CALLS = {
    "init": labelgrid.Project.create,
    "import": labelgrid.Project.import_labels,
    "task": labelgrid.Project.change_task,
    "simulate": labelgrid.simulate,
    "analyse": labelgrid.analyse,
    "report": report,
    "export-model": labelgrid.Project.export_model,
    "split": labelgrid.Project.set_split,
    **{name: getattr(labelgrid.Project, name) for name in NAMESAKES},
}
#: Options of the command line alone: how it prints, and whose code it trusts; a path among the
#: tasks; and what is a call of its own, such as `restore` and `labelgrid.estimate`.
OF_COMMANDS = {"json", "csv", "trust", "task_file"}
OWN_CALLS = {
    "init": {"time"},
    "remove": {"restore"},
    "simulate": {"dry_run"},
    "fit": {"report"},
    "query": {"export"},
    "audit": {"confirm"},
    "task": {"drop", "restore"},
}
#: Further calls on which a command stands, by what is typed.
FURTHER = {"import": (labelgrid.Project.import_supplied, labelgrid.Project.import_answers)}
#: Arguments of calls alone.
OF_CALLS = {"self", "progress", "study", "options", "further"}
#: Commands that say otherwise what they do: in words of the command line.
OTHERWISE = {"status", "cancel", "cells", "remove", "task"}


def options_of(command):
    """The options of a command by name, without those of the command line alone."""
    params = typer.main.get_command(cli.app).commands[command].params
    others = OF_COMMANDS | OWN_CALLS.get(command, set())
    return {option.name: option for option in params if option.name not in others}


def arguments_of(command):
    """The arguments of the calls of a command by name, without those of calls alone."""
    arguments = {}
    for call in (*FURTHER.get(command, ()), CALLS[command]):
        arguments |= inspect.signature(call).parameters
    return {name: argument for name, argument in arguments.items() if name not in OF_CALLS}


def test_every_command_stands_on_a_call_but_those_that_need_no_project():
    assert set(typer.main.get_command(cli.app).commands) - set(CALLS) == {
        "check-plugin",
        "data",
        "ledger",
        "list",
        "live",
        "scenes",
        "serve",
        "sheet",
    }


@pytest.mark.parametrize("command", CALLS)
def test_a_command_and_its_call_take_the_same_arguments(command):
    names = set(options_of(command)) - {"folder"}
    assert names == set(arguments_of(command)) - {"folder"}


@pytest.mark.parametrize("command", CALLS)
def test_a_command_and_its_call_have_the_same_defaults(command):
    arguments = arguments_of(command)
    for name, option in options_of(command).items():
        if name not in arguments:
            continue
        default = arguments[name].default
        if default is inspect.Parameter.empty:
            assert not option.default, name  # "init" checks by itself that there is one
        else:
            assert not option.required, name
            assert said(option.default) == said(default), name


def said(default):
    """A default as a user types it; nothing, 0, an empty list and None are one."""
    return str(default) if default and default != "0" else ""


@pytest.mark.parametrize("command", sorted(set(CALLS) - OTHERWISE))
def test_a_command_and_its_call_say_the_same_of_what_they_do(command):
    explained = typer.main.get_command(cli.app).commands[command].help
    call = inspect.getdoc(CALLS[command])
    assert explained.partition("\n")[0] == call.partition("\n")[0]


def test_init_and_create_have_the_defaults_of_the_settings(flat):
    made = inspect.signature(labelgrid.Project.create).parameters
    assert made["recipe"].default == ""
    assert read_settings(flat.folder / "labelgrid.toml").recipe == Settings().recipe
    assert made["strategy"].default == Settings().strategy.name


@pytest.fixture
def flat(place):
    """A project of eight images, two of them held out, whose first image has a depth map."""
    labels = place / "given/depth"
    labels.mkdir(parents=True)
    (labels / "0000.png").write_bytes((place / "made/labels/depth/0000.png").read_bytes())
    images = place / "made/images"
    with labelgrid.Project.create(
        place / "flat", images, ["depth", "normals:cost=2"], holdout=2
    ) as project:
        project.import_labels(place / "given")
        yield project


def test_a_project_says_in_one_line_what_it_holds(flat):
    assert repr(flat) == (
        f"<Project {flat.folder}: 8 images (2 held out), 2 tasks, 1 label, 0 rounds>"
    )
    (flat.folder / "labelgrid.db").write_bytes(b"no database at all")
    assert repr(flat).startswith(f"<Project {flat.folder}: ")


def test_the_cells_are_a_table_of_images_and_tasks(flat):
    flat.query(3, strategy="random_cells")
    rows = flat.cells()
    assert [(row["image"], row["task"]) for row in rows] == [
        (f"{number:04d}.jpg", task) for number in range(8) for task in ("depth", "normals")
    ]
    assert pyarrow.Table.from_pylist(rows).column_names == [
        "image",
        "task",
        "split",
        "state",
        "round",
        "cost",
        "weight",
        "seconds",
        "path",
    ]
    assert len([row for row in rows if row["state"] == "requested"]) == 7
    for state in ("missing", "requested", "labelled", "skipped"):
        wanted = [row for row in rows if row["state"] == state]
        assert flat.cells(state=state) == wanted
        of_depth = [row for row in wanted if row["task"] == "depth"]
        assert flat.cells(state=state, task="depth") == of_depth
    (labelled,) = flat.cells(state="labelled")
    assert Path(labelled["path"]).is_file() and labelled["cost"] == 1.0
    with pytest.raises(
        labelgrid.LabelgridError, match=r"`state=` must be 'missing', .*Found 'done'"
    ):
        flat.cells(state="done")
    with pytest.raises(labelgrid.LabelgridError, match="Its tasks are: depth, normals"):
        flat.cells(task="dept")


def test_a_label_and_an_image_are_arrays_of_one_size(flat, place):
    label = flat.label("0000.jpg:depth")
    image = flat.image("0000.jpg")
    assert image.shape == (32, 64, 3) and image.dtype == np.uint8
    assert label.value.shape == (32, 64, 1) and label.valid.shape == (32, 64)
    again = flat.tasks["depth"].read(place / "made/labels/depth/0000.png")
    assert np.array_equal(label.value, again.value) and np.array_equal(label.valid, again.valid)
    for cell, fault in {
        "0000.jpg:dept": "has no cell '0000.jpg:dept'",
        "0000.jpg": "has no cell",
        "0000.jpg:normals": "has no label: it is (missing|requested)",
    }.items():
        with pytest.raises(labelgrid.LabelgridError, match=fault):
            flat.label(cell)
    with pytest.raises(labelgrid.LabelgridError, match="nowhere"):
        flat.image("nowhere.jpg")


def test_the_picks_of_a_round_are_those_that_its_query_returned(flat):
    asked = flat.query(3, strategy="random_cells")
    assert [
        (pick.cell.image_id, pick.cell.task, pick.score) for pick in flat.picks(asked.round)
    ] == [(pick.cell.image_id, pick.cell.task, pick.score) for pick in asked.picks]
    with pytest.raises(labelgrid.LabelgridError, match=r"no round 7.*\n.*rounds are: 1"):
        flat.picks(7)


def test_cancelled_cells_are_told_from_those_of_held_out_images(flat):
    asked = flat.query(1, strategy="random_cells")
    cells = [f"{pick.cell.image_id}:{pick.cell.task}" for pick in asked.picks]
    assert flat.cancel(cells) == ChangedCells([asked.picks[0].cell], [])
    changed = flat.cancel(round=0)
    assert changed.cells == changed.heldout and len(changed.cells) >= 3


def test_a_task_is_changed_dropped_and_restored(flat):
    assert flat.change_task("normals").row.cost == 2
    changed = flat.change_task("depth", {"cost": 3})
    assert (changed.row.cost, changed.stale, flat.tasks["depth"].cost) == (3, False, 3)
    requested = len(flat.cells(state="requested", task="normals"))
    assert flat.drop_task("normals").cancelled == requested
    assert list(flat.tasks) == ["depth"]
    assert flat.restore_task("normals").row.name == "normals"


def test_what_had_another_name_before_says_its_new_one(flat):
    with pytest.raises(AttributeError, match=r"Project\.change_task, drop_task or restore_task"):
        flat.task("depth")
    with pytest.raises(TypeError, match=r"import_supplied\(\)"):
        flat.import_labels("labels", supplier="net")
    with pytest.raises(TypeError, match=r"import_answers\(\)"):
        flat.import_labels(format="label_studio", url="http://localhost", token_file="token")


def test_all_labels_are_exported_by_the_call_too(flat):
    assert flat.export(labels=True).tasks == {"depth": 1}
    assert (flat.folder / "export/depth/0000.png").is_file()
    with pytest.raises(labelgrid.LabelgridError, match="cannot be combined"):
        flat.export(labels=True, round=1)


def test_a_study_runs_from_python(tmp_path):
    from tests.studies import make_data, make_recipe

    make_data(tmp_path / "data")
    recipe = make_recipe(tmp_path)
    ends = labelgrid.simulate(
        str(recipe),
        tmp_path / "data",
        tmp_path / "out",
        strategies=["random_cells"],
        rounds=1,
        full=False,
    )
    assert {key: one.state for key, one in ends.runs.items()} == {
        "start-seed0": "done",
        "random_cells-seed0": "done",
    }
    assert (tmp_path / "out/outcomes.csv").is_file()
    work = labelgrid.estimate(str(recipe), tmp_path / "data", tmp_path / "new", rounds=1)
    assert work.runs > 0 and not (tmp_path / "new").exists()
    assert report(tmp_path / "out").page == tmp_path / "out/report.html"
    with pytest.raises(labelgrid.LabelgridError, match=r"simulate\.budget changed"):
        labelgrid.simulate(str(recipe), tmp_path / "data", tmp_path / "out", budget=6)


def test_a_path_in_place_of_an_opened_project_is_refused_with_the_way_to_open_it(tmp_path):
    with pytest.raises(labelgrid.LabelgridError, match=r"Use Project\.open\('somewhere'\)"):
        labelgrid.Project("somewhere")


def test_the_history_of_a_cell_outlives_its_image_and_its_task(flat):
    event = flat.cell("0000.jpg:depth").history()[-1]
    assert (event["command"], event["after"]) == ("import", "labelled")
    flat.remove(["0000.jpg"])
    flat.drop_task("depth")
    for cell in ("0000.jpg:depth", "0000:depth"):
        assert flat.cell(cell).history()[-1] == flat.log(cell)[-1] == event
    with pytest.raises(labelgrid.LabelgridError, match=r"no cell '0000\.jpg:normals'"):
        flat.cell("0000.jpg:normals").history()  # nothing ever happened to it
    assert flat.cell("0001:normals").history() == []


@pytest.mark.parametrize("name", ["0000.jpg", ":depth", "", "nothing"])
def test_a_name_that_is_no_cell_is_told_what_a_cell_is(flat, name):
    with pytest.raises(labelgrid.LabelgridError, match=f"no cell '{name}'") as caught:
        flat.cell(name).history()
    assert "A cell is IMAGE:TASK" in str(caught.value)


def test_the_log_has_the_operations_the_last_one_first(flat):
    flat.query(3, strategy="random_cells")
    newest, imported, started = flat.log()
    assert newest["moves"] == [{"before": "missing", "after": "requested", "cells": 3}]
    assert (newest["command"], newest["rounds"], newest["undone"]) == ("query", [1], False)
    assert (imported["command"], imported["operation"]) == ("import", 2)
    assert (started["command"], started["rounds"]) == ("init", [0])
    assert flat.log(last=1) == [newest]
    with pytest.raises(labelgrid.LabelgridError, match=r"from 1 up\. Found 0"):
        flat.log(last=0)


def test_a_cell_may_be_a_pair_of_image_and_task(flat):
    with pytest.raises(labelgrid.LabelgridError, match=r"no cell 'nowhere\.jpg:depth'"):
        flat.label(("nowhere.jpg", "depth"))


#: What `Project` had before version 0.1, beside what it has.
FORMER = "annotators answers classes counts each_cell first_command foresee_undo held_image_file history hold_out image_file image_orders image_page image_size import_label inside is_current job kept_picks last_event last_undoable listed_image measures neighbours next_command next_request next_step note notes offered_relations other_labels predicted_requests requested_at round_rows rounds statistics status_and_step suspect_cells suspect_paths suspects task transaction uncertainty_map warnings"


def public(owner):
    return {name for name in dir(owner) if not name.startswith("_")}


def test_a_project_has_few_members_and_each_is_in_its_page():
    members = public(labelgrid.Project)
    rows = [row for row in Path("docs/python.md").read_text().splitlines() if row.startswith("|")]
    first = " ".join(row.split("|")[1] for row in rows)
    named = set(re.findall(r"`(?:Project\.)?(\w+)[(`]", first))
    assert len(members) <= 45
    assert members - named == set() and public(ProjectCell) - named == set()


def test_a_former_member_says_where_it_is(flat):
    for name in FORMER.split():
        assert name not in public(labelgrid.Project)
        with pytest.raises(AttributeError, match=rf"Project\.{name} ") as caught:
            getattr(flat, name)
        where = str(caught.value).rpartition("in its place is ")[2].rstrip(".")
        if name in OF_A_CELL:
            assert name in public(ProjectCell)
        elif where.startswith("Project."):
            assert re.match(r"Project\.(\w+)", where)[1] in public(labelgrid.Project)
        else:
            assert pkgutil.resolve_name(where), name
