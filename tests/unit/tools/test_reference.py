from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer

from labelgrid.basics import plugins
from tools import reference
from tools.reference import (
    commands,
    faults,
    option_rows,
    options_table,
    pages,
    plugin_pages,
    plugins_text,
    write,
)


class Unit(StrEnum):
    labels = "labels"
    cost = "cost"


@pytest.fixture
def app():
    app = typer.Typer()

    @app.command()
    def dry_query(
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where.")],
        budget: Annotated[float, typer.Option(help="How much.")],
        images: Annotated[list[Path] | None, typer.Option("--image", "-i", help="Which.")] = None,
        unit: Annotated[Unit, typer.Option(help="Of the budget.")] = Unit.cost,
        seed: Annotated[int, typer.Option(help=r"Of \[all] draws.")] = 0,
        weights: Annotated[Path | None, typer.Option(help="A file.", dir_okay=False)] = None,
        plots: Annotated[Path | None, typer.Option(help="A folder.", file_okay=False)] = None,
        name: Annotated[str, typer.Option(help="What.")] = "",
        on: Annotated[str, typer.Option(metavar="PLACE", help="There.")] = "",
        json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
        prelabels: Annotated[bool, typer.Option(help="With them.")] = True,
        trust: Annotated[list[str] | None, typer.Option(help="On every page once.")] = None,
    ) -> None:
        """Pick cells."""

    @app.command("list")
    def list_() -> None:
        """List."""

    above = typer.Typer()
    above.command("data")(list_)
    above.add_typer(app, name="of")
    return above


def test_every_command_is_seen_by_the_name_it_is_typed_by(app):
    assert [name for name, _ in commands(app)] == ["data", "of dry-query", "of list"]


def test_a_command_s_table_says_how_each_option_is_typed_its_default_and_its_help(app):
    assert options_table(dict(commands(app))["of dry-query"]).splitlines()[2:] == [
        "| `DIR` | required | Where. |",
        "| `--budget N` | required | How much. |",
        "| `--image PATH`, `-i PATH` … |  | Which. |",
        r"| `--unit labels\|cost` | `cost` | Of the budget. |",
        "| `--seed N` | `0` | Of [all] draws. |",
        "| `--weights FILE` |  | A file. |",
        "| `--plots FOLDER` |  | A folder. |",
        "| `--name TEXT` |  | What. |",
        "| `--on PLACE` |  | There. |",
        "| `--json` |  | As JSON. |",
        "| `--prelabels`, `--no-prelabels` | `--prelabels` | With them. |",
    ]


@dataclass(frozen=True)
class Options:
    """Options.

    Args:
        size: height
            and width.
        mean, std: of the channels: both.
    """

    size: tuple[int, int] = (2, 3)
    mean: float | None = None
    std: str = "one"


@dataclass(frozen=True)
class Unsaid:
    """Args are not said.

    Raises:
        rate: no.
    """

    rate: float = 0.5


def test_options_have_their_defaults_as_toml_and_what_the_docstring_says():
    assert option_rows(Options) == [
        ("`size`", "`[2, 3]`", "height and width"),
        ("`mean`", "none", "of the channels: both"),
        ("`std`", '`"one"`', "of the channels: both"),
    ]
    with pytest.raises(ValueError, match=r"the Args of .*Unsaid do not say what rate is"):
        option_rows(Unsaid)


@pytest.mark.parametrize("folder", list(plugins.FOLDERS))
def test_every_plug_in_has_its_place_with_its_options(folder):
    text = plugins_text(folder).replace("\\|", "|")
    for name in plugins.names(folder):
        assert f"`{name}`" in text or f"## {name}\n" in text
        options = getattr(plugins.module(folder, name), "Options", None)
        assert options is None or all(
            "".join(f"| {cell} " for cell in row) in text for row in option_rows(options)
        )


def test_options_that_a_plug_in_before_has_too_are_named_and_not_repeated():
    text = plugins_text("terms")
    row = "| `rectify` | `true` |"
    assert text.count(row) == 1 and text.index(row) < text.index("## crop")
    assert "As in [contrastive](#contrastive): `mapping`, " in text[text.index("## mtpsl") :]
    assert (
        "`zooms`, "
        in text[text.index("As in [contrastive]", text.index("## mtpsl")) :].partition("\n")[0]
    )


PAGE = """# Mine
<!-- from the code: one -->
| old |
<!-- end -->
By hand.
<!-- from the code: gone -->
<!-- end -->
"""


