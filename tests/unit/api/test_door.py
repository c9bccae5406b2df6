"""The law of doors: every public method refuses every value that does not fit, in Python's words, and writes nothing."""

import hashlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest

import labelgrid
from labelgrid import LabelgridError, Project
from labelgrid.api import door
from labelgrid.api.cells import ProjectCell
from labelgrid.api.door import check_arguments
from labelgrid.basics.errors import UsageError
from labelgrid.ledger.grid import Cell
from tests.laboratory import need_laboratory
from tests.projects import answer, make_project

#: What fits no parameter, whatever its annotation is; a plain text fits those of texts and paths.
WRONG = (object(), b"bytes", float("nan"), "a\0b", [object()], 3 + 4j)
FUNCTIONS = {
    name: getattr(labelgrid, name) for name in ("simulate", "estimate", "analyse", "trust")
}


def methods() -> dict[str, Any]:
    """The public methods of a project, those that make or open one among them, and of its cells."""
    found = {}
    for owner, before in ((Project, ""), (ProjectCell, "cell.")):
        for name, member in inspect.getmembers(owner, callable):
            if not name.startswith("_"):
                found[f"{before}{name}"] = member
    return found


def parameters(function: Callable[..., Any]) -> list[str]:
    named = inspect.signature(function).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [each.name for each in named if each.kind not in kinds and each.name != "self"]


