"""Reads and writes a project's settings (labelgrid.toml). Loads no torch."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from labelgrid.basics.config import as_toml, check_pattern, merge, parse, read_toml
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.ledger.place import FILE, KEY, database_url, schema_name

#: The default strategy and recipe, by what was measured: docs/choosing.md.
STRATEGY = "joint"
RECIPE = "small-shared-heads"
#: The recipe of a new project whose encoder lies ready: see `suppliers.ready_encoders`.
FEW = "few"
#: In place of a recipe's name: `FEW` or `RECIPE`, by what lies ready on this machine.
AUTO = "auto"
Features = Literal["features", "../../features"]
#: Where maps of frozen encoders are kept, in a project and in a run of a study.
FEATURES: Features = "features"
SHARED_FEATURES: Features = "../../features"
#: Where the ledger is that a URL names, in words.
_IN_DATABASE = f"the database that `{KEY}` names"


@dataclass(frozen=True)
class Oracle:
    """The data set of a simulated campaign.

    Args:
        data: a plug-in of `labelgrid.data`.
        root: the folder of the data set.
    """

    data: str
    root: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in `labelgrid.toml`.

    Args:
        recipe: a shipped recipe's name, or a path relative to the project folder.
        seed: the seed of all random draws.
        weights: a local file of backbone weights, or "" to download them if the recipe asks for it.
        group: a regular expression on image ids; images of one group stay in one split.
        strategy: the plug-in that picks cells.
        changes: overrides of the recipe, table by table.
        oracle: the source of a simulated campaign's labels; None in a live campaign.
        costs: what labels cost in queries: what is declared, or what is learned from the times of
            labels.
        explain: whether to compute features that only explain the picks; None: in a live campaign.
        names: what tools' names of classes mean in imports: a class of a task, or "ignore".
        rest: the class of pixels that no region covers, by task and labelling tool.
        ledger: the URL of the ledger's database, without a password; empty: `labelgrid.db`.
        features: the folder of the maps of frozen encoders, from the project's folder, with
            `encoders` beside it; runs of a study share both.
    """

    recipe: str = RECIPE
    seed: int = 0
    weights: str = ""
    group: str = ""
    strategy: PluginChoice = field(default_factory=lambda: PluginChoice(STRATEGY))
    changes: Mapping[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None
    costs: Literal["declared", "times"] = "declared"
    explain: bool | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    rest: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ledger: str = ""
    features: Features = FEATURES

    @property
    def explains(self) -> bool:
        """Whether features that only explain the picks are computed when the pool is scored."""
        if self.explain is None:
            return self.oracle is None
        return self.explain


def read_settings(path: Path) -> Settings:
    """Read settings from a file; [strategy] may omit its name.

    Raises:
        RecipeError: the file is missing, is not TOML, or has an unknown key or a wrong value.
        ProjectError: the pattern of groups is no regular expression.
    """
    return _parsed(read_toml(path), str(path))


def _parsed(values: Json, where: str) -> Settings:
    if isinstance(values.get("strategy"), dict):
        values["strategy"] = {"name": STRATEGY, **values["strategy"]}
    settings = parse(Settings, values, where)
    check_pattern(settings.group, where)
    return settings


def text_with_tables(text: str, section: str, tables: Tables) -> str:
    """Settings with some tables [changes.SECTION.NAME] in place of earlier tables.

    The rest of the text stays, and so do its comments and the order.
    """
    import tomlkit  # slow to load

    document = tomlkit.parse(text)
    chosen = _table(_table(document, "changes"), section)
    for name, table in tables.items():
        _fill(_table(chosen, name), table)
    changed = tomlkit.dumps(document)
    old = _parsed(tomllib.loads(text), "")
    others = {**old.changes.get(section, {}), **tables}
    return _as_wanted(changed, replace(old, changes={**old.changes, section: others}))


def text_with_values(text: str, table: Literal["changes", "names"], values: Values) -> str:
    """Settings with some values merged into a table; other values, comments and the order stay."""
    import tomlkit  # slow to load

    document = tomlkit.parse(text)
    _merge_into(_table(document, table), values)
    changed = tomlkit.dumps(document)
    old = _parsed(tomllib.loads(text), "")
    merged: Json = {table: merge(getattr(old, table), values)}
    return _as_wanted(changed, replace(old, **merged))


def text_with_rest(text: str, rest: Mapping[str, Mapping[str, str]]) -> str:
    """Settings with another `[rest]`; all other values, comments and the order stay."""
    import tomlkit  # slow to load

    document = tomlkit.parse(text)
    _fill(_table(document, "rest"), rest)
    if not rest:
        del document["rest"]
    return _as_wanted(tomlkit.dumps(document), replace(_parsed(tomllib.loads(text), ""), rest=rest))


def text_with_ledger(text: str, url: str) -> str:
    """Settings with the URL of another ledger; empty: that of the project's file.

    The rest of the text stays, and so do its comments and the order.
    """
    import tomlkit  # slow to load

    document = tomlkit.parse(text)
    document.pop(KEY, None)
    if url:
        document[KEY] = url
    changed = tomlkit.dumps(document)
    before, after = (FILE, _IN_DATABASE) if url else (_IN_DATABASE, FILE)
    changed = changed.replace(f"states are in {before}.", f"states are in {after}.", 1)
    return _as_wanted(changed, replace(_parsed(tomllib.loads(text), ""), ledger=url))


def _as_wanted(changed: str, wanted: Settings) -> str:
    """The changed text or, if the text does not hold the wanted settings, a new text."""
    if _parsed(tomllib.loads(changed), "") == wanted:
        return changed
    return settings_text(wanted)


def _merge_into(holder: Any, values: Mapping[str, Any]) -> None:
    """Give a table of a TOML document some values, beside the present values."""
    import tomlkit

    for key, value in values.items():
        if isinstance(value, Mapping):
            _merge_into(_table(holder, key), value)
        elif key not in holder or holder[key] != value:
            holder[key] = tomlkit.value(as_toml(value))


def _table(holder: Any, name: str) -> Any:
    import tomlkit

    if name not in holder:
        inline = isinstance(holder, tomlkit.items.InlineTable)
        holder[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=True)
    return holder[name]


def _fill(holder: Any, values: Mapping[str, Any]) -> None:
    """Give a table of a TOML document new values; equal values stay as they were written."""
    import tomlkit

    for key in [key for key in holder if key not in values]:
        del holder[key]
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(holder.get(key), Mapping):
            _fill(holder[key], value)
        elif key not in holder or holder[key] != value:
            holder[key] = tomlkit.value(as_toml(value))


def settings_text(settings: Settings) -> str:
    """The settings as commented TOML."""
    strategy = settings.strategy
    oracle = settings.oracle
    where = _IN_DATABASE if settings.ledger else FILE
    lines = [
        f"# Settings of this labelgrid project. Images, tasks and states are in {where}.",
        "",
        f"recipe = {as_toml(settings.recipe)}     "
        "# a shipped recipe (labelgrid list recipes) or a path from here",
        f"seed = {settings.seed}",
        f"weights = {as_toml(settings.weights)}    "
        "# a local file of backbone weights; empty: download them",
        f"group = {as_toml(settings.group)}      "
        "# a pattern on image ids; images of one group stay in one split",
        f'costs = {as_toml(settings.costs)}    # or "times": learned from how long labels took',
    ]
    lines += _rare_lines(settings)
    lines += ["", "[strategy]", f"name = {as_toml(strategy.name)}"]
    if strategy.options:
        lines.append(f"options = {as_toml(strategy.options)}")
    if settings.names:
        lines += ["", "# What tools' names of classes mean:", *table_lines("names", settings.names)]
    if settings.rest:
        lines += ["", "# What no region of a tool covers:", *table_lines("rest", settings.rest)]
    if oracle:
        lines += ["", *table_lines("oracle", vars(oracle))]
    if settings.changes:
        lines += ["", "# Overrides of the recipe:", *table_lines("changes", settings.changes)]
    else:
        lines += ["", "# [changes.train]         # overrides of the recipe", "# steps = 2000"]
    return "".join(f"{line}\n" for line in lines)


def _rare_lines(settings: Settings) -> Iterator[str]:
    if settings.ledger:
        yield f"{KEY} = {as_toml(settings.ledger)}    # without a password"
    if settings.features != FEATURES:
        yield f"features = {as_toml(settings.features)}    # maps of frozen encoders"
    if settings.explain is not None:
        yield f"explain = {as_toml(settings.explain)}"


def table_lines(header: str, table: Mapping[str, Any]) -> list[str]:
    """The lines of a table, with inner tables under headers of their own."""
    lines = []
    inner = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            inner += ["", *table_lines(f"{header}.{_key(name)}", value)]
        elif value is not None:
            lines.append(f"{_key(name)} = {as_toml(value)}")
    if inner and not lines:
        return inner[1:]
    return [f"[{header}]", *lines, *inner]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else as_toml(name)


def resolve_recipe(word: str) -> str:
    """A user's recipe as the settings store it.

    That is the name of a shipped recipe, or the absolute path of a file.

    Raises:
        RecipeError: it is neither.

    Example:
        >>> resolve_recipe("small")
        'small'
    """
    from labelgrid.recipes.resolve import recipe_files  # a status needs none of what it imports

    if word in recipe_files():
        return word
    if not Path(word).is_file():
        raise RecipeError(
            f"There is no recipe '{word}'.",
            next_step=f"Shipped: {', '.join(recipe_files())}; give your own by its path, such as "
            "mine.toml.",
        )
    return str(Path(word).absolute())


def ledger_url(word: str, folder: Path) -> str:
    """A user's URL of a ledger as the settings of the project in a folder store it.

    A URL without a schema gets the folder's name as its schema. Empty: the project's file.

    Raises:
        LedgerError: it is no URL of PostgreSQL, or holds a password.

    Example:
        >>> ledger_url("postgresql://db.lab/labels", Path("flat"))
        'postgresql+psycopg://db.lab/labels?schema=flat'
    """
    if not word:
        return ""
    return str(database_url(word, schema_name(folder)))
