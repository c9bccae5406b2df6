"""Fixtures of all tests; `tests.support` makes datasets for all of them."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import forkserver
from pathlib import Path

import hypothesis
import pytest

from labelgrid.basics.processes import look_rarely_for_garbage
from labelgrid.ledger import database
from tests.e2e.killing import PRELOADED
from tests.garbage import pytest_collection, pytest_unconfigure
from tests.laboratory import pytest_configure
from tests.made_once import make_once
from tests.new_ledgers import make_tables
from tests.ray_clusters import need_ray, ray_cluster
from tests.skips import pytest_addoption, pytest_sessionfinish, pytest_terminal_summary
from tests.support import Made, make_dataset

__all__ = [
    "pytest_addoption",
    "pytest_collection",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_unconfigure",
]

look_rarely_for_garbage()
make_once()
# Before torch is loaded: test workers that each use all cores wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A project that is made asks whether the weights' server is there, and waits for its answer.
os.environ["HF_HUB_OFFLINE"] = "1"
# The plug-ins of the tests and of the examples, also in the processes that tests start.
OWN = (
    "tests",
    "cheapest_strategy",
    "deep_heads_network",
    "inverse_depth_task",
    "published",
    "research",
    "table_dataset",
)
os.environ["LABELGRID_TRUST"] = ",".join(OWN)
# Tests are not timed: machines are noisy.
hypothesis.settings.register_profile("labelgrid", deadline=None)
hypothesis.settings.load_profile("labelgrid")

#: Module -> the state of its generator before its first test.
STATES: dict[str, object] = {}
NYUV2 = Path(__file__).parents[2] / "shared" / "data" / "nyuv2"


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # In the background of a shell Ctrl-C is ignored, also by the processes that tests start and stop.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _draws_do_not_depend_on_other_tests(request: pytest.FixtureRequest) -> None:
    """Every test of a module with a generator `RNG` draws from its beginning, in any order."""
    rng = getattr(request.module, "RNG", None)
    if rng is not None:
        generator = rng.bit_generator
        generator.state = STATES.setdefault(request.module.__name__, generator.state)


@pytest.fixture(scope="session", autouse=True)
def _new_processes_have_loaded_what_any_test_needs() -> Iterator[None]:
    """The server of forks is started once, by any test; those of later ones would load the rest again and again."""
    preload = forkserver.set_forkserver_preload

    def preload_all(modules: Sequence[str]) -> None:
        preload([*PRELOADED, *modules])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver, "set_forkserver_preload", preload_all)
        yield


@pytest.fixture(scope="session", autouse=True)
def _the_tables_of_new_ledgers_are_made_fast() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", make_tables)
        yield


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """The address of a Ray cluster of this machine with four processors; an idle one takes processor time."""
    need_ray()
    with ray_cluster() as address:
        yield address


@pytest.fixture
def nyuv2() -> Path:
    """The real NYUv2 frames.

    Tests that use it are marked `nyuv2` and skipped where the frames are absent.
    """
    if not NYUV2.is_dir():
        pytest.skip("the real NYUv2 frames are not in ../shared/data/nyuv2")
    return NYUV2


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Made]:
    """`make_dataset` in this test's folder."""
    return lambda **options: make_dataset(tmp_path / "made", **options)
