"""Laws of a written data set of scenes: resumable, the same for any number of processes, read like any folder."""

import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("mitsuba", reason="scenes need the extra [lab]")

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.data.layouts import folder
from labelgrid.drawings.contact_sheet import contact_sheet
from labelgrid.images.places import group_of
from labelgrid.lab.scenes.rooms import FOV
from labelgrid.lab.scenes.write_scenes import TASKS, SceneSettings, write_scenes
from labelgrid.project.task_spec import task_rows
from labelgrid.tasks.task import definitions

COVERS = ["labelgrid.drawings.contact_sheet"]
WANTED = SceneSettings((24, 32), seed=3, samples=2)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "made"
    assert write_scenes(out, 6, WANTED, Silent(), jobs=1) == (6, 6)
    return out


def test_a_folder_of_scenes_is_read_as_any_folder(written: Path, tmp_path: Path) -> None:
    source, rows = folder.build(written), task_rows(written / "tasks.toml")
    assert rows == list(TASKS) and len(source.images()) == 6
    assert source.camera("", WANTED.size) == Camera.of_view(FOV, WANTED.size)
    assert sorted(name for names in source.splits().values() for name in names) == sorted(
        source.images()
    )
    tasks = definitions(rows)
    for name in source.images():
        found = [source.label(name, task) for task in tasks.values()]
        assert all(label is not None and label.size == (24, 32) for label in found)
    contact_sheet(source, tasks, list(source.images())[:3], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_what_is_there_is_not_rendered_again_and_the_rest_comes_out_the_same(
    written: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made"
    write_scenes(out, 4, WANTED, Silent(), jobs=2)
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("images/**/*.png")}
    assert write_scenes(out, 6, WANTED, Silent(), jobs=2) == (6, 2)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert contents(out) == contents(written)


@pytest.mark.timeout(120)
def test_scenes_are_written_after_opencv_has_used_threads(tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        cv2.resize(np.zeros((240, 320, 3), np.float32), (1281, 963), interpolation=cv2.INTER_CUBIC)
        time.sleep(0.5)  # they wait for work for a while before they sleep
        assert write_scenes(tmp_path / "made", 1, WANTED, Silent(), jobs=1) == (1, 1)
    finally:
        cv2.setNumThreads(before)


def test_the_frames_of_a_room_stay_together_and_differ(tmp_path: Path) -> None:
    wanted = SceneSettings((24, 32), seed=3, samples=2, frames=3)
    write_scenes(tmp_path / "made", 24, wanted, Silent(), jobs=1)
    source = folder.build(tmp_path / "made")
    rooms = [
        {group_of(r"^(room_\d+)/", name) for name in names} for names in source.splits().values()
    ]
    assert (
        len(rooms) > 1 and sum(map(len, rooms)) == len(set().union(*rooms)) == 8
    )  # no room is in two splits
    pictures = [source.image(name) for name in source.images()]
    assert len(pictures) == 24
    for first in range(0, 24, 3):
        assert all((a != b).any() for a, b in combinations(pictures[first : first + 3], 2))
    with pytest.raises(ProjectError, match="number of samples or frames"):
        write_scenes(tmp_path / "made", 24, replace(wanted, frames=1), Silent())


def test_other_scenes_and_other_files_are_left_alone(written: Path, tmp_path: Path) -> None:
    before = contents(written)
    with pytest.raises(ProjectError, match="another size, seed, or number of samples or frames"):
        write_scenes(written, 6, SceneSettings((24, 32), seed=4, samples=2), Silent())
    assert contents(written) == before
    assert write_scenes(written, 2, WANTED, Silent(), jobs=1) == (6, 0)  # fewer than there are
    assert contents(written) == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ProjectError, match="holds something else"):
        write_scenes(tmp_path, 1, WANTED, Silent())
    with pytest.raises(ProjectError, match="It is a file"):
        write_scenes(tmp_path / "notes.txt", 1, WANTED, Silent())
