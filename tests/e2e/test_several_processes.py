"""`fit --devices 2`: two processes train together; whatever ends one of them, the same command resumes."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from labelgrid.train.checkpoint import load
from tests.e2e.commands import done, typed
from tests.jobs import children, wait_until
from tests.started import Started

COVERS = ["labelgrid.train.group"]

#: A busy machine takes its time.
pytestmark = pytest.mark.timeout(1800)

#: Seconds to wait for a training of seconds.
PATIENCE = 400
#: Long enough to be ended in the middle.
LONG = ["--epochs", 6]
FIT = ["--devices", 2, *LONG]


def started(*words: object) -> Started:
    """Start a command in a process group of its own, as a shell does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return Started(sys.executable, "-m", "labelgrid", *words, env=environment)


def ended(process: Started) -> tuple[int, str]:
    """Wait for a command; its exit status, and all that it printed."""
    wait_until(process.has_ended, PATIENCE, by=process)
    return process.returncode, process.communicate()[0] + process.complaints


def wait_for_epoch(folder: Path, process: Started) -> None:
    """Wait for a training's first checkpoint."""
    wait_until((folder / "rounds/0002/fit/last.ckpt").exists, PATIENCE, by=process)


@pytest.fixture(scope="module")
def imported(stages: Path, data: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose second round is answered and not trained."""
    folder = tmp_path_factory.mktemp("several") / "flat"
    shutil.copytree(stages / "asked", folder)
    for number in (0, 1):
        done("import", folder, folder / "rounds" / f"{number:04d}" / "request")
    return folder


@pytest.fixture(scope="module")
def twin(imported: Path) -> Path:
    """The same project after an undisturbed training by two processes."""
    folder = imported.parent / "twin"
    shutil.copytree(imported, folder)
    with started("fit", folder, *FIT) as process:
        code, said = ended(process)
    assert code == 0, said
    assert said.count("labels, for round 2 -> ") == 1
    assert said.count("Batch norm normalises with the images of each of the 2 processes") == 1
    return folder


def digest(folder: Path) -> str:
    return load(folder / "rounds/0002/fit/last.ckpt").digest


def test_two_processes_train_and_measure_as_one_command(twin: Path) -> None:
    record = json.loads((twin / "rounds/0002/fit.json").read_text())
    written = (twin / "rounds/0002/fit/log.jsonl").read_text()
    log = [json.loads(line) for line in written.splitlines()]
    assert [each["epoch"] for each in log] == [1, 2, 3, 4, 5, 6]
    assert load(twin / "rounds/0002/fit/last.ckpt").processes == 2
    assert record["model"] == digest(twin) and (twin / "rounds/0002/heldout.json").exists()
    assert json.loads((twin / "rounds/0002/job/end.json").read_text())["state"] == "ended"
    # A finished training belongs to nobody: it is not repeated, by whatever number.
    assert digest(twin) in done("fit", twin, *LONG, "--json").out


def test_a_killed_process_ends_the_other_and_the_same_command_resumes(
    imported: Path, twin: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    shutil.copytree(imported, folder)
    with started("fit", folder, *FIT) as running:
        wait_for_epoch(folder, running)
        processes = children(running.pid)
        os.kill(processes[1], signal.SIGKILL)
        code, said = ended(running)
    assert code == 1 and said.count("Error: ") == 1, said
    assert "Process 2 of the training's 2 was ended by SIGKILL" in said
    assert "Run the same command again: it resumes the training" in said
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    kept = load(folder / "rounds/0002/fit/last.ckpt")
    assert 1 <= kept.epoch < 6
    alone = typed("fit", folder, *LONG)
    assert alone.code == 1 and "was begun by 2 processes" in alone.err
    assert "with `--devices 2` again" in alone.err
    assert load(folder / "rounds/0002/fit/last.ckpt").digest == kept.digest
    with started("fit", folder, *FIT) as again:
        code, said = ended(again)
    assert code == 0 and "Resuming after epoch" in said, said
    assert digest(folder) == digest(twin)


def test_a_lost_encoder_is_written_again_before_the_others_read_it(
    imported: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    shutil.copytree(imported, folder)
    frozen = ["--set", "backbone.train=frozen"]
    with started("fit", folder, *FIT, *frozen) as running:
        wait_for_epoch(folder, running)
        os.kill(children(running.pid)[1], signal.SIGKILL)
        ended(running)
    (lost,) = (folder / "encoders").iterdir()
    lost.unlink()
    with started("fit", folder, *FIT, *frozen) as again:
        code, said = ended(again)
    assert code == 0 and "Resuming after epoch" in said, said
    record = json.loads((folder / "rounds/0002/fit.json").read_text())
    kept = load(folder / "rounds/0002/fit/last.ckpt", folder / "encoders")
    assert (record["model"], record["encoder"]) == (kept.digest, lost.stem)
    assert kept.processes == 2 and [*(folder / "encoders").iterdir()] == [lost]


def test_ctrl_c_stops_all_and_is_told_once(imported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    shutil.copytree(imported, folder)
    with started("fit", folder, *FIT) as running:
        wait_for_epoch(folder, running)
        processes = children(running.pid)
        running.signal_all(signal.SIGINT)
        code, said = ended(running)
    assert code == 130 and said.count("Run the same command to resume.") == 1, said
    assert "Error" not in said and "Traceback" not in said
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
