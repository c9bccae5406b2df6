"""Laws of the commands: each explains itself with an example that can be typed.

What programs read has one form.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer.main

from labelgrid import cli
from labelgrid.basics import plugins
from labelgrid.basics.version import __version__
from labelgrid.basics.words import count_text
from labelgrid.cli import screen
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import shipped_recipes
from tests.campaigns import ask, cells_of, copy, make_project
from tests.e2e.commands import done, refused, typed
from tests.made_once import parser_of
from tests.support import Made, make_dataset
from tools.source import ROOT

COVERS = [
    "labelgrid.cli.exchange",
    "labelgrid.cli.grid",
    "labelgrid.cli.model",
    "labelgrid.cli.inspection",
]

APP: Any = typer.main.get_command(cli.app)
#: The commands by full name; those of a group are "group command".
COMMANDS: dict[str, Any] = {
    f"{name} {part}".strip(): own
    for name, command in sorted(APP.commands.items())
    for part, own in getattr(command, "commands", {"": command}).items()
}
#: The commands that take places of images or labels, with an address of a scheme that is not read.
PLACED = {
    "init": ["init", "--images", "ftp://host/x", "--task", "depth"],
    "add": ["add", "--images", "ftp://host/x"],
    "import": ["import", "ftp://host/x"],
    "predict": ["predict", "ftp://host/x", "--out", "predicted"],
}
every_command = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    return made(n=3, tasks=("semseg", "depth"), size=(16, 24))


@pytest.fixture
def flat(data: Made, tmp_path: Path) -> Iterator[Path]:
    """A project whose first image is held out, with two open requests of round 1."""
    with make_project(tmp_path / "flat", data, splits={data.names[0]: "heldout"}) as project:
        ask(project, [cell for cell in cells_of(data) if cell.image_id == data.names[1]], number=1)
    yield tmp_path / "flat"


def test_every_command_that_a_message_or_a_page_names_is_there() -> None:
    texts = [*ROOT.glob("src/labelgrid/**/*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
    written = re.compile(r"""(?:[`$] ?labelgrid |\bcommand\(["'])([a-z]+(?:-[a-z]+)*)""")
    named = {name for path in texts for name in written.findall(path.read_text("utf-8"))}
    assert len(named) > 5 and named <= set(APP.commands)


@every_command
def test_help_shows_every_option_and_an_example_that_can_be_typed(name: str) -> None:
    found = done(*name.split(), "--help")
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", found.out).split())
    (example,) = re.findall(rf"Example: labelgrid ({name} .*?)(?= Arguments| Options)", text)
    words = shlex.split(example)[len(name.split()) :]
    with COMMANDS[name].make_context(name, words, resilient_parsing=True) as context:
        assert not context.args, f"the parser does not know {context.args} of the example"
    for parameter in COMMANDS[name].params:
        assert max(parameter.opts, key=len).upper() in text.upper()
        assert getattr(parameter, "help", ""), f"{parameter.name} has no help"


@every_command
def test_help_says_first_what_a_command_does(name: str) -> None:
    first = (COMMANDS[name].help or "").partition("\n")[0]
    assert first.endswith(".") and first in " ".join(done(*name.split(), "--help").out.split())


@every_command
def test_every_command_with_a_result_prints_it_as_json_if_asked(name: str) -> None:
    if name in ("serve", "live"):  # they have none
        return
    assert "--json" in {word for option in COMMANDS[name].params for word in option.opts}


@pytest.mark.parametrize("name", ["", "data", *COMMANDS])
def test_h_is_short_for_help(name: str) -> None:
    assert done(*name.split(), "-h").out == done(*name.split(), "--help").out


def test_the_first_page_names_every_command_and_the_way_round() -> None:
    text = done("--help").out
    assert all(re.search(rf"│ {name} ", text) for name in APP.commands)
    assert "init, query, export, import, fit, query" in " ".join(text.split())
    assert typed().out.strip() == text.strip()


def test_a_shell_completes_commands_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LABELGRID_COMPLETE", "complete_bash")
    for words, found in (("labelgrid que", "query\n"), ("labelgrid query --pre", "--prelabels\n")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        assert done().out == found


def test_the_completion_is_installed_for_a_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    monkeypatch.setattr(typer.main, "get_command", parser_of.__wrapped__)  # it reads this variable
    assert "completion installed in" in done("--install-completion", "bash").out
    assert (
        "_LABELGRID_COMPLETE=complete_bash"
        in (tmp_path / ".bash_completions/labelgrid.sh").read_text()
    )


def test_the_version_is_the_packages() -> None:
    assert done("--version").out == f"{__version__}\n"


def test_list_shows_every_plug_in_and_recipe_with_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screen.out, "width", 200)
    text = done("list").out
    values = json.loads(done("list", "--json").out)
    assert list(values) == [*plugins.FOLDERS, "recipes"]
    for folder in plugins.FOLDERS:
        assert values[folder] == plugins.describe(folder) and list(values[folder]) == plugins.names(
            folder
        )
        assert all(name in text and line in text for name, line in values[folder].items())
    assert values["recipes"] == shipped_recipes() and all(
        name in text for name in values["recipes"]
    )
    assert json.loads(done("list", "strategies", "--json").out) == {
        "strategies": values["strategies"]
    }
    assert "pad_net" not in done("list", "strategies").out


def test_status_has_the_form_that_programs_rely_on(flat: Path) -> None:
    values = json.loads(done("status", flat, "--json").out)
    assert values["images"] == 3 and list(values["tasks"]) == ["semseg", "depth"]
    for task in values["tasks"].values():
        assert list(task) == [
            "kind",
            "missing",
            "requested",
            "labelled",
            "skipped",
            "spent",
            "times",
        ]
    (row,) = values["rounds"]
    assert row == {"round": 1, "strategy": "", "budget": 0.0, "unit": "labels", "state": "closed"}


def test_status_shows_people_the_same(flat: Path) -> None:
    text = done("status", flat).out
    assert text.startswith(f"{flat}: 3 images (1 held out)\n")
    assert re.search(r"│ depth +│ depth +│ +2 │ +1 │ +0 │ +0 │ +0 │", text)
    assert text.endswith(
        f"Next: labelgrid export {flat}, then labelgrid import {flat} with the labels\n"
    )


def test_import_says_what_it_did_to_each_task(flat: Path, data: Made, tmp_path: Path) -> None:
    copy(data.label(data.names[1], "depth"), tmp_path / "given" / "depth" / "0001.png")
    values = json.loads(done("import", flat, tmp_path / "given", "--json").out)
    none = {"new": 0, "replaced": 0, "repaired": 0, "unchanged": 0, "skipped": 0, "predicted": 0}
    nothing: dict[str, list[str]] = {"stray": [], "removed": [], "closed": [], "faults": []}
    numbers = values.pop("numbers")
    assert numbers["depth"]["values"]["labels"] == 1
    assert numbers["depth"]["text"].startswith("median ")
    assert values.pop("picture") == str(flat / "import.png")
    assert values == {
        "tasks": {"semseg": none, "depth": none | {"new": 1}},
        "foreign": 0,
        "empty": 0,
        "remarks": [],
        "requested": {"semseg": ["0001.jpg"]},
        "undrawn": "",
        "found": None,
        "refused": "",
        **nothing,
        "notes": [],
        "left_out": [],
        "left_out_list": "",
    }
    assert done("import", flat, tmp_path / "given").out == "semseg: nothing.\ndepth: 1 unchanged.\n"


def test_several_sources_are_named_in_one_command(flat: Path, data: Made, tmp_path: Path) -> None:
    for task in ("depth", "semseg"):
        copy(data.label(data.names[1], task), tmp_path / f"my {task}" / task / "0001.png")
    both = [tmp_path / "my depth", tmp_path / "my semseg"]
    out = done("import", flat, *both, "--dry-run").out
    assert out.endswith(f"Next: labelgrid import {flat} '{both[0]}' '{both[1]}'\n")
    values = json.loads(done("import", flat, *both, "--json").out)
    assert {task: tally["new"] for task, tally in values["tasks"].items()} == {
        "semseg": 1,
        "depth": 1,
    }


def test_a_dry_run_prints_the_command_that_imports(flat: Path, data: Made, tmp_path: Path) -> None:
    given = copy(data.label(data.names[1], "depth"), tmp_path / "given" / "depth" / "0001.png")
    options = ("--limit", 3, "--seed", 0, "--replace", "--split", "val")
    found = done("import", flat, tmp_path / "given", "--dry-run", *options).out.splitlines()
    assert found[0] == "A folder of labels, 1 image, 1 label."
    assert found[-1] == (
        f"Nothing was imported. Next: labelgrid import {flat} {tmp_path / 'given'} "
        "--limit 3 --seed 0 --split val --replace"
    )
    given.write_bytes(b"")
    refused = typed("import", flat, tmp_path / "given", "--dry-run")
    assert refused.code == 1 and "The import would be refused. " in refused.out
    assert "Next: " not in refused.out and not (flat / "import-faults.txt").exists()
    values = json.loads(typed("import", flat, tmp_path / "given", "--dry-run", "--json").out)
    assert values["found"]["labels"] == 1 and len(values["faults"]) == 1


def test_a_refused_import_lists_all_its_faults_in_a_file_and_as_json(
    flat: Path, tmp_path: Path
) -> None:
    for number in range(30):
        (tmp_path / "given/depth").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"given/depth/{number:04d}.png").write_bytes(b"no picture")
    refused = typed("import", flat, tmp_path / "given", "--json")
    faults = json.loads(refused.out)["faults"]
    assert (
        refused.code == 1
        and len(faults) == 30
        and {"where", "what", "next_step", "cell"} == set(faults[0])
    )
    lines = (flat / "import-faults.txt").read_text().splitlines()
    assert len(lines) == 30
    assert "27 files: the same fault. " in refused.err
    assert f", and 24 more; all are in {flat / 'import-faults.txt'}." in refused.err


def test_an_address_of_a_folder_that_is_named_like_a_list_is_a_folder(
    data: Made, flat: Path, tmp_path: Path
) -> None:
    odd = copy(data.images / data.names[2], tmp_path / "odd.csv" / "odd.jpg").parent
    address = f"file://{odd}/"
    made = done("init", tmp_path / "new", "--images", address, "--task", "depth", "--no-time")
    assert "1 image," in made.out
    assert "1 new image" in done("add", flat, "--images", address).out


@pytest.mark.parametrize("words", PLACED.values(), ids=PLACED)
def test_an_address_that_is_not_read_is_refused_by_its_scheme(
    words: list[str], flat: Path, tmp_path: Path
) -> None:
    command, *more = words
    folder = tmp_path / "new" if command == "init" else flat
    said = typed(command, folder, *more)
    assert said.code == 2
    assert "Addresses that begin with 'ftp://' are not read." in said.err
    empty = typed(command, folder, *("" if word == "ftp://host/x" else word for word in more))
    assert empty.code == 2
    assert re.search("An empty text names no file|An import is of LABELS", empty.err)


def test_an_import_can_put_images_in_a_split_and_replace(
    flat: Path, data: Made, tmp_path: Path
) -> None:
    given = copy(data.label(data.names[2], "depth"), tmp_path / "given" / "depth" / "0002.png")
    done("import", flat, tmp_path / "given", "--split", "val")
    copy(data.label(data.names[1], "depth"), given)
    assert "depth: 1 replaced; median " in done("import", flat, tmp_path / "given", "--replace").out
    with ProjectFolder.open(flat) as project:
        assert project.store.image(data.names[2]).split == "val"


def test_export_says_where_the_requests_are(flat: Path, tmp_path: Path) -> None:
    found = done("export", flat, "--out", tmp_path / "out", "--link")
    assert found.out == f"Wrote requests (1 semseg, 1 depth) to {tmp_path / 'out'}.\n"
    assert all(path.is_symlink() for path in (tmp_path / "out" / "images").iterdir())
    assert f"{flat}/rounds/0001/request" in done("export", flat, "--round", 1).out


def test_exports_and_cancelled_requests_have_the_form_that_programs_rely_on(
    flat: Path, tmp_path: Path
) -> None:
    assert json.loads(done("export", flat, "--out", tmp_path / "out", "--json").out) == {
        "folders": [str(tmp_path / "out")],
        "tasks": {"semseg": 1, "depth": 1},
        "prelabels": 0,
        "server": "",
        "new": 0,
        "left": {},
        "what": "requests",
    }
    depth = {"image": "0001.jpg", "task": "depth"}
    cancelled = json.loads(done("cancel", flat, "0001.jpg:depth", "--json").out)
    assert cancelled == {"missing": [depth], "requested": []}
    with ProjectFolder.open(flat) as project:
        rows = {row.image_id: row for row in project.store.images()}
        project.store.update_images([replace(rows["0001.jpg"], split="heldout")])
    again = json.loads(done("cancel", flat, "--requeue", "0001.jpg:depth", "--json").out)
    assert again == {"missing": [], "requested": [depth]}


def test_export_of_labels_lies_in_the_project_unless_told(flat: Path, data: Made) -> None:
    copy(data.label(data.names[1], "depth"), flat.parent / "given" / "depth" / "0001.png")
    done("import", flat, flat.parent / "given")
    assert done("export", flat, "--labels").out == f"Wrote labels (1 depth) to {flat / 'export'}.\n"
    assert (flat / "export" / "depth" / "0001.png").is_file()


def test_cancel_names_the_command_that_requests_held_out_cells_again(flat: Path) -> None:
    with ProjectFolder.open(flat) as project:
        rows = {row.image_id: row for row in project.store.images()}
        project.store.update_images([replace(rows["0001.jpg"], split="heldout")])
    again = f"`labelgrid cancel {flat} --requeue 0001.jpg:depth` requests theirs again."
    assert done("cancel", flat, "0001.jpg:depth").out.endswith(f"{again}\n")
    said = done("cancel", flat, "--requeue", "0001.jpg:depth").out
    assert said == "0 cells are missing again.\n1 cell of a held-out image is requested again.\n"
    with ProjectFolder.open(flat) as project:
        assert Cell("0001.jpg", "depth") in {
            row.cell for row in project.store.cells(state=State.REQUESTED)
        }


@pytest.mark.parametrize(
    ("words", "count"),
    [([], 2), (["--round", "1"], 2), (["0001.jpg:depth"], 1)],
)
def test_cancel_says_how_many_cells_are_missing_again(
    flat: Path, words: list[str], count: int
) -> None:
    said = done("cancel", flat, *words).out
    assert said.startswith(f"{count_text(count, 'cell is', 'cells are')} missing again.\n")
    assert "requests theirs again" not in said
    with ProjectFolder.open(flat) as project:
        assert len(list(project.store.cells())) == 2 - count


def test_a_round_that_there_is_not_is_refused(flat: Path) -> None:
    for command in ("cancel", "cells"):
        assert "The project has no round 7 " in refused(flat, command, flat, "--round", "7")


def test_add_says_what_is_new(flat: Path, data: Made, tmp_path: Path) -> None:
    new = copy(data.images / data.names[0], tmp_path / "more" / "new.jpg")
    with new.open("ab") as file:  # another content, the same picture
        file.write(b"more")
    found = done(
        "add", flat, "--images", tmp_path / "more", "--images", data.images, "--task", "edges"
    )
    assert found.out == (
        f"{flat}: 1 new image; 1 new task.\n"
        f"edges may follow from semseg and need not be bought then: `labelgrid relate {flat}` measures "
        f"how well, once images have labels of both, as `labelgrid query {flat} --pairs 10` asks for.\n"
        f"Next: labelgrid export {flat}   (the held-out images' labels come first)\n"
    )
    with ProjectFolder.open(flat) as project:
        (row,) = project.store.cells(task="edges")
        assert row.cell == Cell(
            data.names[0], "edges"
        )  # the held-out image's label is requested at once


def test_init_says_what_may_follow_and_an_import_that_it_can_be_measured(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "given", n=4, tasks=("depth", "normals"), size=(16, 24))
    flat = tmp_path / "new"
    tasks = ("--task", "depth", "--task", "normals")
    made = done("init", flat, "--images", data.images, *tasks, "--check", "none").out
    relate = f"`labelgrid relate {flat}` measures how well"
    offer = f"normals may follow from depth and need not be bought then: {relate}"
    pairs = f"as `labelgrid query {flat} --pairs 10` asks for"
    assert f"  {offer}, once images have labels of both, {pairs}.\n" in made
    for task, count in (("depth", 4), ("normals", 2)):
        for name in data.names[:count]:
            label = data.label(name, task)
            copy(label, tmp_path / task / task / label.name)
    assert "may follow" not in done("import", flat, tmp_path / "depth").out
    folder = tmp_path / "normals"
    assert "may follow" not in done("import", flat, folder, "--dry-run").out
    assert done("import", flat, folder).out.endswith(f"\n{offer}.\n")
    copy(data.label(data.names[2], "normals"), folder / "normals" / "0002.png")
    assert "may follow" not in done("import", flat, folder).out  # it was said
    assert "may follow" not in done("status", flat).out


def test_init_keeps_recipe_keys_that_are_set(data: Made, tmp_path: Path) -> None:
    words = ("init", tmp_path / "a", "--images", data.images, "--task", "depth")
    given = ("--set", "train.steps=70", "--set", "network.options.width=32", "--json")
    done(*words, *given)
    with ProjectFolder.open(tmp_path / "a") as project:
        expected = {"train": {"steps": 70}, "network": {"options": {"width": 32}}}
        assert project.settings.changes == expected
    words = ("init", tmp_path / "b", *words[2:])
    for wrong, said in (
        ("train.step=3", "train.step: unknown key (did you mean 'steps'?)"),
        ("train.steps=many", "train.steps: a whole number is expected"),
    ):
        refused = typed(*words, "--set", wrong)
        assert refused.code == 1 and said in refused.err and "Nothing was made." in refused.err
        assert not (tmp_path / "b").exists()


def test_images_that_cannot_be_read_are_left_out_and_listed(data: Made, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in data.names:
        copy(data.images / name, photos / name)
    for number in range(25):
        (photos / f"bad{number:02d}.jpg").write_bytes(b"")
    words = ("--images", photos, "--task", "depth", "--leave-out")
    text = done("init", tmp_path / "a", *words).out
    assert text.startswith(
        f"Left out: 25 images that cannot be read. {tmp_path / 'a/left-out.txt'} lists all.\n"
        "  25 files: the same fault. The image file is empty: 0 bytes. Copy it again.\n"
        "    bad00.jpg, bad01.jpg, bad02.jpg, and 22 more.\n"
    )
    values = json.loads(done("init", tmp_path / "b", *words, "--json").out)
    assert values["images"] == len(data.names)
    assert values["left_out"][4] == {
        "where": "bad04.jpg",
        "what": "The image file is empty: 0 bytes.",
        "next_step": "Copy it again.",
    }
    (tmp_path / "b/left-out.txt").unlink()
    added = json.loads(done("add", tmp_path / "b", "--images", photos, "--leave-out", "--json").out)
    assert (added["new"], len(added["left_out"])) == (0, 25)
    assert len((tmp_path / "b/left-out.txt").read_text().splitlines()) == 25


def test_a_dry_query_shows_the_picks_and_changes_nothing(flat: Path) -> None:
    words = ["query", flat, "--budget", 1, "--strategy", "random_cells"]
    values = json.loads(done(*words, "--dry-run", "--json").out)
    expected = {
        "round": 2,
        "strategy": "random_cells",
        "cost": 1.0,
        "repeated": False,
        "class": "",
        "like": "",
        "alike": None,
        "dry_run": True,
    }
    assert values | {"picks": []} == expected | {"picks": []}
    (pick,) = values["picks"]
    assert pick["cell"] == {"image": "0002.jpg", "task": "depth"} and pick["why"] == "random cell"
    assert "Round 2 (random_cells) would request 1 depth: cost 1." in done(*words, "--dry-run").out
    with ProjectFolder.open(flat) as project:
        assert len(project.store.rounds()) == 1
    text = done(*words).out
    assert "Round 2 (random_cells) requested 1 depth: cost 1." in text and text.endswith(
        f"Next: labelgrid export {flat}\n"
    )
    assert "Round 2 (random_cells) already requested 1 depth: cost 1." in done(*words).out


def test_a_report_lies_in_the_project_unless_told(flat: Path, tmp_path: Path) -> None:
    assert done("report", flat).out == f"Wrote {flat / 'report.html'}\n"
    assert (
        done("report", flat, "--out", tmp_path / "r.html").out == f"Wrote {tmp_path / 'r.html'}\n"
    )


def test_what_no_sentence_was_made_for_is_not_hidden(
    flat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a fault of the program")

    monkeypatch.setattr("labelgrid.operations.status.status_of", wrong)
    with pytest.raises(ZeroDivisionError):
        typed("status", flat)
