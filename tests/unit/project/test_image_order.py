"""The order of images by what the newest scores say."""

import numpy as np
import pytest

from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_order import image_orders, ordered_images
from labelgrid.project.score_files import newest_scores, scores_file
from labelgrid.score.table import Table, write_table
from tests.support import Made

COVERS = ["labelgrid.project.score_files"]


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
