"""Commands that show what was found: report, verify, audit, time, advise, relate, list."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelgrid.basics.errors import UsageError, command, note_unchanged
from labelgrid.basics.words import count_text, duration, join_names
from labelgrid.cli import screen
from labelgrid.cli.exchange import cells_as_json
from labelgrid.cli.grid import AsJson
from labelgrid.cli.model import On, ShardSize, Workers
from labelgrid.cli.opening import open_project
from labelgrid.cli.shares import share_at, share_values

if TYPE_CHECKING:
    from labelgrid.advice.round_times import RecipeTime
    from labelgrid.audit.audit import Audited
    from labelgrid.relations.true_agreement import Measured
    from labelgrid.suppliers.relate import Related
    from labelgrid.suppliers.relation_trust import RelationRow
    from labelgrid.suppliers.supplier_trust import SupplierRow

#: The rows of the table of an audit.
DOUBTFUL = 20


@note_unchanged("Nothing was written.")
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a project or a study.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; DIR/report.html by default.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="A folder for each figure as SVG and PNG.", file_okay=False)
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures", help="Predict the shown cells that have no pictures yet; loads the model."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Write the report of a project or a study as one self-contained HTML file.

    Of a study, print delta_mtl.

    Example: [bold]labelgrid report flat --out flat.html[/]
    """
    from labelgrid.api import study

    with screen.Bar() as bar:
        written = study.report(folder, out, plots=plots, pictures=pictures, progress=bar)
    if json:
        screen.print_json(written.values)
        return
    screen.say(f"Wrote {written.page}")
    if plots:
        screen.say(f"Wrote {count_text(written.drawings, 'file')} in {plots}")
    columns, rows = study.rows_of_study(written.values)
    if rows:
        screen.print_table(
            "delta_mtl after the last round in %: mean ± deviation over seeds", columns, rows
        )


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    json: AsJson = False,
) -> None:
    """Read every image and label of a project, and list those that are damaged or changed.

    Exits with 1 if any is.

    Example: [bold]labelgrid verify flat[/]
    """
    from dataclasses import asdict

    with open_project(folder, looking=True) as project:
        verified = project.verify()
    if json:
        screen.print_json(asdict(verified))
    else:
        screen.say(str(verified))
    if verified.faults:
        raise typer.Exit(1)


@note_unchanged("The labels are unchanged.")
def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    folds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train so many networks, each without a fold of the images, and compare the "
            "fold's labels with its predictions; 0: no network.",
        ),
    ] = 0,
    all: Annotated[
        bool, typer.Option("--all", help="Show labels that somebody confirmed as right, too.")
    ] = False,
    on: On = "",
    workers: Workers = 0,
    shard: ShardSize = 0,
    confirm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELL",
            help="Note, instead of an audit, that the label of IMAGE:TASK is right: it is not "
            "doubted again. Repeatable.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Rank the labels of a project by how likely they are wrong, and show the worst.

    Writes all of them to DIR/audit.csv, and pictures of the worst to DIR/audit.png.

    Example: [bold]labelgrid audit flat --folds 3[/]
    """
    from dataclasses import asdict

    if confirm:
        if any((folds, all, on, workers, shard)):
            raise UsageError(
                "--confirm notes that labels are right and does no audit: the other options would "
                "do nothing.",
                next_step="Leave them out, and run the audit after it.",
            )
        _confirm(folder, confirm, json)
        return
    with open_project(folder) as project:
        audited = project.audit(folds=folds, all=all, on=on, workers=workers, shard=shard)
    share = share_at(on)
    if not share.is_all:  # which was said; the labels are not ranked yet
        if json:
            screen.print_json(share_values(share))
        return
    if json:
        sheet = str(audited.sheet) if audited.sheet else None
        screen.print_json({**asdict(audited), "table": str(audited.table), "sheet": sheet})
        return
    _say_doubts(folder, audited, all=all)


def _say_doubts(folder: Path, audited: "Audited", *, all: bool) -> None:
    """Print the most doubtful labels, where the others are, and what to do with them."""
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


def _confirm(folder: Path, cells: list[str], json: bool) -> None:
    """Note that labels are right, and say so."""
    with open_project(folder) as project:
        confirmed = project.confirm(cells).cells
    if json:
        screen.print_json({"confirmed": cells_as_json(confirmed)})
        return
    labels = count_text(len(confirmed), "label is", "labels are")
    screen.say(f"{labels} noted as right, and left out of audits until replaced.")


def time(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    own_recipe: Annotated[
        bool, typer.Option("--own-recipe", help="Measure only the project's recipe.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Measure how long a round takes on this machine, by recipe, and say which recipe fits.

    Times a few training steps with random weights; changes nothing.

    Example: [bold]labelgrid time flat[/]
    """
    from dataclasses import asdict

    with open_project(folder) as project:
        times = project.time(own_recipe=own_recipe)
    if json:
        screen.print_json(asdict(times))
        return
    rows = [_time_row(each) for each in times.times]
    columns = ["recipe", "size", "steps", "s a step", "s an image", "a round", "GPU memory"]
    screen.print_table("", columns, rows)
    if times.for_gpu:
        screen.say(f"For a GPU, which this machine lacks: {join_names(times.for_gpu)}.")
    for each in times.times:
        if each.terms:
            screen.say(
                f"Included are the terms of the recipe {each.recipe}: {join_names(each.terms)}; "
                "what they prepare before the first step is not."
            )
    screen.say(
        "A round is one training with every label of the pool, and one prediction of the images "
        "that are measured or scored."
    )
    screen.say(times.sentence(folder))


