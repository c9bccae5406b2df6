"""Laws of rounds with images that cannot be read: fit, score and query leave them out, and take them again."""

import shutil
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError, LabelgridError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import State
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import noted_unusable_images
from labelgrid.project.records import measured_rounds, newest_fit
from labelgrid.rounds import evaluate, fit, query, score
from labelgrid.select.strategy import Budget
from tests.projects import Said, make_project
from tests.rounds import QUICK, labelled
from tests.support import Made


def taken(project: ProjectFolder, budget: float, **options: bool) -> set[str]:
    picks = query.query(project, Budget(budget), Silent(), **options).picks
    return {pick.cell.image_id for pick in picks}


def away(made: Made, *names: str) -> dict[Path, bytes]:
    """Delete image files; returns their contents."""
    contents = {made.images / name: (made.images / name).read_bytes() for name in names}
    for path in contents:
        path.unlink()
    return contents


def back(contents: dict[Path, bytes]) -> None:
    for path, content in contents.items():
        path.write_bytes(content)


def test_a_query_without_scores_picks_only_images_that_are_there(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, strategy="random_cells", holdout=0)
    gone = made.names[:6]
    contents = away(made, *gone)
    first = taken(project, 8, dry_run=True)
    assert first and not first & set(gone) and taken(project, 8, dry_run=True) == first
    said = Said()
    query.query(project, Budget(20), said, dry_run=True)
    assert (
        "The budget of 20 labels is larger than the pool: all that is left was picked, 12."
        in said.lines
    )
    back(contents)
    assert len(taken(project, 30, dry_run=True)) == 10
    project.close()


def test_a_query_warns_of_all_missing_images_in_one_message_and_notes_them(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, strategy="random_cells", holdout=0)
    contents, said = away(made, *made.names[:8]), Said()
    query.query(project, Budget(2), said, dry_run=True)
    assert [line.partition(",")[0] for line in said.lines if "set aside" in line] == [
        "8 images are set aside"
    ]
    assert set(noted_unusable_images(project)) == set(made.names[:8])
    contents |= away(made, *made.names[8:])
    with pytest.raises(
        LabelgridError,
        match=r"The pool is empty: .*; 10 images are set aside.*\n  Put the files back",
    ):
        taken(project, 2)
    back(contents)
    assert not noted_unusable_images(project) and len(taken(project, 30)) == 10
    project.close()


def test_fit_score_query_and_evaluate_go_on_without_images_that_are_gone(tmp_path: Path) -> None:
    project, made = labelled(tmp_path)
    train = sorted({row.cell.image_id for row in project.store.cells(splits=("train",))})
    held = [row.image_id for row in project.store.images(("heldout",))]
    free = sorted({row.image_id for row in project.store.images(("train",))} - set(train))
    contents = away(made, train[0], held[0], free[0])
    said = Said()
    done = fit.fit(project, said, changes=QUICK)
    assert done.images == len(train) - 1 and sum("set aside" in line for line in said.lines) == 2
    assert evaluate.evaluate_split(project, "heldout", Silent())["labels"]["depth"] == len(held) - 1
    assert set(score.score(project, Silent()).images) == set(free[1:])
    (made.images / free[1]).write_bytes(b"other")  # after the scoring
    said = Said()
    picks = query.query(project, Budget(3), said, dry_run=True).picks
    assert {pick.cell.image_id for pick in picks} <= set(free[2:])
    assert any(line.startswith("1 image has no scores") for line in said.lines)
    shutil.rmtree(project.round_folder(project.round_number) / "scores")
    said = Said()
    query.query(project, Budget(3), said, dry_run=True)  # scores itself, and warns once
    assert [line.partition(",")[0] for line in said.lines] == ["3 images are set aside"]
    back(contents)
    assert free[0] in score.score(project, Silent()).images
    assert fit.fit(project, Silent(), changes=QUICK).images == len(train)
    project.close()


def test_a_fit_whose_held_out_images_are_gone_ends_well_and_measures_nothing(
    tmp_path: Path,
) -> None:
    project, made = labelled(tmp_path, images=2, n=6, tasks=("depth",), strategy="random_images")
    contents = away(made, *(row.image_id for row in project.store.images(("heldout",))))
    said = Said()
    done = fit.fit(project, said, changes=QUICK)
    assert newest_fit(project.folder) == done
    assert any(
        "nothing was measured" in line and "There is no such file" in line for line in said.lines
    )
    assert measured_rounds(project.folder) == []
    with pytest.raises(ImageError, match="can be read"):
        evaluate.evaluate_split(project, "heldout", Silent())
    back(contents)
    fit.fit(project, Silent(), changes=QUICK)
    assert len(measured_rounds(project.folder)) == 1
    project.close()


@pytest.mark.parametrize("refit", [True, False])
def test_figures_of_labels_that_were_taken_back_are_removed(tmp_path: Path, refit: bool) -> None:
    project, _ = labelled(tmp_path, images=2, n=6, tasks=("depth",), strategy="random_images")
    fit.fit(project, Silent(), changes=QUICK)
    assert len(measured_rounds(project.folder)) == 1
    unlabel(
        project,
        [
            f"{row.cell.image_id}:{row.cell.task}"
            for row in project.store.cells(state=State.LABELLED, splits=("heldout",))
        ],
    )
    if refit:
        fit.fit(project, Silent(), changes=QUICK)
    else:
        with pytest.raises(ProjectError, match="The heldout split has no label"):
            evaluate.evaluate_split(project, "heldout", Silent())
    assert measured_rounds(project.folder) == []
    project.close()


def test_a_score_of_a_pool_of_which_no_image_can_be_read_is_refused_and_writes_nothing(
    tmp_path: Path,
) -> None:
    project, made = labelled(tmp_path, images=2, n=6, tasks=("depth",))
    fit.fit(project, Silent(), changes=QUICK)
    grid = project.store.grid()
    free = [
        image for image, eligible in zip(grid.images, grid.eligible.any(1), strict=True) if eligible
    ]
    contents = away(made, *free)
    for command in (score.score, lambda *of: query.query(of[0], Budget(1), of[1])):
        with pytest.raises(
            ImageError, match=f"No image can be read of the {len(free)} whose labels are missing"
        ):
            command(project, Silent())
        assert not (project.round_folder(project.round_number) / "scores").exists()
    back(contents)
    assert set(score.score(project, Silent()).images) == set(free)
    project.close()
