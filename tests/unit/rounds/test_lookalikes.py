"""Laws of finding duplicates: the same from any shards and place, read once, and shown."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.images.thumbnails import HEIGHT, WIDTH
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Oracle, Settings
from labelgrid.rounds.lookalikes import FOLDER, FoundDuplicates, find_duplicates
from labelgrid.rounds.thumbnail_shards import PRELOADED
from tests.campaigns import DEPTH
from tests.projects import Said
from tests.videos import photographs, video

COVERS = ["labelgrid.rounds.thumbnail_shards"]
DAMAGED = "photo_0003.jpg"
LEFT_OUT = (DAMAGED, "frame_small.png")


def made(folder: Path, images: Path, holdout: int) -> ProjectFolder:
    """A project whose images were not read."""
    return create.create(
        folder,
        [images],
        tasks=[DEPTH],
        settings=Settings(),
        progress=Silent(),
        holdout=holdout,
        check="none",
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A project of a video, photographs, a small one and one that cannot be read."""
    folder = tmp_path_factory.mktemp("duplicates")
    photographs(folder / "photos", 10)
    video(folder / "photos", "frame_{:03d}.jpg", 10)
    whole = cv2.imread(str(folder / "photos" / "frame_000.jpg"))
    assert whole is not None
    cv2.imwrite(str(folder / "photos" / "frame_small.png"), cv2.resize(whole, (120, 90)))
    with made(folder / "flat", folder / "photos", holdout=11) as project:
        (folder / "photos" / DAMAGED).write_bytes(b"damaged")
        yield project


def of_processes(shard: int, share: Share | None = None) -> Workplace:
    return Workplace(Processes(PRELOADED, 2, share or Share()), shard)


def found(project: ProjectFolder, shard: int) -> FoundDuplicates:
    duplicates = find_duplicates(project, Silent(), of_processes(shard))
    assert duplicates is not None
    return duplicates


def test_frames_of_one_video_are_found_alike_in_any_shards(project: ProjectFolder) -> None:
    splits = {row.image_id: row.split for row in project.store.images()}
    expected = found(project, 24)
    names = {pair.measured for pair in expected.pairs}
    assert names == {
        name
        for name in splits
        if name[-3:] == "jpg" and name[:5] == "frame" and splits[name] == "heldout"
    }
    assert all(splits[pair.training] == "train" for pair in expected.pairs)
    assert "frame_small.png" not in {pair.training for pair in expected.pairs}
    assert expected.unread.keys() == {DAMAGED}
    assert expected.small == ["frame_small.png"]
    assert expected.measured == 11 - sum(splits[name] == "heldout" for name in LEFT_OUT)
    assert expected.training == 21 - 2 - expected.measured
    assert f"{len(names)} of {expected.measured} held-out images look like" in expected.warning
    assert not (project.folder / FOLDER).exists()
    for shard in (8, 16):
        assert found(project, shard) == expected
    assert find_duplicates(project, Silent(), IN_THIS_PROCESS) == expected


def test_the_table_and_the_picture_show_the_pairs(project: ProjectFolder) -> None:
    duplicates = found(project, 16)
    lines = duplicates.table.read_text().splitlines()
    pair = duplicates.pairs[0]
    assert lines[0] == "measured,training,likeness"
    assert lines[1] == f"{pair.measured},{pair.training},{pair.likeness}"
    assert len(lines) == 1 + len(duplicates.pairs)
    assert duplicates.sheet
    picture = cv2.imread(str(duplicates.sheet))
    assert picture is not None and picture.shape[1] == 1400


