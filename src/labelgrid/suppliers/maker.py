"""Defines makers: plug-ins that make the labels of a supplier from images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from labelgrid.annotate.answers import plain_spelling
from labelgrid.annotate.import_options import IGNORE
from labelgrid.basics.errors import ModelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Texts, Values
from labelgrid.basics.words import join_names
from labelgrid.formats.confidence import confidence_folder
from labelgrid.formats.naming import label_name
from labelgrid.project.sources import ImageFiles
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.model_file import UNCHANGED
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True)
class LabelPlace:
    """The folder that labels are made in, as TASK/IMAGE.

    Args:
        folder: the folder.
        whole: the images whose labels keep the image's extension, see `whole_names`.
        threads: the number of threads of a process; 0: one for each core.
    """

    folder: Path
    whole: frozenset[str] = frozenset()
    threads: int = 0

    def path(self, task: str, image_id: str, extension: str) -> Path:
        """The file of a label; its folder may not exist."""
        return self.folder / task / label_name(image_id, extension, image_id in self.whole)

    def part(self, images: Sequence[str]) -> "LabelPlace":
        """The same for some of the images, to be sent to another process."""
        return replace(self, whole=self.whole.intersection(images))

    def confidence(self, task: str, image_id: str) -> Path:
        """The file of the confidence of a label, from 0 to 255 in each pixel."""
        return self.path(confidence_folder(task), image_id, ".png")


class Maker(Protocol):
    """Makes labels of images.

    A plug-in of `labelgrid.suppliers.makers` has a frozen dataclass `Options`, and a function
    `build(model, tasks, chosen, options)`. The `model` is a path, the `tasks` are the project's.
    `chosen` is the model's output by task; if empty, names decide. `build` refuses a model without
    any usable output. Makers are pickled for other processes.
    """

    @property
    def files(self) -> Mapping[str, str]:
        """The tasks that the maker labels, with the extension of the files."""

    @property
    def declared(self) -> Values:
        """What `supplier.toml` says of the labels.

        At least `revision`, and as `settings` all else that they depend on: makers of equal
        revision and settings make equal labels.
        """

    def make(self, images: ImageFiles, place: LabelPlace, progress: Progress) -> Texts:
        """Write the labels of images, each file in one step, and report each image.

        Args:
            images: the images; one that cannot be read is left out.
            place: where the labels go.
            progress: its step has begun.

        Returns:
            Why images have no label, by id.

        Raises:
            LabelgridError: no image can be labelled, since the model is wrong.
        """


def identity_of(declared: Values) -> str:
    """A hash of the revision and the settings that a maker of labels declared."""
    settings = {key: str(value) for key, value in declared.get("settings", {}).items()}
    return hash_of(declared.get("revision", ""), settings)


def refuse_two_sorts(sorts: Mapping[str, object], where: Path) -> None:
    """Refuse distances of one supplier with different declarations.

    Args:
        sorts: the declaration, by task.
        where: the model.

    Raises:
        ModelError: two differ.
    """
    if len(set(sorts.values())) > 1:
        raise ModelError(
            f"The numbers of {join_names(list(sorts))} differ in what they are true up to, or in "
            "direction.",
            where=where,
            next_step="Supply them under two names, each with --task.",
            unchanged=UNCHANGED,
        )


def unknown_classes(task: TaskDef, classes: Sequence[str]) -> dict[str, str]:
    """The meaning "not labelled" for each of a maker's classes that the task lacks."""
    spellings = {plain_spelling(name) for name in task.region_names}
    return {name: IGNORE for name in classes if plain_spelling(name) not in spellings}
