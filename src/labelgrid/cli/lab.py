"""Commands of the laboratory: run simulated campaigns, analyse them, and render rooms."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.api import study
from labelgrid.api.study import AnalyseRequest, ScenesRequest, SimulateRequest
from labelgrid.basics.errors import command, note_unchanged
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.options import with_options
from labelgrid.cli.shares import share_values
from labelgrid.cli.study_screen import StudyBar

if TYPE_CHECKING:
    from labelgrid.lab.simulation.analysis import Mean
    from labelgrid.lab.simulation.run_jobs import RunWork
    from labelgrid.lab.simulation.run_study import StudyResult
    from labelgrid.lab.simulation.study_plan import StudyPlan

#: The values of a plan in JSON, and the keys of the work of each of its arms.
PLANNED = ("runs", "steps", "at_once", "seconds", "note")
WORK = ("arm", "kind", "runs", "trainings", "labels", "steps")


@note_unchanged("Finished steps of the runs are kept.")
@with_options(
    recipe="RECIPE: a recipe with a [simulate] table; without one, the project's own labels are "
    "studied",
    dry_run="--dry-run: show the runs, what is left and, if known, the time; run nothing",
)
def simulate(
    request: SimulateRequest,
    recipe: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Run simulated campaigns: arms × seeds × recipe keys, labels hidden until they are bought.

    Example: [bold]labelgrid simulate --data flat --out study --strategy joint,random_cells[/]
    """
    strategies = _names(request.strategies) or None
    request = replace(request, strategies=strategies, only=_names(request.only) or None)
    if dry_run:
        _print_plan(study.estimate(**request), json)
        return
    with StudyBar() as bar:
        result = study.simulate(**replace(request, progress=bar))
    _print_runs(result, json)
    if result.left:
        screen.note(
            f"This was {result.share}. Not done yet: {join_names(result.left, 5)}. When all shares "
            "have ended, the same command without `--on` does what is left, and writes all records."
        )
    if result.stopped:
        screen.note(f"Not finished: {join_names(result.stopped, 5)}.")
    if result.failed:
        _refuse_failed(result.failed)
    if result.stopped:
        raise KeyboardInterrupt


def _print_runs(result: "StudyResult", json: bool) -> None:
    outcomes = f"{result.out}/outcomes.csv"
    rows = {}
    for key, status in result.runs.items():
        rows[key] = {"state": status.state, "fault": status.fault}
    values = {"outcomes": outcomes, "runs": rows} | share_values(result.share)
    runs = count_text(len(rows), "run is", "runs are")
    done = len(rows) - len(result.failed) - len(result.stopped) - len(result.left)
    screen.print_result(values, json, f"{done} of {runs} done -> {outcomes}")


def _refuse_failed(failed: dict[str, str]) -> None:
    from labelgrid.basics.errors import ProjectError

    lines = [f"{count_text(len(failed), 'run')} failed:"]
    for key, fault in failed.items():
        lines.append(f"    {key}: {fault}")
    raise ProjectError(
        "\n".join(lines),
        next_step="Fix the cause and run the same command again. "
        "Arms that have trained something keep their settings.",
    )


def _print_plan(plan: "StudyPlan", json: bool) -> None:
    """Print the remaining work of each arm over all seeds and points, and the time of all."""
    groups: dict[tuple[str, str], list[RunWork]] = {}
    for key, run in plan.planned.items():
        groups.setdefault((run.name, run.kind), []).append(plan.left[key])
    rows: list[list[str | int]] = []
    for arm, works in groups.items():
        steps = [count for work in works for count in work.steps]  # of the trainings that are left
        labels = max(work.labels for work in works)
        rows.append([*arm, len(works), len(steps), labels, sum(steps)])
    if not json:
        _show_plan(plan, rows)
        return
    values = {name: getattr(plan, name) for name in PLANNED}
    values["missing"] = plan.missing.what if plan.missing else ""
    arms = [dict(zip(WORK, row, strict=True)) for row in rows]
    screen.print_json({**values, "arms": arms})


def _show_plan(plan: "StudyPlan", rows: Sequence[Sequence[str | int]]) -> None:
    columns = [
        "arm",
        "kind",
        "runs",
        "trainings left",
        "labels of a run at most",
        "steps left at most",
    ]
    screen.print_table("", columns, rows)
    if plan.note:
        screen.say(plan.note)
    if not plan.runs:
        screen.say("All runs are done. Nothing was written.")
        return
    screen.say(f"{plan.work} Nothing was written.")
    if plan.missing:
        screen.say(f"It cannot run yet: {plan.missing.what} {plan.missing.next_step}")


@note_unchanged("The study is unchanged.")
@with_options()
def analyse(request: AnalyseRequest, json: bool = False) -> None:
    """Analyse a finished study with its hidden labels.

    Such as the errors on the cells that were picked.

    Example: [bold]labelgrid analyse first-light picks --out figures[/]
    """
    strategies = _names(request.strategies)
    with screen.Bar() as bar:
        result = study.analyse(**replace(request, strategies=strategies, progress=bar))
    if json:
        screen.print_json(result)
        return
    _show_means([mean for mean in result.means if mean.headline])
    if request.out:
        screen.say(f"Wrote {count_text(len(result.files), 'file')} in {request.out}")


def _show_means(means: "Sequence[Mean]") -> None:
    from labelgrid.drawings.wording import add_unit, spread

    columns = ["arm"]
    if any(mean.point for mean in means):
        columns.append("point")
    columns += [key for key in means[0].keys if key not in columns]
    rows = []
    for mean in means:
        values = mean.row()
        keys = [values[column] for column in columns]
        metric = add_unit(mean.result.name, mean.result.unit)
        rows.append([*keys, metric, spread(mean.result.value, mean.deviation), mean.seeds])
    screen.print_table("", [*columns, "metric", "mean ± deviation", "seeds"], rows)


def _names(texts: Iterable[str] | None) -> list[str]:
    return [name.strip() for text in texts or () if text for name in text.split(",")]


@note_unchanged("Rendered scenes are kept.")
@with_options(trust="-")
def scenes(request: ScenesRequest, json: bool = False) -> None:
    """Render rooms with exact labels of every task, as a data set of the layout `folder`.

    Example: [bold]labelgrid scenes rooms --count 200 --size 96x128[/]
    """
    from labelgrid.basics.errors import UsageError

    study.need_laboratory()
    from labelgrid.lab.scenes.write_scenes import SceneSettings, write_scenes

    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", request.size)
    if not match:
        raise UsageError(
            f"'{request.size}' is not a size.", next_step="Give height, then width: --size 96x128."
        )
    settings = SceneSettings(
        size=(int(match[1]), int(match[2])),
        seed=request.seed,
        samples=request.samples,
        frames=request.frames,
    )
    out = Path(request.out)
    with screen.Bar() as bar:
        total, new = write_scenes(
            out, request.count, settings=settings, progress=bar, jobs=request.jobs
        )
    values = {"folder": str(out), "scenes": total, "rendered": new}
    text = (
        f"{out}: {count_text(total, 'scene')}, {new:,} of them rendered now. "
        f"Look at some: {command('sheet', out, '--out', 'sheet.png')}"
    )
    screen.print_result(values, json, text)


#: The commands of this module.
COMMANDS = (simulate, analyse, scenes)
