"""Measures the relations between a project's tasks on its training images. Loads no torch.

They are measured on a random sample of these alone, see `RandomLabels`. Trust is measured with
options that other images chose: each image that chooses options is left out once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from labelgrid.basics.errors import command
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import camera_of, nonempty_label
from labelgrid.project.cells.random_labels import ENOUGH, MOST, MOST_PIXELS, RandomLabels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.known_cameras import camera_step
from labelgrid.project.sources import source_of
from labelgrid.relations.bands import thin_pair
from labelgrid.relations.bound import BoundRelation, bind, connect
from labelgrid.relations.choice import RelationChoice, RelationChoices
from labelgrid.relations.offered import offered_relations
from labelgrid.relations.search import OptionSearch
from labelgrid.relations.true_agreement import (
    FEWEST,
    LabelPair,
    Measured,
    TruePair,
    measure_labels,
    measure_relation,
)


@dataclass(frozen=True, kw_only=True)
class RelationRow:
    """A relation between tasks of a project, and what was measured.

    Args:
        name: the name of its table in the recipe.
        reads: the tasks whose labels it reads.
        gives: the task whose labels it derives.
        declared: whether the recipe declares it, on or off.
        now: its trust in the recipe.
        sample: the images that it was measured on, in words.
        trust: what it can be trusted; None: that could not be measured.
        measured: the figures; None: there are none.
        options: the options of the plug-in that were found, without defaults.
        declared_options: the options of the recipe, which hold until others are written.
        as_declared: the figures with these, if others were found; None: there are none.
        field_of_view: the field of view of the unknown cameras, in degrees; None: it was not
            needed.
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
    options: Values
    declared_options: Values
    as_declared: Measured | None = None
    field_of_view: float | None = None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class UnmeasuredRelation:
    """A relation that is to be measured.

    Args:
        name: the name of the relation.
        choice: its table in the recipe.
        declared: whether the recipe has one.
        in_pairs: whether `query --pairs` asks for the labels that it connects, see `paired_tasks`.
    """

    name: str
    choice: RelationChoice
    declared: bool
    in_pairs: bool


def unmeasured_relations(
    project: ProjectFolder, declared: RelationChoices
) -> list[UnmeasuredRelation]:
    """The relations of a recipe, and shipped relations that may hold between the tasks.

    Raises:
        RecipeError: one of the recipe is wrong.
    """
    tasks = project.tasks()
    for name, choice in declared.items():
        bind(name, choice, tasks)
    choices = {**declared, **offered_relations(declared, tasks)}
    relations = []
    for name, choice in choices.items():
        relation = UnmeasuredRelation(
            name=name,
            choice=choice,
            declared=name in declared,
            in_pairs=name in declared or not declared,
        )
        relations.append(relation)
    return relations


def measure_relations(
    project: ProjectFolder, progress: Progress, relations: Sequence[UnmeasuredRelation]
) -> list[RelationRow]:
    """Measure relations, each on its own.

    Raises:
        LabelError: a label's file is missing or has changed.
    """
    if not relations:
        return []
    sampler = _Sampler(project)
    progress.start("Measuring relations", len(relations), "relations")
    rows = []
    for relation in relations:
        rows.append(_Measuring(sampler, relation).row())
        progress.advance()
    return rows


