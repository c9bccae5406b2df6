"""Runs a query: scores the pool if needed, chooses cells, requests them, and writes previews.

The functions stand in the order in which a query calls them. Torch is loaded only to score or to
write previews.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import (
    LabelgridError,
    LedgerError,
    NothingToBuyError,
    ProjectError,
    StateError,
    command,
)
from labelgrid.basics.files import INSTALL, missing_for_networks, need_networks
from labelgrid.basics.processes import loading
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import ROWS, Shown, figure, gallery, text_block
from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Json, Tables
from labelgrid.basics.words import count_text, join_names
from labelgrid.images.places import read_placed_image
from labelgrid.images.thumbnails import LEAST
from labelgrid.ledger.grid import Grid, Move, Pick, State, Unit
from labelgrid.project.cells.audited_cells import DRAWN_CELLS, cells_to_audit, note_audits
from labelgrid.project.cells.drawn_pairs import DRAWN_IMAGES, drawn_pairs, note_pairs, paired_tasks
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import (
    find_unusable_images,
    images_without_files,
    unusable_objects,
)
from labelgrid.project.prices import apply_learned_costs
from labelgrid.project.records import (
    PREVIEWS,
    announce_previews,
    newest_fit,
    pending_previews,
    read_picks,
    write_picks,
)
from labelgrid.project.requests import ALONE, ASKED
from labelgrid.project.suppliers import given_shares
from labelgrid.recipes.resolve import build_plugin, hash_of, resolved_options
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.alike_picks import AlikePicks, say_alike
from labelgrid.rounds.choose import (
    Choice,
    choose,
    explain_by_nearest,
    images_without_scores,
    pool_statistics,
    used_up_text,
)
from labelgrid.rounds.proposal import DrawnOfSupplier, Proposal, read_proposal, write_proposal
from labelgrid.rounds.round_scores import RoundScores, scoring_model, strategy_of
from labelgrid.rounds.searches import Search, check_asked_tasks, find_search, kept_scores
from labelgrid.rounds.training_history import training_history
from labelgrid.score.table import Table
from labelgrid.select.budget import check_budget, payable_amount, pool_size
from labelgrid.select.draws import (
    AUDIT,
    CONTROL,
    PAIR,
    Drawn,
    RandomDraws,
    SuppliedCells,
    draw_beside,
    labels_to_draw,
    need_budget,
    read_draws,
)
from labelgrid.select.following import brings_of, leave_out_following, left_out_text
from labelgrid.select.strategy import Budget, PoolView, Strategy, skips_following
from labelgrid.tasks.pictures import jpeg

if TYPE_CHECKING:
    from labelgrid.rounds.pool_scorer import PoolScorer

#: The strategy before there is a model.
COLD = "random_images"
#: How a query needs no network whose picks need none.
WITHOUT_PREVIEWS = "With `prelabels=False`, this query needs no network."
#: The ledger's key of what earlier budgets left over, by unit.
CARRIED = "carried"
#: The width of a photograph among the picks of a notebook, in pixels.
THUMBNAIL = 200


@dataclass(frozen=True, kw_only=True, repr=False)
class QueryResult(Shown):
    """The result of a query.

    Args:
        round: the number of the round.
        strategy: the strategy that picked; before there is a model this may be a random one.
        picks: best first.
        cost: the total cost of the picks.
        repeated: whether an earlier query requested these picks, so that this query requested
            nothing.
        class_name: the class that was searched for, as `TASK:CLASS`; empty: none.
        like: the example that was searched by; empty: none.
        alike: the picked images that look like others; None: they were not compared.
        places: the root folder and the digest of the images of the first picks, by id.
    """

    round: int
    strategy: str
    picks: list[Pick]
    cost: float
    repeated: bool = False
    class_name: str = ""
    like: str = ""
    alike: AlikePicks | None = None
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, proposal: Proposal) -> "QueryResult":
        """Return the result of a query with the picks of a proposal."""
        return cls(
            round=proposal.round,
            strategy=proposal.strategy,
            picks=list(proposal.picks),
            cost=float(sum(pick.cost for pick in proposal.picks)),
        )

    def as_json(self) -> Json:
        """The result as JSON values; a cell is `{"image": ID, "task": NAME}`."""
        picks = []
        for pick in self.picks:
            cell = {"image": pick.cell.image_id, "task": pick.cell.task}
            row = {"cell": cell, "score": pick.score, "weight": pick.weight, "why": pick.why}
            picks.append(row)
        return {
            "round": self.round,
            "strategy": self.strategy,
            "picks": picks,
            "cost": self.cost,
            "repeated": self.repeated,
            "class": self.class_name,
            "like": self.like,
            "alike": self.alike.as_json() if self.alike else None,
        }

    def __str__(self) -> str:
        counts = Counter(pick.cell.task for pick in self.picks)
        labels = join_names([f"{count:,} {task}" for task, count in counts.items()])
        before = ", requested before" if self.repeated else ""
        searched = join_names([name for name in (self.class_name, self.like) if name])
        by = f"{self.strategy}, {searched}" if searched else self.strategy
        return f"Round {self.round} ({by}) picks {labels}: cost {self.cost:g}{before}."

    def _parts(self) -> Iterator[str]:
        picks = defaultdict[str, list[Pick]](list)
        for pick in self.picks:
            picks[pick.cell.image_id].append(pick)
        yield gallery(self._figure(image_id, picks[image_id]) for image_id in self.places)
        if len(picks) > len(self.places):
            yield text_block(f"and picks of {len(picks) - len(self.places):,} images more")

    def _figure(self, image_id: str, picks: Sequence[Pick]) -> str:
        root, digest = self.places[image_id]
        tasks = join_names([pick.cell.task for pick in picks])
        reasons = dict.fromkeys(pick.why for pick in picks if pick.why)
        lines = [tasks, *reasons, image_id]
        try:
            photograph = jpeg(read_placed_image(root, image_id, digest))
        except LabelgridError as error:
            photograph = b""
            lines.append(error.what)
        return figure(photograph, f"{image_id}: {tasks}", lines, width=THUMBNAIL)


def query(
    project: ProjectFolder,
    budget: Budget | None,
    progress: Progress,
    *,
    strategy: str = "",
    tasks: Sequence[str] = (),
    dry_run: bool = False,
    new: bool = False,
    pairs: int = 0,
    audit: int = 0,
    control: str | float = 0.0,
    prelabels: bool = True,
    pictures: bool | None = None,
    save: Path | None = None,
    class_name: str = "",
    like: str = "",
) -> QueryResult:
    """Pick missing cells worth at most the budget, request them and close the round.

    Previews of the picks are written last. The rest of an earlier budget in the same unit, into
    which no pick fitted, is added to this budget.

    A query that repeats the last one requests nothing (see `_repeated_result`) and writes the
    previews that are missing. Previews that an earlier query was stopped before are written first,
    whatever has been answered since.

    Args:
        project: the project.
        budget: the most that the picks may take; None: what the pairs and the audits take.
        progress: receives the progress.
        strategy: replaces the strategy of the settings.
        tasks: the tasks whose cells may be picked; empty: all.
        dry_run: request and write nothing; show what the query would do.
        new: request further cells even if the query repeats the last one.
        pairs: the number of training images to draw at random, of which the missing labels of all
            tasks that relations connect are requested first.
        audit: the number of training cells to draw at random of those of each supplier and task;
            the missing labels are requested first, too.
        control: the share of the rest of the budget that is spent on random cells.
        prelabels: write the model's prediction of each pick as a label file.
        pictures: write pictures of the first picks; None: as `prelabels`.
        save: keep the picks in this file, for `request_kept`, except picks that are already
            requested.
        class_name: pick images of which the model predicts most as this class, or `TASK:CLASS`;
            empty: none. Without `tasks`, labels of the class's task are asked for.
        like: pick the images most similar to this image, given as an id or a path; empty: none.

    Raises:
        LabelgridError: the budget buys nothing, or the scores are stale.
    """
    _refuse_unfinished_training(project)
    draws = _random_draws(project, pairs, audit, control)
    search = Search()
    if class_name or like:
        search = find_search(project, class_name, like, strategy=strategy, draws=draws)
    tasks = tuple(tasks or search.tasks)
    if tasks:
        check_asked_tasks(project, tasks, draws)
    draws = replace(draws, alone=budget is None)
    budget = budget or _budget_of_draws(project, draws)
    job = _prepare(project, strategy, progress, draws=draws, search=search, tasks=tasks)
    previews = [] if dry_run else job.previews(prelabels, pictures)
    result = None if new else _repeated_result(job, budget)
    _refuse_without_networks(job, previews, is_repeated=result is not None)
    if not dry_run:
        _complete_earlier_previews(project, progress)
    if result:
        tense = "would be" if dry_run else "was"
        progress.say(
            f"Round {result.round} requested these cells already with the same model, strategy and "
            f"budget; none of them has an answer yet. Nothing new {tense} requested; `--new` "
            "requests further cells."
        )
    else:
        proposal = _pick(job, budget)
        if save:
            write_proposal(save, proposal)
        if not dry_run:
            announce_previews(project.round_folder(proposal.round), previews)
            request_proposal(project, proposal, "Run the same command again.")
        result = QueryResult.of(proposal)
    result = replace(result, class_name=search.class_name, like=search.like)
    result = _compare_picks(job, result, requested=not dry_run)
    _write_previews(job, result.round, previews)
    return result


# What a query starts with


def _refuse_unfinished_training(project: ProjectFolder) -> None:
    """Refuse to close a round with an unfinished training, which would be discarded."""
    folder = project.round_folder(project.round_number)
    if (folder / "fit").exists() and not (folder / "fit.json").exists():
        raise ProjectError(
            "This round's training was stopped before its end; a query would close the round "
            "without it.",
            where=folder / "fit",
            next_step=f"Run `{command('fit', project.folder)}` to resume it, or remove that folder "
            "to discard it.",
            unchanged="Nothing was requested.",
        )


def _random_draws(
    project: ProjectFolder, pairs: int, audit: int, control: str | float
) -> RandomDraws:
    if not (pairs or audit) and control in ("0", 0):
        return RandomDraws()
    draws = read_draws(pairs, audit, control)
    if pairs:
        tasks = paired_tasks(project)
        draws = replace(draws, tasks=tasks, earlier=drawn_pairs(project, tasks))
    if audit:
        draws = replace(draws, supplied=cells_to_audit(project))
    return draws


def _budget_of_draws(project: ProjectFolder, draws: RandomDraws) -> Budget:
    """The number of labels that pairs and audits take."""
    need_budget(None, draws.pairs, draws.audit)
    grid = project.store.grid()
    labels = labels_to_draw(draws, grid, seed=project.settings.seed)
    if not labels:
        raise NothingToBuyError(
            "The labels of what is drawn at random are all there, asked for or skipped.",
            next_step="Draw more, or ask for other labels with --budget.",
            unchanged="Nothing was requested.",
        )
    return Budget(labels, "labels")


@dataclass(frozen=True, kw_only=True)
class _Query:
    """A query with its strategy and scores.

    Args:
        project: the project.
        asked: the name of the strategy that the user or the settings named.
        name: the name of the strategy that picks.
        strategy: the strategy that picks.
        scores: the scores of the model; None: there is no model.
        draws: what is drawn at random beside.
        progress: receives the progress.
        tasks: whose cells may be picked; empty: all.
        search: what is searched for.
    """

    project: ProjectFolder
    asked: str
    name: str
    strategy: Strategy
    scores: RoundScores | None
    draws: RandomDraws
    progress: Progress
    tasks: Sequence[str]
    search: Search

    @cached_property
    def scorer(self) -> "PoolScorer":
        """The scorer; it restores the model once."""
        with loading():
            from labelgrid.rounds.score import scorer_of

        assert self.scores is not None
        return scorer_of(self.scores, self.progress)

    @cached_property
    def relations(self) -> list[BoundRelation]:
        """The relations of the project's recipe that are on."""
        return self.project.relations()

    @cached_property
    def key(self) -> str:
        """The ledger's key of the strategy's calibration."""
        options = self.scores.options if self.scores and self.strategy.needs else {}
        return calibration_key(self.project, self.name, self.strategy, options)

    @property
    def asked_note(self) -> str:
        """The ledger's note of what the query asks for beside a budget."""
        draws = self.draws
        key = self.key + self.search.note
        if self.tasks:
            key += f"/tasks {sorted({*self.tasks})}"
        if draws == RandomDraws():
            return key
        note = f"{key}/{draws.pairs} pairs of {list(draws.tasks)}/control {draws.control}"
        if draws.audit:
            note += f"/audit {draws.audit}"
        if draws.alone:
            return f"{note}{ALONE}"
        return note

    def kept_table(self) -> Table | None:
        """The scores that are there before the query."""
        if not (self.scores and self.strategy.needs):
            return None
        number = self.project.round_number
        if self.search.choice:
            return kept_scores(self.scores, number)
        return self.scores.fresh(number)

    @property
    def is_scored(self) -> bool:
        """Whether nothing is left that a network would compute before cells are chosen."""
        if not (self.scores and self.strategy.needs):
            return True
        table = self.kept_table()
        return table is not None and not self.search.lacks_example(table)

    def previews(self, prelabels: bool, pictures: bool | None) -> list[str]:
        """The names of the previews that follow the request: none without a trained model."""
        if not self.scores or not self.scores.fit.predicts:
            return []
        if pictures is None:
            pictures = prelabels
        wishes = zip(PREVIEWS, (prelabels, pictures), strict=True)
        return [name for name, wish in wishes if wish]


