"""Compares MC-dropout scores at lower resolutions with those at the images' original size.

Takes folders of projects with a trained model. Prints Spearman's rank correlation of the scores of
the pool's missing cells, for each task and over all cells after PartAL's min-max, and how many of
the highest cells are the same.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from _measure import machine
from scipy.stats import spearmanr

from labelgrid.basics.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.models import model_of, restore
from labelgrid.rounds.pool_scorer import scoring_job
from labelgrid.score.pool import gather
from labelgrid.score.statistics.dropout import Dropout, Options

#: The least rank correlation with the scores at original size.
BAR = 0.99
#: The share of cells that one round picks, for the comparison of picks.
SHARE = 0.1
DEFAULT = Options().at
SIDES: tuple[Literal["half", "head", "original"], ...] = ("half", "head", "original")


def scores_of(
    project: ProjectFolder, images: int, seed: int
) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
    """The scores [sides, images, tasks] of some images of the pool, their missing cells, and the tasks."""
    context, model = restore(project, model_of(project))
    grid = project.store.grid()
    rows = np.flatnonzero(grid.eligible.any(1))
    if images:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:images])
    table = dict(context.recipe.score.get("dropout", {}))
    statistics = {at: Dropout(Options(**{**table, "at": at}), context.seed) for at in SIDES}
    job = scoring_job(context, model, statistics, {})
    with tempfile.TemporaryDirectory() as folder:
        scores = gather(job, [grid.images[row] for row in rows], Path(folder), Silent())
    rows_by_name = {grid.images[row]: row for row in rows}
    eligible = grid.eligible[[rows_by_name[name] for name in scores.images]]
    return np.stack([scores.statistics[at] for at in SIDES]), eligible, list(context.tasks)


def compare(project: ProjectFolder, options: argparse.Namespace) -> bool:
    """Print the agreement of one project.

    Return whether the default's correlations all hold the bar.
    """
    values, missing, tasks = scores_of(project, options.images, options.seed)
    print(f"{project.folder.name}: {values.shape[1]} images, {int(missing.sum())} missing cells")
    low = values.min(1, keepdims=True)
    high = values.max(1, keepdims=True)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    kept = True
    for index, at in enumerate(SIDES[:-1]):
        for column, task in enumerate(tasks):
            rows = missing[:, column]
            spread = values[-1, :, column].std()
            off = (values[index, rows, column] - values[-1, rows, column]).mean() / spread
            correlation = spearmanr(values[index, rows, column], values[-1, rows, column]).statistic
            print(
                f"  {at:5} {task:10} rank correlation {correlation:.4f}, {off:+.3f} standard deviations higher"
            )
            kept &= at != DEFAULT or correlation >= BAR
        mine = scaled[index][missing]
        papers = scaled[-1][missing]
        correlation = spearmanr(mine, papers).statistic
        count = max(1, round(SHARE * len(mine)))
        same = set(np.argsort(-mine)[:count]) & set(np.argsort(-papers)[:count])
        print(
            f"  {at:5} all cells  rank correlation {correlation:.4f}; {len(same) / count:.1%} of the top {SHARE:.0%} agree"
        )
        kept &= at != DEFAULT or correlation >= BAR
    return kept


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "projects", type=Path, nargs="*", help="folders of projects with a trained model"
    )
    parser.add_argument(
        "--images", type=int, default=0, help="at most this many images of each pool; 0: all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw of --images")
    options = parser.parse_args(words)
    print(machine())
    kept = True
    if not options.projects:
        print(
            "No project was given, so there is nothing to hold the bar against: see docs/evidence.md."
        )
        return 0
    for folder in options.projects:
        with ProjectFolder.open(folder) as project:
            kept &= compare(project, options)
    print(f"'{DEFAULT}' with '{SIDES[-1]}', bar >= {BAR}: {'holds' if kept else 'DOES NOT HOLD'}")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
