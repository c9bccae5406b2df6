"""Core-Set in one file: its picks are those of a brute force, labelled images are centres, a killed round resumes."""

import json

import numpy as np
import pytest
import torch

from labelgrid.labels.grid import State
from labelgrid.progress import Silent
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds import fit, models, query, score
from labelgrid.score.pool import pool_batches
from labelgrid.score.table import read_table
from labelgrid.select.strategy import Budget, PoolView
from tests.contracts import statistic_laws, strategy_laws
from tests.plugins import k_centre
from tests.projects import answer, make_project
from tests.stopping import killed_scoring

NAME = "tests.plugins.k_centre:build"


@pytest.mark.parametrize("law", strategy_laws.LAWS, ids=lambda law: law.__name__)
def test_the_strategy_keeps_the_law(law):
    law(k_centre.build(k_centre.Options()))


@pytest.mark.parametrize("law", statistic_laws.LAWS, ids=lambda law: law.__name__)
def test_the_statistic_keeps_the_law(law, tmp_path):
    made = statistic_laws.dataset(tmp_path / "made")
    law(statistic_laws.case_of(k_centre.build_features(0, k_centre.Options()), made, tmp_path))


def brute_force(features: np.ndarray, centres: list[int], open_rows: set[int], count: int) -> list[int]:
    """Recomputes all distances for each pick, in float64."""
    found: list[int] = []
    values = features.astype(np.float64)
    for _ in range(count):
        best = max(
            open_rows - set(found), key=lambda r: min(np.linalg.norm(values[r] - values[c]) for c in centres + found)
        )
        found.append(best)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_picks_are_those_of_a_brute_force_in_float64(seed):
    rng = np.random.default_rng(seed)
    state = np.where(rng.random((40, 3)) < 0.1, State.LABELLED, State.MISSING)
    state[0] = State.LABELLED
    grid = strategy_laws.grid_of([f"i{n}" for n in range(40)], state)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    centres = np.flatnonzero((state == State.LABELLED).any(1)).tolist()
    found = k_centre.build(k_centre.Options()).select(
        PoolView(grid, {k_centre.FEATURES: features}), Budget(9, "images")
    )
    images = list(dict.fromkeys(pick.cell.image_id for pick in found.picks))
    open_rows = set(np.flatnonzero(grid.eligible.any(1)).tolist())
    assert images == [f"i{row}" for row in brute_force(features, centres, open_rows, 9)]
    scores = [pick.score for pick in found.picks]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0


def test_a_round_is_killed_while_it_scores_and_picks_what_a_brute_force_does(tmp_path, monkeypatch):
    project, made = make_project(tmp_path, strategy=NAME, n=12)
    with project:
        query.query(project, Budget(3, "images"), Silent())
        answer(project, made)
        done = fit.fit(project, Silent())
        calls = killed_scoring(monkeypatch, k_centre.PooledFeatures)
        with pytest.raises(KeyboardInterrupt):
            query.query(project, Budget(3, "images"), Silent())
        first, calls[:] = calls[0], [(), ()]
        asked = query.query(project, Budget(3, "images"), Silent())
        assert asked.strategy == NAME
        assert calls[2:] and not any(set(first) & set(ids) for ids in calls), "a part was scored again"
        table = read_table(project.round_folder(2) / "scores" / "scores.parquet")
        assert table.axes == {k_centre.FEATURES: "feature"} and table.statistics[k_centre.FEATURES].dtype == np.float32

        names, crew = list(table.images), models.context_of(project)
        assert len(names) == 10, "labelled images are scored, too"
        model = models.restore_model(crew, done)
        features = {}
        for batch in pool_batches(score.scoring_job(crew, model, {}, {}), names):
            with torch.inference_mode():
                features |= dict(zip(batch.batch.ids, batch.features.deepest.mean((2, 3)).numpy(), strict=True))
        centres = [row for row, name in enumerate(names) if any(cell.image_id == name for cell in crew.source.labels)]
        stacked = np.stack([features[name] for name in names])
        rows = brute_force(stacked, centres, set(range(10)) - set(centres), 3)
        assert list(dict.fromkeys(pick.cell.image_id for pick in asked.picks)) == [names[row] for row in rows]
        kept = json.loads((project.round_folder(2) / "picks.json").read_text())
        assert [row["terms"]["distance"] for row in kept] == [row["score"] for row in kept]
        answer(project, made)
        fit.fit(project, Silent())
        assert query.query(project, Budget(1, "images"), Silent(), strategy="partal").picks


def test_a_project_is_told_of_it_by_name(tmp_path):
    project, _ = make_project(tmp_path, strategy=NAME, n=4)
    with project:
        assert project.settings.strategy == PluginChoice(NAME)
        assert query.query(project, Budget(1, "images"), Silent()).strategy == "random_images"