def _prepare(
    project: ProjectFolder,
    strategy: str,
    progress: Progress,
    *,
    draws: RandomDraws,
    search: Search,
    tasks: Sequence[str] = (),
) -> _Query:
    asked, chosen = strategy_of(project, strategy)
    if search.choice:
        asked = search.choice.name
        chosen = build_plugin("strategies", search.choice)
    name = asked
    model = scoring_model(project, chosen)
    scores = RoundScores(project, model, chosen, search.folder) if model else None
    if chosen.needs and not scores:
        name, chosen = strategy_of(project, COLD)
    return _Query(
        project=project,
        asked=asked,
        name=name,
        strategy=chosen,
        scores=scores,
        draws=draws,
        progress=progress,
        tasks=tasks,
        search=search,
    )


def calibration_key(project: ProjectFolder, name: str, strategy: Strategy, options: Tables) -> str:
    """The ledger's key of a strategy's calibration.

    It changes with the options of the strategy and of its statistics.

    Options at their defaults count: a calibration of values that another default gave is not used.

    Args:
        project: its settings hold the strategy's options.
        name: the strategy's name.
        strategy: declares the statistics that it needs.
        options: the [score] tables that score.
    """
    chosen = project.settings.strategy
    strategy_options = resolved_options("strategies", [name], {chosen.name: chosen.options})
    score_options = resolved_options("statistics", strategy.needs, options)
    return f"fixed/{name}/{hash_of(score_options, strategy_options)}"


