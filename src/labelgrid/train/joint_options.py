"""Defines the options of terms that compare tasks in a joint space. Loads no torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from labelgrid.basics.config import check_unused_options
from labelgrid.train.ranges import OwnRate, Share, Zooms

#: The tasks whose predictions are used: those of which the image has no label, or all.
Sources = Literal["unlabelled", "all"]


@dataclass(frozen=True, kw_only=True)
class JointOptions:
    """The joint space of two tasks.

    Args:
        mapping: the network that maps into the joint space: SegNet's encoder (NYUv2, Cityscapes),
            ResNet-18 (PASCAL), or a light one.
        stride: of the joint space, and of the encoder's map to which `mtpsl` compares it. 0: 32,
            and the encoder's deepest map (the paper). At stride 32, 64×96 pixels have 2×3 places.
        rectify: the mapping ends with ReLU (the paper). `false` where the encoder's maps have
            negative values, as MobileNetV2's and ConvNeXt's have.
        condition: holds the `"input"` task and the pair (the paper); or the ordered `"pair"`
            (released); `"none"`: "w/o cond".
        divide: by the number of the image's source tasks (1/|U|, the paper); `false`: not
            (released).
        sources: whose predictions are used: the `"unlabelled"` tasks', or `"all"` (full
            supervision).
        listed: only these pairs of a source and a target, such as [["depth", "normals"]]; all if
            empty.
        norm: normalise each `"map"` by itself (released), or each `"pass"`.
        draw: one Gumbel sample of the classes for each `"image"`; or for each `"pair"` of tasks
            (released).
        init: the convolutions' first weights: `"torch"`'s, or `"xavier"`-normal (released).
        view: compare on the `"batch"` (the paper), or on a random `"crop"` of it, resized
            (released).
        zooms: of the crops; all are equally likely.
        flip: probability that an image is mirrored before it is cropped, beside the flips of
            `[data]`. Released: 0.5 for Cityscapes, 0 for NYUv2.
        one_pass: predict batch and crop in one pass of the network, with one batch norm (released).
        track: also update batch norm's running statistics from the crops.
        learning_rate: of the mapping; 0: the training's.
        condition_rate: learning rate of the mapping's conditional part; 0: the training's.
            Released: 1e-3 (NYUv2) or 1e-5 (Cityscapes).
        condition_halve: halve that rate after each such share of the training; 0: it decays as the
            training's. Released: 0.15.
        maps: largest number of maps in one pass of the mapping. With more, each pass is computed
            again for its gradients, so that memory does not grow with the pairs.
    """

    mapping: Literal["segnet", "light", "resnet18"] = "segnet"
    stride: Literal[0, 4, 8, 16, 32] = 0
    rectify: bool = True
    condition: Literal["input", "pair", "none"] = "input"
    divide: bool = True
    sources: Sources = "unlabelled"
    listed: tuple[tuple[str, str], ...] = ()
    norm: Literal["map", "pass"] = "map"
    draw: Literal["image", "pair"] = "image"
    init: Literal["torch", "xavier"] = "torch"
    view: Literal["batch", "crop"] = "batch"
    zooms: Zooms = (1.0, 1.2, 1.5)
    flip: Share = 0.0
    one_pass: bool = False
    track: bool = True
    learning_rate: OwnRate = 0.0
    condition_rate: OwnRate = 0.0
    condition_halve: Share = 0.0
    maps: Annotated[int, Field(ge=1, le=65536)] = 64

    def __post_init__(self) -> None:
        if self.view == "batch":
            for name in ("zooms", "flip", "one_pass", "track"):
                check_unused_options(self, 'view = "batch"', name)
        if self.one_pass:
            check_unused_options(self, "one_pass = true", "track")
        if self.condition == "none":
            check_unused_options(self, 'condition = "none"', "condition_rate", "condition_halve")