def test_old_missing_and_needless_tables_are_found_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        reference, "pages", lambda: {"a.md": {"one": "| new |\n", "two": "| else |\n"}}
    )
    monkeypatch.setattr(reference, "plugin_pages", dict)
    (tmp_path / "a.md").write_text(PAGE)
    lasting = ["a.md has no '<!-- from the code: two -->'", "a.md: there is no gone"]
    old = "a.md is out of date: one; run `.venv/bin/python -m tools.reference --write`"
    assert faults(tmp_path) == [*lasting, old]
    write(tmp_path)
    assert faults(tmp_path) == lasting
    assert (tmp_path / "a.md").read_text() == PAGE.replace("old", "new")
    assert faults(tmp_path / "nowhere") == [
        f"a.md has no '<!-- from the code: {what} -->'" for what in ("one", "two")
    ]


def test_a_page_of_plug_ins_is_written_as_a_whole_and_one_of_no_folder_is_removed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(reference, "pages", dict)
    monkeypatch.setattr(reference, "plugin_pages", lambda: {"docs/plugins/nets.md": "# nets\n"})
    stray = tmp_path / "docs/plugins/gone.md"
    stray.parent.mkdir(parents=True)
    stray.touch()
    old = "docs/plugins/nets.md is out of date; run `.venv/bin/python -m tools.reference --write`"
    assert faults(tmp_path) == [old, "docs/plugins/gone.md is of no folder of plug-ins; remove it"]
    write(tmp_path)
    assert faults(tmp_path) == [] and not stray.exists()
    (tmp_path / "docs/plugins/nets.md").write_text("# nets\nBy hand.\n")
    assert faults(tmp_path) == [old]


def test_the_pages_ask_for_every_command_and_every_folder_of_plug_ins():
    from labelgrid import cli

    wanted = pages()
    apps = [cli.app, *(group.typer_instance for group in cli.app.registered_groups)]
    commands = sum(len(app.registered_commands) for app in apps)
    assert len(wanted["docs/commands.md"]) == commands + 1  # the keys of --json
    assert list(plugin_pages()) == [f"docs/plugins/{folder}.md" for folder in plugins.FOLDERS]


def test_keys_of_recipes_settings_and_studies_are_described_by_their_docstrings():
    wanted = pages()
    assert "| `flip` | `0.5` | probability" in wanted["docs/recipes.md"]["[data]"]
    assert (
        "| `seed` | `0` | the seed of all random draws |"
        in wanted["docs/recipes.md"]["labelgrid.toml"]
    )
    assert set(wanted["docs/recipes.md"]) >= {"[backbone]", "[objective]"}
    train = wanted["docs/recipes.md"]["[train]"]
    assert "| `clip` | `0.0` |" in train and "| `batch` | `8` |" in train
    assert "| `rounds` | `5` |" in wanted["docs/simulate.md"]["[simulate]"]
    assert '| `plan` | `"images"` |' in wanted["docs/simulate.md"]["initial"]


def test_the_layers_are_those_of_the_contract_with_what_their_packages_say():
    rows = pages()["ARCHITECTURE.md"]["layers"].splitlines()[2:]
    assert rows[0].startswith("| `cli` | Defines the command line")
    assert r"| `select` \| `score` | Chooses cells to label; one file per strategy." in "\n".join(
        rows
    )
    assert [row.split("|")[1].strip() for row in rows[-2:]] == ["`storage`", "`basics`"]


def test_the_analyses_of_a_checkout_are_listed():
    assert "| `known` | How much better" in pages()["docs/simulate.md"]["research.analyses"]


def test_keys_of_label_files_and_members_of_a_project_are_described_by_their_docstrings():
    wanted = pages()
    assert "| `scale` | none | metres" in wanted["docs/labels.md"]["depth"]
    assert set(wanted["docs/labels.md"]) == {"binary", "classes", "depth", "normals"}
    project = wanted["docs/python.md"]["labelgrid.Project"]
    assert "| `query(budget, unit, …)` | Pick cells within the budget" in project
    assert "| `verify()` | Read every image" in project and "| `folder` | The project's" in project
    assert "| `state` | Its state." in wanted["docs/python.md"]["labelgrid.ProjectCell"]


def test_the_keys_of_json_are_the_fields_of_the_records():
    rows = pages()["docs/commands.md"]["json"]
    assert "| `add` | `{new, moved, changed, removed, held}` |" in rows
    assert "faults: [{where, what, next_step, cell: {image_id, task}}]" in rows
    assert "| `export-model` | `{path, round, tasks: […], known: […], differences: {…}}` |" in rows


def test_the_options_of_metrics_are_those_of_the_kinds():
    options = pages()["docs/metrics.md"]["options"]
    assert '| `mIoU` of `semseg` | `absent` | `"skip"` | a class' in options
    assert "| `odsF` of `edges` | `nms` |" in options and "`mErr`" not in options
