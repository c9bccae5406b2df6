"""Summarises a project: images, cells, costs, rounds, and the next command. Loads no torch."""

import shlex
from typing import Any

from labelgrid.project.artifacts import read_fit
from labelgrid.project.folder import ProjectFolder


def status_of(project: ProjectFolder) -> dict[str, Any]:
    """The status as JSON values; `tasks` counts all images including held-out ones, `heldout` only these."""
    counts, rounds = project.store.counts(), project.store.rounds()
    held = project.store.counts(("heldout",))
    kinds = {row.name: row.kind for row in project.store.tasks()}
    values = {
        "images": project.store.count_images(),
        "heldout_images": project.store.count_images(("heldout",)),
        "tasks": {name: {"kind": kinds[name], **_counts(count)} for name, count in counts.items()},
        "heldout": {name: _counts(count) for name, count in held.items()},
        "rounds": [
            {"round": r.number, "strategy": r.strategy, "budget": r.budget, "unit": r.unit, "state": r.state}
            for r in rounds
        ],
    }
    return {**values, "next": _next_command(project, counts)}


def _counts(count: Any) -> dict[str, Any]:
    return {name: getattr(count, name) for name in ("missing", "requested", "labelled", "skipped", "spent")}


def _next_command(project: ProjectFolder, counts: dict[str, Any]) -> str:
    """The next command of the campaign."""
    folder = shlex.quote(str(project.folder))
    if any(count.requested for count in counts.values()):
        return f"labelgrid export {folder}, then labelgrid import {folder} with the labels"
    pool = project.store.counts(("train",))
    current = project.store.current_round()
    fitted = current and read_fit(project.round_folder(current.number))
    if any(count.labelled for count in pool.values()) and not fitted:
        return f"labelgrid fit {folder}"
    if not any(count.missing for count in pool.values()):
        return f"labelgrid report {folder}, every cell has an answer"
    return f"labelgrid query {folder} --budget N"
