"""TypiClust picks by the pretrained encoder's features before there is any label or model."""

import numpy as np

from labelgrid.basics.progress import Silent
from labelgrid.rounds import fit, query, score
from labelgrid.score.table_files import read_stamp, read_table
from labelgrid.select.strategy import Budget
from tests.projects import Said, answer, make_project


def test_the_first_images_are_picked_by_features_and_the_next_by_those_of_the_model(tmp_path):
    project, made = make_project(tmp_path, strategy="typiclust", n=12)
    with project:
        said = Said()
        asked = query.query(project, Budget(3, "images"), said)
        assert (
            asked.strategy == "typiclust" and len({pick.cell.image_id for pick in asked.picks}) == 3
        )
        assert any("before the first training" in line for line in said.lines)
        cold = project.round_folder(1) / "scores" / "scores.parquet"
        first = read_table(cold)
        assert len(first.images) == 10 and np.ptp(first.statistics["features"], 0).max() > 0
        assert not (project.round_folder(1) / "prelabels").exists()
        answer(project, made)
        fit.fit(project, Silent())
        again = query.query(project, Budget(2, "images"), Silent())
        assert again.strategy == "typiclust"
        warm = project.round_folder(2) / "scores" / "scores.parquet"
        assert read_stamp(warm)["model"] != read_stamp(cold)["model"]


def test_scores_of_the_untrained_network_are_reused_by_the_query(tmp_path):
    project, _ = make_project(tmp_path, strategy="typiclust", n=8)
    with project:
        score.score(project, Silent())
        said = Said()
        dry = query.query(project, Budget(2, "images"), said, dry_run=True)
        assert not any(
            "Scoring" in line or "before the first training" in line for line in said.lines
        )
        assert query.query(project, Budget(2, "images"), Silent()).picks == dry.picks


def test_other_strategies_still_start_with_random_images(tmp_path):
    project, _ = make_project(tmp_path, strategy="core_set", n=6)
    with project:
        assert query.query(project, Budget(2, "images"), Silent()).strategy == "random_images"
