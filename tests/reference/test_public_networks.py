"""The networks of the papers have the public code's parameter counts (the repositories of the survey and of MTAN)."""

from collections.abc import Callable, Mapping
from functools import partial

import pytest
from torch import nn

from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.encoder_options import BackboneOptions
from labelgrid.nets.network import Network
from labelgrid.nets.networks import aspp_heads, mtan, mti_net, pad_net, segnet, shared_heads
from labelgrid.tasks.task import Task, build_all, definitions

COVERS = ["labelgrid.nets.networks.shared_heads"]
BACKBONE, FUSE = 3_860_720, 270 * 270 + 270 + 2 * 270
#: The outputs of each task of NYUv2 and of PASCAL; of NYUv2 as MTAN prepared it, with three tasks
#: and with one.
OUTPUTS = {
    "nyud": {"semseg": 40, "depth": 1, "normals": 3},
    "pascal": {"semseg": 21, "parts": 7, "saliency": 1, "edges": 1, "normals": 3},
    "mtan": {"semseg": 13, "depth": 1, "normals": 3},
    "one": {"semseg": 13},
}
#: Two blocks at 256 channels without a shortcut; a shortcut from 270 channels and its block's wider
#: first convolution.
BLOCKS = 2 * (256 * 64 + 2 * 64 + 9 * 64 * 64 + 2 * 64 + 64 * 256 + 2 * 256)
SHORTCUT = 270 * 256 + 2 * 256 + (270 - 256) * 64


def tasks_of(data: str) -> Mapping[str, Task]:
    rows = [
        TaskRow(name, "semseg", 1, {"classes": [str(i) for i in range(channels)]})
        if name in ("semseg", "parts")
        else TaskRow(name, name, 1)
        for name, channels in OUTPUTS[data].items()
    ]
    return build_all(definitions(rows))


def count(*parts: nn.Module) -> int:
    return sum(value.numel() for part in parts for value in part.parameters())


def made(build: object, data: str, options: object) -> Network:
    encoder = partial(
        Encoder, BackboneOptions(name="hrnet_w18_small_v2", pretrained=False, upsample="bilinear")
    )
    return build(tasks_of(data), encoder, options)  # type: ignore[no-any-return, operator]


@pytest.mark.parametrize(
    ("data", "heads", "embedding", "whole"),
    [("nyud", 433_708, 102_912, 12_091_318), ("pascal", 712_481, 78_592, 29_304_992)],
)
def test_pad_net_is_the_public_one_but_for_the_embeddings_of_predictions(
    data: str, heads: int, embedding: int, whole: int
) -> None:
    network, outputs = (
        made(pad_net.build, data, pad_net.Options(gate="source", own="features")),
        OUTPUTS[data],
    )
    last = sum(256 * channels + channels for channels in outputs.values())
    parts = {name: part for name, part in network.named_children() if count(part)}
    assert parts.keys() == {
        "encoder",
        "initial_bodies",
        "initial",
        "embed",
        "distil",
        "final_bodies",
        "final",
    }
    assert count(parts["encoder"]) == BACKBONE + FUSE
    assert count(parts["initial_bodies"]) == len(outputs) * (BLOCKS + SHORTCUT)
    assert count(parts["initial"]) == count(parts["final"]) == last
    assert count(parts["distil"]) == len(outputs) * (len(outputs) - 1) * 2 * 9 * 256 * 256
    assert count(parts["final_bodies"], parts["final"]) == heads == len(outputs) * BLOCKS + last
    assert count(parts["embed"]) == embedding
    assert count(network) == whole + embedding


FINAL = ("final_bodies", "final")
#: Initial heads, distillation and propagation of all scales, final heads.
MTI_PARTS = {
    "nyud": (3_422_264, 2_974_320, 2_163_258, 233_054),
    "pascal": (5_692_722, 9_914_400, 4_648_836, 377_493),
}


