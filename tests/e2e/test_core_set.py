"""A round of core-set that is killed while the pool is scored picks what a brute force picks."""

import json

import numpy as np
import torch

from labelgrid.basics.progress import Silent
from labelgrid.rounds import fit, models, pool_scorer, query
from labelgrid.score.pool import pool_batches
from labelgrid.score.statistics.features import PooledFeatures
from labelgrid.score.table_files import read_table
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project
from tests.reference.k_centre import brute_force
from tests.stopping import killed_scoring


def test_a_round_is_killed_while_it_scores_and_picks_what_a_brute_force_does(tmp_path, monkeypatch):
    project, made = make_project(tmp_path, strategy="core_set", n=12)
    with project:
        assert query.query(project, Budget(3, "images"), Silent()).strategy == "random_images"
        answer(project, made)
        done = fit.fit(project, Silent())
        calls = killed_scoring(monkeypatch, PooledFeatures)
        try:
            query.query(project, Budget(3, "images"), Silent())
            raise AssertionError("scoring was not interrupted")
        except KeyboardInterrupt:
            first, calls[:] = calls[0], [(), ()]
        asked = query.query(project, Budget(3, "images"), Silent())
        assert asked.strategy == "core_set"
        assert calls[2:] and not any(set(first) & set(ids) for ids in calls), (
            "a part was scored again"
        )
        table = read_table(project.round_folder(2) / "scores" / "scores.parquet")
        assert (
            table.axes == {"features": "feature"}
            and table.statistics["features"].dtype == np.float32
        )

        names, crew = list(table.images), models.context_of(project)
        assert len(names) == 10, "labelled images are scored, too"
        model, features = models.restore_model(crew, done), {}
        for batch in pool_batches(pool_scorer.scoring_job(crew, model, {}, {}), names):
            for row, (name, frame) in enumerate(
                zip(batch.batch.ids, batch.batch.frames, strict=True)
            ):
                rows, columns = frame.box(*batch.features.shared.shape[-2:])
                with torch.inference_mode():
                    features[name] = (
                        batch.features.shared[row][:, rows, columns].mean((1, 2)).numpy()
                    )
        centres = [
            row
            for row, name in enumerate(names)
            if any(cell.image_id == name for cell in crew.source.labels)
        ]
        stacked = np.stack([features[name] for name in names])
        picked = brute_force(stacked, centres, set(range(10)) - set(centres), 3)
        assert list(dict.fromkeys(pick.cell.image_id for pick in asked.picks)) == [
            names[row] for row in picked
        ]
        kept = json.loads((project.round_folder(2) / "picks.json").read_text())
        assert [row["terms"]["distance"] for row in kept] == [row["score"] for row in kept]
        answer(project, made)
        fit.fit(project, Silent())
        assert query.query(project, Budget(1, "images"), Silent(), strategy="partal").picks