class _Sampler:
    """Reads the training images that relations are measured on."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self.source = source_of(project)
        self.random = RandomLabels(project)

    def pairs(self, relation: BoundRelation, image_ids: Sequence[str]) -> list[TruePair]:
        """The labels and cameras of images whose labels have valid pixels."""
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
    relation: UnmeasuredRelation

    def bound(self, options: Values) -> BoundRelation:
        """The relation with options of its plug-in."""
        return bind(
            self.relation.name, replace(self.relation.choice, options=options), self.sampler.tasks
        )

    def row(self) -> RelationRow:
        """Measure the relation on the images of the sampler."""
        choice = self.relation.choice
        relation = connect(self.relation.name, choice, self.sampler.tasks)
        ids, which = self.sampler.random.images([*relation.reads, relation.gives])
        pairs = self.sampler.pairs(relation, ids)
        row = RelationRow(
            name=self.relation.name,
            reads=relation.reads,
            gives=relation.gives,
            declared=self.relation.declared,
            now=choice.trust,
            sample=f"{count_text(len(pairs), 'image')} {which}",
            options=choice.options,
            declared_options=choice.options if self.relation.declared else {},
        )
        if len(pairs) < FEWEST:
            return replace(row, remark=self._lacking(relation, len(pairs)))
        search = OptionSearch(
            relation=relation,
            start=choice.options,
            bind=self.bound,
            pairs=self._thinned(pairs, relation),
            task=self.sampler.tasks[relation.gives],
        )
        if search.needs_view and search.view is None:
            remark = (
                f"No field of view explains {relation.gives} by {join_names(relation.reads)} "
                "better than a smaller or a larger one. "
                f"{camera_step(self.sampler.project)}"
            )
            return replace(row, remark=remark)
        options = search.best()
        if options is None:
            query = command("query", self.sampler.project.folder, "--pairs", str(ENOUGH))
            remark = (
                f"The labels of {count_text(len(pairs), 'image')} settle no options of the "
                f"relation, so it is not trusted. More may: `{query}` requests them."
            )
            return replace(row, remark=remark)
        return self._measured(replace(row, options=options), search, pairs)

    def _measured(
        self, row: RelationRow, search: OptionSearch, pairs: Sequence[TruePair]
    ) -> RelationRow:
        """The row with the found options, or with the first options if these are better."""
        seed = self.sampler.project.settings.seed
        labels = self._left_out(row.options, search, pairs)
        measured = measure_labels(labels, search.task, seed=seed)
        before = None
        if row.options != search.start and not search.relation.is_open:
            before = measure_relation(
                search.relation, pairs, search.task, view=search.view, seed=seed
            )
        if before and (measured is None or before.use >= measured.use):
            row = replace(row, options=search.start)
            measured = before
            before = None
        return replace(
            row,
            trust=measured.trust if measured else None,
            measured=measured,
            as_declared=before if row.declared else None,
            field_of_view=search.view,
            remark="" if measured else "Derived and true labels have no pixel in common.",
        )

    def _left_out(
        self, options: Values, search: OptionSearch, pairs: Sequence[TruePair]
    ) -> Iterator[LabelPair]:
        """Derived and true labels of images, by options that an image has no part in."""
        for index, pair in enumerate(pairs):
            chosen: Values | None = options
            if index in search.choosers:
                chosen = search.best(without=index)
            if chosen is not None:
                yield LabelPair(pair.derive(self.bound(chosen), search.view), pair.truth)

    def _thinned(self, pairs: Sequence[TruePair], relation: BoundRelation) -> Sequence[TruePair]:
        """The pairs for a search, which derives labels hundreds of times: bands of large images."""
        if relation.finder:  # what it reads is counted in whole images
            return pairs
        options = self.relation.choice.options
        margins = [self.bound({**options, **tried}).margin for tried in ({}, *relation.tries)]
        limits = [margin for margin in margins if margin is not None]
        if len(limits) < len(margins):  # it needs whole images
            return pairs
        return [thin_pair(pair, max(limits)) for pair in pairs]

    def _lacking(self, relation: BoundRelation, count: int) -> str:
        folder = self.sampler.project.folder
        images = count_text(count, "training image has", "training images have")
        tasks = join_names([*relation.reads, relation.gives])
        query = command("query", folder, "--pairs", str(ENOUGH))
        step = f"`{query}` requests them."
        if not self.relation.in_pairs:
            write = command("relate", folder, "--write")
            step = f"`{write}` declares the relation, turned off; then `{query}` requests them."
        return lacking_text(f"{images} labels of {tasks}", step)


def lacking_text(images: str, step: str, fewest: int = FEWEST) -> str:
    """Say that too few images have labels from random draws or imports."""
    better = f", and {ENOUGH} are better" if fewest < ENOUGH else ""
    return f"{images} from random draws or imports: trust needs at least {fewest}{better}. {step}"


def relation_tables(
    rows: Iterable[RelationRow], relations: Sequence[UnmeasuredRelation]
) -> dict[str, Json]:
    """The tables that are proposed for relations, by name; `relations` were measured."""
    choices = {relation.name: relation.choice for relation in relations}
    are_declared = any(relation.declared for relation in relations)
    tables = {}
    for row in rows:
        choice = choices[row.name]
        ends: Json = {"plugin": choice.plugin, "reads": list(choice.reads), "gives": choice.gives}
        table = {key: value for key, value in ends.items() if value}
        if row.measured:
            tables[row.name] = table | _measured_table(row, row.measured, choice)
        elif are_declared and not row.declared:
            tables[row.name] = table | {"trust": 0.0}  # so that pairs are drawn for it, too
    return tables


def _measured_table(row: RelationRow, measured: Measured, choice: RelationChoice) -> Json:
    table: Json = {"trust": measured.trust, "coverage": round(measured.coverage, 2)}
    if choice.exact and measured.trust:
        table["exact"] = True
    if row.options:
        table["options"] = dict(row.options)
    return table


def proposed_camera(rows: Iterable[RelationRow]) -> str:
    """The content of `camera.toml` by the most trusted relation that found a field of view."""
    candidates = [row for row in rows if row.field_of_view and row.trust]
    if not candidates:
        return ""
    best = max(candidates, key=lambda row: row.trust or 0.0)
    return f"field_of_view = {best.field_of_view}\n"
