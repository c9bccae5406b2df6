"""Laws of near-duplicates: frames of one video are found, other photographs are not, and the printed groups help."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.evidence.near_duplicates import (
    ALIKE,
    Thumbnails,
    as_block,
    correlation,
    near_duplicates,
)
from labelgrid.images.thumbnails import Thumbnail
from labelgrid.ledger.grid import Split
from labelgrid.operations import create, extend
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from tests.campaigns import DEPTH
from tests.projects import Said
from tests.videos import SIZE, frame, photographs, scene, video


def made(
    folder: Path, images: Path, holdout: int = 6, group: str = ""
) -> tuple[ProjectFolder, str]:
    """A new project, and what was said."""
    said = Said()
    project = create.create(
        folder,
        [images],
        tasks=[DEPTH],
        settings=Settings(group=group),
        progress=said,
        holdout=holdout,
    )
    return project, "\n".join(said.lines)


def printed_group(text: str) -> str:
    """The pattern of the option --group in a text, as a shell reads it."""
    found = re.search(r"--group .*", text)
    assert found, text
    return shlex.split(found.group().rstrip("."))[1].rstrip(",")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    "names",
    ["cam{v}_{{:05d}}.{s}", "{v}/{{:04d}}.{s}", "home/{v}/a/{{:04d}}.{s}", "cam {v}-{{}}.{s}"],
)
def test_the_printed_group_keeps_all_frames_of_a_video_in_one_split(
    tmp_path: Path, names: str, suffix: str
) -> None:
    for number in range(5):
        video(tmp_path / "images", names.format(v=number, s=suffix), seed=number)
    project, text = made(tmp_path / "flat", tmp_path / "images")
    project.store.close()
    assert re.search(r"[3-6] of 6 held-out images look like a training image", text)
    first = text.split("too good: ")[1].split(" and ")[0]
    assert (tmp_path / "images" / first).is_file()
    project, text = made(tmp_path / "again", tmp_path / "images", group=printed_group(text))
    with project:
        assert project.store.count_images(("heldout",)) == 10
        assert text == ""


def test_one_long_video_is_cut_into_runs_of_its_numbers(tmp_path: Path) -> None:
    for number in range(6):
        video(tmp_path / "images", "frame_{:06d}.jpg", seed=number, first=10 * number)
    project, text = made(tmp_path / "flat", tmp_path / "images", holdout=12)
    project.store.close()
    before = int(re.findall(r"(\d+) of 12 held-out", text)[0])
    assert before >= 10
    project, text = made(tmp_path / "again", tmp_path / "images", 12, printed_group(text))
    with project:
        assert project.store.count_images(("heldout",)) == 20
        assert text == ""


def test_frames_whose_names_say_nothing_are_to_be_put_into_folders(tmp_path: Path) -> None:
    for number in range(4):
        video(tmp_path / "images", f"{{}}abc{number}xyz.jpg", seed=number)
    project, text = made(tmp_path / "flat", tmp_path / "images")
    project.store.close()
    assert "put the images of each place into a folder of its own" in text
    assert "those of each day of one fixed camera" in text
    assert printed_group(text) == "^(.+)/"


def test_photographs_of_different_things_raise_no_warning(tmp_path: Path) -> None:
    photographs(tmp_path / "images")
    project, text = made(tmp_path / "flat", tmp_path / "images")
    with project:
        assert text == ""


def test_added_frames_of_held_out_ones_are_named(tmp_path: Path) -> None:
    photographs(tmp_path / "images")
    project, _ = made(tmp_path / "flat", tmp_path / "images")
    with project:
        (held, *_) = project.store.images(("heldout",))
        number = int(held.image_id[6:10])
        again = tmp_path / "more" / "again.jpg"
        again.parent.mkdir()
        cv2.imwrite(str(again), frame(scene(1000 + number), 5))
        said = Said()
        extend.add(project, [again.parent], [], "full", said)
        (text,) = said.lines
        assert text.startswith("1 of 6 held-out images look like a training image")
        assert f"{held.image_id} and again.jpg" in text


def test_frames_that_are_held_out_later_are_named(tmp_path: Path) -> None:
    video(tmp_path / "images", "a_{}.jpg")
    video(tmp_path / "images", "b_{}.jpg", seed=1)
    project, text = made(tmp_path / "flat", tmp_path / "images", holdout=0)
    with project:
        assert text == ""
        said = Said()
        extend.add(project, [], [], "full", said, holdout=4)
        assert "4 of 4 held-out images look like" in said.lines[-1]


def test_of_many_images_the_command_is_named_that_compares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (create, extend):
        monkeypatch.setattr(module, "MOST", 9)
    video(tmp_path / "images", "a_{}.jpg", 12)
    project, text = made(tmp_path / "flat", tmp_path / "images", holdout=3)
    command = f"`labelgrid duplicates {tmp_path / 'flat'}` finds those that look like"
    with project:
        assert text.startswith("Held-out images were not compared") and command in text
        said = Said()
        video(tmp_path / "more", "b_{}.jpg", 2)
        extend.add(project, [tmp_path / "more"], [], "full", said)
        assert said.lines == [text]
        said.lines.clear()
        extend.add(project, [tmp_path / "more"], [], "full", said)  # nothing new
        assert not said.lines


def test_images_that_were_compared_are_not_said_to_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (create, extend):
        monkeypatch.setattr(module, "MOST", 9)
    photographs(tmp_path / "images", 8)
    project, text = made(tmp_path / "flat", tmp_path / "images", holdout=3)
    with project:
        assert text == ""
        video(tmp_path / "more", "b_{}.jpg", 4)
        said = Said()
        extend.add(project, [tmp_path / "more"], [], "full", said)
        assert not said.lines


@pytest.mark.parametrize("split", ["val", "test"])
def test_added_images_are_said_to_be_compared_with_no_image_of_any_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Split
) -> None:
    monkeypatch.setattr(extend, "MOST", 3)
    photographs(tmp_path / "images", 4)
    project, _ = made(tmp_path / "flat", tmp_path / "images", holdout=0)
    with project:
        row = next(iter(project.store.images()))
        project.store.update_images([replace(row, split=split)])
        video(tmp_path / "more", "b_{}.jpg", 2)
        said = Said()
        extend.add(project, [tmp_path / "more"], [], "full", said)
        assert "labelgrid duplicates" in said.lines[-1]


def test_of_many_images_nothing_is_said_without_held_out_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (create, extend):
        monkeypatch.setattr(module, "MOST", 9)
    video(tmp_path / "images", "a_{}.jpg", 12)
    project, text = made(tmp_path / "flat", tmp_path / "images", holdout=0)
    with project:
        assert text == ""


def thumbnails(*pictures: NDArray[np.uint8]) -> dict[str, Thumbnail]:
    made = {}
    for number, picture in enumerate(pictures):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        made[f"{number:03d}"] = cv2.resize(grey, (64, 48), interpolation=cv2.INTER_AREA)
    return made


def found(
    pictures: list[NDArray[np.uint8]], measured: set[str], block: int = 100
) -> list[tuple[str, str]]:
    """The pairs that are found if the thumbnails come in blocks of a size."""
    whole = as_block(thumbnails(*pictures))
    blocks = []
    for start in range(0, len(pictures), block):
        part = slice(start, start + block)
        blocks.append(Thumbnails(whole.names[part], whole.pixels[part]))
    pairs = near_duplicates(blocks, measured)
    assert all(ALIKE < pair.likeness <= 1.001 for pair in pairs)
    return [(pair.measured, pair.training) for pair in pairs]


def test_each_pair_is_found_once_and_flat_images_are_no_pair() -> None:
    grey = np.full((*SIZE, 3), 90, np.uint8)
    pictures = [scene(1), scene(2), grey, grey + 1, scene(3), scene(1)]
    assert found(pictures, {"000", "002"}) == [("000", "005")]
    assert found(pictures, {"003", "005"}) == [("005", "000")]


def test_pairs_are_those_of_some_images_with_others() -> None:
    pictures = [frame(scene(1), 0), frame(scene(1), 3), frame(scene(1), 6)]
    assert set(found(pictures, {"000", "001"})) == {("000", "002"), ("001", "002")}
    assert not found(pictures, {"000", "001", "002"})
    assert not found(pictures, set())


def test_more_images_than_are_looked_up_at_a_time_find_their_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = [scene(number) for number in (1, 2, 3, 4, 3, 2, 1)]
    monkeypatch.setattr("labelgrid.evidence.near_duplicates.BLOCK", 1)
    monkeypatch.setattr("labelgrid.evidence.near_duplicates.NEIGHBOURS", 0)
    assert set(found(pictures, {"000", "001"})) == {("000", "006"), ("001", "005")}


def test_blocks_of_images_change_no_pair() -> None:
    copies = [scene(1)] * 12  # more than are compared: equally alike at first glance
    pictures = [*copies, *map(scene, range(1, 9)), *copies]
    expected = found(pictures, {"003", "025"})
    assert len(expected) >= 16
    for block in (1, 2, 7, 31):
        assert found(pictures, {"003", "025"}, block) == expected


def test_a_single_image_has_no_pair() -> None:
    assert not found([scene(1)], {"000"})
    assert correlation(*thumbnails(scene(1), scene(2)).values()) < ALIKE


def test_neighbours_are_compared_that_look_different_at_first_glance() -> None:
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:48, 0:64]
    details = rng.normal(0, 20, (11, 48, 64))
    like = [down * 3 + 40 + each for each in details]  # equal at first glance
    other = across * 2 + 40 + details[0]
    for place, expected in ((2, [("000", "002")]), (3, [])):
        pictures = [*like[:place], other, *like[place:]]
        pixels = np.stack(pictures).clip(0, 255).astype(np.uint8)
        block = Thumbnails([f"{number:03d}" for number in range(len(pixels))], pixels)
        pairs = near_duplicates([block], {"000"})
        assert [(pair.measured, pair.training) for pair in pairs] == expected