PAIRS = [(name, each) for name, member in methods().items() for each in parameters(member)]
FUNCTION_PAIRS = [(name, each) for name, member in FUNCTIONS.items() for each in parameters(member)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose held-out images wait for labels."""
    project, _ = make_project(tmp_path_factory.mktemp("door"), n=6)
    project.close()
    return project.folder


@pytest.fixture(scope="module")
def project(folder: Path) -> Iterator[Project]:
    with Project.open(folder) as project:
        yield project


def content(folder: Path) -> dict[str, str]:
    """What a project's folder holds, but for the ledger's log beside it, and the lock's empty file."""
    with Project.open(folder) as project:
        store = project._project.store
        ledger = (project.status(), store.last_event(), project.log(last=99), project.cells())
        splits = [(row.image_id, row.split, row.group) for row in store.images()]
    found = {"ledger": repr((ledger, splits))}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".db" not in path.name and path.stat().st_size:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def call(project: Project, name: str, arguments: Mapping[str, Any]) -> object:
    """Call a method, and do what it only does when it is gone through."""
    owner, _, method = name.rpartition(".")
    cell = project.cells()[0]
    holder = project.cell((cell["image"], cell["task"])) if owner else project
    result = getattr(holder, method)(**arguments)
    if hasattr(result, "__enter__"):
        with result:
            return None
    return list(result) if inspect.isgenerator(result) else result


@pytest.mark.parametrize(("method", "parameter"), PAIRS)
def test_every_parameter_of_every_method_refuses_what_does_not_fit(
    project: Project, method: str, parameter: str
) -> None:
    for value in WRONG:
        with pytest.raises(LabelgridError) as caught:
            call(project, method, {parameter: value})
        assert f"`{parameter}=` must be " in str(caught.value)
        assert "Nothing was changed." in str(caught.value)


@pytest.mark.parametrize(("function", "parameter"), FUNCTION_PAIRS)
def test_every_parameter_of_every_function_refuses_what_does_not_fit(
    function: str, parameter: str
) -> None:
    if function != "trust":
        need_laboratory()
    for value in WRONG:
        with pytest.raises(LabelgridError, match=f"{parameter}="):
            FUNCTIONS[function](**{parameter: value})


#: What has the right type and is wrong: words, numbers and names, by method.
NO_CELL = ("0.png", "0.png:no", "no.png:depth", ":depth", "")
CASES: dict[str, list[dict[str, Any]]] = {
    "import_labels": [
        {"labels": ".", "split": "training"},
        {"labels": ".", "split": "heldout"},
        {"labels": ".", "split": ""},
        {"labels": ".", "keep": "newest"},
        {"labels": ".", "task": "no"},
        {"labels": ".", "format": "no"},
        {"labels": ".", "limit": -1},
        {"labels": ".", "limit": True},
        {"labels": ".", "seed": 1.5},
        {"labels": ".", "replace": "no"},
        {"labels": ".", "map": {"car": 3}},
        {"labels": "no such folder"},
        {"labels": ".", "seed": 3},
    ],
    "import_supplied": [
        {"labels": ".", "supplier": "net", "cost": -1.0},
        {"labels": ".", "supplier": ""},
        {"labels": ".", "supplier": "../net"},
        {"labels": ".", "supplier": "net", "keep": "newest"},
        {"labels": "no such folder", "supplier": "net"},
    ],
    "import_answers": [
        {"url": "http://localhost:1"},
        {"url": "http://localhost:1", "token_file": "no such file"},
        {"url": "", "token_file": "x"},
        {"url": ""},
        {"url": "no", "cost": 1.0},
        {"url": "no", "supplier": "net", "split": "train"},
        {"url": "no", "supplier": "net", "replace": True},
    ],
    "query": [
        {"budget": "ten"},
        {"budget": 3, "unit": "label"},
        {"budget": 0},
        {"budget": -3},
        {"budget": float("inf")},
        {"budget": True},
        {"budget": 3, "strategy": "no"},
        {"budget": 3, "tasks": "depth"},
        {"budget": 3, "tasks": ["no"]},
        {"budget": 3, "pairs": -1},
        {"budget": 3, "control": "many"},
        {"budget": 3, "control": 7.0},
        {"budget": 3, "class_name": "no"},
        {"budget": 3, "like": "no.png"},
        {"budget": 3, "dry_run": 1},
        {"budget": 3, "save": "x.json"},
        {"picks": "no.json"},
    ],
    "export_model": [{"to": value} for value in ("tflite", "ONNX", "", None, 3)]
    + [{"known": "depth"}, {"known": ["no"]}],
    "predict": [
        {"images": ".", "out": "x", "relations": "all"},
        {"images": ".", "out": "x", "relations": None},
        {"images": ".", "out": "x", "workers": -1},
        {"images": ".", "out": "x", "on": "no"},
        {"images": "no such folder", "out": "x"},
        {"images": "", "out": "x"},
    ],
    "add": [
        {"check": "quick"},
        {"check": "full", "holdout": "many"},
        {"holdout": -1},
        {"holdout": 1000},
        {"holdout": 0.5},
        {"images": "no such folder"},
        {"tasks": "a:kind=no"},
        {"tasks": "depth"},
        {"tasks": "a b"},
    ],
    "request": [
        {"cells": value} for value in ("0.png:depth", ["0.png"], ["0.png:no"], [3], 3, None)
    ],
    "skip": [{"cells": value} for value in ("0.png:depth", ["0.png"], ["0.png:no"], [3], 3, None)],
    "unlabel": [
        {"cells": value} for value in ("0.png:depth", ["0.png"], ["0.png:no"], [3], 3, None)
    ],
    "confirm": [
        {"cells": value} for value in ("0.png:depth", ["0.png"], ["0.png:no"], [3], 3, None)
    ],
    "cancel": [{"cells": value} for value in ("0.png:depth", ["0.png"], ["0.png:no"], [3], 3, None)]
    + [{"round": -1}, {"round": "0"}, {"round": 99}],
    "remove": [{"images": value} for value in ("0.png", ["no"], [3], 3, None)],
    "restore": [{"images": value} for value in ("0.png", ["no"], [3], 3, None)],
    "cells": [
        {"state": "done"},
        {"task": "no"},
        {"split": "training"},
        {"round": -1},
        {"round": "1"},
        {"round": 99},
        {"order": "no"},
    ],
    **{
        name: [{"name": value} for value in ("no", "", "0.png:depth", 3, None)]
        for name in ("drop_task", "restore_task")
    },
    "change_task": [
        {"name": "no"},
        {"name": ""},
        {"name": "depth", "values": {"no": 1}},
        {"name": "depth", "values": {"cost": -1}},
        {"name": "depth", "classes": "wall"},
        {"name": "depth", "complete": "yes"},
        {"name": "depth", "merge": {"a": 1}},
    ],
    "fit": [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": "3"},
        {"epochs": 2.0},
        {"devices": 0},
        {"recipe": "no"},
        {"changes": {"no": 1}},
        {"changes": [("train", 1)]},
        {"weights": "no.pt"},
        {"keep": True},
    ],
    "score": [
        {"strategy": "no"},
        {"workers": -1},
        {"shard": 1.5},
        {"on": "no"},
        {"predictions": "no such folder"},
        {},
    ],
    "evaluate": [
        {"split": "training"},
        {"crop": "no"},
        {"min_depth": -1.0},
        {"max_depth": 0},
        {"labels": "no such folder"},
        {},
    ],
    "log": [
        {"last": 0},
        {"last": -1},
        {"last": "3"},
        {"cell": "no"},
        {"cell": "0.png:no"},
        {"last": 1.0},
    ],
    "picks": [{"round": value} for value in (-1, 0, 99, "1", None, 1.0)],
    "set_split": [
        {"split": "training"},
        {"split": "heldout"},
        {"split": "train", "images": "0.png"},
        {"split": "train", "images": ["no"]},
        {"split": "train", "was": "foo"},
        {"split": "train"},
    ],
    "sheet": [{"count": value} for value in (0, -1, "3", None, 1.5)],
    "audit": [{"folds": value} for value in (-1, 1, "3", None, 1.5)] + [{"on": "no"}],
    "control": [{"seeds": value} for value in (0, 5, "6", None, 6.5)],
    "advise": [{"budget": value} for value in (0, -1, "3", float("inf"), True)],
    "undo": [{"operation": value} for value in (0, -1, "3", 99, True)],
    "image": [{"image_id": value} for value in ("", "no", None, 3, "..")],
    "label": [{"cell": cell} for cell in (*NO_CELL, 3, None, ("0.png",))],
    "cell": [{"name": cell} for cell in (*NO_CELL, 3, None, ("0.png",), Cell("0.png", "no"))],
    "cell.note": [{"text": text} for text in ("", " ", 3, None, b"x", "x" * 100_001)],
    "cell.import_label": [{"label": label} for label in ("no.png", "", 3, None)]
    + [
        {"label": "no.png", "hint": "all"},
        {"label": "no.png", "seconds": 0},
        {"label": "no.png", "confirm": 3},
    ],
    "export": [
        {"to": "no"},
        {"to": ""},
        {"round": -1},
        {"round": 99},
        {"task": "no"},
        {"task": ["no"]},
        {"labels": True, "round": 1},
        {"labels": True, "link": True},
        {"url": "no"},
    ],
    "report": [{"plots": 3}, {"pictures": "yes"}, {"out": 3}, {"out": "."}, {"pictures": None}],
    "duplicates": [{"on": "no"}, {"on": None}, {"workers": -1}, {"shard": -1}, {"workers": "2"}],
    "supply": [
        {"supplier": "", "model": "no.toml"},
        {"supplier": "../s", "model": "no.toml"},
        {"supplier": "s", "model": "no.toml"},
        {"supplier": "s", "model": 3},
        {"supplier": "s", "model": "no.toml", "maker": "no"},
        {"supplier": "s", "model": "no.toml", "limit": -1},
        {"supplier": "s", "model": "no.toml", "cost": float("nan")},
        {"supplier": "s", "model": "no.toml", "settings": 3},
    ],
    "relate": [{"on": "no"}, {"on": None}, {"workers": -1}, {"write": 1}, {"workers": "2"}],
    "time": [{"own_recipe": value} for value in ("yes", 1, None, 0.5, [])],
}


@pytest.mark.parametrize("method", sorted(CASES))
def test_wrong_words_numbers_and_names_are_refused_and_nothing_is_written(
    project: Project, folder: Path, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = content(folder)
    assert len(CASES[method]) >= 5
    for arguments in CASES[method]:
        try:
            result = call(project, method, arguments)
        except LabelgridError as error:
            commands = str(error).split("`")[1::2]
            assert "--" not in "".join(set(str(error).split("`")) - set(commands)), error
        except Exception as error:
            raise AssertionError(f"{method}({arguments}) is a {error!r}") from error
        else:
            raise AssertionError(f"{method}({arguments}) gave {result!r}")
    assert content(folder) == before
    assert not list(tmp_path.iterdir())


def test_every_method_that_takes_something_has_wrong_values() -> None:
    taking = {method for method, _ in PAIRS}
    assert taking - {"create", "open"} == set(CASES)


CREATE = [
    {"check": "quick"},
    {"check": "none", "holdout": "ten"},
    {"seed": "0"},
    {"seed": 1.5},
    {"strategy": "no"},
    {"recipe": "no"},
    {"group": "("},
    {"changes": {"no": 1}},
    {"options": {"no": 1}},
    {"weights": "no.pt"},
    {"ledger": "no://place"},
    {"tasks": "depth:kind=no"},
    {"tasks": ["depth", 3]},
    {"tasks": {"depth": 1}},
    {"images": "no such folder"},
    {"leave_out": 1},
]


@pytest.mark.parametrize("wrong", CREATE)
def test_a_project_is_not_made_of_wrong_values(
    folder: Path, tmp_path: Path, wrong: Mapping[str, Any]
) -> None:
    with Project.open(folder) as project:
        root = next(iter(project._project.store.image_roots()))
    arguments = {"images": root, "tasks": "depth", **wrong}
    with pytest.raises(LabelgridError):
        Project.create(tmp_path / "new", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["flat", Path(), 3, None, b"flat"])
def test_a_project_is_not_a_path(folder: Any) -> None:
    with pytest.raises(LabelgridError, match="function of its own"):
        Project(folder)


@pytest.mark.parametrize("place", ["", "no such folder", 3, None, b"x"])
def test_a_project_is_not_opened_by_wrong_values(place: Any) -> None:
    with pytest.raises(LabelgridError):
        Project.open(place)


def test_names_of_annotations_are_found_where_they_are_defined() -> None:
    for member in [*methods().values(), *FUNCTIONS.values()]:
        for parameter in inspect.signature(member).parameters.values():
            kind = parameter.annotation
            if isinstance(kind, str) and member is not labelgrid.trust:
                scope = inspect.unwrap(member).__globals__
                assert get_origin(door._resolved(kind, scope)) or door._resolved(kind, scope)


def test_the_error_says_what_was_given_what_is_possible_and_what_is_near() -> None:
    @check_arguments
    def take(
        split: Literal["train", "val"] | None = None,
        cells: list[str] | None = None,
    ) -> None:
        """Take."""

    with pytest.raises(UsageError) as caught:
        take(split="training")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "`split=` must be 'train', 'val' or None. Found 'training'.\n"
        "  Did you mean 'train'? Nothing was changed."
    )


def test_a_text_in_place_of_a_list_is_not_taken_apart(project: Project) -> None:
    with pytest.raises(UsageError) as caught:
        project.request("0.png:depth")
    assert str(caught.value) == (
        "`cells=` must be a list, each of it a text. Found '0.png:depth'.\n"
        "  Put it into a list: ['0.png:depth']. Nothing was changed."
    )


def test_what_can_be_gone_through_once_is_gone_through_once(project: Project) -> None:
    with pytest.raises(LabelgridError, match=r"no\.png"):
        project.request(name for name in ["no.png:depth"])
    assert get_args(door.Count)[0] is int


class Subset(StrEnum):
    TRAIN = "train"


def test_values_of_numpy_and_of_enums_arrive_as_pythons_own() -> None:
    @check_arguments
    def take(
        split: Literal["train", "val"],
        cells: Iterable[str],
        *,
        most: door.Count,
        cost: door.Cost,
        dry_run: bool = False,
    ) -> list[Any]:
        """Take."""
        return [split, cells, most, cost, dry_run]

    cells = np.array(["0.png:depth", "1.png:depth"])
    for word in (Subset.TRAIN, np.str_("train")):
        taken = take(word, cells, most=np.int64(3), cost=np.float32(0.5), dry_run=np.bool_(True))  # type: ignore[arg-type]
        assert taken == ["train", list(cells), 3, 0.5, True]
        assert [type(each) for each in taken] == [str, list, int, float, bool]
    assert take("val", cells, most=1, cost=2)[3] == 2
    assert type(take("val", cells, most=1, cost=np.int8(2))[3]) is int  # type: ignore[arg-type]


def test_a_round_is_found_and_a_budget_is_kept_by_a_number_of_numpy(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, n=6)
    project.close()
    with Project.open(project.folder) as opened:
        opened.query(np.float32(2), strategy="random_cells")  # type: ignore[arg-type]
        assert len(opened.cells(round=np.int64(1))) == 2  # type: ignore[arg-type]


def test_python_itself_refuses_a_call_that_is_none(project: Project) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        project.query(3, no=1)  # type: ignore[call-arg]


#: A base install: none of the packages of the extra [train] can be imported.
WITHOUT_NETWORKS = """
import sys
from pathlib import Path

from labelgrid.basics.files import TRAINING
sys.modules |= dict.fromkeys(TRAINING)
import labelgrid
project = labelgrid.Project.open(sys.argv[1])
calls = [
    project.fit, project.score, project.evaluate, project.control, project.time,
    lambda: project.predict(sys.argv[1], Path(sys.argv[1], "out")),
    lambda: project.export_model(Path(sys.argv[1], "model.onnx")),
    lambda: labelgrid.simulate(None, sys.argv[1], Path(sys.argv[1]).parent / "study"),
]
project.query(3)
calls += [lambda: project.audit(folds=2), lambda: labelgrid.RoundTimes]
for call in calls:
    try:
        call()
    except labelgrid.LabelgridError as error:
        print(error.next_step)
"""


def test_without_networks_every_method_that_needs_them_names_what_installs_them(
    tmp_path: Path,
) -> None:
    need_laboratory()
    project, made = make_project(tmp_path, n=6)
    answer(project, made)
    project.close()
    words = [sys.executable, "-c", WITHOUT_NETWORKS, str(project.folder)]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["Install it: pip install 'labelgrid[train]'."] * 10