def _refuse_without_networks(job: _Query, previews: Sequence[str], *, is_repeated: bool) -> None:
    """Refuse a query whose scores or previews need networks that are not installed."""
    if missing_for_networks():
        if not (is_repeated or job.is_scored):
            need_networks()
        if previews:
            need_networks(WITHOUT_PREVIEWS)


def _complete_earlier_previews(project: ProjectFolder, progress: Progress) -> None:
    """Write the previews that earlier queries announced and were stopped before."""
    for number in range(1, project.round_number):
        names = pending_previews(project.round_folder(number))
        fit = newest_fit(project.folder, before=number + 1) if names else None
        if fit is None:
            continue
        missing = missing_for_networks()
        if missing:
            progress.say(
                f"The previews of round {number} wait: they need {missing}, which the base install "
                f"leaves out. Install it: {INSTALL}."
            )
            continue
        progress.say(f"Writing the previews of round {number}, before which its query was stopped.")
        scores = RoundScores(project, fit, strategy_of(project)[1])
        try:
            from labelgrid.rounds.previews import write_announced_previews
            from labelgrid.rounds.score import scorer_of

            write_announced_previews(scorer_of(scores, progress), number, names)
        except LabelgridError as error:  # this query does not need them
            progress.say(f"They are not written: {error.what} The next query tries again.")


