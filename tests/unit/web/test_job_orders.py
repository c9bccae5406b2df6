"""What can be started from the page: a list of commands, whose arguments are checked; no path is one."""

import io

import pytest
from pydantic import ValidationError

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError
from labelgrid.web.job_orders import ORDERS, ImportFile, order_of
from tests.pages import labelled_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with ProjectReader.open(labelled_project(tmp_path_factory.mktemp("orders"))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"command": "fit", "epochs": ""}, []),
        ({"command": "fit", "epochs": "3"}, ["--epochs", "3"]),
        (
            {"command": "fit", "changes": {"train.batch": 8, "train.lr": 1e-4, "data.flip": True}},
            ["--set", "train.batch=8", "--set", "train.lr=0.0001", "--set", "data.flip=true"],
        ),
        ({"command": "score"}, []),
        (
            {"command": "query", "budget": "12.5", "unit": "cost", "dry_run": "true"},
            ["--budget", "12.5", "--unit", "cost", "--dry-run", "--save", "FOLDER/picks.json"],
        ),
        (
            {"command": "query", "budget": 1234567, "new": True},
            ["--budget", "1234567", "--new"],
        ),
        ({"command": "audit", "folds": 3}, ["--folds", "3"]),
        ({"command": "export"}, []),
        ({"command": "export", "to": "folder", "task": ""}, []),
        ({"command": "export", "to": "cvat"}, ["--out", "FOLDER/request", "--to", "cvat"]),
        (
            {"command": "export", "task": "depth"},
            ["--out", "FOLDER/request", "--task", "depth"],
        ),
        ({"command": "report"}, []),
    ],
)
def test_an_order_is_the_words_of_its_command(project, tmp_path, values, words):
    expected = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert order_of(values).words(project, tmp_path) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"command": "serve"},
        {"command": ""},
        {"command": "fit", "recipe": "/etc/passwd"},
        {"command": "fit", "epochs": 0},
        {"command": "fit", "changes": {"network.name": "mine:build"}},
        {"command": "fit", "changes": {"--weights": 1}},
        {"command": "fit", "changes": {"train.lr": float("nan")}},
        {"command": "query"},
        {"command": "query", "budget": -1},
        {"command": "query", "budget": "inf"},
        {"command": "query", "budget": 5, "unit": "miles"},
        {"command": "import", "round": "../../etc"},
        {"command": "import", "labels": "/etc"},
        {"command": "export", "to": "os:system"},
        {"command": "export", "to": "nothing"},
        {"command": "export", "out": "/etc"},
        {"command": "audit", "folds": 1000},
    ],
)
def test_anything_else_is_refused(values):
    with pytest.raises(ValidationError):
        order_of(values)


def test_the_folder_of_a_round_is_imported_if_there_is_one_inside_the_project(project, tmp_path):
    order = order_of({"command": "import", "round": 2})
    with pytest.raises(LabelgridError, match="has no folder of requests"):
        order.words(project, tmp_path)
    request = project.folder / "rounds/0002/request"
    project.export()
    assert order.words(project, tmp_path) == [str(request.resolve())]
    (project.folder / "rounds/0001").mkdir(exist_ok=True)
    (project.folder / "rounds/0001/request").symlink_to(tmp_path)
    with pytest.raises(LabelgridError, match="leads out of the project"):
        order_of({"command": "import", "round": 1}).words(project, tmp_path)


def test_requests_of_an_unknown_task_are_not_exported(project, tmp_path):
    with pytest.raises(LabelgridError, match="no task '--help'"):
        order_of({"command": "export", "task": "--help"}).words(project, tmp_path)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("room 4.zip", "room 4.zip"),
        ("../../evil.ZIP", "evil.zip"),
        ("C:\\photos\\räum.zip", "räum.zip"),
        ("--accept.zip", "accept.zip"),
        (".zip", "answer.zip"),
        ("a\0b\n.zip", "a_b_.zip"),
        ("ä" * 500 + ".zip", "ä" * 75 + ".zip"),
    ],
)
def test_a_file_that_was_sent_keeps_its_name_without_folders(project, tmp_path, name, kept):
    order = ImportFile(name=name, file=io.BytesIO(b"content"))
    assert order.words(project, tmp_path) == [str(tmp_path / "sent" / kept)]
    assert (tmp_path / "sent" / kept).read_bytes() == b"content"


