"""Generates what docs/ says of commands, plug-ins and recipes from the code, and checks that it is current.

`--write` updates it. Tables of commands, recipes, keys and members are between `<!-- from the code: WHAT -->`
and `<!-- end -->` of handwritten pages. docs/plugins/ has one page for each folder of plug-ins, which
is generated as a whole. Commands and their options come from Typer, a plug-in's text from its
module's docstring, and the meaning of an option from the `Args:` of its `Options`.
"""

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import partial
from inspect import Parameter, getdoc, signature
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import labelgrid
from labelgrid import Project, ProjectCell, cli
from labelgrid.api.door import field_meanings
from labelgrid.basics import plugins
from labelgrid.data.data_options import DataOptions
from labelgrid.lab.simulation.arms import Arm, InitialLabels
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.project.settings import Settings
from labelgrid.recipes.resolve import shipped_recipes
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions
from tools.documented import keys
from tools.source import ROOT, report

BLOCK = re.compile(r"<!-- from the code: (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
#: The folder of the generated pages, one for each folder of plug-ins.
PLUGIN_PAGES = "docs/plugins"
#: Options that every command has; docs/commands.md explains them once.
COMMON = frozenset({"trust"})
#: Rows of most commands; docs/commands.md explains them once, too.
SHARED = (
    ("`DIR`", "required", "The project's folder."),
    ("`--json`", "", "Print the result as JSON."),
)
#: Commands whose JSON is the record that a method returns.
RECORDS: Mapping[str, Callable[..., Any]] = {
    "add": Project.add,
    "advise": Project.advise,
    "audit": Project.audit,
    "control": Project.control,
    "duplicates": Project.duplicates,
    "export": Project.export,
    "export-model": Project.export_model,
    "fit": Project.fit,
    "import": Project.import_labels,
    "relate": Project.relate,
    "supply": Project.supply,
    "remove": Project.remove,
    "remove --restore": Project.restore,
    "time": Project.time,
    "undo": Project.undo,
    "verify": Project.verify,
}
#: From so many equal rows on, a section refers to the one before that has them.
MANY = 3
#: Defaults that have no form in TOML.
WORDS = ("a table", "none", "required")
#: The cells of a row of a table, or its columns.
Row = tuple[str, ...]
#: The columns of a table of keys.
KEYS = ("key", "default", "meaning")


def faults(root: Path) -> list[str]:
    """What is missing or out of date in docs/, or is of something that does not exist."""
    lines = _page_faults(root)
    for name, expected in pages().items():
        page = root / name
        blocks = dict(BLOCK.findall(page.read_text(encoding="utf-8"))) if page.exists() else {}
        lines += [
            f"{name} has no '<!-- from the code: {key} -->'"
            for key in expected
            if key not in blocks
        ]
        lines += [f"{name}: there is no {key}" for key in blocks if key not in expected]
        old = ", ".join(key for key, text in blocks.items() if expected.get(key, text) != text)
        lines += (
            [f"{name} is out of date: {old}; run `.venv/bin/python -m tools.reference --write`"]
            if old
            else []
        )
    return lines


def _page_faults(root: Path) -> list[str]:
    """The generated pages that are missing, out of date, or of no folder of plug-ins."""
    expected = plugin_pages()
    lines = []
    for name, text in expected.items():
        page = root / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            lines.append(
                f"{name} is out of date; run `.venv/bin/python -m tools.reference --write`"
            )
    lines += [f"{name} is of no folder of plug-ins; remove it" for name in _strays(root, expected)]
    return lines


def _strays(root: Path, expected: Mapping[str, str]) -> list[str]:
    """The pages of the folder that are not generated."""
    names = (
        page.relative_to(root).as_posix() for page in sorted((root / PLUGIN_PAGES).glob("*.md"))
    )
    return [name for name in names if name not in expected]


def write(root: Path) -> None:
    """Update every generated page, and every table on the handwritten ones."""
    expected = plugin_pages()
    for name in _strays(root, expected):
        (root / name).unlink()
    for name, text in expected.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name, texts in pages().items():
        page = root / name
        text = page.read_text(encoding="utf-8")
        page.write_text(BLOCK.sub(partial(_block, texts), text), encoding="utf-8")


def _block(texts: dict[str, str], block: re.Match[str]) -> str:
    """A block of a page with its current text; one that is not known stays."""
    subject, old = block.groups()
    return f"<!-- from the code: {subject} -->\n{texts.get(subject, old)}<!-- end -->"


def pages() -> dict[str, dict[str, str]]:
    """The generated parts of handwritten pages, by page and by subject."""
    recipes = ((f"`{name}`", text) for name, text in shipped_recipes().items())
    moves = ((f"`{before}`", f"`{now}`") for before, now in plugins.RENAMED.items())
    return {
        "docs/commands.md": {"json": table(("command", "keys"), _json_rows())}
        | {f"labelgrid {name}": options_table(c) for name, c in commands(cli.app)},
        "docs/recipes.md": {
            "recipes": table(("recipe", "what it is"), recipes),
            "labelgrid.toml": _keys_table(Settings),
            "[data]": _keys_table(DataOptions),
            "[backbone]": _keys_table(BackboneOptions),
            "[train]": _keys_table(TrainOptions),
            "[objective]": _keys_table(ObjectiveOptions),
        },
        "docs/simulate.md": {
            "[simulate]": _keys_table(Study),
            "[simulate.arms.NAME]": _keys_table(Arm),
            "initial": _keys_table(InitialLabels),
            "research.analyses": table(("analysis", "what it does"), _research_analyses()),
        },
        "docs/labels.md": {
            name: _keys_table(plugins.module("formats", name).Options)
            for name in plugins.names("formats")
        },
        "docs/python.md": {
            "labelgrid.Project": _members_table(Project),
            "labelgrid.ProjectCell": _members_table(ProjectCell),
        },
        "docs/metrics.md": {"options": table(("metric", *KEYS), _metric_options())},
        "ARCHITECTURE.md": {"layers": table(("layer", "responsibility"), _layers())},
        "docs/decisions/021-rooms.md": {"moves": table(("before", "now"), moves)},
    }


def _layers() -> Iterator[Row]:
    """Yield a row for each package, from the top layer of the import contract down; those of one layer share it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(one for one in contracts["contracts"] if one["type"] == "layers")["layers"]
    for layer in layers:
        packages = [name.strip() for name in layer.split("|")]
        described = [str(getdoc(importlib.import_module(name))) for name in packages]
        names = (f"`{name.rpartition('.')[2]}`" for name in packages)
        yield " | ".join(names), " | ".join(text.partition("\n")[0] for text in described)


def _metric_options() -> Iterator[Row]:
    for kind in plugins.names("kinds"):
        for metric, options in plugins.module("kinds", kind).SPEC.metrics.items():
            for row in option_rows(options):
                yield f"`{metric}` of `{kind}`", *row


def _research_analyses() -> Iterator[Row]:
    for file in sorted((ROOT / "research/analyses").glob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in tree.body):
            yield f"`{file.stem}`", str(ast.get_docstring(tree)).partition("\n")[0]


def _keys_table(options: Any) -> str:
    return table(KEYS, _described_rows(options))  # tools.documented asks for the others


def _members_table(owner: type) -> str:
    """A table of the public members of a class, with the first lines of their docstrings."""
    rows = []
    for name in dir(owner):
        if not name.startswith("_"):
            member = getattr(owner, name)
            first = str(getdoc(member)).partition("\n")[0]
            rows.append((f"`{name}{_arguments(member)}`", first))
    return table(("member", "what it is or does"), rows)


def _json_rows() -> Iterator[Row]:
    for command, method in RECORDS.items():
        returned = signature(method).return_annotation
        if isinstance(returned, str):  # a class that is loaded when it is needed
            returned = getattr(labelgrid, returned.removesuffix(" | None"))
        yield f"`{command}`", f"`{fields_of(returned)}`"


def fields_of(kind: Any) -> str:
    """The fields of a record, or of the records in a list or by name; "" of other types.

    Example:
        >>> fields_of(list[Parameter]), fields_of(dict[str, int]), fields_of(int | None)
        ('[…]', '{…}', '')
    """
    if hasattr(kind, "_fields") or is_dataclass(kind):
        keys_of_record = []
        for name, hint in get_type_hints(kind).items():
            keys_of_record.append(f"{name}: {fields_of(hint)}".removesuffix(": "))
        return "{" + ", ".join(keys_of_record) + "}"
    inner = [text for text in map(fields_of, get_args(kind)) if text]
    origin = get_origin(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{NAME: {inner[0]}}}" if inner else "{…}"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"[{inner[0]}]" if inner else "[…]"
    return inner[0] if inner else ""


def _arguments(member: Any) -> str:
    """The arguments by position of a method, as in `(budget, unit, …)`; "" of a property."""
    if not callable(member):
        return ""
    parameters = signature(member).parameters.values()
    named = [one.name for one in parameters if one.kind is Parameter.POSITIONAL_OR_KEYWORD]
    words = [name for name in named if name != "self"]
    if any(one.kind is Parameter.KEYWORD_ONLY for one in parameters):
        words.append("…")
    return f"({', '.join(words)})"


def plugin_pages() -> dict[str, str]:
    """The pages on plug-ins, by name: one for each folder of plug-ins."""
    return {f"{PLUGIN_PAGES}/{folder}.md": plugin_page(folder) for folder in plugins.FOLDERS}


def plugin_page(folder: str) -> str:
    """The page on a folder of plug-ins: what they are, each with its options, and where to read on."""
    names = plugins.names(folder)
    package = plugins.module(folder, names[0]).__package__ if names else ""
    purpose = getdoc(importlib.import_module(package)) if package else ""
    anchor = folder.replace(".", "")
    start = (
        f"# {folder}\n\n<!-- written by tools/reference.py from docstrings -->\n\n"
        f"{purpose}\n[How to add one](../plugins.md#{anchor}).\n"
    )
    return f"{start}\n{plugins_text(folder)}"


def commands(app: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full name and the function of every command of a Typer application."""
    for info in app.registered_commands:
        yield (
            f"{name} {info.name or info.callback.__name__.replace('_', '-')}".strip(),
            info.callback,
        )
    for group in app.registered_groups:
        yield from commands(group.typer_instance, f"{name} {group.name}".strip())


def options_table(command: Any) -> str:
    """A table of a command's own arguments and options: usage, default and help; "" if it has none."""
    hints = get_type_hints(command, include_extras=True)
    parameters = [
        parameter for name, parameter in signature(command).parameters.items() if name not in COMMON
    ]
    rows = [_option(parameter, hints[parameter.name]) for parameter in parameters]
    special = [row for row in rows if row not in SHARED]
    return table(("option", "default", "meaning"), special) if special else ""


def _option(parameter: Parameter, hint: Any) -> Row:
    whole, info = get_args(hint)  # as in Annotated[int, typer.Option(...)]
    several = any(get_origin(one) is list for one in (whole, *get_args(whole)))
    kind = _innermost(whole)
    name = parameter.name.replace("_", "-")
    meaning = info.help.replace("\\[", "[")
    if type(info).__name__ == "ArgumentInfo":
        typed = f"`{info.metavar or name.upper()}`"
    else:
        named = [
            word for word in (info.default, *(info.param_decls or ())) if str(word).startswith("-")
        ]
        flags = named or ([f"--{name}", f"--no-{name}"] if kind is bool else [f"--{name}"])
        typed = ", ".join(f"`{flag}{_value(kind, info)}`" for flag in flags) + (
            " …" if several else ""
        )
    if parameter.default is Parameter.empty:
        return typed, "required", meaning
    default = getattr(parameter.default, "value", parameter.default)
    if default is True:
        return typed, f"`--{name}`", meaning
    return (
        typed,
        "" if default is None or default is False or default == "" else f"`{default}`",
        meaning,
    )


def _innermost(kind: Any) -> Any:
    """The type of a single value: `Path` for `list[Path] | None`."""
    return _innermost(get_args(kind)[0]) if get_args(kind) else kind


def _value(kind: Any, info: Any) -> str:
    """The placeholder for the value of an option, with a leading blank."""
    if kind is bool:
        return ""
    if issubclass(kind, Enum):
        return " " + "|".join(member.value for member in kind)
    if issubclass(kind, Path):
        return " FILE" if not info.dir_okay else " PATH" if info.file_okay else " FOLDER"
    if kind is str and info.metavar:
        return f" {info.metavar}"
    return " TEXT" if kind is str else " N"


def plugins_text(folder: str) -> str:
    """The text on a folder's plug-ins: a table of the kinds of task, or each plug-in with its options."""
    modules = {name: plugins.module(folder, name) for name in plugins.names(folder)}
    specs = {
        name: (module.SPEC, getdoc(module))
        for name, module in modules.items()
        if hasattr(module, "SPEC")
    }
    if specs:
        columns = ("kind", "what it is", "label files", "headline", "weight of the loss", "cost")
        return table(columns, (_kind_row(name, *spec) for name, spec in specs.items()))
    shown: dict[Row, str] = {}
    return (
        "\n".join(_plugin_text(*item, shown) for item in modules.items())
        or "None is shipped yet.\n"
    )


def _kind_row(name: str, spec: Any, text: str | None) -> Row:
    first = str(text).partition("\n")[0]
    files = f"[{spec.codec}](../labels.md#{spec.codec})"
    return f"`{name}`", first, files, spec.headline, f"{spec.weight:g}", f"{spec.cost:g}"


def _plugin_text(name: str, module: ModuleType, shown: dict[Row, str]) -> str:
    """The section on a plug-in.

    `shown` holds the rows of the sections before it, with the plug-ins they are of.
    """
    first, _, rest = str(getdoc(module)).partition("\n")
    text = f"## {name}\n\n{first}\n{rest.rstrip()}".rstrip() + "\n"
    if layout := getattr(module, "LAYOUT", ""):
        text += (
            f"\nWhere to get it: {getattr(module, 'ORIGIN', 'not said')}.\n\n```text\n{layout}```\n"
        )
    rows = option_rows(module.Options) if hasattr(module, "Options") else []
    repeated = _repeated_rows(rows, shown)
    new_rows = [row for row in rows if row not in repeated]
    shown.update({row: name for row in new_rows if row not in shown})
    if new_rows:
        text += f"\n{table(KEYS, new_rows)}"
    for source in dict.fromkeys(repeated.values()):
        keys = ", ".join(row[0] for row in repeated if repeated[row] == source)
        text += f"\nAs in [{source}](#{source}): {keys}.\n"
    return text


def _repeated_rows(rows: list[Row], shown: Mapping[Row, str]) -> dict[Row, str]:
    """The rows that a section before has, too, if it has three or more of them."""
    repeated = {row: shown[row] for row in rows if row in shown}
    sources = list(repeated.values())
    return {row: source for row, source in repeated.items() if sources.count(source) >= MANY}


def option_rows(options: Any) -> list[Row]:
    """The keys of a dataclass, each with its default as TOML and its meaning from the docstring.

    Raises:
        ValueError: the docstring does not document a key.
    """
    rows = _described_rows(options)
    described = {row[0] for row in rows}
    missing = [name for name in keys(options) if f"`{name}`" not in described]
    if missing:
        raise ValueError(
            f"the Args of {options.__module__}.{options.__qualname__} do not say what {missing[0]} is"
        )
    return rows


def _described_rows(options: Any) -> list[Row]:
    """The rows of the keys that the docstring of a dataclass documents."""
    documented = field_meanings(options)
    return [
        (f"`{name}`", text if text in WORDS else f"`{text}`", documented[name])
        for name, text in keys(options).items()
        if name in documented
    ]


def table(columns: Row, rows: Iterable[Row]) -> str:
    r"""A Markdown table; bars in its cells are escaped.

    Example:
        >>> print(table(("key", "meaning"), [("divide", "by |U|")]), end="")
        | key | meaning |
        | --- | --- |
        | divide | by \|U\| |
    """
    lines = [_table_line(columns), _table_line(["---"] * len(columns))]
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        lines.append(_table_line(cells))
    return "".join(lines)


def _table_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        write(ROOT)
    raise SystemExit(report(faults(ROOT)))
