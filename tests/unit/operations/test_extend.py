"""Laws of extending a project: new images are added, moved ones are found again, changed ones are reported."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, LedgerError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State, TaskRow
from labelgrid.operations import extend
from labelgrid.operations.extend import Added
from labelgrid.project.sources import source_of
from tests.campaigns import DEPTH, NORMALS, Make, held, states
from tests.support import Made


def more(photos: Made, tmp_path: Path, *names: str) -> Path:
    """A folder with new images."""
    for name in names:
        path = tmp_path / "more" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colours = np.random.default_rng(sum(name.encode())).integers(0, 255, (8, 12, 3), np.uint8)
        cv2.imwrite(str(path), colours)
    return tmp_path / "more"


def test_new_images_and_tasks_are_missing_cells_and_old_ones_stay(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    edges = TaskRow("edges", "edges", 3.0)
    with make(holdout=2) as project:
        before = states(project)
        assert extend.add(
            project, [photos.images], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=0, changed=0)
        assert extend.add(
            project,
            [more(photos, tmp_path, "a.jpg")],
            tasks=[edges],
            check="full",
            progress=Silent(),
        ) == Added(new=1, moved=0, changed=0)
        assert project.store.image("a.jpg").split == "train" and project.store.tasks()[-1] == edges
        new = {cell: state for cell, state in states(project).items() if cell not in before}
        assert new == {Cell(name, "edges"): "requested" for name in held(project)}


def test_a_new_image_goes_where_its_group_is(make: Make, photos: Made, tmp_path: Path) -> None:
    with make(holdout=3, group=r"^[^/]+") as project:
        (group,) = {row.group for row in project.store.images(("heldout",))}
        free = sorted({row.group for row in project.store.images(("train",))})
        project.store.update_images(
            replace(row, split="val")
            for row in list(project.store.images(("train",)))
            if row.group == free[0]
        )
        names = [f"{group}/new.jpg", f"{free[0]}/new.jpg", f"{free[1]}/new.jpg", "other/new.jpg"]
        assert extend.add(
            project, [more(photos, tmp_path, *names)], tasks=[], check="full", progress=Silent()
        ) == Added(new=4, moved=0, changed=0)
        assert [project.store.image(name).split for name in names] == [
            "heldout",
            "val",
            "train",
            "train",
        ]
        assert {Cell(names[0], "depth"), Cell(names[0], "normals")} <= set(states(project))


def test_an_addition_is_all_or_nothing(make: Make, photos: Made, tmp_path: Path) -> None:
    edges = TaskRow("edges", "edges", 3.0)
    with make() as project:
        for images, tasks, kind in [
            ([more(photos, tmp_path, "room_00/0000.jpg", "b.jpg")], [edges], LedgerError),
            ([], [edges, DEPTH], LedgerError),
            ([tmp_path / "nowhere"], [edges], ImageError),
        ]:
            with pytest.raises(kind) as caught:
                extend.add(project, images, tasks=tasks, check="full", progress=Silent())
            assert caught.value.unchanged in ("Nothing was added.", "Nothing was changed.")
            assert project.store.count_images() == 12 and project.store.tasks() == (DEPTH, NORMALS)


def test_an_addition_leaves_out_what_cannot_be_read_where_that_is_wanted(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    folder = more(photos, tmp_path, "b.jpg")
    (folder / "c.jpg").write_bytes(b"")
    left_out: list[Fault] = []
    with make() as project:
        with pytest.raises(ImageError, match="leave them out with --leave-out"):
            extend.add(project, [folder], tasks=[], check="full", progress=Silent())
        done = extend.add(
            project, [folder], tasks=[], check="full", progress=Silent(), left_out=left_out
        )
        assert done.new == 1
        assert [fault.where for fault in left_out] == ["c.jpg"]
        assert "c.jpg: The image" in (project.folder / "left-out.txt").read_text()


def test_images_that_were_moved_are_found_again(make: Make, photos: Made, tmp_path: Path) -> None:
    with make(holdout=2) as project:
        rows = list(project.store.images())
        photos.images.rename(tmp_path / "away")
        with pytest.raises(ImageError, match="cannot be read"):
            source_of(project).image(rows[0].image_id)
        assert extend.add(
            project, [tmp_path / "away"], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=12, changed=0)
        assert list(project.store.images()) == [
            replace(row, root=str(tmp_path / "away")) for row in rows
        ]
        assert source_of(project).image(rows[0].image_id).shape == (8, 12, 3)


def test_a_namesake_is_no_moved_image(make: Make, photos: Made, tmp_path: Path) -> None:
    name, other = photos.names[3], (photos.images / photos.names[4]).read_bytes()
    copies = more(photos, tmp_path, name)
    (copies / name).write_bytes((photos.images / name).read_bytes())
    with make() as project:
        with pytest.raises(
            LedgerError, match="Two images have the id"
        ):  # the old one is still there
            extend.add(project, [copies], tasks=[], check="full", progress=Silent())
        (photos.images / name).unlink()
        (copies / name).write_bytes(other)
        with pytest.raises(LedgerError, match="Two images have the id"):  # another picture
            extend.add(project, [copies], tasks=[], check="full", progress=Silent())


def test_a_changed_file_is_noticed_where_it_is_read_and_taken_only_while_nothing_hangs_on_it(
    make: Make, photos: Made
) -> None:
    name, other = photos.names[0], photos.names[1]
    with make() as project:
        (photos.images / name).write_bytes((photos.images / other).read_bytes())
        with pytest.raises(ImageError, match=r"not the one that was added.*\n.*labelgrid add"):
            source_of(project).image(name)
        before = project.store.pool_hash()
        assert extend.add(
            project, [photos.images], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=0, changed=1)
        assert project.store.pool_hash() != before  # scores of the old content are stale
        assert source_of(project).image(name).shape == (8, 12, 3)
        project.store.move(
            [Move(cell=Cell(name, "depth"), to=State.REQUESTED, round=1, request_id="r", cost=1.0)]
        )
        (photos.images / name).write_bytes((photos.images / photos.names[2]).read_bytes())
        with pytest.raises(
            ImageError, match=f"1 image with labels or requests changed on disk.*'{name}'"
        ) as caught:
            extend.add(project, [photos.images], tasks=[], check="full", progress=Silent())
        assert caught.value.unchanged == "Nothing was added."


def test_what_was_added_unopened_learns_its_content(make: Make, photos: Made) -> None:
    with make(check="none") as project:
        assert not project.store.image(photos.names[0]).digest
        assert extend.add(
            project, [photos.images], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=0, changed=12)
        assert (
            project.store.image(photos.names[0]).digest
            and project.store.image(photos.names[0]).height == 8
        )


def test_where_the_old_content_is_not_known_a_label_of_another_size_tells(
    make: Make, photos: Made
) -> None:
    name = photos.names[0]
    with make(check="none") as project:
        (project.folder / "labels").mkdir()
        cv2.imwrite(str(project.folder / "labels" / "a.png"), np.full((8, 12), 1000, np.uint16))
        project.store.move(
            [Move(cell=Cell(name, "depth"), to=State.LABELLED, path="labels/a.png", cost=1.0)]
        )
        cv2.imwrite(str(photos.images / name), np.zeros((9, 12, 3), np.uint8))
        with pytest.raises(
            ImageError, match=f"1 image with labels or requests changed on disk.*'{name}'"
        ):
            extend.add(project, [photos.images], tasks=[], check="full", progress=Silent())
        cv2.imwrite(str(photos.images / name), np.zeros((8, 12, 3), np.uint8))
        assert extend.add(
            project, [photos.images], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=0, changed=12)


def test_a_picture_that_measures_is_not_added_for_training_under_another_name(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    with make(holdout=2) as project:
        (tmp_path / "all").mkdir()
        photos.images.rename(tmp_path / "all" / "photos")
        with pytest.raises(ImageError, match=r"is the same picture as .* of split 'heldout'"):
            extend.add(project, [tmp_path / "all"], tasks=[], check="full", progress=Silent())
        assert extend.add(
            project, [tmp_path / "all" / "photos"], tasks=[], check="full", progress=Silent()
        ) == Added(new=0, moved=12, changed=0)


def test_a_folder_is_the_same_however_it_is_spelt(make: Make, photos: Made, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos.images)
    with make() as project:
        for place in (tmp_path / "link", photos.images / ".." / photos.images.name):
            assert extend.add(project, [place], tasks=[], check="full", progress=Silent()) == Added(
                new=0, moved=0, changed=0
            )