def test_a_file_that_was_sent_is_checked(project, tmp_path):
    order = ImportFile(name="command.json", file=io.BytesIO(b"{}"), format="class_masks")
    sent = str(tmp_path / "sent/command.json")  # beside the job's own file of that name
    assert order.words(project, tmp_path) == [sent, "--format", "class_masks"]
    for format in ("nothing", "os:system", "--replace"):
        with pytest.raises(LabelgridError, match="There is no labelling tool"):
            ImportFile(name="a.zip", file=io.BytesIO(b""), format=format).words(project, tmp_path)
    for name in ("labels.py", "zip", ""):
        with pytest.raises(LabelgridError, match=r"ends in \.zip"):
            ImportFile(name=name, file=io.BytesIO(b"")).words(project, tmp_path)


def test_an_import_takes_what_a_person_says_of_it(project, tmp_path):
    (project.folder / "rounds/0004/request").mkdir(parents=True)
    said = {"map": "car=vehicle, person=ignore", "keep": "last", "replace": "true", "accept": "on"}
    names = tmp_path / "names.txt"
    words = ["--map", str(names), "--keep", "last", "--accept", "--replace"]
    assert order_of({"command": "import", "round": 4, **said}).words(project, tmp_path)[1:] == words
    assert names.read_text() == "car=vehicle\nperson=ignore\n"
    lines = "bed, made=bed\r\n\r\ncar = vehicle\r\n"
    order = ImportFile(name="a.json", file=io.BytesIO(b"{}"), map=lines)
    assert order.words(project, tmp_path)[1:] == ["--map", str(names)]
    assert names.read_text() == "bed, made=bed\ncar = vehicle\n"


@pytest.mark.parametrize(
    "wrong",
    [{"map": "/etc/passwd"}, {"map": "x" * 10**5 + "=y"}, {"keep": "newest"}, {"rest": "\0"}],
)
def test_what_a_person_says_of_an_import_is_checked(wrong):
    with pytest.raises(ValidationError):
        order_of({"command": "import", "round": 1, **wrong})


def test_a_file_that_was_sent_is_imported_again_without_being_sent_again(project, tmp_path):
    folder = project.folder / "jobs/0007"
    folder.mkdir(parents=True)
    ImportFile(name="kitchen.json", file=io.BytesIO(b"{}")).words(project, folder)
    order = order_of({"command": "import", "job": 7, "format": "coco", "accept": True})
    sent = str(folder.resolve() / "sent/kitchen.json")
    assert order.words(project, tmp_path) == [sent, "--format", "coco", "--accept"]
    (folder / "sent/kitchen.json").unlink()
    (folder / "sent/passwd.json").symlink_to("/etc/passwd")
    for wrong in (7, 8):
        with pytest.raises(LabelgridError, match="has no file to import"):
            order_of({"command": "import", "job": wrong}).words(project, tmp_path)
    for wrong in ({}, {"job": 7, "round": 1}):
        with pytest.raises(ValidationError):
            order_of({"command": "import", **wrong})


def test_an_import_is_told_the_rest_and_what_to_leave_out(project, tmp_path):
    (project.folder / "rounds/0003/request").mkdir(parents=True)
    values = {"command": "import", "round": 3, "rest": "-x y", "leave_out": True}
    assert order_of(values).words(project, tmp_path)[1:] == ["--rest=-x y", "--leave-out"]
    order = ImportFile(name="a.json", file=io.BytesIO(b"{}"), rest="background", leave_out=True)
    assert order.words(project, tmp_path)[1:] == ["--rest", "background", "--leave-out"]


def test_the_page_s_api_says_what_each_command_does_and_asks():
    for order in ORDERS:
        schema = order.model_json_schema()
        assert schema["description"].endswith(".")
        meanings = [each.get("description", "") for each in schema["properties"].values()]
        assert not any("`" in meaning or "dictionary" in meaning for meaning in meanings)
