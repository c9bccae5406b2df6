"""Defines the options of what a training loads and how. Loads no library of arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.basics.config import check_ranges
from labelgrid.basics.type_names import Size

Fit = Literal["resize", "crop", "pad"]
#: The largest side of a network's input.
LARGEST_SIDE = 8192
#: The most kept views of an image.
MOST_VIEWS = 1000


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The transform from image to network input.

    Args:
        size: height and width in training, and the size that images are fitted to in evaluation.
        fit: "resize" stretches the image to the size; "crop" keeps its aspect ratio and covers the
            size (training uses a crop; evaluation uses the whole image with its aspect ratio);
            "pad" keeps its aspect ratio within the size, and the padding is not valid in any label.
        flip: probability of a left-right flip in training.
        zoom: factors of which training draws one; below 1 the image shrinks, and the rest is
            padding.
        zoom_between: draw any factor between the smallest and the largest of `zoom` instead,
            evenly.
        rotate: the largest angle in degrees by which an image turns in training, to either side;
            what is empty then is padding.
        at: position of crops in training: "random", or always the "centre" (the survey's zoom).
        jitter: brightness, contrast and saturation change by up to this share in training; 0: no
            change.
        kept_views: draw each image's view in training from so many that stay the same: the whole
            image, its mirror image if `flip` is not 0, and further ones by the options above; 0: a
            new view each time.
        mean, std: the mean and standard deviation by which each input channel (RGB in 0..1) is
            normalised; the defaults are ImageNet's.
        average_flips: predict whole images twice, once mirrored, and average the raw outputs:
            wherever predictions are measured, written or taken for pseudo-labels, not in scores.
    """

    size: Size = (96, 128)
    fit: Fit = "resize"
    flip: float = 0.5
    zoom: tuple[float, ...] = (1.0,)
    zoom_between: bool = False
    rotate: float = 0.0
    at: Literal["random", "centre"] = "random"
    jitter: float = 0.0
    kept_views: int = 0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    average_flips: bool = False

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"size must be at least 1x1; it is {self.size[0]}x{self.size[1]}")
        if max(self.size) > LARGEST_SIDE:
            raise ValueError(
                f"size must be at most {LARGEST_SIDE}x{LARGEST_SIDE}; "
                f"it is {self.size[0]}x{self.size[1]}"
            )
        if not 0 <= self.flip <= 1 or not 0 <= self.jitter <= 1:
            raise ValueError(
                f"flip and jitter lie between 0 and 1; they are {self.flip} and {self.jitter}"
            )
        check_ranges(self, kept_views=(0, MOST_VIEWS))
        if not self.zoom or min(self.zoom) <= 0 or max(self.zoom) > 100:
            raise ValueError(
                f"zoom needs factors larger than 0 and at most 100; it is {list(self.zoom)}"
            )
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate lies between 0 and 180 degrees; it is {self.rotate}")
        if max(map(abs, (*self.mean, *self.std))) > 1000:
            raise ValueError(
                f"mean and std are at most 1000; they are {list(self.mean)} and {list(self.std)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std must be larger than 0; it is {list(self.std)}")

    @property
    def views(self) -> int:
        """The number of views of an image in training; 0: a new view each time.

        Example:
            >>> DataOptions(flip=0.5).views, DataOptions(zoom=(1.0, 1.2)).views
            (2, 0)
        """
        if self.kept_views:
            return self.kept_views
        if self.fit == "crop" or set(self.zoom) != {1.0} or self.rotate or self.jitter:
            return 0
        return 2 if 0 < self.flip < 1 else 1


@dataclass(frozen=True, kw_only=True)
class SupplierChoice:
    """A supplier of a recipe: a table [suppliers.NAME].

    Args:
        trust: how far its labels are believed, from 0 to 1: their weight in training. 0: not used.
        tasks: another trust, by task.
        folder: the folder of the supplier's labels in a study, with a folder for each task: an
            absolute path, or one below the data set's root. A project has its labels by `import
            --supplier` instead.
    """

    trust: float = 0.0
    tasks: Mapping[str, float] = field(default_factory=dict)
    folder: str = ""

    def __post_init__(self) -> None:
        for trust in (self.trust, *self.tasks.values()):
            if not 0 <= trust <= 1:
                raise ValueError(f"trust lies between 0 and 1; it is {trust}")

    @property
    def is_on(self) -> bool:
        """Whether its labels are trusted in any task."""
        return bool(self.trust or any(self.tasks.values()))

    def trust_in(self, task: str) -> float:
        """The trust in the labels of a task.

        Example:
            >>> SupplierChoice(trust=0.5, tasks={"depth": 0.1}).trust_in("depth")
            0.1
        """
        return self.tasks.get(task, self.trust)
