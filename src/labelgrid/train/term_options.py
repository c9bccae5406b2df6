"""Defines options that several terms have, and the ranges of numbers. Loads no torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from labelgrid.basics.config import check_unused_options
from labelgrid.nets.encoder_options import WIDEST
from labelgrid.train.train_options import LEVELS

#: The weight of a loss.
Weight = Annotated[float, Field(ge=0, le=1e9)]
#: A share of a whole, from none to all.
Share = Annotated[float, Field(ge=0, le=1)]
#: A learning rate; 0: the training's.
OwnRate = Annotated[float, Field(ge=0, le=100)]
#: The sides of an image over those of a crop.
Zoom = Annotated[float, Field(ge=1, le=16)]
#: Several of these, of which one is drawn.
Zooms = Annotated[tuple[Zoom, ...], Field(min_length=1)]
#: The learning rate of an optimiser of a term's own.
AdamRate = Annotated[float, Field(gt=0, le=100)]
#: The channels of a layer.
Width = Annotated[int, Field(ge=1, le=WIDEST)]
#: The filters of the first stage of a network whose widest have 8 times as many.
FirstWidth = Annotated[int, Field(ge=1, le=WIDEST // 8)]
#: The number of changes to an image's colours, and that of their strengths.
Operations = Annotated[int, Field(ge=0, le=16)]
Levels = Annotated[int, Field(ge=1, le=LEVELS)]
#: The tasks whose predictions are used: those of which the image has no label, or all.
Sources = Literal["unlabelled", "all"]


@dataclass(frozen=True, kw_only=True)
class CrossMapOptions:
    """The mappings, a network for each ordered pair of tasks, and the pairs with a mapping.

    Args:
        weight: the weight of the loss, beside the weight of each target task; the papers give none.
        width: filters of the mappings' first stage; the others have 2, 4, 8 and 8 times as many. 64
            is a whole SegNet, as in MTPSL, 25 million parameters for each ordered pair; 8 or 16
            trains on a CPU.
        divide: divide by the number of the image's source tasks (1/|U| of MTPSL eq. 4).
        listed: only these pairs of a source and a target, such as [["depth", "normals"]]; all if
            empty.
        recompute: compute activations again for the gradients, so that memory does not grow with
            the pairs.
    """

    weight: Weight = 1.0
    width: FirstWidth = 64
    divide: bool = True
    listed: tuple[tuple[str, str], ...] = ()
    recompute: bool = False


@dataclass(frozen=True, kw_only=True)
class JointOptions:
    """The joint space of two tasks.

    Args:
        mapping: the network that maps into the joint space: SegNet's encoder (NYUv2, Cityscapes),
            ResNet-18 (PASCAL), or a light one.
        stride: the stride of the joint space, and of the encoder's map to which `mtpsl` compares
            it. 0: 32, and the encoder's deepest map (the paper). At stride 32, 64×96 pixels have
            2×3 places.
        rectify: the mapping ends with ReLU (the paper). `false` where the encoder's maps have
            negative values, as MobileNetV2's and ConvNeXt's have.
        condition: holds the `"input"` task and the pair (the paper); or the ordered `"pair"`
            (released); `"none"`: "w/o cond".
        divide: divide by the number of the image's source tasks (1/|U|, the paper); `false`: not
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
        zooms: the zooms of the crops; all are equally likely.
        flip: probability that an image is mirrored before it is cropped, beside the flips of
            `[data]`. Released: 0.5 for Cityscapes, 0 for NYUv2.
        one_pass: predict batch and crop in one pass of the network, with one batch norm (released).
        track: also update batch norm's running statistics from the crops.
        learning_rate: the learning rate of the mapping; 0: the training's.
        condition_rate: learning rate of the mapping's conditional part; 0: the training's.
            Released: 1e-3 (NYUv2) or 1e-5 (Cityscapes).
        condition_halve: halve the condition's rate after each such share of the training; 0: the
            rate decays as the training's. Released: 0.15.
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
