"""A law of networks: ONNX Runtime computes what they do, for images of every size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics import plugins
from labelgrid.data.data_options import DataOptions
from labelgrid.exporting.export_model import IMAGES
from labelgrid.exporting.exported_network import ExportedNetwork
from labelgrid.exporting.onnx_file import differences, write_onnx
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network, example_output
from labelgrid.testing.networks import TASKS, made

COVERS = ["labelgrid.exporting.exported_network"]

#: Two tasks: the graphs of four take much longer to record.
SOME = {name: TASKS[name] for name in ("semseg", "normals")}
#: Networks that say that other programs compute something else.
UNPORTABLE = {"segnet", "mtan"}
#: Exported with `average_flips`: its graph runs images and mirror images as one batch.
MIRRORED = "pad_net"
#: Exported with a frozen encoder: its graph rounds the encoder's maps.
FROZEN = "shared_heads"
CASES = [(name, name == MIRRORED) for name in plugins.names("networks") if name not in UNPORTABLE]


def make(name: str) -> Network:
    plugin = plugins.module("networks", name)

    def build(tasks: Any, encoder: Callable[..., Encoder], options: Any) -> Network:
        def smaller(**how: Any) -> Encoder:
            made = with_two_scales(encoder(**how))
            made.frozen = name == FROZEN
            return made

        network: Network = plugin.build(tasks, smaller, options)
        return network

    return made(build, plugin.Options(width=16), SOME)


def with_two_scales(encoder: Encoder) -> Encoder:
    """Keep the finest and the coarsest scale, where no layer reads all of them.

    Heads of another scale repeat those of the finest; the exporter's time grows by the square of
    the graph.
    """
    if encoder.mix is None:
        encoder.used = encoder.used[:: len(encoder.used) - 1]
        encoder.strides = encoder.strides[:: len(encoder.strides) - 1]
        encoder.level_channels = encoder.level_channels[:: len(encoder.level_channels) - 1]
    return encoder


@pytest.mark.parametrize(("name", "flips"), CASES)
def test_onnx_runtime_computes_what_the_network_does(
    name: str, flips: bool, tmp_path: Path
) -> None:
    network = make(name)
    assert not network.unportable
    data = DataOptions(average_flips=flips)
    exported = ExportedNetwork(network, SOME, list(SOME), data).eval()
    known = list(SOME) if example_output(network).initial else []
    write_onnx(exported, tmp_path / "model.onnx", known, {})
    compared = list(differences(exported, tmp_path / "model.onnx", known, IMAGES))
    assert len(compared) == 20
    for found in compared:
        assert found.keys() == SOME.keys()
        assert all(difference.is_small for difference in found.values()), found


@pytest.mark.parametrize("name", sorted(UNPORTABLE))
def test_the_others_say_why_not(name: str) -> None:
    assert "almost equal" in make(name).unportable
