"""Laws of held-out images: drawn by the seed, with all their copies, later too, and never ones that were trained on."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Cell, ImageRow, Move, State
from labelgrid.operations import create, extend
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import families, free_images, holdout_count, images_trained_on
from labelgrid.project.records import Fit, all_fits, write_fit
from labelgrid.project.settings import Settings
from tests.campaigns import DEPTH, Make, held
from tests.projects import Said
from tests.support import Made


def trained(project: ProjectFolder, images: str = "labelled") -> None:
    """Record a finished training of round 1."""
    project.round_folder(1).mkdir(parents=True)
    recipe = {"train": {"images": images}}
    write_fit(
        project.round_folder(1),
        Fit(
            round=1,
            checkpoint="rounds/0001/fit/last.ckpt",
            model="m",
            recipe=recipe,
            seed=0,
            trained=["depth"],
            images=1,
            labels={},
            spent=1.0,
        ),
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_copy_of_a_held_out_picture_stays_in_training(
    photos: Made, tmp_path: Path, seed: int
) -> None:
    for number in range(6):
        shutil.copyfile(photos.images / photos.names[number], photos.images / f"copy{number}.jpg")
    said = Said()
    settings = Settings(seed=seed)
    with create.create(
        tmp_path / "flat",
        [photos.images],
        tasks=[DEPTH],
        settings=settings,
        progress=said,
        holdout=5,
    ) as project:
        digests = {row.digest for row in project.store.images(("heldout",))}
        assert not digests & {row.digest for row in project.store.images(("train",))}
        copies = len(held(project)) - len(digests)
        assert len(held(project)) in (5, 6) and copies
        assert said.lines == [
            count_text(
                copies, "of the held-out images is a copy", "of the held-out images are copies"
            )
            + " of others among them; no copy stays in training."
        ]


def test_a_family_joins_groups_and_copies_across_both() -> None:
    rows = [("a", "1", "g"), ("b", "2", "g"), ("c", "2", ""), ("d", "", ""), ("e", "", "")]
    found = families(
        [
            ImageRow(image_id=name, root="", digest=digest, group=group)
            for name, digest, group in rows
        ]
    )
    assert found["a"] == found["b"] == found["c"] and len({found[name] for name in "ade"}) == 3


@pytest.mark.parametrize(
    ("asked", "count"),
    [(3, 3), ("3", 3), ("25%", 30), (" 20 % ", 24), ("0", 0), ("0%", 0), ("0.1%", 1)],
)
def test_a_holdout_is_a_number_or_a_share(asked: str | int, count: int) -> None:
    assert holdout_count(asked, 120) == count


@pytest.mark.parametrize("asked", ["-1", "120%", "-5%", "x", "", "%", "nan%", "inf%", "1.5"])
def test_another_holdout_is_refused(asked: str) -> None:
    with pytest.raises(
        ProjectError, match="--holdout must be a number of images from 0 up, or a share such as 20%"
    ):
        holdout_count(asked, 120)


def test_images_are_held_out_later_but_never_ones_that_were_trained_on(
    make: Make, photos: Made
) -> None:
    with make() as project:
        used = photos.names[:4]
        project.store.move(
            [Move(cell=Cell(name, "depth"), to=State.LABELLED, path="x", cost=1.0) for name in used]
        )
        trained(project)
        added = extend.add(project, [], tasks=[], check="full", progress=Silent(), holdout="50%")
        assert added.held == 6 and str(added) == "0 new images, 6 held out now"
        assert not set(held(project)) & set(used)
        requested = {row.cell for row in project.store.cells(state=State.REQUESTED)}
        assert requested == {
            Cell(name, task) for name in held(project) for task in ("depth", "normals")
        }
        fault = "3 images cannot be held out: only 2 are in no other split and cannot have been trained on"
        with pytest.raises(ProjectError, match=fault) as caught:
            extend.add(project, [], tasks=[], check="full", progress=Silent(), holdout=3)
        assert caught.value.unchanged == "Nothing was added." and len(held(project)) == 6


def test_no_image_of_a_group_with_a_trained_one_is_free(make: Make, photos: Made) -> None:
    with make() as project:
        names = list(photos.names)
        rows = list(project.store.images())
        first = [replace(row, group="one") for row in rows if row.image_id in names[:5]]
        project.store.update_images(first)
        project.store.move(
            [Move(cell=Cell(names[0], "depth"), to=State.LABELLED, path="x", cost=1.0)]
        )
        trained(project)
        rows = list(project.store.images())
        used = images_trained_on(project.store, rows, all_fits(project.folder))
        free = free_images(rows, families(rows), used)
        assert [row.image_id for row in free] == sorted(names[5:])


def test_before_a_training_labelled_images_may_be_held_out(make: Make, photos: Made) -> None:
    with make() as project:
        project.store.move(
            [Move(cell=Cell(name, "depth"), to=State.LABELLED, path="x") for name in photos.names]
        )
        assert (
            extend.add(project, [], tasks=[], check="full", progress=Silent(), holdout=5).held == 5
        )


def test_a_training_on_all_images_leaves_only_new_ones(
    make: Make, photos: Made, tmp_path: Path
) -> None:
    with make() as project:
        trained(project, "all")
        with pytest.raises(ProjectError, match="only 0 are in no other split"):
            extend.add(project, [], tasks=[], check="full", progress=Silent(), holdout=1)
        shutil.copytree(photos.images, tmp_path / "more")
        for number, name in enumerate(photos.names):
            path = tmp_path / "more" / name
            path.write_bytes(path.read_bytes() + b"%d" % number)  # other content
            path.rename(path.with_name(f"new-{path.name}"))
        extend.add(
            project, [tmp_path / "more"], tasks=[], check="full", progress=Silent(), holdout=4
        )
        assert len(held(project)) == 4 and all("new-" in name for name in held(project))


def test_a_copy_of_an_image_of_another_split_is_not_held_out(make: Make, photos: Made) -> None:
    with make() as project:
        first, second, *others = project.store.images()
        project.store.update_images(
            [replace(first, split="val"), replace(second, digest=first.digest)]
            + [replace(row, split="test") for row in others[:8]]
        )
        extend.add(project, [], tasks=[], check="full", progress=Silent(), holdout=1)
        assert held(project)[0] in photos.names[10:]


def test_holding_out_most_of_what_is_left_to_buy_is_warned_of_with_numbers(
    photos: Made, tmp_path: Path
) -> None:
    def of_pool(said: Said) -> list[str]:
        return [line for line in said.lines if "cannot be picked" in line]

    settings = Settings()
    said = Said()
    words = {"tasks": [DEPTH], "settings": settings, "progress": said}
    with create.create(tmp_path / "some", [photos.images], holdout=3, **words) as project:
        assert of_pool(said) == []
        (total, left) = (project.store.count_images(("train",)), 2)
        extend.add(project, [], tasks=[], check="full", progress=said, holdout=total - left)
        (warning,) = of_pool(said)
        assert warning == (
            f"{total - left} of {total} training images are held out now, and cannot be picked: of "
            f"{total} labels to buy 2 are left, in 2 images. Add images to train on, or begin "
            "again with fewer held out."
        )
    said.lines.clear()
    create.create(tmp_path / "most", [photos.images], holdout="80%", **words).close()
    assert len(of_pool(said)) == 1
