"""The public face: lazy, without torch until it is needed, and the same as the commands."""

import inspect
import json
import subprocess
import sys

import pytest
import typer.main

import labelgrid
from labelgrid import cli
from labelgrid.project.settings import Settings
from tests.e2e.commands import done, ledger
from tests.projects import RECIPE, Said
from tests.studies import make_data, make_recipe
from tests.support import make_dataset

COVERS = ["labelgrid.api.project", "labelgrid.api.study"]

#: What needs no network loads neither torch nor the command line.
LIGHT = """
import sys
import labelgrid
assert not [name for name in sys.modules if name.startswith("labelgrid.")]
place = sys.argv[1]
with labelgrid.Project.create(place + "/flat", place + "/images", "depth", holdout=1) as project:
    assert project.status()["tasks"]["depth"]["requested"] == 1
    assert project.export().tasks == {"depth": 1} and project.cancel(round=0) == 1
    assert project.add(tasks="normals").new == 0
    project.import_labels(place + "/labels")
    assert not project.verify().faults
    assert project.unlabel(["0000.jpg:depth"]) == 1 and project.remove(["0001.jpg"]).images == 1
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
        found = project.query(3)
    assert (fit.model, fit.labels) == (trained["model"], trained["labels"])
    assert [[p.cell.image_id, p.cell.task, p.score] for p in found.picks] == [
        [p["cell"]["image"], p["cell"]["task"], p["score"]] for p in picked["picks"]
    ]
    events = [ledger(place / name / "labelgrid.db")["events"] for name in ("typed", "called")]
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


#: Arguments of commands that calls name otherwise, or leave to other calls.
OTHERWISE = {"folder", "json", "task_file", "labels", "cells", "trust", "restore"}


@pytest.mark.parametrize(
    ("command", "call"),
    [("init", "create"), ("import", "import_labels")]
    + [
        (name, name)
        for name in (
            "add",
            "query",
            "export",
            "fit",
            "predict",
            "evaluate",
            "report",
            "cancel",
            "verify",
            "unlabel",
            "remove",
        )
    ],
)
def test_a_call_takes_what_its_command_takes(command, call):
    taken = inspect.signature(getattr(labelgrid.Project, call)).parameters
    app = typer.main.get_command(cli.app)
    assert {
        parameter.name for parameter in app.commands[command].params
    } - OTHERWISE <= taken.keys()


def test_init_and_create_have_the_defaults_of_the_settings():
    made = inspect.signature(labelgrid.Project.create).parameters
    typed = {
        parameter.name: parameter
        for parameter in typer.main.get_command(cli.app).commands["init"].params
    }
    assert typed["recipe"].default == made["recipe"].default == Settings().recipe
    assert typed["strategy"].default == made["strategy"].default == Settings().strategy.name


def test_a_study_runs_from_python(tmp_path):
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
    with pytest.raises(labelgrid.LabelgridError, match=r"simulate\.budget changed"):
        labelgrid.simulate(str(recipe), tmp_path / "data", tmp_path / "out", budget=6)
