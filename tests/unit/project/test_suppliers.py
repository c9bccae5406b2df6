"""The list of a supplier's labels, and what is declared of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.data.data_options import SupplierChoice
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import (
    Delivery,
    IndexedLabel,
    MeasuredTrust,
    Supplier,
    SupplierIndex,
    given_shares,
    measured_before,
    note_trust,
    noted_trust,
    read_declaration,
    read_index,
    refuse_unknown_suppliers,
    supplied_rows,
    supplier_folder,
    supplier_names,
    supplier_rows,
    supplier_values,
    write_index,
)
from tests.support import Made

INDEX = SupplierIndex(
    (Delivery(imported="2026-11-27", classes={"semseg": 4}),),
    {"depth": {"é #.jpg": IndexedLabel("supplied/s/depth/é #.01234567.png", "01" * 16, 0)}},
)


def test_the_list_is_read_as_it_was_written(project: ProjectFolder) -> None:
    write_index(project, "s", INDEX)
    assert read_index(project, "s") == INDEX
    assert supplier_names(project) == ["s"]
    row = INDEX.row(Cell("é #.jpg", "depth"))
    assert (row.state, row.digest) == (State.LABELLED, "01" * 16)
    assert INDEX.row(Cell("é #.jpg", "semseg")).state == State.MISSING


def test_the_list_is_parsed_once_until_it_is_replaced_or_changed(project: ProjectFolder) -> None:
    write_index(project, "s", INDEX)
    first = read_index(project, "s")
    with ProjectFolder.open(project.folder) as other:
        assert read_index(other, "s") is first
    further = SupplierIndex((*INDEX.deliveries, *INDEX.deliveries), INDEX.labels)
    write_index(project, "s", further)
    assert read_index(project, "s") == further
    (supplier_folder(project, "s") / "index.json").write_text("{")
    for _ in range(2):
        with pytest.raises(ProjectError, match="is damaged"):
            read_index(project, "s")
    (supplier_folder(project, "s") / "index.json").unlink()
    assert read_index(project, "s") == SupplierIndex()


def test_a_measured_trust_is_that_of_the_labels_that_were_there(project: ProjectFolder) -> None:
    write_index(project, "s", INDEX)
    assert noted_trust(project, "s") == {} == MeasuredTrust().tasks
    note_trust(project, "s", {"depth": 0.25}, {"depth": 0.5})
    assert noted_trust(project, "s") == {"depth": 0.25}
    further = (*INDEX.deliveries, Delivery(imported="2026-11-28"))
    write_index(project, "s", SupplierIndex(further, INDEX.labels))
    assert noted_trust(project, "s") == {}


def test_a_measurement_by_an_earlier_rule_counts_for_nothing_and_is_known(
    project: ProjectFolder,
) -> None:
    write_index(project, "s", INDEX)
    assert measured_before(project, "s") == []
    path = supplier_folder(project, "s") / "measured.json"
    path.write_text('{"tasks": {"depth": 0.25}, "deliveries": 1}')
    assert noted_trust(project, "s") == {} and measured_before(project, "s") == ["depth"]
    note_trust(project, "s", {"depth": 0.5}, {"depth": 0.9})
    assert noted_trust(project, "s") == {"depth": 0.5} and measured_before(project, "s") == []


def test_a_trusted_supplier_gives_its_trust_times_its_coverage(
    project: ProjectFolder, data: Made
) -> None:
    import_supplied(project, data.labels, supplier="s")
    grid = project.store.grid()
    assert given_shares(project, grid) is None
    for trust, share in ((0.0, None), (0.5, 0.5)):
        project.settings = replace(
            project.settings, changes={"suppliers": {"s": {"tasks": {"depth": trust}}}}
        )
        shares = given_shares(project, grid)
        assert shares is None if share is None else set(shares.ravel()) == {0, share}
    note_trust(project, "s", {"depth": 0.5}, {"depth": 0.8})
    shares = given_shares(project, grid)
    assert shares is not None
    assert set(shares[:, grid.columns["depth"]]) == {0.4}
    assert not shares[:, grid.columns["semseg"]].any()


def test_a_row_says_what_a_supplier_gives_of_a_task_and_what_follows(
    project: ProjectFolder, data: Made
) -> None:
    import_supplied(project, data.labels, supplier="s", cost=0.5)
    note_trust(project, "s", {"depth": 0.25}, {})
    values = supplier_values(project, {"s": SupplierChoice(trust=0.5)})
    values["s"]["derives"] = {"normals": 0.123}
    assert supplier_rows(values) == [
        ["s", "depth", 3, 1.5, 0.5, 0.25],
        ["s", "semseg", 3, 1.5, 0.5, ""],
        ["s", "normals, derived", "", "", 0.12, ""],
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"tasks": {"depth": "much"}}', '{"more": 1}'])
def test_a_damaged_measurement_is_named(project: ProjectFolder, text: str) -> None:
    write_index(project, "s", INDEX)
    (supplier_folder(project, "s") / "measured.json").write_text(text)
    with pytest.raises(ProjectError, match=r"trust measured of a supplier is damaged(.|\n)*relate"):
        noted_trust(project, "s")


def test_a_project_without_suppliers_has_an_empty_list(project: ProjectFolder) -> None:
    assert supplier_names(project) == [] and read_index(project, "s") == SupplierIndex()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"labels": 3}',
        '{"labels": {"depth": {"a": ["p"]}}}',
        '{"labels": {"depth": {"a": ["p", "d", 0]}}}',
        '{"deliveries": [{"imported": "x"}], "labels": {"depth": {"a": ["p", "d", -1]}}}',
        "\xff",
    ],
)
def test_a_damaged_list_is_named(project: ProjectFolder, text: str) -> None:
    write_index(project, "s", INDEX)
    path = supplier_folder(project, "s") / "index.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ProjectError, match=r"list of a supplier's labels is damaged \(.*index"):
        read_index(project, "s")


def test_a_list_that_leads_out_of_the_project_is_refused(project: ProjectFolder) -> None:
    label = IndexedLabel("../elsewhere.png", "01" * 16, 0)
    write_index(project, "s", SupplierIndex(INDEX.deliveries, {"depth": {"0000.jpg": label}}))
    (row,) = supplied_rows(project)
    with pytest.raises(ProjectError, match="leads out"):
        project.inside(row.path)


def test_a_folder_of_a_supplier_that_leads_out_is_refused(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    (project.folder / "supplied").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (project.folder / "supplied/s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProjectError, match="leads out"):
        import_supplied(project, data.labels, supplier="s")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_is_declared_is_read_as_it_was_written(tmp_path: Path) -> None:
    supplier = Supplier(
        cost=0.01,
        origin='MoGe-2 "large" # 1',
        licence="MIT",
        up_to="scale-shift",
        larger_is_nearer=False,
        map={"car": "vehicle", "sky=": "ignore"},
    )
    path = tmp_path / "supplier.toml"
    for each in (supplier, Supplier()):
        path.write_text(each.text())
        assert read_declaration(path) == each


def test_a_recipe_cannot_trust_a_supplier_that_gave_nothing(
    project: ProjectFolder, data: Made
) -> None:
    refuse_unknown_suppliers(project, [])
    import_supplied(project, data.labels, supplier="moge")
    refuse_unknown_suppliers(project, ["moge"])
    with pytest.raises(RecipeError, match=r"'moje'.*\n.*Suppliers: moge"):
        refuse_unknown_suppliers(project, ["moje"])


def test_a_newer_key_of_the_list_is_refused_not_lost(project: ProjectFolder) -> None:
    write_index(project, "s", INDEX)
    path = supplier_folder(project, "s") / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "newer": 1}))
    with pytest.raises(ProjectError, match="damaged"):
        read_index(project, "s")
