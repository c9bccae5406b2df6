from typing import Annotated

import pytest
import typer

from tools.documented import application, command_faults, faults, options, plugin_faults


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


def test_without_pages_every_command_and_plug_in_is_missing(tmp_path):
    found = faults(tmp_path)
    assert "docs/plugins.md, section 'nets', does not name `pad_net`" in found
    assert len([fault for fault in found if "has no section" in fault]) == len(options(application()))
