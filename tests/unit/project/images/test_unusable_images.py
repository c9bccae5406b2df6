"""Laws of images that are missing, changed or unreadable: they stop nothing, are counted, and come back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.errors import ImageError
from labelgrid.ledger import roster
from labelgrid.ledger.grid import ImageRow
from labelgrid.operations.export import export
from labelgrid.operations.status import status_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import (
    find_unusable_images,
    images_without_files,
    noted_unusable_images,
    usable_images,
)
from tests.campaigns import ask, cells_of, manifest
from tests.projects import Said
from tests.support import Made

FAULTS: dict[str, Callable[[Path], object]] = {
    "There is no such file.": lambda path: path.unlink(),
    "The image is not the one that was added: the content of its file has changed.": lambda path: (
        path.write_text("")
    ),
    "The file cannot be read: Is a directory.": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_an_image_that_cannot_be_read_is_set_aside_until_its_file_is_back(
    project: ProjectFolder, data: Made, reason: str
) -> None:
    said, (first, second, third) = Said(), data.names
    path, content = data.images / first, (data.images / first).read_bytes()
    assert (
        find_unusable_images(project, data.names, said) == frozenset()
        and noted_unusable_images(project) == {}
        and not said.lines
    )
    FAULTS[reason](path)
    assert usable_images(project, [third, first, second], said) == [third, second]
    assert said.lines == [
        f"1 image is set aside, with its cells, until its file is back ('{first}': "
        f"{reason.strip().rstrip('.')}). `labelgrid remove` takes images out."
    ]
    assert (
        noted_unusable_images(project) == status_of(project)["set_aside"] == {first: reason.strip()}
    )
    assert find_unusable_images(project, [second], said) == frozenset() and list(
        noted_unusable_images(project)
    ) == [first]
    if path.is_dir():
        path.rmdir()
    path.write_bytes(content)
    assert noted_unusable_images(project) == {}
    assert (
        usable_images(project, data.names, said) == list(data.names)
        and project.store.get("set_aside") == {}
    )


def test_an_image_of_unknown_content_is_read(project: ProjectFolder, data: Made) -> None:
    rows = [ImageRow(image_id=row.image_id, root=row.root) for row in project.store.images()]
    project.store.update_images(replace(row, split="train") for row in rows)
    path = data.images / data.names[0]
    path.write_bytes(path.read_bytes()[:200])
    assert find_unusable_images(project, data.names, Said()) == {data.names[0]}


def test_only_the_rows_of_the_images_in_question_are_read(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = data.names
    (data.images / first).unlink()
    read: list[str] = []
    image = roster._image
    monkeypatch.setattr(roster, "_image", lambda row: read.append(row.name) or image(row))
    assert (
        find_unusable_images(project, [first], Said())
        == {first}
        == set(noted_unusable_images(project))
    )
    assert images_without_files(project, [first, second]) == {first}
    assert read == [first, first, first, second]


def test_if_no_image_can_be_read_the_next_step_is_named(
    project: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    data.images.rename(tmp_path / "elsewhere")
    assert images_without_files(project, data.names) == frozenset(data.names)
    with pytest.raises(ImageError) as caught:
        usable_images(project, data.names, Said())
    assert str(caught.value) == (
        "No image that is needed can be read. '0000.jpg': There is no such file "
        f"({project.folder}).\n  Put them back; if the folder was moved, "
        f"`labelgrid add {project.folder} --images NEW-PLACE` finds them again."
    )


def test_requests_of_images_that_are_set_aside_are_not_exported(
    project: ProjectFolder, data: Made
) -> None:
    ask(project, cells_of(data), number=1)
    (data.images / data.names[1]).unlink()
    said = Said()
    (folder,) = export(project, progress=said).folders
    assert {row["image"] for row in manifest(folder)} == {data.names[0], data.names[2]}
    assert said.lines and said.lines[0].startswith("1 image is set aside")
