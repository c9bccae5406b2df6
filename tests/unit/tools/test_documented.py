from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer

from tools.documented import (
    application,
    command_faults,
    faults,
    key_faults,
    keys,
    label_keys,
    options,
    plugin_faults,
    plugin_keys,
    recipe_keys,
)


@pytest.fixture
def command():
    app = typer.Typer()

    @app.command()
    def query(
        folder: str,
        budget: Annotated[float, typer.Option("--budget", "-b")] = 1,
        dry_run: bool = False,
        secret: Annotated[bool, typer.Option(hidden=True)] = False,
    ) -> None:
        """Pick cells."""

    @app.command("list")
    def list_(folder: str = "") -> None:
        """List plug-ins."""

    return typer.main.get_command(app)


def test_every_command_and_its_long_options_are_seen(command):
    assert options(command) == {"query": ["--budget", "--dry-run"], "list": ["--folder"]}


def test_without_a_command_line_nothing_is_asked_for():
    assert options(None) == {}


def test_a_command_without_a_section_is_found():
    assert command_faults("## `labelgrid fit`\n", {"fit": [], "query": ["--budget"]}) == [
        "docs/commands.md has no section 'query'"
    ]


def test_an_option_must_be_named_in_its_own_command_s_section():
    page = "## fit\n--budget, --dry-run-once\n## query\n--unit\n"
    assert command_faults(page, {"query": ["--unit", "--budget"], "fit": ["--dry-run"]}) == [
        "docs/commands.md, section 'query', does not name --budget",
        "docs/commands.md, section 'fit', does not name --dry-run",
    ]


def test_a_plug_in_must_be_named_in_its_own_folder_s_section():
    page = "## `data`\n`folder`\n## `annotate`\nfolder\n"
    assert plugin_faults(page, {"data": ["folder"], "annotate": ["folder"], "train.terms": ["mtpsl"]}) == [
        "docs/plugins.md, section 'annotate', does not name `folder`",
        "docs/plugins.md, section 'train.terms', does not name `mtpsl`",
    ]


@dataclass(frozen=True)
class Options:
    classes: tuple[str, ...]
    size: tuple[int, int] = (96, 128)
    fit: str = "resize"
    weights: dict[str, float] | None = None
    options: dict[str, int] = field(default_factory=dict)


def test_keys_and_defaults_come_from_the_code_as_toml_writes_them():
    written = {"classes": "required", "size": "[96, 128]", "fit": '"resize"', "weights": "none", "options": "a table"}
    assert keys(Options) == written
    assert keys(Options(("a", "b"), fit="pad")) == written | {"classes": '["a", "b"]', "fit": '"pad"'}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('| `fit` | `"resize"` | How. |', ""),
        ("| `fit` | none | How. |", 'page, [data]: `fit` is "resize", not none'),
        ("The key `fit` is `resize`.", "page, [data]: no row for `fit`"),
        ('| `fit` | `"resize"` | How. |\n| `at` | `0` | Gone. |', "page, [data]: there is no `at`"),
        ('# `[train]`\n| `fit` | `"resize"` | How. |', "page, [data]: no row for `fit`"),
    ],
)
def test_a_key_has_a_row_with_its_default_in_its_own_table(row, fault):
    page = f"# `[data]`\n| key | default | meaning |\n| --- | --- | --- |\n{row}\n# after\n| `size` | `1` | |\n"
    assert key_faults(page, ("page", "[data]"), {"fit": '"resize"'}) == ([fault] if fault else [])


def test_the_keys_of_every_part_of_a_recipe_and_of_every_plug_in_are_asked_for():
    assert recipe_keys()["docs/recipes.md", "[train]"]["learning_rate"] == "0.0001"
    assert recipe_keys()["docs/recipes.md", "labelgrid.toml"]["recipe"] == '"small"'
    assert recipe_keys()["docs/recipes.md", "[network]"]["name"] == '"pad_net"'
    assert plugin_keys()["docs/plugins.md", "nets", "pad_net"]["gate"] == '"target"'
    assert label_keys()["docs/labels.md", "depth"]["scale"] == "none"


def test_without_pages_every_command_and_plug_in_is_missing(tmp_path):
    found = faults(tmp_path)
    assert "docs/plugins.md, section 'nets', does not name `pad_net`" in found
    assert "docs/recipes.md, [train]: no row for `epochs`" in found
    assert len([fault for fault in found if "has no section" in fault]) == len(options(application()))
