"""Finds the image that a query was given as an example, and its features.

Loads no torch, except to compute them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.annotate.answers import spelling_hint
from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import ImageError, LedgerError, ProjectError
from labelgrid.basics.files import digest
from labelgrid.data.project_source import ProjectSource
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.round_scores import FEATURES
from labelgrid.score.table import Table

if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer


@dataclass(frozen=True, kw_only=True)
class ExampleImage:
    """An image that is an example.

    Args:
        name: its id, or the name of its file.
        root: the folder of that file; empty for an image of the project.
        digest: of the file's content; empty for an image of the project.
    """

    name: str
    root: str = ""
    digest: str = ""


def find_example(project: ProjectFolder, asked: str) -> ExampleImage:
    """The image of an id or a path; ids of the project come first.

    Raises:
        ImageError: there is none.
    """
    try:
        return ExampleImage(name=project.store.image(asked).image_id)
    except LedgerError:
        path = Path(asked)
    if path.is_file():
        return ExampleImage(name=path.name, root=str(path.parent.absolute()), digest=digest(path))
    ids = [row.image_id for row in project.store.images()]
    hint = spelling_hint(asked, sorted(ids))
    raise ImageError(
        f"The example is neither an image of the project nor a file. Found '{asked:.200}'.",
        where=project.folder,
        next_step=f"{hint} Give the id of an image, or the path of a file.".strip(),
        unchanged="Nothing was requested.",
    )


def example_features(
    make_scorer: Callable[[], "PoolScorer"], table: Table, example: ExampleImage
) -> Array:
    """The features [d] of an example: those of the scores, or computed by the same network.

    Args:
        make_scorer: returns the scorer, whose model is needed if the scores lack the example.
        table: the scores.
        example: the example.

    Raises:
        ImageError: its file cannot be read.
        ProjectError: predictions that another program wrote lack it.
    """
    if not example.root and example.name in table.images:
        return table.aligned([example.name])[FEATURES][0]
    scorer = make_scorer()
    if scorer.fit.predictions and example.root:
        raise ProjectError(
            f"'{example.name}' has no features: those of the newest model come from files that "
            "another program wrote.",
            next_step="Name an image of the project of which there is such a file.",
            unchanged="Nothing was requested.",
        )
    context = replace(scorer.context, definitions={})  # no label is read
    if example.root:
        files = {example.name: (example.root, example.digest)}
        context = replace(context, source=ProjectSource(files, {}))
    (batch,) = scorer.batches(context, [example.name])
    computed = scorer.statistics[FEATURES](batch)
    return np.asarray(computed, np.float32)[0]
