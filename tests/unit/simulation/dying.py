"""A network that cannot be built at first, as where the memory is full: what tests of dying runs train."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from labelgrid.nets import shared_heads
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.nets.shared_heads import Options as Options
from labelgrid.tasks.task import Task


def build(tasks: Mapping[str, Task], encoder: Callable[[], Encoder], options: Options) -> Network:
    """Fails as often as the file that the environment names says, and counts down in it."""
    counter = Path(os.environ["LABELGRID_TEST_DEATHS"])
    left = int(counter.read_text())
    if left:
        counter.write_text(str(left - 1))
        raise RuntimeError("out of luck")
    return shared_heads.build(tasks, encoder, options)
