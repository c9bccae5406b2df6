"""Is every command, every option and every plug-in named where a user looks for it?

docs/commands.md has a section a command (its heading is the command's name) that names each of its options;
docs/plugins.md has a section a folder (`select`, `train.terms`) that names each of its plug-ins.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labelgrid import plugins
from tools.source import ROOT, report, sections


def faults(root: Path) -> list[str]:
    """What the documentation leaves out."""
    found = command_faults(read(root, "docs/commands.md"), options(application()))
    known = {folder: plugins.names(folder) for folder in plugins.FOLDERS}
    return found + plugin_faults(read(root, "docs/plugins.md"), known)


def application() -> Any:
    """The command line as the object its library makes of it, or None while there is none."""
    try:
        app = importlib.import_module("labelgrid.cli").app
    except (ModuleNotFoundError, AttributeError):
        return None
    return importlib.import_module("typer.main").get_command(app)


def options(command: Any) -> dict[str, list[str]]:
    """Command -> its options as they are typed, without --help."""
    return dict(_options(command, "")) if command is not None else {}


def _options(command: Any, name: str) -> Iterator[tuple[str, list[str]]]:
    for child, group in getattr(command, "commands", {}).items():
        yield from _options(group, f"{name} {child}".strip())
    if name and not hasattr(command, "commands"):
        yield (
            name,
            [
                max(parameter.opts, key=len)
                for parameter in command.params
                if parameter.param_type_name == "option" and not parameter.hidden and "--help" not in parameter.opts
            ],
        )


def command_faults(page: str, known: Mapping[str, list[str]]) -> list[str]:
    """The commands without a section, and the options that their command's section does not name."""
    text = {heading.removeprefix("labelgrid ").strip(): body for heading, body in sections(page).items()}
    found = []
    for command, flags in known.items():
        if command not in text:
            found.append(f"docs/commands.md has no section '{command}'")
            continue
        found += [
            f"docs/commands.md, section '{command}', does not name {flag}"
            for flag in flags
            if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text[command])
        ]
    return found


def plugin_faults(page: str, known: Mapping[str, list[str]]) -> list[str]:
    """The plug-ins that their folder's section does not name."""
    text = sections(page)
    return [
        f"docs/plugins.md, section '{folder}', does not name `{name}`"
        for folder, names in known.items()
        for name in names
        if f"`{name}`" not in text.get(folder, "")
    ]


def read(root: Path, name: str) -> str:
    """The page, empty while it is not written."""
    page = root / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