def _time_row(each: "RecipeTime") -> list[str]:
    """The row of a recipe: its times in words."""
    memory = "" if each.memory is None else f"{each.memory / 2**30:.1f} GiB"
    size = "x".join(map(str, each.size))
    seconds = [f"{each.step_seconds:.3g}", f"{each.image_seconds:.3g}"]
    return [each.recipe, size, f"{each.steps:,}", *seconds, duration(each.seconds), memory]


def advise(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    budget: Annotated[
        float | None,
        typer.Option(
            help="The cost that purchases are compared at; by default that of the last round."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Say which labels to buy next, what they may gain, and what else would help.

    Foresees metrics from the measured rounds; trains nothing and changes nothing.

    Example: [bold]labelgrid advise flat --budget 60[/]
    """
    from dataclasses import asdict

    with open_project(folder, looking=True) as project:
        advised = project.advise(budget=budget)
    if json:
        screen.print_json(asdict(advised))
        return
    for advice in advised.advice:
        screen.say(advice.text)


@note_unchanged("Nothing was written.")
def relate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")],
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Write what is proposed: the trust into labelgrid.toml, and the field of view of "
            "unknown cameras into camera.toml.",
        ),
    ] = False,
    on: Annotated[
        str,
        typer.Option(
            metavar="PLACE",
            help="Measure each relation, and each supplier and task, as a job in this place; see "
            "`labelgrid list executors`.",
        ),
    ] = "",
    workers: Annotated[
        int, typer.Option(help="How many jobs at a time; with --on, one per processor core.", min=0)
    ] = 0,
    json: AsJson = False,
) -> None:
    """Measure relations and suppliers by true labels, and propose how far to trust them.

    Measures on training images that were drawn at random.

    Example: [bold]labelgrid relate flat --write[/]
    """
    from dataclasses import asdict

    with open_project(folder) as project:
        related = project.relate(write=write, on=on, workers=workers)
    share = share_at(on)
    if not share.is_all:  # which was said; nothing is joined yet
        if json:
            screen.print_json(share_values(share))
        return
    if json:
        screen.print_json(asdict(related))
        return
    _show_related(related)
    if related.files:
        screen.say("Written:" if related.written else "Proposed; --write writes it:")
    for name, text in related.files.items():
        lines = [f"{folder / name}:", *text.splitlines()]
        screen.say("\n    ".join(lines))


def _show_related(related: "Related") -> None:
    """Print what was measured, then why some could not be."""
    figures = ["images", "agreement", "coverage", "trust", "now"]
    relations: list[tuple[str, ...]] = []
    for row in related.relations:
        relations += _relation_rows(row)
    if relations:
        screen.print_table("", ["relation", *figures, "options"], relations)
    suppliers = [_supplier_row(row) for row in related.suppliers]
    if suppliers:
        screen.print_table("", ["supplier", "task", *figures], suppliers)
    remarks = [(row.name, row.remark) for row in related.relations]
    remarks += [(f"{row.supplier}, {row.task}", row.remark) for row in related.suppliers]
    for name, remark in remarks:
        if remark:
            screen.say(f"{name}: {remark}")


def _relation_rows(row: "RelationRow") -> Sequence[tuple[str, ...]]:
    """The cells of a relation in the table; a second row if its recipe declares other options."""
    name = f"{row.name}: {join_names(row.reads)} → {row.gives}"
    now = f"{row.now:g}" if row.declared else "not declared"
    rows = [(name, row.sample, *_figures(row.measured), now, _options_text(row.options))]
    if row.as_declared:
        declared = _options_text(row.declared_options)
        rows.append(("as declared", "", *_figures(row.as_declared), now, declared))
    return rows


def _options_text(options: Mapping[str, Any]) -> str:
    """Options as a recipe has them."""
    import json

    texts = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    return ", ".join(texts) or "defaults"


def _supplier_row(row: "SupplierRow") -> tuple[str, ...]:
    """The cells of a supplier and task in the table."""
    return (row.supplier, row.task, row.sample, *_figures(row.measured), f"{row.now:g}")


def _figures(measured: "Measured | None") -> tuple[str, str, str]:
    """Agreement, coverage and trust in words; empty ones if they could not be measured."""
    if measured is None:
        return ("", "", "")
    texts = []
    for figure, interval in measured.figures.items():
        unit = f" {interval.unit}" if interval.unit else ""
        texts.append(
            f"{figure} {interval.value:.3g} ({interval.low:.3g} to {interval.high:.3g}){unit}"
        )
    return ("; ".join(texts), f"{measured.coverage:.0%}", f"{measured.trust:g}")


def list_(
    folder: Annotated[
        str, typer.Argument(metavar="[FOLDER]", help="strategies, networks, recipes, ...")
    ] = "",
    json: AsJson = False,
) -> None:
    """List plug-ins and recipes, one per line.

    Example: [bold]labelgrid list strategies[/]
    """
    from labelgrid.basics import plugins
    from labelgrid.basics.errors import UsageError
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


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(report)
    app.command()(verify)
    app.command()(audit)
    app.command()(time)
    app.command()(advise)
    app.command()(relate)
    app.command("list")(list_)
