"""A command in several processes: how they are placed, and how their end is told."""

import pytest

from labelgrid.basics.errors import LabelgridError
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


#: The second process ends by a fault of the program, by which the first one loses it.
FAULT = """
import os, sys, time
if os.environ.get("RANK") == "1":
    sys.exit("a traceback")
if os.environ.get("RANK") == "0":
    from labelgrid.executors.together import LostProcessError, leave_error
    leave_error(LostProcessError("The other one is lost."))
    os._exit(1)
"""


def test_who_ended_first_is_named_and_not_who_lost_it(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(FAULT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LabelgridError, match=r"Process 2 .* ended with code 1") as caught:
        run_together(["list", "executors"], 2)
    assert "a traceback" in caught.value.where


#: The disk fails when the second process loads a module; the first one waits for it.
FULL = """
import os, sys, time
def fail(event, arguments):
    if event == "import" and arguments[0] == "labelgrid.api.project":
        if os.environ["RANK"] == "1":
            raise OSError(28, "No space left on device", "/a/file")
        time.sleep(600)
if "RANK" in os.environ:
    sys.addaudithook(fail)
"""


def test_what_the_disk_reports_in_one_process_is_told(tmp_path, monkeypatch, capfd):
    (tmp_path / "sitecustomize.py").write_text(FULL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LabelgridError, match="The disk reports an error: No space left") as caught:
        run_together(["status", str(tmp_path)], 2)
    assert caught.value.where == "/a/file" and capfd.readouterr().err == ""


def test_processes_that_end_well_end_quietly(capfd):
    run_together(["list", "executors"], 2)
    assert capfd.readouterr().out == ""