def _repeated_result(job: _Query, budget: Budget) -> QueryResult | None:
    """The result of the last query, if this is the same and no requested cell was answered."""
    project = job.project
    closed = [row for row in project.store.rounds() if row.state == "closed"]
    if not closed:
        return None
    last = closed[-1]
    fit = newest_fit(project.folder)
    amount = last.budget if job.draws.alone else budget.amount
    identity = hash_of(job.name, float(amount), budget.unit, job.asked_note)
    noted = project.store.get(ASKED.format(last.number))
    if identity != hash_of(last.strategy, float(last.budget), last.unit, noted):
        return None
    if fit and fit.round > last.number:
        return None
    picks = read_picks(project.round_folder(last.number))
    requested = project.store.cells(state=State.REQUESTED)
    open_cells = set()
    for row in requested:
        if row.round == last.number:
            open_cells.add(row.cell)
    if not picks or {pick.cell for pick in picks} != open_cells:
        return None
    return QueryResult(
        round=last.number,
        strategy=job.name,
        picks=picks,
        cost=sum(pick.cost for pick in picks),
        repeated=True,
    )


# Choosing


def _pick(job: _Query, budget: Budget) -> Proposal:
    pool = _pool(job, budget)
    choice = _choose_readable(job, pool, budget)
    _say_calibrated_anew(job, choice)
    text = used_up_text(choice.picks, pool.grid)
    if text:
        job.progress.say(text)
    if job.search.class_name:
        job.search.say_without(choice.picks, job.progress)
    return Proposal(
        round=choice.round,
        pool=pool.stamp,
        strategy=choice.strategy,
        seed=choice.seed,
        budget=budget.amount,
        unit=budget.unit,
        unspent=choice.unspent,
        picks=_explained(job, pool, choice.picks),
        key=job.key,
        calibration=dict(choice.calibration),
        asked=job.asked_note,
        pairs=list(choice.pairs),
        paired_tasks=list(job.draws.tasks),
        audited=[DrawnOfSupplier.of(cells) for cells in choice.audited],
    )


