"""What a project is on disk: a folder with settings, the ledger, label files and rounds. Loads no torch."""

import fcntl
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelgrid import files, plugins
from labelgrid.config import as_toml, parse, read_toml
from labelgrid.errors import ProjectError, RecipeError
from labelgrid.labels.store import Store
from labelgrid.tasks.task import TaskDef, definitions

SETTINGS = "labelgrid.toml"
DATABASE = "labelgrid.db"


@dataclass(frozen=True)
class Chosen:
    """A strategy and its options."""

    name: str = "partal"
    options: Mapping[str, Any] = field(default_factory=dict)


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
    strategy: Chosen = field(default_factory=Chosen)
    changes: Mapping[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None


class Project:
    """An open project folder.

    Example:
        >>> Project.open(Path("nowhere"))
        Traceback (most recent call last):
        labelgrid.errors.ProjectError: There is no labelgrid project (nowhere).
          Make one with `labelgrid init nowhere --images FOLDER --task depth`.
    """

    def __init__(self, folder: Path, settings: Settings, store: Store) -> None:
        self.folder, self.settings, self.store = folder, settings, store

    @classmethod
    def open(cls, folder: Path) -> "Project":
        """Open a project.

        Raises:
            ProjectError: there is none. RecipeError: its settings are wrong. LedgerError: its database is.
        """
        if not (folder / SETTINGS).is_file():
            raise ProjectError(
                "There is no labelgrid project.",
                where=str(folder),
                next_step=f"Make one with `labelgrid init {folder} --images FOLDER --task depth`.",
            )
        settings = parse(Settings, read_toml(folder / SETTINGS), str(folder / SETTINGS))
        return cls(folder, settings, Store.open(folder / DATABASE))

    def tasks(self) -> dict[str, TaskDef]:
        """The tasks' definitions, in the order they were added."""
        return definitions(self.store.tasks())

    def round_folder(self, number: int) -> Path:
        """Where a round's files lie."""
        return self.folder / "rounds" / f"{number:04d}"

    def inside(self, relative: str) -> Path:
        """A path below the project folder.

        Raises:
            ProjectError: it leads out of it.
        """
        path = (self.folder / relative).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise ProjectError(f"The path leads out of the project: {relative}.", unchanged="Nothing was read.")
        return path

    def weights(self) -> Path | None:
        """The backbone weights file of the settings."""
        if not self.settings.weights:
            return None
        return self.folder / self.settings.weights  # an absolute path stays itself

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Fit, score or query: one process at a time on a project. The lock ends with the process, however it ends.

        Raises:
            ProjectError: another process is at it.
        """
        with (self.folder / SETTINGS).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProjectError(
                    "Another fit, score or query is at work on this project.",
                    where=str(self.folder),
                    next_step="Wait for it, or stop it.",
                    unchanged="Nothing was done.",
                ) from error
            yield

    def close(self) -> None:
        """Close the ledger."""
        self.store.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_new(folder: Path) -> None:
    """Refuse a folder that holds something already.

    Raises:
        ProjectError: it is a project, or not empty.
    """
    if (folder / SETTINGS).exists():
        raise ProjectError(
            "There is a labelgrid project already.",
            where=str(folder),
            next_step="Name another folder, or grow this one with `labelgrid add`.",
            unchanged="It was left as it is.",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError(
            "This is a folder that is not empty, or a file.", where=str(folder), next_step="Name a new folder."
        )


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


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically and durably.

    Raises:
        ProjectError: the disk refuses.
    """
    with files.disk(path):
        files.write_text(path, text)


def remove_folder(folder: Path) -> None:
    """Remove a folder of the project's own making, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
