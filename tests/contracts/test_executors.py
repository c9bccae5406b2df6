"""The laws of every executor, each with a wrong executor that breaks it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.executors.places import slurm
from labelgrid.testing.executors import LAWS, ExecutorCase
from tests.contracts import wrong_executors
from tests.contracts.wrong_executors import BREAKS

COVERS = ["labelgrid.executors.executor", "labelgrid.testing.executors"]


def of_cluster(request: pytest.FixtureRequest) -> str:
    return f"ray:{request.getfixturevalue('ray_address')}"


def of_one_task(request: pytest.FixtureRequest) -> str:
    variables = request.getfixturevalue("monkeypatch")
    variables.setenv(slurm.NUMBER, "0")
    variables.setenv(slurm.COUNT, "1")
    return "slurm"


#: What places need that are more than a name: what `--on` says, once it is there.
PREPARED = {"ray": of_cluster, "slurm": of_one_task}


@pytest.mark.parametrize("name", plugins.names("executors"))
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_an_executor_keeps(
    law: Callable[[ExecutorCase], None],
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    prepare = PREPARED.get(name, lambda _: name)
    law(ExecutorCase(prepare(request), tmp_path))


def test_every_law_has_an_executor_that_breaks_it() -> None:
    assert {law.__name__ for law in LAWS} == set(BREAKS)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_wrong_executor_is_told_what_the_law_expects(
    law: Callable[[ExecutorCase], None], tmp_path: Path
) -> None:
    wrong, words = BREAKS[law.__name__]
    with pytest.raises(AssertionError, match=words):
        law(ExecutorCase(f"{wrong_executors.__name__}:{wrong.__name__}", tmp_path))
