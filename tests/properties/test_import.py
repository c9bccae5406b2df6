"""Laws of imports under any names, orders and parts of an answer."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell
from labelgrid.operations.export import export, export_labels
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask, cells_of, copy, make_project, manifest, states
from tests.support import Made, make_dataset

#: Names that are as alike as names can be.
NAMES = ("a.jpg", "a.png", "a.jpg.png", "b.png.jpg", "labels/a.jpg", "d.1/a.jpg")
slow = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Path]:
    """A dataset of such names, and a project over it in which all cells are requested, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    plain = make_dataset(
        folder / "plain", len(NAMES), size=(4, 6), tasks=("depth", "edges"), extension=".png"
    )
    data = Made(folder / "made", NAMES, plain.rows)
    for name, source in zip(NAMES, plain.names, strict=True):
        (data.images / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(plain.images / source).save(data.images / name)
        for row in data.rows:
            copy(plain.label(source, row.name), data.labels / row.name / f"{name}.png")
    with make_project(folder / "project", data) as project:
        ask(project, cells_of(data), number=1)
    return data, folder / "project"


def _truth(data: Made) -> dict[Cell, bytes]:
    return {
        cell: (data.labels / cell.task / f"{cell.image_id}.png").read_bytes()
        for cell in cells_of(data)
    }


def _labels(project: ProjectFolder) -> dict[Cell, bytes]:
    return {
        row.cell: project.inside(row.path).read_bytes() for row in project.store.cells() if row.path
    }


@slow
@given(data=st.data())
def test_any_order_any_parts_and_any_way_of_naming_give_the_same_labels(
    template: tuple[Made, Path], data: st.DataObject
) -> None:
    made, source = template
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(source, Path(place, "project"))
        with ProjectFolder.open(Path(place, "project")) as project:
            (folder,) = export(project).folders
            rows = data.draw(st.permutations(manifest(folder)))
            cut = data.draw(st.integers(1, len(rows)))
            for part in (rows[:cut], rows[cut:]):
                for row in part:
                    ways = (row["path"], f"{row['request_id']}.png", f"x/{row['request_id']}.png")
                    copy(
                        made.labels / row["task"] / f"{row['image']}.png",
                        folder / data.draw(st.sampled_from(ways)),
                    )
                import_labels(project, folder)
            assert _labels(project) == _truth(made)
            assert set(states(project).values()) == {"labelled"}
            assert project.store.rebuild() == 0


@slow
@given(st.data())
def test_exported_labels_come_back_whatever_the_images_are_called(
    template: tuple[Made, Path], data: st.DataObject
) -> None:
    made, _ = template
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    some = Made(made.root, tuple(sorted(names)), made.rows)
    truth = {cell: label for cell, label in _truth(made).items() if cell.image_id in names}
    with tempfile.TemporaryDirectory() as place, make_project(Path(place, "one"), some) as one:
        ask(one, cells_of(some), number=1)
        (request,) = export(one).folders
        for row in manifest(request):
            copy(made.labels / row["task"] / f"{row['image']}.png", request / row["path"])
        import_labels(one, request)
        export_labels(one, Path(place, "labels"))
        with make_project(Path(place, "two"), some) as two:
            import_labels(two, Path(place, "labels"))
            assert _labels(two) == _labels(one) == truth
