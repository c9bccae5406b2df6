"""Laws of `--on`: a name of the plug-in folder, with an address if need be, or one's own place."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import PluginError, UsageError
from labelgrid.basics.processes import cores
from labelgrid.executors.workplace import HERE, executor_at
from tests.projects import write_own

OWN = """
from labelgrid.executors.share import Share

class There:
    share = Share()

    def __init__(self, preload, workers, address):
        self.workers = workers
        self.said = [preload, workers, address]

    def start(self, folder, function, *arguments): ...
    def wait(self, seconds): return {}
    def stop(self): ...

def build(preload, workers, address):
    return There(preload, workers, address)
"""


def test_a_place_has_as_many_workers_as_asked_for_and_else_one_for_each_core() -> None:
    assert executor_at(HERE, 3, "labelgrid.basics.errors").workers == 3
    assert executor_at(HERE, 0, "labelgrid.basics.errors").workers == cores()


def test_an_own_place_is_named_as_its_module_and_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own(tmp_path, monkeypatch, {"there": OWN})
    executor = executor_at("there:build", 3, "labelgrid.basics.errors")
    assert vars(executor)["said"] == ["labelgrid.basics.errors", 3, ""]


def test_an_unknown_place_is_refused_with_those_there_are() -> None:
    with pytest.raises(PluginError, match="There is no executor 'proceses'") as refused:
        executor_at("proceses", 1, "labelgrid.basics.errors")
    assert "Did you mean 'processes'? The executors are: " in str(refused.value)


def test_a_colon_without_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no address after the colon of 'processes:'"):
        executor_at("processes:", 1, "labelgrid.basics.errors")
