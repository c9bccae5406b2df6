from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.api.project import Project
from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.ledger.grid import State
from labelgrid.operations.unknown_splits import set_split, splitless_sentence
from labelgrid.operations.verify import verify
from labelgrid.project.folder import ProjectFolder
from tests.databases import change
from tests.e2e.commands import done
from tests.projects import Said


@pytest.fixture
def lost(project: ProjectFolder) -> Iterator[ProjectFolder]:
    """A project of three images, two of which a labelgrid of before put into unknown splits."""
    names = [row.image_id for row in project.store.images()]
    change(
        project.folder / "labelgrid.db",
        f"UPDATE images SET split = 'none: foo' WHERE name = '{names[1]}'",
        f"UPDATE images SET split = 'none: my own' WHERE name = '{names[2]}'",
        """INSERT INTO notes VALUES ('renamed splits', '{"foo": ["none: foo", 1]}')""",
    )
    yield project


def names_of(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images()]


def test_images_in_no_split_are_named_with_the_command_that_puts_them_into_one(
    lost: ProjectFolder,
) -> None:
    first, second, third = names_of(lost)
    text = splitless_sentence(lost)
    assert f"1 image is in the unknown split 'foo', and in no training: {second}." in text
    assert (
        f"`labelgrid split {lost.folder} train --was 'my own'` puts all of it into training" in text
    )
    assert first not in text
    faults = verify(lost, Said()).faults
    assert [fault.where for fault in faults] == [second, third]
    with Project.open(lost.folder) as project:
        assert project.status()["unknown_splits"] == text
    assert text in done("status", lost.folder).out


def test_they_are_put_into_a_split_by_their_former_one_or_by_name(lost: ProjectFolder) -> None:
    _, second, third = names_of(lost)
    said = done("split", lost.folder, "train", "--was", "my own").out
    assert said == "Put 1 image into the split 'train'.\n"
    with Project.open(lost.folder) as project:
        assert project.log()[0]["command"] == "split"
        assert project.set_split("val", [second]) == [second]
        assert project.status()["unknown_splits"] == ""
    splits = {row.image_id: row.split for row in lost.store.images()}
    assert (splits[second], splits[third]) == ("val", "train")
    assert third in lost.store.grid().images
    assert lost.store.find([]) == {}


def test_all_of_them_are_meant_where_none_is_named(lost: ProjectFolder) -> None:
    assert set_split(lost, "test") == names_of(lost)[1:]


def test_an_image_in_a_split_an_unknown_one_and_none_are_refused(lost: ProjectFolder) -> None:
    first, second, _ = names_of(lost)
    before = list(lost.store.images())
    for images, was in (
        ([first], ""),
        ([second, first], ""),
        (["no"], ""),
        ([], "bar"),
        ([second], "bar"),
    ):
        with pytest.raises(LedgerError, match=r"Nothing was changed\."):
            set_split(lost, "train", images, was)
    assert list(lost.store.images()) == before
    assert not list(lost.store.cells(state=State.LABELLED))


def test_a_group_stays_in_one_split(lost: ProjectFolder) -> None:
    change(lost.folder / "labelgrid.db", "UPDATE images SET grp = 'room'")
    with pytest.raises(LedgerError, match="of the same group"):
        set_split(lost, "val", names_of(lost)[1:])
    assert set_split(lost, "train") == names_of(lost)[1:]


def test_a_training_says_which_images_it_leaves_out(lost: ProjectFolder, tmp_path: Path) -> None:
    said = Said()
    with Project.open(lost.folder, progress=said) as project, pytest.raises(LabelgridError):
        project.fit(weights=tmp_path / "no.pt")
    assert splitless_sentence(lost) in said.lines