@pytest.mark.parametrize(
    ("data", "embedding", "whole"), [("nyud", 108_540, 12_653_616), ("pascal", 82_890, 24_494_171)]
)
def test_mti_net_is_the_public_one_but_for_the_embeddings_of_predictions(
    data: str, embedding: int, whole: int
) -> None:
    network = made(mti_net.build, data, mti_net.Options(gate="source", own="features"))
    scales = list(network.get_submodule("scales").children())
    found = {
        name: count(*(scale.get_submodule(name) for scale in scales))
        for name, _ in scales[0].named_children()
    }
    assert count(network.get_submodule("encoder")) == BACKBONE
    assert found["embed"] == embedding
    propagated, final = (
        count(network.get_submodule("propagate")),
        count(*map(network.get_submodule, FINAL)),
    )
    assert (found["bodies"] + found["initial"], found["distil"], propagated, final) == MTI_PARTS[
        data
    ]
    assert BACKBONE + sum(MTI_PARTS[data]) == whole == count(network) - embedding


@pytest.mark.parametrize(
    ("build", "options", "data", "whole"),
    [
        (pad_net.build, pad_net.Options, "nyud", 12_091_318),
        (pad_net.build, pad_net.Options, "pascal", 29_304_992),
        (mti_net.build, mti_net.Options, "nyud", 12_653_616),
        (mti_net.build, mti_net.Options, "pascal", 24_494_171),
    ],
)
def test_with_messages_from_features_nothing_is_embedded_and_the_parameters_are_the_public_ones(
    build: object, options: Callable[..., object], data: str, whole: int
) -> None:
    released = options(gate="source", own="features", messages="features")
    assert count(made(build, data, released)) == whole


@pytest.mark.parametrize(
    ("data", "heads", "whole"),
    [("nyud", 14_177_836, 25_354_348), ("pascal", 23_619_361, 34_795_873)],
)
def test_resnet_18_with_aspp_heads_is_the_public_one(data: str, heads: int, whole: int) -> None:
    encoder = partial(Encoder, BackboneOptions(name="resnet18", pretrained=False, output_stride=8))
    network = aspp_heads.build(tasks_of(data), encoder, aspp_heads.Options())
    assert count(network.get_submodule("encoder")) == 11_176_512
    assert count(network.get_submodule("bodies"), network.get_submodule("last")) == heads
    assert count(network) == whole


@pytest.mark.parametrize(
    ("data", "heads", "whole"), [("nyud", 55_980, 22_736_428), ("pascal", 88_097, 22_768_545)]
)
def test_a_vision_transformer_has_a_light_decoder(data: str, heads: int, whole: int) -> None:
    encoder = partial(
        Encoder, BackboneOptions(name="vit_small_patch14_dinov2", pretrained=False, fused=128)
    )
    network = shared_heads.build(tasks_of(data), encoder, shared_heads.Options())
    pyramid = network.get_submodule("encoder.backbone")
    assert count(pyramid.get_submodule("transformer")) == 22_056_192
    assert count(pyramid.get_submodule("layers")) == 558_336
    assert count(network.get_submodule("encoder.mix")) == 65_920
    assert count(network.get_submodule("bodies"), network.get_submodule("last")) == heads
    assert count(network) == whole


@pytest.mark.parametrize(("data", "whole"), [("nyud", 4_093_774), ("pascal", 4_238_213)])
def test_shared_heads_are_the_public_baseline(data: str, whole: int) -> None:
    network, outputs = made(shared_heads.build, data, shared_heads.Options()), OUTPUTS[data]
    assert count(network.get_submodule("encoder")) == BACKBONE
    assert count(network.get_submodule("bodies")) == len(outputs) * FUSE
    assert count(network.get_submodule("last")) == sum(
        270 * channels + channels for channels in outputs.values()
    )
    assert count(network) == whole


#: MTAN's public networks hold the log-variances of uncertainty weighting, one a task; here they are
#: a balancer's.
LOG_VARIANCES = 3


@pytest.mark.parametrize(
    ("data", "build", "options", "whole"),
    [
        ("mtan", segnet.build, segnet.Options(), 25_055_188 - LOG_VARIANCES),
        ("mtan", segnet.build, segnet.Options(stages="wide"), 43_934_164 - LOG_VARIANCES),
        ("mtan", segnet.build, segnet.Options(stages="deep"), 50_807_764 - LOG_VARIANCES),
        ("one", segnet.build, segnet.Options(), 24_981_069),
        ("mtan", mtan.build, mtan.Options(), 44_229_076 - LOG_VARIANCES),
    ],
)
def test_segnet_and_mtan_are_the_public_ones(
    data: str, build: object, options: object, whole: int
) -> None:
    assert count(made(build, data, options)) == whole
