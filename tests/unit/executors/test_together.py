"""A command in several processes: how they are placed, and how their end is told."""

import pytest

from labelgrid.errors import LabelgridError
from labelgrid.executors.together import place_from_environment, run_together

TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


def test_a_process_finds_its_place_only_where_all_is_said():
    place = place_from_environment(TORCHRUN)
    assert place is not None and (place.rank, place.size, place.address) == (1, 2, "env://")
    assert place_from_environment({**TORCHRUN, "WORLD_SIZE": "1"}) is None
    for name in TORCHRUN:
        assert place_from_environment({k: v for k, v in TORCHRUN.items() if k != name}) is None


def test_an_error_of_all_processes_is_raised_once_with_its_words_and_status(tmp_path, capfd):
    with pytest.raises(LabelgridError) as caught:
        run_together(["status", str(tmp_path / "nowhere")], 2)
    assert caught.value.what == "There is no labelgrid project."
    assert caught.value.exit_code == 1 and "labelgrid init" in caught.value.next_step
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_processes_that_end_well_end_quietly(capfd):
    run_together(["list", "executors"], 2)
    assert capfd.readouterr().out == ""
