"""A network that cannot be built at first, as where the memory is full: what tests of dying runs train."""

import builtins
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.nets.networks import shared_heads
from labelgrid.nets.networks.shared_heads import Options as Options
from labelgrid.tasks.task import Task


def build(tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options) -> Network:
    """Fails as often as the file that the environment names says, and counts down in it."""
    counter = Path(os.environ["LABELGRID_TEST_DEATHS"])
    left, kind = counter.read_text().split()
    if int(left):
        counter.write_text(f"{int(left) - 1} {kind}")
        raise getattr(builtins, kind)("out of luck")
    return shared_heads.build(tasks, encoder, options)
