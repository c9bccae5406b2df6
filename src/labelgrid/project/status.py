"""Summarises a project: images, cells, costs, rounds, headline metrics, and the next command.

Loads no torch.
"""

from dataclasses import asdict
from typing import Any

from labelgrid.errors import command
from labelgrid.project.declaration_changes import redeclared_tasks
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.headlines import Headline, headlines_of
from labelgrid.project.prices import times_of
from labelgrid.project.records import measured_rounds, read_fit
from labelgrid.project.requests import query_command
from labelgrid.project.unusable_images import noted_unusable_images


def status_of(project: ProjectFolder) -> dict[str, Any]:
    """The status as JSON values.

    `tasks` counts all images including held-out ones, `heldout` only these.

    `spent` is the cost of all answers, those of dropped tasks too. `times` says how long a task's
    labels took, and the cost that is learned from that; None if no import said so. `set_aside`
    holds the images that the last commands left out and that still cannot be used, with the
    reasons.
    """
    counts = project.store.counts()
    rounds = project.store.rounds()
    held = project.store.counts(("heldout",))
    times = times_of(project)
    kinds = {row.name: row.kind for row in project.store.tasks()}
    values = {
        "images": project.store.count_images(),
        "heldout_images": project.store.count_images(("heldout",)),
        "tasks": {
            name: {
                "kind": kinds[name],
                **_counts(count),
                "times": asdict(times[name]) if name in times else None,
            }
            for name, count in counts.items()
        },
        "costs": project.settings.costs,
        "heldout": {name: _counts(count) for name, count in held.items()},
        "rounds": [
            {
                "round": r.number,
                "strategy": r.strategy,
                "budget": r.budget,
                "unit": r.unit,
                "state": r.state,
            }
            for r in rounds
        ],
        "headlines": [headline.as_json() for headline in headlines(project)],
        "set_aside": noted_unusable_images(project),
        "spent": project.store.spent(),
        "removed": {
            "images": len(project.store.removed("images")),
            "tasks": project.store.removed("tasks"),
        },
    }
    return {**values, "next": next_command(project)}


def headlines(project: ProjectFolder) -> list[Headline]:
    """The headline metrics on the held-out labels, with their change since the last round."""
    metrics = {name: task.headline for name, task in project.tasks().items()}
    return headlines_of(measured_rounds(project.folder, newest=2), metrics)


def _counts(count: Any) -> dict[str, Any]:
    return {
        name: getattr(count, name)
        for name in ("missing", "requested", "labelled", "skipped", "spent")
    }


def next_command(project: ProjectFolder) -> str:
    """The next command of the campaign."""
    folder = project.folder
    if any(count.requested for count in project.store.counts().values()):
        return f"{command('export', folder)}, then {command('import', folder)} with the labels"
    pool = project.store.counts(("train",))
    current = project.store.current_round()
    fit = read_fit(project.round_folder(current.number)) if current else None
    fitted = fit and not redeclared_tasks(fit, project.tasks())
    if any(count.labelled for count in pool.values()) and not fitted:
        return command("fit", folder)
    if not any(count.missing for count in pool.values()):
        return f"{command('report', folder)}, every cell has an answer"
    return query_command(project)
