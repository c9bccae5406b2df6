"""Opens a project's folder: settings, ledger, label files and rounds. Loads no torch."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.errors import LedgerError, ProjectError, command
from labelgrid.basics.files import inside, remove_abandoned
from labelgrid.executors.job import JobFolder
from labelgrid.images.places import group_of
from labelgrid.ledger import place
from labelgrid.ledger.database import is_unwritable
from labelgrid.ledger.grid import TaskRow
from labelgrid.ledger.store import RoundRow, Store
from labelgrid.project.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelgrid.data.data_options import SupplierChoice
    from labelgrid.recipes.recipe import Recipe
    from labelgrid.relations.bound import BoundRelation
    from labelgrid.tasks.task import TaskDef

SETTINGS = place.SETTINGS
DATABASE = place.FILE
#: The folder with the labels of suppliers, a folder for each.
SUPPLIED = "supplied"
#: The file that makes a folder a study, see `simulation`.
STUDY = "study.json"
#: The cameras of the images; `labelgrid.data.cameras` reads them.
CAMERAS = "camera.toml"
#: The folder of the frozen encoders that checkpoints need, beside that of their maps.
ENCODERS = "encoders"
#: The images that the last command with --leave-out could not read.
LEFT_OUT = "left-out.txt"
#: In an existing folder while `init` moves a project's files into it.
MARKER = ".labelgrid-unfinished"


def is_study(folder: Path) -> bool:
    """Whether a folder holds the runs of a study."""
    return (folder / STUDY).is_file()


class ProjectFolder:
    """An open project folder.

    Example:
        >>> ProjectFolder.open(Path("nowhere"))
        Traceback (most recent call last):
        labelgrid.basics.errors.ProjectError: There is no labelgrid project (nowhere).
          Create one with `labelgrid init nowhere --images FOLDER --task depth`.
    """

    def __init__(self, folder: Path, settings: Settings, store: Store) -> None:
        self.folder = folder
        self.settings = settings
        self.store = store

    @classmethod
    def open(
        cls, folder: Path, *, read_only: bool = False, looking: bool = False
    ) -> "ProjectFolder":
        """Open a project.

        With `looking`, it is opened `read_only` if its ledger cannot be written anyway.

        Raises:
            ProjectError: there is no project.
            RecipeError: its settings are wrong.
            LedgerError: its database is wrong; with `read_only`, also if it is of an older release.
        """
        if (folder / STUDY).is_file() and not (folder / SETTINGS).is_file():
            raise ProjectError(
                "The folder holds a study, not a project.",
                where=folder,
                next_step=f"`{command('report', folder)}` shows it; its runs in `{folder}/runs` "
                "are projects.",
            )
        if not (folder / SETTINGS).is_file():
            raise ProjectError(
                "There is no labelgrid project.",
                where=folder,
                next_step=f"Create one with `{command('init', folder)} --images FOLDER "
                "--task depth`.",
            )
        settings = read_settings(folder / SETTINGS)
        ledger = place.place_in(folder, settings.ledger) if settings.ledger else folder / DATABASE
        read_only = read_only or (looking and is_unwritable(ledger))
        return cls(folder, settings, Store.open(ledger, read_only=read_only))

    def copy_note(self) -> str:
        """A sentence on a ledger that is read in a copy, or ""."""
        if self.store.copy is None:
            return ""
        return (
            f"{self.folder} cannot be written: its ledger is read in an up-to-date copy "
            f"({self.store.copy.parent}), and nothing can be changed."
        )

    def group_of(self, image_id: str) -> str:
        """The group of an image, by the settings; "" if they have no groups."""
        return group_of(self.settings.group, image_id)

    def tasks(self) -> "dict[str, TaskDef]":
        """The tasks by name, in the order they were added."""
        from labelgrid.tasks.task import definitions  # a new project's status needs none of it

        return definitions(self.store.tasks(), self.store.class_lists())

    def task_row(self, name: str) -> TaskRow:
        """The ledger's row of a task.

        Raises:
            LedgerError: there is none; lists the tasks.
        """
        rows = {row.name: row for row in self.store.tasks()}
        if name not in rows:
            raise LedgerError(
                f"The project has no task '{name}'.",
                where=self.folder,
                next_step=f"Its tasks are: {', '.join(rows)}.",
            )
        return rows[name]

    def recipe(self) -> "Recipe":
        """The recipe of the settings, with their changes.

        Raises:
            RecipeError: it is wrong.
        """
        from labelgrid.recipes.resolve import load_recipe

        return load_recipe(self.settings.recipe, self.settings.changes, beside=self.folder)

    def relations(self) -> "list[BoundRelation]":
        """The relations of the recipe that are on, the most trusted first.

        Raises:
            RecipeError: the recipe or a relation is wrong.
        """
        recipe = self._recipe_with("relations")
        if recipe is None:
            return []
        from labelgrid.relations.bound import bind_relations

        return bind_relations(recipe.relations, self.tasks())

    def suppliers(self) -> "Mapping[str, SupplierChoice]":
        """The suppliers of the recipe, on or off.

        Raises:
            RecipeError: the recipe is wrong.
        """
        recipe = self._recipe_with("suppliers")
        return recipe.suppliers if recipe else {}

    def _recipe_with(self, section: str) -> "Recipe | None":
        """The recipe, if it has a table; a new project's status needs little of a recipe."""
        from labelgrid.recipes.resolve import load_tables

        settings = self.settings
        tables = load_tables(settings.recipe, settings.changes, beside=self.folder)
        if not tables.get(section):
            return None
        from labelgrid.basics.config import parse
        from labelgrid.recipes.recipe import Recipe

        return parse(Recipe, tables, f"recipe {settings.recipe}")

    @property
    def round_number(self) -> int:
        """The number of the open round, or else of the next round."""
        current = self.store.current_round()
        if current:
            return current.number
        return max((row.number for row in self.store.rounds()), default=0) + 1

    def open_round(self) -> RoundRow:
        """The open round, after opening a round if none is open."""
        return self.store.current_round() or self.store.open_round()

    def round_folder(self, number: int) -> Path:
        """The folder with a round's files.

        Raises:
            ProjectError: the folder, or a folder in it, is a link that leads out of the project.
        """
        folder = self.folder / "rounds" / f"{number:04d}"
        paths = [folder]
        if folder.is_dir():
            paths += [Path(entry) for entry in os.scandir(folder) if entry.is_symlink()]
        root = os.path.realpath(self.folder)
        for path in paths:
            if not Path(os.path.realpath(path)).is_relative_to(root):
                raise ProjectError(
                    "This folder of a round is a link that leads out of the project.",
                    where=path,
                    next_step="Put the folder itself there, or remove the link.",
                    unchanged="Nothing was written.",
                )
        return folder

    @property
    def job(self) -> JobFolder:
        """The job folder of the open round, for a fit, score or query of any process."""
        return JobFolder(self.round_folder(self.round_number) / "job")

    def inside(self, relative: str) -> Path:
        """A path below the project folder.

        Raises:
            ProjectError: the path leads out of the project.
        """
        return inside(self.folder, relative)

    def weights(self) -> Path | None:
        """The file of backbone weights from the settings, or None."""
        if not self.settings.weights:
            return None
        return self.folder / self.settings.weights  # an absolute path is unchanged

    @property
    def features(self) -> Path:
        """The folder of the maps of frozen encoders."""
        return self.folder / self.settings.features

    @property
    def encoders(self) -> Path:
        """The folder of the frozen encoders that checkpoints need."""
        return self.features.with_name(ENCODERS)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the project for fit, score or query: one process at a time.

        The lock ends with the process. What killed processes were writing is removed.

        Raises:
            ProjectError: another process holds the lock.
        """
        with (self.folder / SETTINGS).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProjectError(
                    "Another fit, score or query is running on this project.",
                    where=self.folder,
                    next_step="Wait until it ends, or stop it.",
                    unchanged="Nothing was done.",
                ) from error
            self.remove_abandoned()
            yield
            self.remove_abandoned()  # of workers that were killed meanwhile

    def remove_abandoned(self) -> None:
        """Remove what killed processes were writing, but for rounds before the last two."""
        remove_abandoned(self.folder)
        for entry in os.scandir(self.folder):
            if entry.is_dir(follow_symlinks=False):
                remove_abandoned(Path(entry))
        for shared in (self.features, self.encoders):
            remove_abandoned(shared)
        newest = self.round_number
        for number in (newest - 1, newest):
            remove_abandoned(self.round_folder(number), deep=True)

    def close(self) -> None:
        """Close the project's ledger."""
        self.store.close()

    def __enter__(self) -> "ProjectFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _unfinished_files(folder: Path) -> set[str]:
    if not (folder / MARKER).is_file() or (folder / SETTINGS).exists():
        return set()
    return {MARKER, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LEFT_OUT, CAMERAS}


def remove_unfinished(folder: Path) -> None:
    """Remove what a stopped `init` left in a folder; the marker goes last."""
    for name in sorted(_unfinished_files(folder), key=lambda name: name == MARKER):
        (folder / name).unlink(missing_ok=True)


def check_new(folder: Path) -> None:
    """Check that a folder can hold a new project.

    Raises:
        ProjectError: the folder is a project, or not empty.
    """
    if (folder / SETTINGS).exists():
        raise ProjectError(
            "There is already a labelgrid project.",
            where=folder,
            next_step="Give another folder, or extend this one with `labelgrid add`.",
            unchanged="It was not changed.",
        )
    is_usable = not folder.exists()
    if folder.is_dir():
        is_usable = {child.name for child in folder.iterdir()} <= _unfinished_files(folder)
    if not is_usable:
        raise ProjectError(
            "This is a file, or a folder that is not empty.",
            where=folder,
            next_step="Give a new folder.",
        )
