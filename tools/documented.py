"""Is every command, every option and every plug-in named where a user looks for it?

docs/commands.md has a section a command (its heading is the command's name) that names each of its options;
docs/plugins.md has a section a folder (`select`, `train.terms`) that names each of its plug-ins. What a TOML file may
say is in tables, a row a key with its default: a recipe's and the settings' keys in docs/recipes.md, a plug-in's in its
section of docs/plugins.md, those of label files in docs/labels.md. What is asked for comes from the code itself.
"""

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from labelgrid import plugins
from tools.source import ROOT, report, sections

#: A page and the headings that lead to a table of keys.
Place = tuple[str, ...]
#: A key -> its default, as the table shows it.
Keys = Mapping[str, str]


def faults(root: Path) -> list[str]:
    """What the documentation leaves out."""
    found = command_faults(read(root, "docs/commands.md"), options(application()))
    known = {folder: plugins.names(folder) for folder in plugins.FOLDERS}
    found += plugin_faults(read(root, "docs/plugins.md"), known)
    for place, wanted in {**recipe_keys(), **plugin_keys(), **label_keys()}.items():
        found += key_faults(read(root, place[0]), place, wanted)
    return found


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


def recipe_keys() -> dict[Place, Keys]:
    """The keys of a recipe's tables and of a project's settings."""
    recipe = importlib.import_module("labelgrid.recipes.schema").Recipe()
    project = importlib.import_module("labelgrid.project.folder")
    settings = project.Settings()
    tables = {f"[{field.name}]": getattr(recipe, field.name) for field in fields(recipe)}
    tables |= {project.SETTINGS: settings, "[strategy]": settings.strategy}
    return {("docs/recipes.md", name): keys(table) for name, table in tables.items() if is_dataclass(table)}


def plugin_keys() -> dict[Place, Keys]:
    """The options of the plug-ins that have some."""
    found = {(f, name): plugins.module(f, name) for f in plugins.FOLDERS for name in plugins.names(f)}
    return {("docs/plugins.md", *p): keys(module.Options) for p, module in found.items() if hasattr(module, "Options")}


def label_keys() -> dict[Place, Keys]:
    """The options of the tasks' label files."""
    codecs = {plugins.module("tasks", kind).SPEC.codec for kind in plugins.names("tasks")}
    formats = {name: importlib.import_module(f"labelgrid.labels.formats.{name}") for name in sorted(codecs)}
    return {("docs/labels.md", name): keys(module.Options) for name, module in formats.items()}


def keys(table: Any) -> Keys:
    """The keys of a dataclass, or of one of its objects, and their values as TOML, as far as TOML has a word."""
    return {field.name: _shown(getattr(table, field.name, _default(field))) for field in fields(table)}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) or is_dataclass(value):
        return "a table"
    if value is MISSING:
        return "required"
    return "none" if value is None else json.dumps(value)


def key_faults(page: str, place: Place, wanted: Keys) -> list[str]:
    r"""The keys that the table at a place lacks, has with another default, or has though they are none.

    Example:
        >>> place, wanted = ("docs/plugins.md", "pad_net"), {"width": "256", "gate": '"target"'}
        >>> key_faults("# pad_net\n| `width` | `64` | Channels. |", place, wanted)
        ['docs/plugins.md, pad_net: no row for `gate`', 'docs/plugins.md, pad_net: `width` is 256, not 64']
    """
    name, *headings = place
    for heading in headings:
        page = sections(page).get(heading, "")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    where = f"{name}, {' / '.join(headings)}"
    lacking = [f"{where}: no row for `{key}`" for key in wanted if key not in rows]
    wrong = [
        f"{where}: `{k}` is {wanted[k]}, not {found}" for k, found in rows.items() if wanted.get(k, found) != found
    ]
    return [*lacking, *wrong, *(f"{where}: there is no `{key}`" for key in rows if key not in wanted)]


def read(root: Path, name: str) -> str:
    """The page, empty while it is not written."""
    page = root / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
