"""What a project's labelgrid.toml says. Loads no torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelgrid import plugins
from labelgrid.config import as_toml, parse, read_toml
from labelgrid.errors import ProjectError, RecipeError
from labelgrid.recipes.schema import PluginChoice

#: The strategy where the settings name none.
STRATEGY = "partal"


@dataclass(frozen=True)
class Oracle:
    """The data set that answers a simulated campaign: a plug-in of `labelgrid.data`, and where it lies."""

    data: str
    root: str


@dataclass(frozen=True)
class Settings:
    """What `labelgrid.toml` says.

    Args:
        recipe: a shipped recipe's name, or a path relative to the project folder.
        seed: of every draw.
        weights: a local file of backbone weights, or "" to fetch them where the recipe asks for it.
        group: a regular expression on image ids; images of one group stay in one split.
        changes: laid over the recipe, table by table.
        oracle: of a simulated campaign.
    """

    recipe: str = "small"
    seed: int = 0
    weights: str = ""
    group: str = ""
    strategy: PluginChoice = field(default_factory=lambda: PluginChoice(STRATEGY))
    changes: Mapping[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None


def read_settings(path: Path) -> Settings:
    """The settings in a file; [strategy] may leave its name out.

    Raises:
        RecipeError: the file is missing, is not TOML, or has an unknown key or a wrong value.
    """
    values = read_toml(path)
    if isinstance(values.get("strategy"), dict):
        values["strategy"] = {"name": STRATEGY, **values["strategy"]}
    return parse(Settings, values, str(path))


def settings_text(settings: Settings) -> str:
    """The settings as commented TOML."""
    chosen, changes, oracle = settings.strategy, settings.changes, settings.oracle
    return (
        "# Settings of this labelgrid project. Images, tasks and states are in labelgrid.db.\n\n"
        f"recipe = {as_toml(settings.recipe)}     # a shipped recipe (labelgrid list recipes) or a path from here\n"
        f"seed = {settings.seed}\n"
        f"weights = {as_toml(settings.weights)}    # a local file of backbone weights; empty: fetched\n"
        f"group = {as_toml(settings.group)}      # images whose ids match alike stay in one split\n"
        + (f"changes = {as_toml(changes)}    # laid over the recipe\n" if changes else "")
        + f"\n[strategy]\nname = {as_toml(chosen.name)}\n"
        + (f"options = {as_toml(chosen.options)}\n" if chosen.options else "")
        + (f"\n[oracle]\ndata = {as_toml(oracle.data)}\nroot = {as_toml(oracle.root)}\n" if oracle else "")
        + ("" if changes else "\n# [changes.train]         # laid over the recipe\n# steps = 2000\n")
    )


def group_of(pattern: str, image: str) -> str:
    r"""The group of an image: what the pattern's first group (or the whole pattern) matches in its id, else the id.

    Example:
        >>> group_of(r"^(scene\d+)/", "scene12/0003.jpg"), group_of("", "scene12/0003.jpg")
        ('scene12', '')
    """
    if not pattern:
        return ""
    found = re.search(pattern, image)
    if found is None:
        return image
    return found.group(1) if found.re.groups else found.group(0)


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ProjectError(
            f"--group is not a regular expression: {error}.", next_step="Mend it, or escape what is meant as it is."
        ) from error


def recipe_word(word: str) -> str:
    """A recipe as settings name it, from what a user says: a shipped one's name, or the path of a file.

    Raises:
        RecipeError: it is neither.

    Example:
        >>> recipe_word("small")
        'small'
    """
    if word in plugins.recipes():
        return word
    if not Path(word).is_file():
        raise RecipeError(
            f"There is no recipe '{word}'.",
            next_step=f"Shipped: {', '.join(plugins.recipes())}; your own goes by its path, such as mine.toml.",
        )
    return str(Path(word).absolute())