@dataclass(frozen=True, kw_only=True)
class _Pool:
    """The pool that the cells are chosen from.

    Args:
        number: the number of the open round.
        stamp: a hash of the pool, by which a change made meanwhile is noticed.
        grid: the cells, with what they cost in this round.
        table: the scores; None if the strategy needs none.
        unscored: the images that have none, though the strategy needs them.
        example: the features of the image that the picks are to be like; None: of none.
    """

    number: int
    stamp: str
    grid: Grid
    table: Table | None
    unscored: frozenset[str]
    example: Array | None = None


def _pool(job: _Query, budget: Budget) -> _Pool:
    """Read the pool, check that the budget fits, and score the pool if there are no scores."""
    project = job.project
    stamp = project.store.pool_hash()
    grid = _offered(job, project.store.grid())
    number = project.round_number
    check_budget(budget, grid)
    if job.name != job.asked:
        job.progress.say(
            f"There is no model yet, so '{job.asked}' has no scores: picking images at random."
        )
    _warn_of_open_requests(project, job.progress)
    earlier = job.kept_table()
    table = earlier
    if job.scores and job.strategy.needs:
        table = earlier or job.scorer.scored(number, replace(grid, asked=None))
    unscored = images_without_scores(table, grid)
    if unscored and earlier:  # else scoring has just warned of them
        images = count_text(len(unscored), "image has", "images have")
        job.progress.say(
            f"{images} no scores: files could not be read then. They are not picked. If the files "
            "are back, `labelgrid score` scores them."
        )
    example = None
    if table:
        job.search.check(project, table, grid)
        example = job.search.features(table, lambda: job.scorer)
    return _Pool(
        number=number, stamp=stamp, grid=grid, table=table, unscored=unscored, example=example
    )


def _offered(job: _Query, grid: Grid) -> Grid:
    """The cells to pick from with their costs; cells whose labels follow are left out and told."""
    project = job.project
    grid = _without_asked_parts(job, grid)
    if project.settings.costs == "times":
        grid = apply_learned_costs(project, grid, job.progress)
    if job.relations:
        seed = project.settings.seed
        mostly = skips_following(job.strategy)
        grid = leave_out_following(grid, job.relations, seed, mostly=mostly, asked=job.tasks)
        told = left_out_text(grid, job.relations, seed)
        if told and not job.tasks:
            job.progress.say(told)
    if job.tasks:
        grid = replace(grid, asked=frozenset(job.tasks))
    return grid


