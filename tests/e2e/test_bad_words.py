"""Wrong commands, options and settings are refused with a clear error, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.recipes.resolve import shipped_recipes
from tests.databases import change
from tests.e2e.commands import done, held_out, refused, said, typed
from tests.projects import RECIPE
from tests.support import Made

Copied = Callable[[str], Path]
SHIPPED = ", ".join(shipped_recipes())
RECIPES = f"Shipped: {SHIPPED}; give your own by its path, such as mine.toml."
OWN_CODE = "name your own code as 'package.module:name'."

#: Words after `init flat --images photos` -> the error.
BAD_INITS = {
    "--task Depth": "'Depth' is not a valid task name.\n  Use small letters, digits and _, a letter first.",
    "--task deptj": "There is no kind of task 'deptj'.\n  Did you mean 'depth'? Write --task depth, or --task "
    f"deptj:kind=depth. The kinds are depth, edges, normals, saliency, semseg; {OWN_CODE}",
    "--task semseg": "Task 'semseg' has 0 classes; it needs at least 2.\n"
    "  Name a file with one class name per line: 'semseg:classes.txt' declares a new task, 'classes=classes.txt' "
    "changes one, and so does `classes` in the table 'semseg' of a recipe or of tasks.toml.",
    "--task semseg:nowhere.txt": "The class names of 'semseg' cannot be read: No such file or directory "
    "(nowhere.txt).\n  Give a text file with one class name per line.",
    "--task depth:scal=2": "scal: unknown key (did you mean 'scale'?) (task 'depth').\n  Fix it and run again.",
    "--task depth:scale=-2": "scale must be larger than 0; it is -2.0 (task 'depth').\n  Fix it and run again.",
    "--task depth:cost=-1": "The cost of 'depth' is -1; it must be a number from 0 up.\n"
    "  Give another value, for example cost=2.",
    "--task depth --task depth": "There is already a task 'depth'.\n  Give the new one another name.",
    "--task depth --tasks nowhere.toml": "The file does not exist (nowhere.toml).\n  Check the path.",
    "--task depth --strategy partial": "There is no strategy 'partial'.\n  Did you mean 'partal'? "
    f"The strategies are: {', '.join(plugins.names('strategies'))}; {OWN_CODE}",
    "--task depth --recipe smal": f"There is no recipe 'smal'.\n  {RECIPES}",
    "--task depth --group (": "The pattern of groups, '(', is not a regular expression: missing ), unterminated "
    "subpattern at position 0.\n  Fix it, or escape special characters.",
    "--task depth --holdout 10": "--holdout 10 of 10 images leaves none to train on.\n  Hold out fewer images.",
    "--task depth --holdout 11": "--holdout 11 of 10 images leaves none to train on.\n  Hold out fewer images.",
    "--task depth --holdout -1": "--holdout must be a number of images from 0 up, or a share such as 20%. Found -1.\n"
    "  Use, for example, --holdout 50.",
    "--task depth --holdout 3 --group 00": "All images would be held out: their groups are too large, or "
    "they are copies.\n  Hold out fewer, or add images; groups are chosen once, with `init --group`.",
    "": "A project needs a task.\n  Add one, for example --task depth.",
}


@pytest.mark.parametrize("words", BAD_INITS)
def test_init_makes_a_whole_project_or_nothing(data: Made, tmp_path: Path, words: str) -> None:
    found = refused(tmp_path, "init", tmp_path / "flat", "--images", data.images, *words.split())
    end = "Nothing was changed." if "already" in BAD_INITS[words] else "Nothing was made."
    assert found == f"{BAD_INITS[words]} {end}"


#: Mistyped commands -> the error.
MISTYPED = {
    "initt flat": "No such command 'initt'. Did you mean 'init'?",
    "init": "Missing argument 'DIR'.",
    "init flat": "No images were named.\n  Add --images FOLDER. Nothing was made.",
    "init flat --imagse photos": "No such option: --imagse (Possible options: --images, --set, --time)",
    "init flat --images photos --task depth --weights nowhere.pt": "Invalid value for '--weights': "
    "file 'nowhere.pt' does not exist.",
    "add flat": "Neither images nor tasks were named.\n  Add --images FOLDER, or --task NAME, such as --task depth. "
    "Nothing was added.",
    "query flat": "A query needs a budget, or else --pairs or --audit. Found none.\n"
    "  Add, for example, --budget 60. Nothing was requested.",
    "query flat --budget many": "Invalid value for '--budget': ",
    "query flat --budget 1 --unit pixels": "Invalid value for '--unit': ",
    "fit flat --epochs 0": "--epochs must be a whole number from 1 up. Found 0.\n  Nothing was changed.",
    "import flat": "An import is of LABELS, or of a server.\n"
    "  Name a file or folder, or --format label-studio with --url. Nothing was imported.",
    "import flat labels --split heldout": "Invalid value for '--split': ",
    "import flat labels --limit -1": "--limit must be a whole number from 0 up. Found -1.\n  Nothing was changed.",
    "import flat labels --seed 1": "--seed needs --limit: the seed of the draw of --limit.\n"
    "  Add --limit, or leave it out. Nothing was imported.",
    "export flat --labels --round 1": "--labels cannot be combined with --round.\n"
    "  Leave one of them out.",
    "export flat --labels --link": "--labels cannot be combined with --link.\n"
    "  Leave one of them out.",
    "export flat --to nowhere": "Invalid value for '--to': ",
    "cancel flat 0000.jpg:depth --round 1": "Give cells or a round, not both.\n  Nothing was cancelled.",
    "list strategy": "There is no folder 'strategy'.\n  There are: kinds, formats, relations, partitions, layouts, networks, balance, "
    "terms, statistics, strategies, tools, executors, makers, analyses, recipes.",
}


@pytest.mark.parametrize("words", MISTYPED)
def test_wrong_usage_ends_with_2_and_changes_nothing(
    project: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    project("new")
    monkeypatch.chdir(tmp_path)
    found, expected = refused(tmp_path, *words.split(), code=2), MISTYPED[words]
    assert found.startswith(expected) if expected.endswith(": ") else found == expected


@pytest.mark.parametrize(
    "command", ["status", "add --task edges", "import labels", "query --budget 1", "report", "fit"]
)
def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, command: str) -> None:
    first, *rest = command.split()
    found = refused(tmp_path, first, tmp_path / "flat", *rest)
    assert found.startswith(
        f"There is no labelgrid project ({tmp_path / 'flat'}).\n"
        f"  Create one with `labelgrid init {tmp_path / 'flat'} --images FOLDER --task depth`."
    )


def test_init_leaves_alone_what_is_there(project: Copied, data: Made, tmp_path: Path) -> None:
    flat = project("new")
    words = ["--images", data.images, "--task", "depth"]
    assert refused(tmp_path, "init", flat, *words) == (
        f"There is already a labelgrid project ({flat}).\n"
        "  Give another folder, or extend this one with `labelgrid add`. It was not changed."
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    for place in (tmp_path / "full", tmp_path / "full" / "thesis.txt"):
        assert refused(tmp_path, "init", place, *words) == (
            f"This is a file, or a folder that is not empty ({place}).\n  Give a new folder. Nothing was made."
        )
    below = tmp_path / "full" / "thesis.txt" / "flat"
    assert refused(tmp_path, "init", below, *words).startswith(
        f"The project cannot be created: Not a directory ({below}).\n"
    )


BUDGETS = {
    "--budget 0": "The budget must be a number above 0. Found 0 labels.\n  Ask for at most 24.",
    "--budget -3": "The budget must be a number above 0. Found -3 labels.\n  Ask for at most 24.",
    "--budget 2": "The budget of 2 labels does not pay for a single pick of 'random_images'.\n"
    "  An image has up to 3 labels; ask for at least that many.",
    "--budget 3 --strategy partial": "There is no strategy 'partial'.\n  Did you mean 'partal'? "
    f"The strategies are: {', '.join(plugins.names('strategies'))}; {OWN_CODE}",
}


@pytest.mark.parametrize("words", BUDGETS)
def test_a_budget_that_buys_nothing_is_refused(project: Copied, tmp_path: Path, words: str) -> None:
    assert (
        refused(tmp_path, "query", project("new"), *words.split())
        == f"{BUDGETS[words]} Nothing was requested."
    )


@pytest.mark.parametrize("words", ["nan", "inf --unit cost"])
def test_a_budget_that_is_no_amount_is_refused(project: Copied, tmp_path: Path, words: str) -> None:
    number = float(words.split()[0])
    assert refused(tmp_path, "query", project("new"), "--budget", *words.split(), code=2) == (
        f"--budget must be a finite number. Found {number}.\n  Nothing was changed."
    )


def test_a_model_is_needed_for_some_commands_and_they_say_how_to_get_one(
    project: Copied, tmp_path: Path
) -> None:
    flat = project("new")
    assert refused(tmp_path, "score", flat) == (
        f"There is no model to score with yet ({flat}).\n  Run `labelgrid fit` first; "
        "without any label, `labelgrid query` picks at random. Nothing was scored."
    )
    for words in (["predict", flat, tmp_path, "--out", tmp_path / "out"], ["evaluate", flat]):
        found = refused(tmp_path, *words)
        assert found == f"There is no model yet ({flat}).\n  Run `labelgrid fit {flat}` first."
    assert refused(tmp_path, "fit", flat) == (
        f"There is no label to learn from ({flat}).\n"
        "  Run `labelgrid query`, `labelgrid export` and then `labelgrid import` to get labels. Nothing was trained."
    )


BAD_RECIPES = {
    "epochs": (
        "epoch",
        "train.epoch: unknown key (did you mean 'epochs'?) (recipe {path}).\n  Fix it and run again.",
    ),
    "width": (
        "widht",
        "widht: unknown key (did you mean 'width'?) (options of network 'pad_net').\n  Fix it and run again.",
    ),
    "batch = 4": (
        "batch = '4'",
        'train.batch: a whole number is expected; it is "4" (recipe {path}).\n  Fix it and run again.',
    ),
    "epochs = 2": (
        "epochs = 2020-01-01",
        "train.epochs: a whole number is expected (recipe {path}).\n  Fix it and run again.",
    ),
    "[data]": ("[data", "The file is not TOML: "),
    '"small"': ('"smal"', f"There is no recipe 'smal'.\n  Shipped: {SHIPPED}; "),
    "test_efficientnet": (
        "mobilnet",
        "timm cannot build the backbone 'mobilnet' with feature maps: Unknown model (mobilnet).\n"
        "  `timm.list_models()` lists the names.",
    ),
    "[network]": (
        "[network]\nname = 'padnet'",
        "There is no network 'padnet'.\n  Did you mean 'pad_net'? The networks are: aspp_heads, mtan, mti_net, "
        "pad_net, segnet, shared_heads; ",
    ),
}


@pytest.mark.parametrize("right", BAD_RECIPES)
def test_a_recipe_that_cannot_be_is_refused_before_anything_is_trained(
    project: Copied, tmp_path: Path, right: str
) -> None:
    wrong, expected = BAD_RECIPES[right]
    recipe, flat = tmp_path / "mine.toml", project("fitted")
    recipe.write_text(RECIPE.replace(right, wrong))
    found = refused(tmp_path, "fit", flat, "--recipe", recipe)
    assert found.startswith(expected.format(path=recipe))
    assert found.endswith("Labels and earlier rounds are unchanged.")


def test_weights_that_are_gone_or_none_are_refused(project: Copied, tmp_path: Path) -> None:
    flat, weights = project("fitted"), tmp_path / "w.pth"
    (tmp_path / "mine.toml").write_text(RECIPE.replace("pretrained = false", "pretrained = true"))
    settings = (flat / "labelgrid.toml").read_text()
    (flat / "labelgrid.toml").write_text(settings.replace('weights = ""', f'weights = "{weights}"'))
    words, end = (
        ["fit", flat, "--recipe", tmp_path / "mine.toml"],
        " Labels and earlier rounds are unchanged.",
    )
    assert (
        refused(tmp_path, *words)
        == f"There is no such weights file ({weights}).\n  Check the path.{end}"
    )
    for content in (b"", b"hello", b"\x80\x04K\x01."):
        weights.write_bytes(content)
        found = refused(tmp_path, *words)
        assert found.startswith(
            ("This is not a weights file (", "The file contains objects other than tensors")
        )
        assert str(weights) in found and found.endswith(end)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("recipe = \n", "The file is not TOML: "),
        ("sead = 1\n", "sead: unknown key (did you mean 'seed'?) ("),
        ("seed = 'one'\n", 'seed: a whole number is expected; it is "one" ('),
        ("[strategy]\nnam = 'x'\n", "strategy.nam: unknown key (did you mean 'name'?) ("),
    ],
)
@pytest.mark.parametrize("command", ["import {labels}", "status", "query --budget 3"])
def test_broken_settings_are_refused_by_every_command(
    project: Copied, data: Made, tmp_path: Path, command: str, text: str, fault: str
) -> None:
    flat = project("new")
    (flat / "labelgrid.toml").write_text(text)
    first, *rest = command.format(labels=data.labels).split()
    found = refused(tmp_path, first, flat, *rest)
    assert found.startswith(fault) and f"({flat / 'labelgrid.toml'}).\n  Fix " in found


@pytest.mark.parametrize(
    "command", ["status", "import {labels}", "query --budget 3", "add --task edges"]
)
def test_a_ledger_of_a_newer_program_is_refused(
    project: Copied, data: Made, tmp_path: Path, command: str
) -> None:
    flat = project("new")
    change(flat / "labelgrid.db", "UPDATE ledger_version SET version_num = '0099'")
    first, *rest = command.format(labels=data.labels).split()
    assert refused(tmp_path, first, flat, *rest).startswith(
        "The ledger was made by a newer labelgrid: its tables have revision 0099, this program knows 0004 "
        f"({flat / 'labelgrid.db'}).\n  Upgrade labelgrid. Nothing was changed."
    )


def test_a_ledger_that_is_none_or_gone_is_refused(project: Copied, tmp_path: Path) -> None:
    flat = project("new")
    base = flat / "labelgrid.db"
    base.write_bytes(b"hello" * 1000)
    assert refused(tmp_path, "status", flat) == (
        f"The ledger cannot be used: it is not a labelgrid database ({base}).\n"
        "  Name the folder that `labelgrid init` created. Nothing was changed."
    )
    base.unlink()
    found = refused(tmp_path, "status", flat)
    assert found == f"There is no ledger ({base}).\n  Create one with `labelgrid init`."


def test_cancelling_what_is_not_requested_names_it(project: Copied, tmp_path: Path) -> None:
    flat = project("new")
    free = next(f"{i:04d}.jpg" for i in range(10) if f"{i:04d}.jpg" not in held_out(flat))
    assert refused(tmp_path, "cancel", flat, f"{free}:depth", "nobody:depth") == (
        f"'{free}:depth' is missing, not requested; "
        f"'nobody:depth' is neither a cell (IMAGE:TASK) of the project nor the id of a request ({flat}).\n"
        f"  A requested cell is, for example, '{sorted(held_out(flat))[0]}:semseg'. Nothing was cancelled."
    )


def test_exporting_what_is_not_there_is_refused(project: Copied, tmp_path: Path) -> None:
    flat = project("new")
    done("cancel", flat, "--round", 0)
    end = f"({flat}).\n  Next: labelgrid query {flat} --budget 24. Nothing was written."
    assert refused(tmp_path, "export", flat) == f"No request is open {end}"
    assert refused(tmp_path, "export", flat, "--round", 7) == f"Round 7 has no open request {end}"
    found = refused(tmp_path, "export", flat, "--labels")
    assert found == f"There are no labels yet ({flat}).\n  Nothing was written."


def test_a_stop_by_the_user_is_no_fault(project: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labelgrid.operations.status.status_of", stopped)
    found = typed("status", project("new"))
    assert (found.code, found.out) == (130, "")
    assert found.err == "Stopped. Finished work is kept. Run the same command to resume.\n"


def test_an_unexpected_disk_error_has_a_clear_message(
    project: Copied, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/a/file")

    monkeypatch.setattr("labelgrid.operations.status.status_of", failing)
    found = typed("status", project("new"))
    assert (found.code, said(found.err)) == (
        1,
        "The disk reports an error: No space left on device (/a/file).\n"
        "  Free some space or fix the folder's permissions, and run the same command again.",
    )
