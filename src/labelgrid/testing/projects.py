"""Makes projects over made datasets, with requests, and reads back their states."""

from collections.abc import Iterable
from pathlib import Path

from labelgrid.images.reading import check_image
from labelgrid.ledger.grid import Cell, ImageRow, Move, Split, State, request_id
from labelgrid.ledger.store import Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings, settings_text
from labelgrid.testing.scenes import Made


def make_project(
    folder: Path, made: Made, splits: dict[str, Split] | None = None, group: str = ""
) -> ProjectFolder:
    """A project over a made dataset, without labels and requests."""
    folder.mkdir(parents=True)
    (folder / "labelgrid.toml").write_text(settings_text(Settings(group=group)))
    with Store.create(folder / "labelgrid.db") as store:
        for row in made.rows:
            store.add_task(row)
        store.add_images(
            _row(made, name, (splits or {}).get(name, "train"), group) for name in made.names
        )
    return ProjectFolder.open(folder)


def _row(made: Made, name: str, split: Split, group: str) -> ImageRow:
    height, width, digest = check_image(made.images / name)
    return ImageRow(
        image_id=name,
        root=str(made.images),
        digest=digest,
        height=height,
        width=width,
        split=split,
        group=name.partition("/")[0] if group else "",
    )


def cells_of(made: Made) -> list[Cell]:
    """All cells, by image, then task."""
    return [Cell(name, row.name) for name in made.names for row in made.rows]


def ask(project: ProjectFolder, cells: Iterable[Cell], number: int = 0) -> None:
    """Request cells in a round, scored so that the first is the best.

    Rounds before it are opened and closed.
    """
    cells = list(cells)
    steps = [
        Move(
            cell=cell,
            to=State.REQUESTED,
            round=number,
            request_id=request_id(number, cell),
            cost=1.0,
            score=1 - i / 1000,
            weight=2.0,
            why="it",
        )
        for i, cell in enumerate(cells)
    ]
    while len(project.store.rounds()) < number - 1:
        project.store.close_round(project.store.open_round())
    if number > len(project.store.rounds()):
        project.store.close_round(project.store.open_round(), steps)
    else:
        project.store.move(steps)


def states(project: ProjectFolder) -> dict[Cell, str]:
    """The states of all cells except missing cells."""
    return {row.cell: row.state.name.lower() for row in project.store.cells()}


def ledger(project: ProjectFolder) -> list[tuple[object, ...]]:
    """All that happened, without the times."""
    return [(event.id, event.before, event.move) for event in project.store.events()]


def snapshot(project: ProjectFolder) -> tuple[object, ...]:
    """All that an import could change: events, cells, images, and every file of the project but the database's."""
    listing = {
        path.relative_to(project.folder).as_posix(): path.read_bytes()
        for path in sorted(project.folder.rglob("*"))
        if path.is_file() and not path.name.startswith("labelgrid.db")
    }
    return ledger(project), list(project.store.cells()), list(project.store.images()), listing
