"""A Ray cluster of this machine for tests: started once, joined by each of them, ended with the tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from labelgrid.executors.places.ray import VARIABLES, own_cluster
from tests.started import Started

ROOT = Path(__file__).parents[1]
#: Starts a cluster, prints its address, and ends it when its input ends or its parent does.
CLUSTER = """
import sys
import ray
from labelgrid.executors.ray_driver import STORE
from labelgrid.basics.processes import end_with_parent

end_with_parent()
ray.init(
    num_cpus=4, include_dashboard=False, object_store_memory=STORE, log_to_driver=False,
    logging_level="ERROR",
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def need_ray() -> None:
    """Skip the test without Ray."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")


def environment() -> dict[str, str]:
    """The environment in which processes find labelgrid and the tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


@contextmanager
def ray_cluster() -> Iterator[str]:
    """The address of a cluster that runs within the block, and that this process may join."""
    os.environ.update(own_cluster())
    with Started(
        sys.executable, "-c", CLUSTER, env={**environment(), **VARIABLES}, stdin=subprocess.PIPE
    ) as process:
        assert process.stdin
        yield process.next_line().strip()
        process.stdin.close()
        process.wait(60)
