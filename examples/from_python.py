"""Runs the active learning loop from Python: creates a project and runs rounds; `answer` labels the requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import labelgrid


def campaign(
    folder: Path,
    images: Path,
    tasks: list[str],
    answer: Callable[[Path], None],
    rounds: int = 2,
    **settings: Any,
) -> Path:
    """Run rounds of labelling; `answer` writes label files into a request's folder. Returns the report's path."""
    with labelgrid.Project.create(folder, images, tasks, holdout=2, **settings) as project:
        for number in range(rounds):
            project.query(6, "labels")
            (request,) = project.export(folder / f"request{number}").folders
            answer(request)
            print(project.import_labels(request))
            done = project.fit()
            print(
                f"Round {done.round}: trained on {done.images} images with {dict(done.labels)} labels"
            )
        return project.report().page
