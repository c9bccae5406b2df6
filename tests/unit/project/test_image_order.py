"""The order of images by what the newest scores say."""

import numpy as np
import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.cells.cell_table import each_cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_order import image_orders, ordered_images
from labelgrid.project.score_files import newest_scores, scores_file
from labelgrid.score.table import Table
from labelgrid.score.table_files import write_table
from tests.support import Made

COVERS = ["labelgrid.project.image_order", "labelgrid.project.score_files"]


@pytest.fixture
def scored(project: ProjectFolder, data: Made) -> ProjectFolder:
    """A project with a table of an older round, and a newer one of two of its three images."""
    first, second, _ = data.names
    for number, images in ((1, data.names), (2, [second, first])):
        table = Table(
            images=images,
            statistics={
                "doubt": np.array([[0.1, 0.9], [0.5, np.nan], [2, 2]])[: len(images)],
                "novelty": np.array([1.0, 3.0, 2.0])[: len(images)],
                "features": np.zeros((len(images), 7), np.float32),
            },
            tasks=("semseg", "depth"),
            stamp={},
            axes={"doubt": "cell", "novelty": "image", "features": "feature"},
        )
        path = scores_file(project, number)
        path.parent.mkdir(parents=True)
        write_table(table, path)
    return project


@pytest.mark.parametrize(
    ("order", "task", "places"),
    [
        ("doubt", "", [1, 0, 2]),
        ("doubt", "semseg", [0, 1, 2]),
        ("doubt", "depth", [1, 0, 2]),
        ("novelty", "depth", [0, 1, 2]),
    ],
)
def test_the_highest_values_of_the_newest_scores_are_first_and_unknown_ones_last(
    scored: ProjectFolder, data: Made, order: str, task: str, places: list[int]
) -> None:
    names = ordered_images(scored, ImageFilter(task=task), order).names
    assert names == [data.names[place] for place in places]


def test_the_newest_scores_are_those_that_scoring_wrote(scored: ProjectFolder) -> None:
    assert newest_scores(scored) == scored.folder / "rounds/0002/scores/scores.parquet"


def test_features_are_no_order(scored: ProjectFolder) -> None:
    assert image_orders(scored) == ["changed", "doubt", "novelty"]


# The predicted share of a class


def with_shares(project: ProjectFolder, data: Made, path: str, shares: list[float]) -> None:
    """Write scores that predict these shares of the second class of the first task."""
    table = Table(
        images=data.names,
        statistics={
            "classes": np.array([[1 - share, share, 0, 0] for share in shares], np.float32)
        },
        tasks=("semseg", "depth"),
        stamp={},
        axes={"classes": "feature"},
    )
    file = project.folder / "rounds" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, file)


@pytest.mark.parametrize("file", ["scores.parquet", "explaining.parquet", "like/scores.parquet"])
def test_the_largest_predicted_share_of_a_class_is_first_from_any_newest_scores(
    scored: ProjectFolder, data: Made, file: str
) -> None:
    name = scored.tasks()["semseg"].class_names[1]
    with_shares(scored, data, "0001/scores/explaining.parquet", [0.9, 0.8, 0.7])
    with_shares(scored, data, f"0003/scores/{file}", [0.1, 0.5, 0.3])
    assert f"share/semseg:{name}" in image_orders(scored)
    expected = [data.names[place] for place in (1, 2, 0)]
    assert ordered_images(scored, ImageFilter(), f"share/semseg:{name}").names == expected
    rows = [row["image"] for row in each_cell(scored, order=f"share/semseg:{name}")]
    assert list(dict.fromkeys(rows)) == expected and len(rows) == 3 * len(scored.tasks())


def test_a_class_that_scores_do_not_hold_keeps_the_order_of_names(
    scored: ProjectFolder, data: Made
) -> None:
    last = scored.tasks()["semseg"].class_names[-1]
    with_shares(scored, data, "0002/scores/explaining.parquet", [0.1, 0.5, 0.3])
    names = ordered_images(scored, ImageFilter(), f"share/semseg:{last}").names
    assert list(names) == list(data.names)


def test_without_scores_of_classes_their_orders_are_refused(scored: ProjectFolder) -> None:
    name = scored.tasks()["semseg"].class_names[1]
    with pytest.raises(UsageError, match="There is no order 'share/semseg"):
        each_cell(scored, order=f"share/semseg:{name}")


def test_cells_are_listed_in_an_order_of_images_with_their_filters(
    scored: ProjectFolder, data: Made
) -> None:
    rows = list(each_cell(scored, task="depth", order="novelty"))
    assert [row["image"] for row in rows] == [data.names[place] for place in (0, 1, 2)]
    assert {row["task"] for row in rows} == {"depth"}
