"""Are the tables in docs/ those that the code gives: commands, plug-ins, their options, recipes? `--write` writes them.

A page holds them between `<!-- from the code: WHAT -->` and `<!-- end -->`; what stands around them is written by hand.
Commands and their options are Typer's, a plug-in's text is its module's docstring, and what an option means is in the
`Args:` of its `Options`.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import Enum
from inspect import Parameter, getdoc, signature
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

from labelgrid import cli, plugins
from tools.documented import keys
from tools.source import ROOT, report

BLOCK = re.compile(r"<!-- from the code: (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
#: Defaults that TOML has no word for.
WORDS = ("a table", "none", "required")
#: Columns of a table, and its rows.
Row = tuple[str, ...]


def faults(root: Path) -> list[str]:
    """What is missing on the pages, old, or of something that is no more."""
    found = []
    for name, wanted in pages().items():
        page = root / name
        there = dict(BLOCK.findall(page.read_text(encoding="utf-8"))) if page.exists() else {}
        found += [f"{name} has no '<!-- from the code: {what} -->'" for what in wanted if what not in there]
        found += [f"{name}: there is no {what}" for what in there if what not in wanted]
        old = ", ".join(what for what, text in there.items() if wanted.get(what, text) != text)
        found += [f"{name} is old: {old}; run `.venv/bin/python -m tools.reference --write`"] if old else []
    return found


def write(root: Path) -> None:
    """Write every table that the pages have a place for."""
    for name, wanted in pages().items():
        page = root / name
        text = page.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: f"<!-- from the code: {m[1]} -->\n{wanted.get(m[1], m[2])}<!-- end -->", text)  # noqa: B023
        page.write_text(new, encoding="utf-8")


def pages() -> dict[str, dict[str, str]]:
    """Page -> what it holds of the code -> its text."""
    recipes = ((f"`{name}`", text) for name, text in plugins.recipes().items())
    return {
        "docs/commands.md": {f"labelgrid {name}": options_table(c) for name, c in commands(cli.app)},
        "docs/recipes.md": {"recipes": table(("recipe", "what it is"), recipes)},
        "docs/plugins.md": {folder: plugins_text(folder) for folder in plugins.FOLDERS},
    }


def commands(app: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of a Typer application by its full name, with its function."""
    for info in app.registered_commands:
        yield f"{name} {info.name or info.callback.__name__.replace('_', '-')}".strip(), info.callback
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{name} {group.name}".strip())


def options_table(command: Any) -> str:
    """A command's arguments and options: how each is typed, its default and its help."""
    hints = get_type_hints(command, include_extras=True)
    return table(("option", "default", "meaning"), map(_option, signature(command).parameters.values(), hints.values()))


def _option(parameter: Parameter, hint: Any) -> Row:
    whole, info = get_args(hint)  # as in Annotated[int, typer.Option(...)]
    several, kind = any(get_origin(one) is list for one in (whole, *get_args(whole))), _innermost(whole)
    name, meaning = parameter.name.replace("_", "-"), info.help.replace("\\[", "[")
    if type(info).__name__ == "ArgumentInfo":
        typed = f"`{info.metavar or name.upper()}`"
    else:
        named = [word for word in (info.default, *(info.param_decls or ())) if str(word).startswith("-")]
        own = named or ([f"--{name}", f"--no-{name}"] if kind is bool else [f"--{name}"])
        typed = ", ".join(f"`{flag}{_value(kind, info)}`" for flag in own) + (" …" if several else "")
    if parameter.default is Parameter.empty:
        return typed, "required", meaning
    default = getattr(parameter.default, "value", parameter.default)
    if default is True:
        return typed, f"`--{name}`", meaning
    return typed, "" if default is None or default is False or default == "" else f"`{default}`", meaning


def _innermost(kind: Any) -> Any:
    """The type of one value: `Path` of `list[Path] | None`."""
    return _innermost(get_args(kind)[0]) if get_args(kind) else kind


def _value(kind: Any, info: Any) -> str:
    """What stands for the value of an option, after a blank."""
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        return " " + r"\|".join(member.value for member in kind)
    if issubclass(kind, Path):
        return " FILE" if not info.dir_okay else " PATH" if info.file_okay else " FOLDER"
    return " TEXT" if kind is str else " N"


def plugins_text(folder: str) -> str:
    """A folder's plug-ins: kinds of task as a table of their plain data, all others with their options."""
    modules = {name: plugins.module(folder, name) for name in plugins.names(folder)}
    specs = {name: (module.SPEC, getdoc(module)) for name, module in modules.items() if hasattr(module, "SPEC")}
    if specs:
        columns = ("kind", "what it is", "label files", "headline", "weight of the loss", "cost")
        return table(columns, (_kind_row(name, *found) for name, found in specs.items()))
    return "\n".join(_plugin_text(*item) for item in modules.items()) or "None is shipped yet.\n"


def _kind_row(name: str, spec: Any, text: str | None) -> Row:
    first, files = str(text).partition("\n")[0], f"[{spec.codec}](labels.md#{spec.codec})"
    return f"`{name}`", first, files, spec.headline, f"{spec.weight:g}", f"{spec.cost:g}"


def _plugin_text(name: str, module: ModuleType) -> str:
    first, _, rest = str(getdoc(module)).partition("\n")
    text = f"### {name}\n\n`{name}`: {first}\n{rest.rstrip()}".rstrip() + "\n"
    rows = option_rows(module.Options) if hasattr(module, "Options") else []
    return text + (f"\n{table(('key', 'default', 'meaning'), rows)}" if rows else "")


def option_rows(options: Any) -> list[Row]:
    """The keys of a dataclass: each with its default as TOML has it, and what the docstring says of it.

    Raises:
        ValueError: it says nothing of a key.
    """
    said = meanings(getdoc(options) or "")
    unsaid = [field.name for field in fields(options) if field.name not in said]
    if unsaid:
        raise ValueError(f"the Args of {options.__module__}.{options.__qualname__} do not say what {unsaid[0]} is")
    return [(f"`{name}`", text if text in WORDS else f"`{text}`", said[name]) for name, text in keys(options).items()]


def meanings(docstring: str) -> dict[str, str]:
    r"""What the `Args:` of a docstring say, by name.

    Example:
        >>> meanings("A line.\n\nArgs:\n    a, b: of both,\n        at once.\n    c: else.\n\nRaises:\n    E: no.")
        {'a': 'of both, at once', 'b': 'of both, at once', 'c': 'else'}
    """
    _, _, text = docstring.partition("Args:\n")
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?= {4}\S)", re.split(r"\n(?=\S)", text.rstrip())[0]):
        names, _, said = entry.strip().partition(": ")
        found |= dict.fromkeys(names.split(", "), " ".join(said.split()).removesuffix("."))
    return found


def table(columns: Row, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