def _without_asked_parts(job: _Query, grid: Grid) -> Grid:
    """Leave out cells with requested regions, and cells without a region to buy."""
    in_part = job.project.store.cells_in_part(("train",))
    counts = Counter(in_part.values())
    bought = {cell: state for cell, state in in_part.items() if state != State.MISSING}
    if not bought:
        return grid
    row_of = {image_id: row for row, image_id in enumerate(grid.images)}
    state = grid.state.copy()
    for cell, counted in bought.items():
        state[row_of[cell.image_id], grid.columns[cell.task]] = counted
    asked = counts[State.REQUESTED]
    had = counts[State.LABELLED] + counts[State.SKIPPED]
    job.progress.say(
        f"Not offered: {count_text(asked, 'cell')} with requested regions, {had:,} with answers "
        "for all of them."
    )
    return replace(grid, state=state)


def _warn_of_open_requests(project: ProjectFolder, progress: Progress) -> None:
    """Warn of open requests, since a second query may be a mistake, such as after a kill."""
    requested = sum(count.requested for count in project.store.counts(("train",)).values())
    if requested:
        requests = count_text(
            requested, "request of earlier rounds is", "requests of earlier rounds are"
        )
        progress.say(f"{requests} still open; the new picks are added to them.")


def _choose_readable(job: _Query, pool: _Pool, budget: Budget) -> Choice:
    """Choose cells, and choose again without the images whose files cannot be read."""
    project = job.project
    rest = unspent_budget(project, budget.unit)
    if rest:
        job.progress.say(
            f"Added to the budget: {rest:g} {budget.unit} that earlier queries did not spend."
        )
    excluded = pool.unscored
    failed = 0
    while True:
        grid = pool.grid.without(excluded)
        check_budget(budget, grid, len(excluded))
        drawn = Drawn(grid=grid, images=(), audited=(), picks=(), spent=0.0)
        if job.draws != RandomDraws():
            drawn = draw_beside(
                job.draws,
                grid,
                Budget(budget.amount + rest, budget.unit),
                seed=project.settings.seed,
                round=pool.number,
            )
        left = pool_size(drawn.grid, budget.unit)
        amount = min(budget.amount + rest - drawn.spent, left)
        choice = _choose_beside(job, pool, drawn, Budget(amount, budget.unit))
        picked = {*choice.pairs, *(pick.cell.image_id for pick in choice.picks)}
        for cells in choice.audited:
            picked |= set(cells.images)
        faulty = find_unusable_images(project, picked, Silent())
        if not faulty:
            _say_drawn(job, drawn)
            if budget.amount - drawn.spent > payable_amount(left):
                job.progress.say(
                    f"The budget of {budget.amount:.10g} {budget.unit} is larger than the pool: "
                    f"all that is left was picked, {pool_size(grid, budget.unit):.10g}."
                )
            return choice
        failed += 1
        faulty = faulty.union(_faulty_others(project, grid.images, failed))
        excluded |= find_unusable_images(project, faulty, job.progress)


def _faulty_others(
    project: ProjectFolder, image_ids: Sequence[str], failed: int
) -> Collection[str]:
    """Further unusable images of the pool, so that few choices fail.

    Missing files are noticed after the first choice that failed. Objects are asked for after the
    second one, as that takes long where there are many: a whole bucket may be gone. Faults that
    only show on reading are found when the image is picked.

    Args:
        project: the project.
        image_ids: the images of the pool.
        failed: how many choices failed so far.
    """
    if failed == 1:
        return images_without_files(project, image_ids)
    if failed == 2:
        return unusable_objects(project, image_ids, Silent())
    return ()


