"""Measures the relations between a project's tasks on its training images. Loads no torch.

Only random images say how far a relation can be trusted: those drawn as pairs, or labels that no
strategy picked. Held-out images are never read.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from labelgrid.data.cameras import NAME as CAMERAS
from labelgrid.data.dataset import camera_of, nonempty_label
from labelgrid.errors import ProjectError, RecipeError, command, note_unchanged
from labelgrid.files import disk_errors, read_text, write_text
from labelgrid.ledger.grid import Cell, State
from labelgrid.progress import Progress
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.known_cameras import camera_step
from labelgrid.project.pairs import drawn_pairs
from labelgrid.project.settings import text_with_tables
from labelgrid.project.sources import source_of
from labelgrid.recipes.resolve import load_recipe
from labelgrid.relations.agreement import FEWEST, Measured, TruePair, measure_relation
from labelgrid.relations.bound import BoundRelation, bind, undeclared_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.relations.search import Setting, find_setting
from labelgrid.streams import image_key
from labelgrid.words import count_text, join_names

#: A relation is measured on at most so many images, and so many pixels if these are many.
MOST = 50
MOST_PIXELS = 40_000_000
#: What a message asks for.
ENOUGH = 10
UNCHANGED = "Nothing was written."


@dataclass(frozen=True, kw_only=True)
class RelationRow:
    """A relation between tasks of a project, and what was measured.

    Args:
        name: of its table in the recipe.
        reads: the tasks whose labels it reads.
        gives: the task whose labels it derives.
        declared: whether the recipe declares it, on or off.
        now: its trust in the recipe.
        sample: the images that it was measured on, in words.
        trust: what it can be trusted; None: that could not be measured.
        measured: the figures; None: there are none.
        options: of its plug-in, as far as they are not the defaults.
        field_of_view: of the unknown cameras, in degrees; None: it was not needed.
        remark: why trust could not be measured, and the next step.
    """

    name: str
    reads: tuple[str, ...]
    gives: str
    declared: bool
    now: float
    sample: str
    trust: float | None = None
    measured: Measured | None = None
    options: Mapping[str, Any]
    field_of_view: float | None = None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Related:
    """The relations of a project, measured.

    Args:
        relations: a row for each.
        files: what is proposed for files of the project, by name: tables of `labelgrid.toml`, and
            `camera.toml` if cameras were unknown.
        written: whether that was written.
    """

    relations: Sequence[RelationRow]
    files: Mapping[str, str]
    written: bool


@note_unchanged(UNCHANGED)
def relate(project: ProjectFolder, progress: Progress, *, write: bool = False) -> Related:
    """Measure the relations of the recipe, and the shipped ones that fit the tasks.

    Args:
        project: the project.
        progress: reports each relation.
        write: write the trust, and the camera if it was unknown, into the project's files.

    Raises:
        RecipeError: the recipe is wrong, or no relation fits the tasks.
        LabelError: a label's file is missing or has changed.
        ProjectError: the camera cannot be written.
    """
    settings = project.settings
    recipe = load_recipe(settings.recipe, settings.changes, beside=project.folder)
    choices = _candidates(project, recipe.relations)
    sampler = _Sampler(project)
    progress.start("Measuring relations", len(choices), "relations")
    rows = []
    for name, choice in choices.items():
        rows.append(_Measuring(sampler, name, choice, name in recipe.relations).row())
        progress.advance()
    tables = {}
    for row in rows:
        table = _proposed(row, recipe.relations.get(row.name))
        if table:
            tables[row.name] = table
    camera = _proposed_camera(rows)
    if write:
        _write(project, tables, camera)
    files = {}
    if tables:
        files[SETTINGS] = f"{text_with_tables('', 'relations', tables).strip()}\n"
    if camera:
        files[CAMERAS] = camera
    return Related(relations=rows, files=files, written=write and bool(files))


def _candidates(
    project: ProjectFolder, declared: Mapping[str, RelationChoice]
) -> dict[str, RelationChoice]:
    """The relations of the recipe, then the shipped ones that fit the tasks with their defaults.

    Raises:
        RecipeError: one of the recipe is wrong, or there is none.
    """
    tasks = project.tasks()
    for name, choice in declared.items():
        bind(name, choice, tasks)
    choices = {**declared, **undeclared_relations(declared, tasks)}
    if not choices:
        raise RecipeError(
            "No relation is declared, and none fits the project's tasks without options.",
            where=str(project.folder / SETTINGS),
            next_step="`labelgrid list relations` shows all; declare one as a table "
            "[changes.relations.NAME].",
        )
    return choices


class _Sampler:
    """Reads the training images that relations are measured on."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self.source = source_of(project)

    @cached_property
    def labelled(self) -> dict[str, set[str]]:
        """The tasks of which each training image has a label."""
        tasks: dict[str, set[str]] = {}
        for row in self.project.store.cells(state=State.LABELLED, splits=("train",)):
            tasks.setdefault(row.cell.image_id, set()).add(row.cell.task)
        return tasks

    @cached_property
    def picked(self) -> set[Cell]:
        """The cells that strategies picked, ever."""
        cells = set()
        for event in self.project.store.events():
            if event.move.to == State.REQUESTED and event.move.score is not None:
                cells.add(event.move.cell)
        return cells

    def images(self, names: Iterable[str]) -> tuple[list[str], str]:
        """The images with labels of all these tasks that are a random sample, and which these are.

        In an order that depends on their names alone.
        """
        needed = set(names)
        whole = {image_id for image_id, tasks in self.labelled.items() if needed <= tasks}
        drawn = whole.intersection(drawn_pairs(self.project))
        if len(drawn) >= FEWEST:
            return sorted(drawn, key=image_key), "drawn at random"
        picked = {cell.image_id for cell in self.picked if cell.task in needed}
        return sorted(whole - picked, key=image_key), "imported, not picked"

    def pairs(self, relation: BoundRelation, image_ids: Sequence[str]) -> list[TruePair]:
        """The labels of images, as far as they have valid pixels, and their cameras."""
        pairs: list[TruePair] = []
        pixels = 0
        for image_id in image_ids[:MOST]:
            if pixels > MOST_PIXELS and len(pairs) >= FEWEST:
                break
            pair = self._pair(relation, image_id)
            if pair:
                pixels += pair.truth.valid.size
                pairs.append(pair)
        if relation.needs_camera and any(pair.camera for pair in pairs):
            return [pair for pair in pairs if pair.camera]
        return pairs

    def _pair(self, relation: BoundRelation, image_id: str) -> TruePair | None:
        labels = {}
        for name in (*relation.reads, relation.gives):
            label = nonempty_label(self.source, image_id, self.tasks[name])
            if label is None:
                return None
            labels[name] = label
        truth = labels[relation.gives]
        return TruePair(labels, truth, camera_of(self.source, image_id, truth.size))


