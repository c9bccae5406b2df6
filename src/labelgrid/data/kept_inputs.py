"""Keeps views of images and labels in files, so that a file is decoded and placed once."""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import cv2
import numpy as np
import PIL

from labelgrid.basics.files import digest_of
from labelgrid.basics.kept_files import KeptFiles
from labelgrid.basics.type_names import Size
from labelgrid.basics.version import __version__
from labelgrid.data.cache import narrow
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import ImageSource, Source, content_of, label_content_of
from labelgrid.data.transforms import FIRST_VIEWS, Pixels, PlacedImage, PlacedLabel
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The heights and widths of an image and of its canvas.
SIZES = struct.Struct("<4I")
#: The same, and the type of a label's numbers.
LABEL = struct.Struct("<4I8s")
#: What reads and places labels, if the version of labelgrid says it all.
OWN = f"{__name__.partition('.')[0]}."
#: The options that change no pixel of a view.
WITHOUT_EFFECT = ("kept_views", "std", "average_flips")
#: The view of an image without augmentation.
WHOLE = -1


@dataclass(frozen=True)
class KeptInputs:
    """The network inputs of a source's images, by their contents, the options and the view.

    Args:
        files: where they are; None: none is kept.
        source: the images; those whose content it does not know are not kept.
        options: the network input and its augmentation.
    """

    files: KeptFiles | None
    source: ImageSource
    options: DataOptions

    def key(self, image_id: str, view: int) -> str:
        """The key of a view of an image; "" if it is not kept.

        Args:
            image_id: the image.
            view: the number of a kept view, or `WHOLE`.
        """
        content = content_of(self.source, image_id) if self.files else ""
        return self._key("input", content, image_id, view)

    def _key(self, of: str, content: str, image_id: str, view: int) -> str:
        if not content:
            return ""
        if view == 0 and self.options.fit != "crop":
            view = WHOLE
        drawn_for = image_id if view >= len(FIRST_VIEWS) or not self.options.flip else ""
        return digest_of(f"{of} {self._shaping} {content} {view} {drawn_for}".encode())

    @cached_property
    def _shaping(self) -> str:
        """What the pixels of a view depend on beside the image: versions and options."""
        options = asdict(self.options)
        for name in WITHOUT_EFFECT:
            del options[name]
        return f"{__version__} OpenCV {cv2.__version__} Pillow {PIL.__version__} {options}"

    def open(self, image_id: str, key: str) -> Pixels | PlacedImage:
        """An image, placed already if its view is kept.

        Raises:
            ImageError: it is not, and the image cannot be read.
        """
        content = self.files.read_bytes(key) if self.files and key else None
        if content is None:
            return self.source.image(image_id)
        height, width, *canvas = SIZES.unpack_from(content)
        pixels = np.frombuffer(content, np.uint8, offset=SIZES.size)
        return PlacedImage((height, width), pixels.reshape(*canvas, 3))

    def keep(
        self, key: str, opened: Pixels | PlacedImage, placed: Pixels, *, often: bool = False
    ) -> None:
        """Keep a view of an opened image, unless the folder has that view.

        `often` is as of `KeptFiles.has_room`.
        """
        if self.files and key and not isinstance(opened, PlacedImage):
            sizes = SIZES.pack(*opened.shape[:2], *placed.shape[:2])
            self.files.write_bytes(key, sizes + placed.tobytes(), often=often)


@dataclass(frozen=True)
class KeptViews(KeptInputs):
    """The network inputs and labels of views in training.

    Labels are found by the contents of their files.

    Args:
        tasks: the tasks of the labels.
    """

    source: Source
    tasks: TaskDefs

    def labels(self, image_id: str, view: int) -> dict[str, LabelArray | PlacedLabel]:
        """The labels of an image, placed already if their view is kept.

        Raises:
            LabelError: the file of a label is missing, has changed or cannot be read.
        """
        labels: dict[str, LabelArray | PlacedLabel] = {}
        for name, task in self.tasks.items():
            label = self._placed(task, image_id, view) or self.source.label(image_id, task)
            if label is not None:
                labels[name] = label
        return labels

    def keep_labels(
        self,
        image_id: str,
        view: int,
        opened: Mapping[str, LabelArray | PlacedLabel],
        placed: Mapping[str, LabelArray],
    ) -> None:
        """Keep a view of labels.

        Labels with unsure pixels or classes that were not annotated are not kept.
        """
        for name, task in self.tasks.items():
            label = opened.get(name)
            if not isinstance(label, LabelArray) or label.annotated is not None or label.unsure:
                continue
            key = self._label_key(task, image_id, view)
            if self.files and key:
                self.files.write_bytes(key, _packed(label.size, placed[name]), often=True)

    def _placed(self, task: TaskDef, image_id: str, view: int) -> PlacedLabel | None:
        key = self._label_key(task, image_id, view)
        content = self.files.read_bytes(key) if self.files and key else None
        return _unpacked(content, task) if content else None

    def _label_key(self, task: TaskDef, image_id: str, view: int) -> str:
        """The key of a view of a label; "" if the label is not kept.

        The code of a user's own kind or format may change without a new version of labelgrid.
        """
        transform = task.spec.transform
        modules = (getattr(task.codec, "__name__", ""), getattr(transform, "__module__", ""))
        if not self.files or not all(module.startswith(OWN) for module in modules):
            return ""
        content = label_content_of(self.source, image_id, task)
        read = f"{task.spec.codec} {transform.__qualname__} {task.options}"
        return self._key(f"label {read}", content, image_id, view)


def _packed(size: Size, placed: LabelArray) -> bytes:
    """A label of an image of a size, on its canvas, with the numbers in the narrowest type."""
    numbers = narrow(placed.value)
    head = LABEL.pack(*size, *placed.size, numbers.dtype.str.encode())
    return head + np.packbits(placed.valid).tobytes() + numbers.tobytes()


def _unpacked(content: bytes, task: TaskDef) -> PlacedLabel:
    height, width, *canvas, kind = LABEL.unpack_from(content)
    pixels = canvas[0] * canvas[1]
    start = LABEL.size + -(-pixels // 8)
    bits = np.frombuffer(content[LABEL.size : start], np.uint8)
    valid = np.unpackbits(bits, count=pixels).view(np.bool_).reshape(canvas)
    numbers = np.frombuffer(content, kind.rstrip(b"\0").decode(), offset=start)
    value = numbers.reshape(*canvas, -1).astype(task.codec.DTYPE, copy=False)
    return PlacedLabel((height, width), LabelArray(value, valid))