def _choose_beside(job: _Query, pool: _Pool, drawn: Drawn, budget: Budget) -> Choice:
    """Let the strategy choose beside the drawn cells, and append the drawn cells."""
    project = job.project
    statistics = {}
    if pool.table and job.scores:
        statistics = pool_statistics(pool.table, job.scores.fit, drawn.grid)
    given = None
    if project.suppliers() and not job.search.choice:
        given = given_shares(project, drawn.grid)
    view = PoolView(
        grid=drawn.grid,
        statistics=statistics,
        seed=seed_of(project.settings.seed, "select", pool.number),
        calibration=project.store.get(job.key, {}),
        read_history=partial(training_history, project.folder),
        brings=brings_of(job.relations) if job.relations and not job.search.choice else {},
        example=pool.example,
        given=given,
        given_everywhere=given is not None and project.recipe().train.images == "all",
    )
    choice = Choice(
        round=pool.number,
        strategy=job.name,
        picks=(),
        calibration=view.calibration,
        unspent=round(max(budget.amount, 0.0), 9),
        seed=view.seed,
    )
    try:
        if not drawn.picks or choice.unspent:
            choice = choose(
                job.name,
                job.strategy,
                number=pool.number,
                pool=view,
                budget=budget,
                progress=job.progress,
            )
    except NothingToBuyError:
        if not drawn.picks:
            raise
        job.progress.say(
            f"Not spent: {choice.unspent:g} {budget.unit}; beside what was drawn, no pick of "
            f"'{job.name}' fits. The rest is for the next query with a budget in {budget.unit}."
        )
    picks = [*choice.picks, *drawn.picks]
    return replace(choice, picks=picks, pairs=drawn.images, audited=drawn.audited)


def _say_drawn(job: _Query, drawn: Drawn) -> None:
    draws = job.draws
    reasons = Counter(pick.why for pick in drawn.picks)
    if draws.pairs:
        images = count_text(len(drawn.images), "training image")
        if len(drawn.images) < draws.pairs:
            images += ", all that are left"
        labels = count_text(reasons[PAIR], "label")
        job.progress.say(
            f"Drawn at random as pairs: {images}. {labels} of {join_names(draws.tasks)} are "
            "requested in them; all others are there, asked for or skipped."
        )
    if draws.audit:
        cells = [f"{len(part.images)} {part.task} of {part.supplier}" for part in drawn.audited]
        labels = count_text(reasons[AUDIT], "label is", "labels are")
        job.progress.say(
            f"Drawn at random to audit suppliers: {join_names(cells)}. {labels} requested for "
            "that alone; all others are there, asked for or skipped."
        )
    if draws.control:
        job.progress.say(f"Drawn at random as a control: {count_text(reasons[CONTROL], 'label')}.")


def unspent_budget(project: ProjectFolder, unit: Unit) -> float:
    """The unspent rest of the last query with a budget in this unit.

    Raises:
        LedgerError: the ledger's note is not a number of at least 0.
    """
    note = project.store.get(CARRIED, {})
    rest = note.get(unit, 0.0) if isinstance(note, dict) else None
    if isinstance(rest, bool) or not isinstance(rest, int | float) or not 0 <= rest < math.inf:
        raise LedgerError(
            f"The ledger's note '{CARRIED}' holds no unspent budget: {note!r:.80}.",
            where=project.folder,
            next_step="Restore the project from a backup.",
            unchanged="Nothing was requested.",
        )
    return float(rest)


def _say_calibrated_anew(job: _Query, choice: Choice) -> None:
    """Say so if the strategy calibrates its scores again, with changed options."""
    store = job.project.store
    closed = [row for row in store.rounds() if row.state == "closed"]
    numbers = [row.number for row in closed if row.strategy == choice.strategy]
    if choice.calibration and numbers and store.get(job.key, None) is None:
        job.progress.say(
            f"'{choice.strategy}' calibrates its scores again: their options, or the defaults of "
            f"these, changed since round {numbers[-1]}. They do not compare with those of earlier "
            "rounds."
        )


def _explained(job: _Query, pool: _Pool, picks: Sequence[Pick]) -> Sequence[Pick]:
    """Explain the picks by the nearest labelled images, if the scores have features."""
    if not job.scores or not pool.table:
        return picks
    try:
        features = job.scores.features(pool.number, pool.table)
    except ProjectError as error:
        job.progress.say(
            "The picks are not explained by the nearest labelled images. "
            f"{error.what} {error.where}"
        )
        return picks
    if features:
        return explain_by_nearest(picks, features, pool.grid)
    return picks


# Requesting


