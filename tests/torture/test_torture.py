"""Every class of attack at a small scale: no trial ends as none may, and the counting itself notices what it must."""

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelError
from tests.torture import connections, kills, neighbours, pool, races, read_only, together
from tests.torture.__main__ import END, START, files, projects
from tests.torture.counting import FINE, Row, table
from tests.torture.projects import STEPS, Stages, make_stages

#: A cursor that was lost with its connection may be collected in a later test.
LOST = "ignore:Exception ignored in. <function ServerCursorMixin:pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings(LOST)]
#: The share of the trials of the table in docs/evidence.md.
SCALE = 0.02
#: Commands that are killed here, twice each: one of every kind.
KILLED = ("init", "import", "query of a model", "undo of a query", "undo of an import", "fit")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return make_stages(tmp_path_factory.mktemp("stages"))


def in_order(row: Row) -> None:
    assert not row.failures, row.failures
    assert row.trials or row.not_run


def test_damaged_files_and_bombs(tmp_path: Path) -> None:
    rows = list(files(tmp_path, SCALE, seed=1))
    assert sum(row.trials for row in rows) > 12_000 * SCALE
    for row in rows:
        in_order(row)


def test_special_files_and_hostile_projects(stages: Stages) -> None:
    for row in projects(stages, SCALE, seed=1):
        in_order(row)


def test_eight_processes_at_once(stages: Stages, tmp_path: Path) -> None:
    in_order(together.at_once(stages, tmp_path, 1, seed=1))


def test_other_users_of_the_machine_open_no_page(stages: Stages) -> None:
    row = neighbours.loopback_neighbours(stages, 60)
    in_order(row)
    assert row.counts["refused"] >= 60 and row.counts["right"] == 3 * len(neighbours.GIVEN)


@pytest.mark.parametrize("status", [200, 201, 303, 304, 500])
def test_a_page_that_lets_another_user_in_is_noticed(status: int) -> None:
    assert neighbours.outcome_of(status, "")[0] == "wrong"


def test_disks_that_are_almost_full(stages: Stages, tmp_path: Path) -> None:
    row = together.small_disks(stages, tmp_path, len(together.ON_DISK), seed=1)
    in_order(row)
    if row.not_run:
        pytest.skip(row.not_run)


# The driver warns of the cursors that were lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_killed_connections() -> None:
    row = connections.killed_connections(3, 24, kills=8, seed=1)
    gc.collect()
    if row.not_run:
        pytest.skip(row.not_run)
    in_order(row)
    assert row.trials == 3 * (24 + 3)


# The driver warns of the cursors that were lost.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_commands_whose_connections_are_killed(tmp_path: Path) -> None:
    row = connections.killed_commands(tmp_path, 1, seed=1)
    gc.collect()
    if row.not_run:
        pytest.skip(row.not_run)
    in_order(row)
    assert row.counts["refused"]


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    return races.make(tmp_path_factory.mktemp("raced"))


@pytest.mark.parametrize("name", races.WORDS)
def test_between_any_two_reads_of_a_command_tasks_images_and_settings_may_change(
    raced: Stages, tmp_path: Path, name: str
) -> None:
    for phase in (0, 3):
        outcome, note, others = races.disturbed(raced, name, tmp_path / f"{phase}", phase)
        assert outcome in FINE, note
        assert others.reads > 2, "the test tests nothing"
        assert others.held <= races.HELD, "something long is done in a transaction"


def test_projects_on_read_only_disks(stages: Stages, tmp_path: Path) -> None:
    row = read_only.read_only_disks(stages, tmp_path / "disks")
    if row.not_run:
        pytest.skip(row.not_run)
    in_order(row)
    assert row.counts["right"] == 2 * len(read_only.LOOKING)


@pytest.mark.parametrize("name", KILLED)
def test_kills(stages: Stages, tmp_path: Path, name: str) -> None:
    assert name in STEPS
    in_order(kills.kills(stages, tmp_path, name, 2, seed=1))


@dataclass
class Ending:
    """Trials that end in each way, by their number."""

    name: str = "ending"
    last_words: str = "out of memory"

    def named(self, number: int) -> str:
        return self.name

    def __call__(self, number: int) -> str:
        match number:
            case 0:
                raise LabelError("No.")
            case 1:
                raise KeyError("x")
            case 2:
                time.sleep(60)
            case 3:
                os._exit(1)
            case 4:
                bytearray(2 * pool.MEMORY * 2**20)
            case 5:
                return "wrong"
            case 6:
                os.write(2, b"out of memory: ABORT")
                os._exit(127)
        return "right"


def test_refusals_errors_hangs_crashes_and_too_much_memory_are_told_apart() -> None:
    (row,) = pool.run(Ending(), range(9), seconds=8)
    assert row.counts == {
        "refused": 2,
        "traceback": 2,
        "hang": 1,
        "memory": 1,
        "wrong": 1,
        "right": 2,
    }
    assert len(row.failures) == 5


def test_a_label_that_is_gone_and_a_change_that_is_half_are_noticed(
    stages: Stages, tmp_path: Path
) -> None:
    room = stages.room("imported", tmp_path / "room")
    before = kills.acknowledged(room)
    next((room / "flat/labels/depth").iterdir()).unlink()
    assert not before[1].items() <= kills.acknowledged(room)[1].items()
    assert list(
        together.faults(
            stages.room("answered", room) / "flat", ["import x flat/rounds/0001/request"]
        )
    )
    assert (
        together.of_disk({"err": "", "code": 1, "cells": False}, {"err": "", "code": 0}) == "lost"
    )


def test_the_table_has_a_row_for_each_attack_their_sum_and_what_was_not_run() -> None:
    first, second = Row("one"), Row("two", not_run="there is no disk")
    first.count("right")
    first.count("lost", "a label")
    text = table([first, second])
    assert "| one | 2 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 1 |" in text and "| **all** | 2 |" in text
    assert "two: not run, because there is no disk." in text
    page = (Path(__file__).parents[2] / "docs/evidence.md").read_text()
    assert START in page and END in page