class Notes(Said):
    """Keeps the notes."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.lines.append(f"{amount} {note}")


@pytest.mark.parametrize("workplace", [of_processes(0), IN_THIS_PROCESS])
def test_a_share_reads_its_shards_which_are_not_read_again(
    project: ProjectFolder, workplace: Workplace
) -> None:
    expected = found(project, 8)
    assert find_duplicates(project, Silent(), of_processes(8, Share(0, 2))) is None
    folder = project.folder / FOLDER
    assert len(list(folder.glob("*.raw"))) == 2
    notes = Notes()
    assert find_duplicates(project, notes, workplace) == expected
    done = [line for line in notes.lines if line.endswith("before")]
    assert done == ["8 done before", "5 done before"]
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(8 * HEIGHT * WIDTH)])
def test_a_file_of_another_content_is_made_again(project: ProjectFolder, content: bytes) -> None:
    expected = found(project, 8)
    for share in (Share(0, 2), Share(1, 2)):
        assert find_duplicates(project, Silent(), of_processes(8, share)) is None
    for file in (project.folder / FOLDER).glob("*.raw"):
        file.write_bytes(content)
    assert found(project, 8) == expected


def test_a_folder_of_a_user_is_left_alone(project: ProjectFolder) -> None:
    own = project.folder / "duplicates"
    own.mkdir()
    (own / "notes.txt").write_text("precious")
    found(project, 0)
    assert (own / "notes.txt").read_text() == "precious"


def test_an_image_that_can_be_read_again_is_compared(tmp_path: Path) -> None:
    video(tmp_path / "photos", "frame_{}.jpg", 12)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=2) as project:
        held = next(row.image_id for row in project.store.images(("heldout",)))
        path = tmp_path / "photos" / held
        path.rename(tmp_path / "away.jpg")
        for share in (Share(0, 2), Share(1, 2)):
            assert find_duplicates(project, Silent(), of_processes(8, share)) is None
        (tmp_path / "away.jpg").rename(path)
        duplicates = found(project, 8)
        assert not duplicates.unread and duplicates.measured == 2


def test_images_that_changed_meanwhile_are_read_again(tmp_path: Path) -> None:
    video(tmp_path / "photos", "frame_{}.jpg", 8)
    photographs(tmp_path / "others", 8)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=2) as project:
        assert find_duplicates(project, Silent(), of_processes(8, Share(0, 2))) is None
        for number in range(8):
            other = tmp_path / "others" / f"photo_{number:04d}.jpg"
            other.replace(tmp_path / "photos" / f"frame_{number}.jpg")
        assert not found(project, 8).pairs


def test_images_of_other_splits_than_training_are_measured_on(tmp_path: Path) -> None:
    video(tmp_path / "photos", "frame_{}.jpg", 9)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=0) as project:
        first, second, *rest = project.store.images()
        project.store.update_images([replace(first, split="val"), replace(second, split="test")])
        duplicates = found(project, 0)
        assert (duplicates.measured, duplicates.training) == (2, len(rest))
        names = {pair.measured for pair in duplicates.pairs}
        assert names == {first.image_id, second.image_id}
        project.store.update_images([replace(row, split="val") for row in rest])
        with pytest.raises(ProjectError, match="No image is for training"):
            found(project, 0)


def test_what_cannot_be_compared_is_said_and_an_earlier_result_is_kept(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    video(photos, "frame_{}.jpg", 9)
    with made(tmp_path / "flat", photos, holdout=2) as project:
        earlier = found(project, 0).table.read_bytes()
        photos.rename(tmp_path / "moved")
        with pytest.raises(ProjectError, match=r"can be read(.|\n)*add .* --images NEW-PLACE"):
            found(project, 0)
        photos.mkdir()
        for path in (tmp_path / "moved").iterdir():
            picture = cv2.imread(str(path))
            assert picture is not None
            cv2.imwrite(str(photos / path.name), picture[:90, :120])
        with pytest.raises(ProjectError, match="too small to be compared"):
            found(project, 0)
        assert (project.folder / "duplicates.csv").read_bytes() == earlier
        assert (project.folder / "duplicates.png").is_file()


def test_images_with_another_content_are_read_again(tmp_path: Path) -> None:
    video(tmp_path / "photos", "frame_{}.jpg", 8)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=2) as project:
        assert find_duplicates(project, Silent(), of_processes(8, Share(0, 2))) is None
        row = next(iter(project.store.images()))
        project.store.update_images([replace(row, digest="of another content")])
        assert found(project, 8).unread.keys() == {row.image_id}


def test_without_pairs_there_is_no_picture_and_that_of_an_earlier_search_goes(
    tmp_path: Path,
) -> None:
    photographs(tmp_path / "photos", 8)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=3) as project:
        (project.folder / "duplicates.png").write_bytes(b"of an earlier search")
        duplicates = found(project, 0)
        assert not duplicates.pairs
        assert duplicates == replace(duplicates, warning="", sheet=None, measured=3, training=5)
        assert not (project.folder / "duplicates.png").exists()


def test_without_held_out_images_nothing_is_read(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", 3)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=0) as project:
        with pytest.raises(ProjectError, match=r"No image is held out.*\n.*add .* --holdout"):
            found(project, 0)
        assert not (project.folder / FOLDER).exists()


def test_runs_of_simulations_are_refused(tmp_path: Path) -> None:
    photographs(tmp_path / "photos", 3)
    with made(tmp_path / "flat", tmp_path / "photos", holdout=1) as project:
        project.settings = Settings(oracle=Oracle("folder", "somewhere"))
        with pytest.raises(ProjectError, match="a run of a simulation"):
            found(project, 0)
