"""Summarises a project: images, cells, costs, rounds, headline metrics, and the next command.

Loads no torch.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labelgrid.basics.type_names import Json
from labelgrid.ledger.views import TaskCount
from labelgrid.operations.headlines import Headline, headlines_of
from labelgrid.operations.next_step import NextStep, next_step
from labelgrid.operations.unknown_splits import splitless_sentence
from labelgrid.project.derived_labels import derived_counts
from labelgrid.project.folder import SUPPLIED, ProjectFolder
from labelgrid.project.images.known_cameras import camera_status
from labelgrid.project.images.unusable_images import noted_unusable_images
from labelgrid.project.prices import times_of
from labelgrid.project.records import measured_rounds


def status_of(
    project: ProjectFolder,
    counts: Mapping[str, TaskCount] | None = None,
    step: NextStep | None = None,
) -> Json:
    """The status as JSON values.

    `counts` of the cells of all images, and the next `step`, are found unless they are given.

    `tasks` counts all images including held-out ones, `heldout` only these. `spent` is the cost of
    all answers, those of dropped tasks too. `times` says how long a task's labels took, and the
    cost that is learned from that; None if no import said so. `derived` is the number of missing
    cells of training images whose label follows from other labels, and `saved` is the cost of such
    labels; only for tasks with a relation. `in_part` counts the regions of cells, and these cells;
    only for tasks bought in part. `set_aside` holds the images that the last commands left out and
    that still cannot be used, with the reasons. `suppliers` says for each supplier the number of
    labels, their cost, the trust of the recipe, and the trust that was last measured and written,
    if no label came since. `camera` says of how many images the camera is known; None without a
    `camera.toml` or a relation that needs one. `unknown_splits` names the images that are in no
    split; "" without one.
    """
    counts = project.store.counts() if counts is None else counts
    step = step or next_step(project, counts)
    heldout = project.store.counts(("heldout",))
    times = times_of(project)
    kinds = {row.name: row.kind for row in project.store.tasks()}
    derived = derived_counts(project)
    in_part = project.store.part_counts()
    tasks = {}
    for name, count in counts.items():
        task_times = asdict(times[name]) if name in times else None
        tasks[name] = {"kind": kinds[name], **_counts(count), "times": task_times}
        if name in derived:
            tasks[name] |= asdict(derived[name])
        if name in in_part:
            tasks[name]["in_part"] = asdict(in_part[name])
    return {
        "images": project.store.count_images(),
        "heldout_images": project.store.count_images(("heldout",)),
        "tasks": tasks,
        "costs": project.settings.costs,
        "heldout": {name: _counts(count) for name, count in heldout.items()},
        "rounds": round_rows(project),
        "headlines": [headline.as_json() for headline in headlines(project)],
        "set_aside": noted_unusable_images(project),
        "camera": camera_status(project),
        "unknown_splits": splitless_sentence(project),
        "spent": project.store.spent(),
        "suppliers": _suppliers(project),
        "removed": {
            "images": len(project.store.removed("images")),
            "tasks": project.store.removed("tasks"),
        },
        "next": step.line,
    }


def round_rows(project: ProjectFolder) -> list[Json]:
    """The rounds as JSON values, in their order."""
    rows = []
    for row in project.store.rounds():
        values = {
            "round": row.number,
            "strategy": row.strategy,
            "budget": row.budget,
            "unit": row.unit,
            "state": row.state,
        }
        rows.append(values)
    return rows


def _suppliers(project: ProjectFolder) -> Json:
    if not (project.folder / SUPPLIED).is_dir():
        return {}
    from labelgrid.project.suppliers import supplier_values  # most projects need none of it

    return supplier_values(project, project.recipe().suppliers)


def headlines(project: ProjectFolder) -> list[Headline]:
    """The headline metrics on the held-out labels, with their change since the last round."""
    measured = measured_rounds(project.folder, newest=2)
    if not measured:
        return []
    return headlines_of(measured, {name: task.headline for name, task in project.tasks().items()})


def _counts(count: Any) -> Json:
    names = ("missing", "requested", "labelled", "skipped", "spent")
    return {name: getattr(count, name) for name in names}