@dataclass(frozen=True)
class _Measuring:
    """A relation that is measured."""

    sampler: _Sampler
    name: str
    choice: RelationChoice
    declared: bool

    def bound(self, options: Mapping[str, Any]) -> BoundRelation:
        """The relation with options of its plug-in."""
        return bind(self.name, replace(self.choice, options=options), self.sampler.tasks)

    def row(self) -> RelationRow:
        """Measure the relation."""
        relation = self.bound(self.choice.options)
        ids, which = self.sampler.images([*relation.reads, relation.gives])
        pairs = self.sampler.pairs(relation, ids)
        row = RelationRow(
            name=self.name,
            reads=relation.reads,
            gives=relation.gives,
            declared=self.declared,
            now=self.choice.trust,
            sample=f"{count_text(len(pairs), 'image')} {which}",
            options=self.choice.options,
        )
        if len(pairs) < FEWEST:
            return replace(row, remark=self._lacking(relation, len(pairs)))
        task = self.sampler.tasks[relation.gives]
        setting = find_setting(self.bound, self._tries(relation), pairs, task)
        if setting is None:
            return replace(row, remark=self._without_camera(relation))
        return self._measured(row, setting, pairs)

    def _measured(
        self, row: RelationRow, setting: Setting, pairs: Sequence[TruePair]
    ) -> RelationRow:
        measured = measure_relation(
            self.bound(setting.options),
            pairs,
            self.sampler.tasks[row.gives],
            view=setting.view,
            seed=self.sampler.project.settings.seed,
        )
        remark = ""
        if measured is None:
            remark = "Derived and true labels have no pixel in common."
        return replace(
            row,
            trust=measured.trust if measured else None,
            measured=measured,
            options=setting.options,
            field_of_view=setting.view,
            remark=remark,
        )

    def _tries(self, relation: BoundRelation) -> list[Mapping[str, Any]]:
        """The options to try: those of the recipe stay."""
        tries: list[Mapping[str, Any]] = [self.choice.options]
        for options in relation.tries:
            merged = {**options, **self.choice.options}
            if merged not in tries:
                tries.append(merged)
        return tries

    def _lacking(self, relation: BoundRelation, count: int) -> str:
        folder = self.sampler.project.folder
        images = count_text(count, "training image has", "training images have")
        tasks = join_names([*relation.reads, relation.gives])
        query = command("query", folder, "--pairs", str(ENOUGH))
        step = f"`{query}` requests them."
        if not self.declared:
            write = command("relate", folder, "--write")
            step = f"`{write}` declares the relation, turned off; then `{query}` requests them."
        return (
            f"{images} labels of {tasks} that no strategy picked: trust needs at least {FEWEST}, "
            f"and {ENOUGH} are better. {step}"
        )

    def _without_camera(self, relation: BoundRelation) -> str:
        return (
            f"No field of view explains {relation.gives} by {join_names(relation.reads)} better "
            f"than a smaller or a larger one. {camera_step(self.sampler.project)}"
        )


