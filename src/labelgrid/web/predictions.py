"""Predicts single images when a user asks for it, and keeps the latest predictions."""

import shutil
from collections import OrderedDict
from functools import cached_property, partial
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from weakref import finalize

from labelgrid.api.reader import ProjectReader
from labelgrid.formats.codec import codec
from labelgrid.formats.naming import label_name
from labelgrid.images.places import held_image_file
from labelgrid.ledger.grid import Cell
from labelgrid.project.other_labels import OtherLabel
from labelgrid.project.records import Fit, newest_fit
from labelgrid.web.pictures import picture_key

#: The most images whose predictions are kept.
MOST = 100


class Predictions:
    """Predictions of images by the newest model, in a temporary folder.

    One image is predicted at a time: a model takes much memory.

    Args:
        most: the images whose predictions are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, Path] = OrderedDict()
        self._lock = Lock()

    def make(self, project: ProjectReader, image_id: str) -> None:
        """Predict all tasks of an image, as `labelgrid predict` does.

        Raises:
            LabelgridError: there is no model, or the image cannot be read.
        """
        key = _key(project, newest_fit(project.folder), image_id)
        with self._lock:
            out = self._folder / key
            if key not in self._kept:
                row = project.disk.store.image(image_id)
                with held_image_file(row.root, image_id, row.digest) as file:
                    project.predict(file, out)
            self._kept[key] = out
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                _, dropped = self._kept.popitem(last=False)
                shutil.rmtree(dropped, ignore_errors=True)

    @cached_property
    def _folder(self) -> Path:
        """The folder of the predictions, removed with this object."""
        folder = mkdtemp(prefix="labelgrid-")
        finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def of(self, project: ProjectReader, cell: Cell) -> OtherLabel | None:
        """The prediction of a cell by the newest model, if it was made and the task was learned."""
        fit = newest_fit(project.folder)
        if fit is None or cell.task not in fit.trained:
            return None
        key = _key(project, fit, cell.image_id)
        with self._lock:
            folder = self._kept.get(key)
        task = project.declared_task(cell.task)
        extension = codec(task.spec.codec).EXTENSIONS[0]
        name = label_name(Path(cell.image_id).name, extension, whole=False)
        if folder is None or not (folder / task.name / name).is_file():
            return None
        return OtherLabel(
            key="prediction",
            name="newest prediction",
            version=key,
            read=partial(task.read_prediction, folder / task.name / name),
            hint="model",
        )


def can_predict(project: ProjectReader) -> bool:
    """Whether labelgrid trained the newest model."""
    fit = newest_fit(project.folder)
    return fit is not None and not fit.predictions


def _key(project: ProjectReader, fit: Fit | None, image_id: str) -> str:
    digest = project.disk.store.listed_image(image_id).digest
    return picture_key(fit.model if fit else "", image_id, digest)