def request_kept(
    project: ProjectFolder, path: Path, progress: Progress, *, prelabels: bool = True
) -> QueryResult:
    """Request exactly the picks that a dry run kept in a file.

    Args:
        project: the project.
        path: the file.
        progress: receives the progress.
        prelabels: as in `query`.

    Raises:
        ProjectError: it is no file of picks, or a training of the round is unfinished.
        StateError: the pool has changed since the picks were chosen.
    """
    _refuse_unfinished_training(project)
    proposal = read_proposal(path)
    advice = "Choose picks again, with --dry-run."
    check_current(project, proposal, advice)
    job = _prepare(project, proposal.strategy, progress, draws=RandomDraws(), search=Search())
    previews = job.previews(prelabels, prelabels)
    if previews:
        need_networks(WITHOUT_PREVIEWS)
    _complete_earlier_previews(project, progress)
    announce_previews(project.round_folder(proposal.round), previews)
    request_proposal(project, proposal, advice)
    result = _compare_picks(job, QueryResult.of(proposal), requested=True)
    _write_previews(job, proposal.round, previews)
    return result


def _compare_picks(job: _Query, result: QueryResult, *, requested: bool) -> QueryResult:
    """Add and tell the picks that look like further images, unless all are known to be small."""
    picked = list(dict.fromkeys(pick.cell.image_id for pick in result.picks))
    images = list(job.project.store.images(names=picked))
    first = [row for row in images if row.image_id in picked[:ROWS]]
    result = replace(result, places={row.image_id: (row.root, row.digest) for row in first})
    is_small = all(0 < max(row.height, row.width) < LEAST for row in images)
    if is_small or job.project.settings.oracle:  # nobody watches a simulation
        return result
    alike = say_alike(
        job.project.store,
        result.picks,
        job.progress,
        folder=job.project.folder,
        picker=None if job.search.choice else (job.name, job.strategy),
        requested=requested,
    )
    return replace(result, alike=alike)


def _write_previews(job: _Query, number: int, previews: Sequence[str]) -> None:
    if previews:
        with loading():
            from labelgrid.rounds.previews import write_announced_previews

        write_announced_previews(job.scorer, number, previews)


def check_current(project: ProjectFolder, proposal: Proposal, advice: str) -> None:
    """Refuse picks of a pool that has changed since.

    Args:
        project: the project.
        proposal: the picks.
        advice: what the user does if they are refused.

    Raises:
        StateError: it has.
    """
    if not is_current(project, proposal):
        raise StateError(
            "Another command changed the pool after the picks were chosen.",
            where=project.folder,
            next_step=advice,
            unchanged="Nothing was requested.",
        )


def is_current(project: ProjectFolder, proposal: Proposal) -> bool:
    """Whether the pool is unchanged since the picks were chosen."""
    same_round = project.round_number == proposal.round
    return same_round and project.store.pool_hash() == proposal.pool


def request_proposal(project: ProjectFolder, proposal: Proposal, advice: str) -> None:
    """Request the picks and close the round, in one transaction.

    Args:
        project: the project.
        proposal: the picks.
        advice: what the user does if they are refused.

    Raises:
        StateError: the pool has changed since the picks were chosen. Nothing was requested.
    """
    store = project.store
    number = proposal.round
    with store.transaction("query"):
        check_current(project, proposal, advice)
        replaced = (proposal.key, ASKED.format(number), CARRIED, DRAWN_IMAGES, DRAWN_CELLS)
        store.keep(notes=replaced, round=number)
        store.put(proposal.key, dict(proposal.calibration))
        store.put(ASKED.format(number), proposal.asked)
        if proposal.pairs:
            note_pairs(project, proposal.pairs, proposal.paired_tasks)
        if proposal.audited:
            note_audits(project, [SuppliedCells(**vars(cells)) for cells in proposal.audited])
        unspent = {**store.get(CARRIED, {}), proposal.unit: proposal.unspent}
        store.put(CARRIED, unspent)
        row = replace(
            project.open_round(),
            strategy=proposal.strategy,
            seed=proposal.seed,
            pool=proposal.pool,
            budget=proposal.budget,
            unit=proposal.unit,
        )
        write_picks(project.round_folder(number), proposal.picks)
        moves = []
        for pick in proposal.picks:
            move = Move(
                cell=pick.cell,
                to=State.REQUESTED,
                round=number,
                request_id=pick.request_id,
                cost=pick.cost,
                score=pick.score,
                weight=pick.weight,
                why=pick.why,
            )
            moves.append(move)
        store.close_round(row, moves)
