"""Commands that show findings: report, verify, audit, time, advise, relate, list, check-plugin."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from labelgrid.api.requests import (
    AdviseRequest,
    AuditRequest,
    RelateRequest,
    ReportRequest,
    TimeRequest,
)
from labelgrid.basics.errors import UsageError, command, note_unchanged
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import bytes_text, count_text, duration, join_names
from labelgrid.cli import screen
from labelgrid.cli.exchange import cells_as_json
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options
from labelgrid.cli.shares import said_share

if TYPE_CHECKING:
    from labelgrid.audit.audit import Audited
    from labelgrid.relations.true_agreement import Measured
    from labelgrid.suppliers.relate import Related

#: The rows of the table of an audit.
DOUBTFUL = 20


@note_unchanged("Nothing was written.")
@with_options(folder="DIR: the folder of a project or a study")
def report(
    folder: Path,
    request: ReportRequest,
    json: bool = False,
) -> None:
    """Write the report of a project or a study as one self-contained HTML file.

    For a study, print delta_mtl.

    Example: [bold]labelgrid report flat --out flat.html[/]
    """
    from labelgrid.api import study

    with screen.Bar() as bar:
        written = study.report(folder, **request, progress=bar)
    if json:
        screen.print_json(written.values)
        return
    screen.say(f"Wrote {written.page}")
    if request.plots:
        screen.say(f"Wrote {count_text(written.drawings, 'file')} in {request.plots}")
    columns, rows = study.rows_of_study(written.values)
    if rows:
        screen.print_table(
            "delta_mtl after the last round in %: mean ± deviation over seeds", columns, rows
        )


@with_options()
def verify(
    folder: Path,
    json: bool = False,
) -> None:
    """Read every image and label of a project, and list damaged and changed files.

    Exits with 1 if any is.

    Example: [bold]labelgrid verify flat[/]
    """
    with open_project(folder, looking=True) as project:
        verified = project.verify()
    screen.print_result(verified, json)
    if verified.faults:
        raise typer.Exit(1)


@note_unchanged("The labels are unchanged.")
@with_options(
    confirm="--confirm CELL: note, instead of an audit, that the label of IMAGE:TASK is right: it "
    "is not doubted again"
)
def audit(
    folder: Path,
    request: AuditRequest,
    confirm: Sequence[str] = (),
    json: bool = False,
) -> None:
    """Rank the labels of a project by how likely they are wrong, and show the worst.

    Writes all of them to DIR/audit.csv, and pictures of the worst to DIR/audit.png.

    Example: [bold]labelgrid audit flat --folds 3[/]
    """
    if confirm:
        if request.given():
            raise UsageError(
                "--confirm notes that labels are right and does no audit: the other options would "
                "do nothing.",
                next_step="Leave them out, and run the audit after it.",
            )
        with open_project(folder) as project:
            confirmed = project.confirm(confirm).cells
        labels = count_text(len(confirmed), "label is", "labels are")
        text = f"{labels} noted as right, and left out of audits until replaced."
        screen.print_result({"confirmed": cells_as_json(confirmed)}, json, text)
        return
    with open_project(folder) as project:
        audited = project.audit(**request)
    if said_share(request.on, json):  # the labels are not ranked yet
        return
    if json:
        sheet = str(audited.sheet) if audited.sheet else None
        screen.print_json({**asdict(audited), "table": str(audited.table), "sheet": sheet})
        return
    _say_doubts(folder, audited, all=request.all)


def _say_doubts(folder: Path, audited: "Audited", *, all: bool) -> None:
    doubtful = audited.doubtful(confirmed=all)
    rows = []
    for label in doubtful[:DOUBTFUL]:
        reasons = "; ".join(label.reasons)
        rows.append((label.doubt, label.task, label.image, reasons))
    if rows:
        columns = ["doubt", "task", "image", "what speaks against the label"]
        screen.print_table("The most doubtful labels", columns, rows)
    count = count_text(len(audited.labels), "label")
    screen.say(f"Something speaks against {len(doubtful):,} of {count}; all are in {audited.table}")
    left_out = len(audited.doubtful(confirmed=True)) - len(doubtful)
    if left_out:
        labels = count_text(left_out, "confirmed label is", "confirmed labels are")
        screen.say(f"{labels} left out; --all shows them, too.")
    if audited.sheet:
        screen.say(f"{audited.sheet} shows the worst.")
        again = command("import", folder, "FIXED", "--replace")
        screen.say(f"Next: put the right files of the wrong ones into a folder FIXED, and {again}")
        first = f"{doubtful[0].image}:{doubtful[0].task}"
        right = command("audit", folder, "--confirm", first)
        screen.say(f"Where a label is right: {right}, for example; it is not doubted again.")
    if audited.unread:
        screen.say(
            f"Not compared, as they cannot be read or have no valid pixel: "
            f"{join_names(audited.unread)}."
        )


@with_options()
def time(
    folder: Path,
    request: TimeRequest,
    json: bool = False,
) -> None:
    """Measure the time of a round on this machine, by recipe, and name a fitting recipe.

    Times a few training steps with random weights; changes nothing.

    Example: [bold]labelgrid time flat[/]
    """
    with open_project(folder) as project:
        times = project.time(**request)
    if json:
        screen.print_json(times)
        return
    rows = []
    for timing in times.times:
        size = "x".join(map(str, timing.size))
        seconds = [f"{timing.step_seconds:.3g}", f"{timing.image_seconds:.3g}"]
        memory = "" if timing.memory is None else bytes_text(timing.memory)
        words = [
            timing.recipe,
            size,
            f"{timing.steps:,}",
            *seconds,
            duration(timing.seconds),
            memory,
        ]
        rows.append(words)
    columns = ["recipe", "size", "steps", "s a step", "s an image", "a round", "GPU memory"]
    screen.print_table("", columns, rows)
    if times.for_gpu:
        screen.say(f"For a GPU, which this machine lacks: {join_names(times.for_gpu)}.")
    for timing in times.times:
        if timing.terms:
            screen.say(
                f"Included are the terms of the recipe {timing.recipe}: "
                f"{join_names(timing.terms)}; what they prepare before the first step is not."
            )
        if timing.maps_seconds:
            screen.say(
                f"Once, the maps of {timing.recipe} are made: {duration(timing.maps_seconds)}."
            )
    screen.say(
        "A round is one training with every label of the pool, and one prediction of the images "
        "that are measured or scored."
    )
    screen.say(times.sentence(folder))


@with_options()
def advise(
    folder: Path,
    request: AdviseRequest,
    json: bool = False,
) -> None:
    """Say which labels to buy next, with the gain to expect, and how else to improve.

    Foresees metrics from the measured rounds; trains nothing and changes nothing.

    Example: [bold]labelgrid advise flat --budget 60[/]
    """
    with open_project(folder, looking=True) as project:
        advised = project.advise(**request)
    screen.print_result(advised, json, "\n".join(advice.text for advice in advised.advice))


@note_unchanged("Nothing was written.")
@with_options()
def relate(
    folder: Path,
    request: RelateRequest,
    json: bool = False,
) -> None:
    """Measure relations and suppliers by true labels, and propose how far to trust them.

    Measures on training images that were drawn at random.

    Example: [bold]labelgrid relate flat --write[/]
    """
    with open_project(folder) as project:
        related = project.relate(**request)
    if said_share(request.on, json):  # nothing is joined yet
        return
    if json:
        screen.print_json(related)
        return
    _show_related(related)
    if related.files:
        screen.say("Written:" if related.written else "Proposed; --write writes it:")
    for name, text in related.files.items():
        lines = [f"{folder / name}:", *text.splitlines()]
        screen.say("\n    ".join(lines))


def _show_related(related: "Related") -> None:
    columns = ["images", "agreement", "coverage", "trust", "now"]
    relations: list[tuple[str, ...]] = []
    for row in related.relations:
        name = f"{row.name}: {join_names(row.reads)} → {row.gives}"
        now = f"{row.now:g}" if row.declared else "not declared"
        options = _options_text(row.options)
        relations.append((name, row.sample, *_measured_texts(row.measured), now, options))
        if row.as_declared:
            options = _options_text(row.declared_options)
            relations.append(("as declared", "", *_measured_texts(row.as_declared), now, options))
    if relations:
        screen.print_table("", ["relation", *columns, "options"], relations)
    suppliers = []
    for supplied in related.suppliers:
        start = (supplied.supplier, supplied.task, supplied.sample)
        suppliers.append((*start, *_measured_texts(supplied.measured), f"{supplied.now:g}"))
    if suppliers:
        screen.print_table("", ["supplier", "task", *columns], suppliers)
    remarks = [
        (f"{row.gives} from {row.reads} of {row.supplier}", row.text) for row in related.on_supplied
    ]
    remarks += [(row.name, row.remark) for row in related.relations]
    remarks += [(f"{row.supplier}, {row.task}", row.remark) for row in related.suppliers]
    for name, remark in remarks:
        if remark:
            screen.say(f"{name}: {remark}")


def _options_text(options: Values) -> str:
    texts = [f"{name} = {dumps(value)}" for name, value in options.items()]
    return ", ".join(texts) or "defaults"


def _measured_texts(measured: "Measured | None") -> tuple[str, str, str]:
    """Agreement, coverage and trust in words; empty if they could not be measured."""
    if measured is None:
        return ("", "", "")
    texts = []
    for name, interval in measured.figures.items():
        unit = f" {interval.unit}" if interval.unit else ""
        texts.append(
            f"{name} {interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g}){unit}"
        )
    return ("; ".join(texts), f"{measured.coverage:.0%}", f"{measured.trust:g}")


@with_options(trust="-", folder="[FOLDER]: what to list: strategies, networks, recipes and others")
def list_(
    folder: str = "",
    json: bool = False,
) -> None:
    """List plug-ins and recipes, one per line.

    Example: [bold]labelgrid list strategies[/]
    """
    from labelgrid.basics import plugins
    from labelgrid.recipes.resolve import shipped_recipes

    entries = {name: plugins.describe(name) for name in plugins.FOLDERS}
    entries["recipes"] = shipped_recipes()
    if folder and folder not in entries:
        raise UsageError(
            f"There is no folder '{folder}'.", next_step=f"There are: {', '.join(entries)}."
        )
    if folder:
        entries = {folder: entries[folder]}
    if json:
        screen.print_json(entries)
        return
    for name, lines in entries.items():
        screen.print_table(name, ["name", "what it is"], list(lines.items()))


@with_options(
    folder="FOLDER!: the sort of the plug-in, as `labelgrid list` heads it",
    name="NAME!: the plug-in, such as module:build",
    told="--with MODULE: a module that tells the laws what the plug-in does not, such as how "
    "somebody answers a request; by default the plug-in's own",
)
def check_plugin(
    folder: str,
    name: str,
    told: str = "",
    json: bool = False,
) -> None:
    """Hold a plug-in to the laws of its sort, and print a line for each law.

    Exits with 1 if it breaks any.

    Example: [bold]labelgrid check-plugin strategies mine:build --trust mine[/]
    """
    from labelgrid.testing.laws import outcomes, subject_of

    results = []
    for outcome in outcomes(subject_of(folder, name, told)):
        results.append(outcome)
        if not json:
            screen.say(f"{outcome.state:6}  {outcome.law.replace('_', ' ')}")
            for line in outcome.message.splitlines():
                screen.say(f"        {line}")
    counts = Counter(outcome.state for outcome in results)
    words = f"{counts['passed']} of {count_text(len(results), 'law')} passed"
    words += f", {counts['failed'] or 'none'} failed"
    if counts["idle"]:
        words += f", {counts['idle']} not for this plug-in"
    values = {"folder": folder, "name": name, "laws": [asdict(outcome) for outcome in results]}
    screen.print_result(values, json, f"{words}.")
    if counts["failed"]:
        raise typer.Exit(1)


#: The commands of this module.
COMMANDS = (report, verify, audit, time, advise, relate, list_, check_plugin)
