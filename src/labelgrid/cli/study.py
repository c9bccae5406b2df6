"""The command that runs studies: many simulated campaigns over a data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import Weights
from labelgrid.errors import with_unchanged

if TYPE_CHECKING:
    from labelgrid.simulation.runner import JobStatus
    from labelgrid.simulation.study import Run
    from labelgrid.simulation.validate import StudyRequest


@with_unchanged("What had been run is kept.")
def simulate(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=r"A recipe with a \[simulate] table.")],
    out: Annotated[Path, typer.Option(help="The folder of all runs; one that is there is gone on with.")],
    data: Annotated[Path, typer.Option(help="Where the data set lies.", exists=True, file_okay=False)],
    weights: Weights = None,
    strategy: Annotated[str, typer.Option(help="Instead of the recipe's, separated by commas.")] = "",
    tasks: Annotated[str, typer.Option(help="Only these of the recipe's, separated by commas.")] = "",
    seeds: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=1)] = None,
    rounds: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=0)] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time; 0: one a processor core.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and for how long.")] = False,
) -> None:
    """Run simulated campaigns: strategies × seeds × recipe keys, labels hidden until they are bought.

    Example: [bold]labelgrid simulate nyud-small --data nyuv2 --out first-light[/]
    """
    from labelgrid.processes import cores
    from labelgrid.project.settings import resolve_recipe
    from labelgrid.simulation import run_study
    from labelgrid.simulation.study import study_of
    from labelgrid.simulation.validate import StudyRequest, check, pictures, widened

    named_ones = {"strategies": strategy, "only": tasks}
    changes: dict[str, Any] = {
        name: [word.strip() for word in words.split(",")] for name, words in named_ones.items() if words
    }
    changes |= {name: value for name, value in (("seeds", seeds), ("rounds", rounds)) if value is not None}
    named = resolve_recipe(recipe)
    kept = str(weights.absolute()) if weights else ""
    asked = widened(StudyRequest(named, study_of(named, changes), data, kept, out))
    at_once = jobs or cores()
    runs = check(asked)
    if dry_run:
        _show_plan(asked, runs, at_once)
        return
    with screen.Bar() as bar:
        seen = pictures(asked, bar)
    with screen.Runs() as table:
        reports = run_study.simulate(asked, runs, seen, at_once, max(1, cores() // at_once), table.show)
    _report_failures(reports, out)


def _report_failures(reports: "Mapping[str, JobStatus]", out: Path) -> None:
    """How many runs are done, and the faults of those that failed."""
    from labelgrid.errors import ProjectError

    failed = {key: report.fault for key, report in reports.items() if report.state == "failed"}
    screen.say(f"{len(reports) - len(failed)} of {len(reports)} runs are done -> {out}/outcomes.csv")
    if failed:
        faults = "\n    ".join(f"{key}: {fault}" for key, fault in failed.items())
        raise ProjectError(
            f"{len(failed)} runs failed:\n    {faults}", next_step="Mend it and run the same command again."
        )


def _show_plan(asked: "StudyRequest", runs: "list[Run]", at_once: int) -> None:
    """Print what is left to be run, and what it takes by a short training that is thrown away."""
    from labelgrid.processes import cores
    from labelgrid.report.wording import counted
    from labelgrid.simulation.estimate import trial
    from labelgrid.simulation.jobs import jobs_of
    from labelgrid.simulation.runner import left_of

    threads = max(1, cores() // at_once)
    jobs = jobs_of(runs, asked.study, asked.recipe, asked.weights, asked.root, asked.out, threads)
    left = {key: left_of(job) for key, job in jobs.items()}
    rows = [[key, jobs[key].run.kind, len(one.steps), one.labels, sum(one.steps)] for key, one in left.items()]
    screen.table("", ["run", "kind", "trainings left", "labels at most", "steps left at most"], rows)
    steps = sum(sum(one.steps) for one in left.values())
    count = sum(bool(one.steps) for one in left.values())
    at_once = min(at_once, count)
    if not count:
        screen.say("All runs are done. Nothing was written.")
        return
    screen.note("Timing a short training, which is thrown away.")
    tried = trial(jobs[runs[0].key])
    seconds = sum(tried.seconds(one) for one in left.values()) / at_once
    screen.say(
        f"{counted(count, 'run')}, {steps:,} steps at most: about {screen.duration(seconds)}, "
        f"{at_once} at a time, in {at_once * tried.memory / 2**30:.1f} GiB of memory at most. "
        "Nothing was written."
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(simulate)