def _proposed(row: RelationRow, declared: RelationChoice | None) -> dict[str, Any]:
    """The table that is proposed for a relation; empty if it may stay as it is."""
    table: dict[str, Any] = {}
    if row.measured is None:
        return {} if declared else {"trust": 0.0}
    if not (declared or row.measured.trust):
        return {}
    choice = declared or RelationChoice()
    if choice.plugin:
        table["plugin"] = choice.plugin
    if choice.reads:
        table["reads"] = list(choice.reads)
    if choice.gives:
        table["gives"] = choice.gives
    table["trust"] = row.measured.trust
    table["coverage"] = round(row.measured.coverage, 2)
    if choice.exact and row.measured.trust:
        table["exact"] = True
    if row.options:
        table["options"] = dict(row.options)
    return table


def _proposed_camera(rows: Iterable[RelationRow]) -> str:
    """The content of `camera.toml` by the most trusted relation that found a field of view."""
    found = [row for row in rows if row.field_of_view and row.trust]
    if not found:
        return ""
    best = max(found, key=lambda row: row.trust or 0.0)
    return f"field_of_view = {best.field_of_view}\n"


def _write(project: ProjectFolder, tables: Mapping[str, Mapping[str, Any]], camera: str) -> None:
    """Write what is proposed.

    Raises:
        ProjectError: the cameras are a data set's, or `camera.toml` exists.
    """
    path = project.folder / CAMERAS
    if camera and (project.settings.oracle or os.path.lexists(path)):
        raise ProjectError(
            "Cameras of some images were found, but another file says what is known of them.",
            where=str(project.settings.oracle.root if project.settings.oracle else path),
            next_step=f"Add `{camera.strip()}` to its {CAMERAS}, then run the same command again.",
        )
    file = project.folder / SETTINGS
    with disk_errors(file, UNCHANGED):
        text = text_with_tables(read_text(file), "relations", tables)
        if camera:
            write_text(path, camera)
        write_text(file, text)
