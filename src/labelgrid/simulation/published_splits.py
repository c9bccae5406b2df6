"""Reads the split files that MTPSL published: which image has a label of which task.

Runs nothing that they hold.

For NYUv2 and Cityscapes a file of PyTorch holds the tensor `labels_weights`, rows × tasks, with 1
where an image has a label; for PASCAL a file of `np.save` holds a dict that lists image ids by
task.
"""

import io
import pickle  # for the name of an error
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import RecipeError
from labelgrid.files import read_bytes, read_text
from labelgrid.ledger.grid import Cell
from labelgrid.simulation.arms import InitialLabels
from labelgrid.simulation.plain_pickle import lists_of_texts
from labelgrid.words import count_text

#: Bytes that a split file may have, compressed and not.
LIMIT = 2**24
#: The name of the tensor.
WEIGHTS = "labels_weights"
#: How files of `torch.save` begin: zip archives since PyTorch 1.6, before that a pickled number
#: after two bytes.
_ZIP = b"PK\x03\x04"
_OLD = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def published_cells(plan: InitialLabels, root: Path, pool: Collection[str]) -> list[Cell]:
    """The cells that a published split labels, ordered by image id, then task.

    Args:
        plan: with `file` and, for a tensor, `rows` and `columns`.
        root: the data set's root.
        pool: the ids of the pool's images.

    Raises:
        RecipeError: the file cannot be read, holds anything else, or does not fit the pool.

    Source: MTPSL, the splits in its published repository.
    """
    path = root / plan.file
    value = _read(path)
    if isinstance(value, Mapping):
        if plan.rows:
            raise _refused(
                path, "The split file lists image ids, so it has no rows", "Remove initial.rows."
            )
        return sorted(_listed(value, plan.columns, pool, path))
    return sorted(_of_rows(value, plan, _order(plan.rows, root, pool, path), path))


def _read(path: Path) -> NDArray[np.float64] | dict[str, list[str]]:
    """The weights of a split file, or its dict of lists."""
    try:
        data = read_bytes(path, LIMIT)
        return (
            _tensor(data) if data.startswith(_ZIP) or data[2:14] == _OLD else lists_of_texts(data)
        )
    except OSError as error:
        raise _refused(
            path, f"The split file cannot be read: {error}", "Check the path."
        ) from error
    except Exception as error:  # torch raises many types for damaged files and for objects
        what = str(error).strip().partition("\n")[0].rstrip(".")
        raise _refused(
            path, f"The split file was not opened: {what or type(error).__name__}"
        ) from error


def _tensor(data: bytes) -> NDArray[np.float64]:
    """The weights in a file of `torch.save`, [rows, tasks]."""
    import torch

    if (
        data.startswith(_ZIP)
        and sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(data)).infolist()) > LIMIT
    ):
        raise ValueError(f"unpacked it has more than {LIMIT} bytes")
    try:
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError
    ) as error:  # its text recommends to load the file without `weights_only`
        raise ValueError(
            "it is damaged, or holds other objects than tensors, which may run code"
        ) from error
    if isinstance(value, Mapping):
        value = value.get(WEIGHTS)
    if not isinstance(value, torch.Tensor) or not torch.can_cast(value.dtype, torch.float64):
        raise ValueError(f"it holds no tensor {WEIGHTS} of numbers")
    if value.numel() > LIMIT:  # an expanded tensor has more values than its file
        raise ValueError(f"its tensor has more than {LIMIT} values")
    weights: NDArray[np.float64] = value.detach().to(torch.float64).numpy()
    return weights


def _order(rows: str, root: Path, pool: Collection[str], path: Path) -> Sequence[str]:
    """The image id of each row, as the option `rows` says."""
    if not rows:
        choices = 'Set initial.rows to "sorted", "numbers", or the path of a list with one image id a line.'
        raise _refused(
            path,
            "The split file is a tensor, and nothing says which image is in which row",
            choices,
        )
    if rows == "sorted":
        return sorted(pool)
    if rows == "numbers":
        return _by_number(pool, path)
    try:
        order = [line.strip() for line in read_text(root / rows).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(
            root / rows, f"The list of rows cannot be read: {error}", "Check initial.rows."
        ) from error
    known = set(pool)
    unknown = [image_id for image_id in order if image_id not in known]
    if unknown or len(set(order)) < len(order):
        what = f"has '{unknown[0]}', which is not in the pool" if unknown else "has an image twice"
        raise _refused(root / rows, f"The list of rows {what}", "List each image of the pool once.")
    return order


def _by_number(pool: Collection[str], path: Path) -> list[str]:
    """The pool's images in the order of the numbers that are their names."""
    numbers = {image_id: PurePosixPath(image_id).stem for image_id in pool}
    wrong = [
        image_id for image_id, text in numbers.items() if not (text.isascii() and text.isdecimal())
    ]
    if wrong or len({int(text) for text in numbers.values()}) < len(numbers):
        what = (
            f"The file name of '{min(wrong)}' is not a number"
            if wrong
            else "Two images have the same number"
        )
        raise _refused(
            path,
            f'{what}, and initial.rows is "numbers"',
            "Name a list of the rows' images instead.",
        )
    return sorted(numbers, key=lambda image_id: int(numbers[image_id]))


def _of_rows(
    weights: NDArray[np.float64], plan: InitialLabels, order: Sequence[str], path: Path
) -> list[Cell]:
    shape = weights.shape
    if len(shape) != 2 or not shape[1]:
        raise _refused(
            path, f"The tensor of the split file is not of rows × tasks; its shape is {shape}"
        )
    if shape[0] != len(order):
        what = f"The split file has {count_text(shape[0], 'row')}, and initial.rows gives {count_text(len(order), 'image')}"
        raise _refused(
            path, what, "Use the split of this data set, with all its images in the pool."
        )
    columns = range(shape[1])
    known = {
        task: column
        for task, column in plan.columns.items()
        if isinstance(column, int) and column in columns
    }
    if not known or known != dict(plan.columns):
        wanted = f"Set initial.columns to each task's column, from 0 to {shape[1] - 1}, such as {{ depth = 1 }}."
        raise _refused(
            path,
            f"initial.columns does not name columns of the {shape[1]} of the split file",
            wanted,
        )
    cells = []
    for task, column in known.items():
        values = weights[:, column].tolist()
        other = [value for value in values if value not in (0, 1)]
        if other:
            raise _refused(
                path, f"The split file has the weight {other[0]}; only 0 and 1 are expected"
            )
        cells += [
            Cell(image_id, task) for image_id, value in zip(order, values, strict=True) if value
        ]
    return cells


def _listed(
    lists: Mapping[str, Sequence[str]],
    columns: Mapping[str, int | str],
    pool: Collection[str],
    path: Path,
) -> set[Cell]:
    names: dict[str, set[str]] = {}
    for image_id in pool:
        for name in (
            image_id,
            str(PurePosixPath(image_id).with_suffix("")),
            PurePosixPath(image_id).stem,
        ):
            names.setdefault(name, set()).add(image_id)
    cells: set[Cell] = set()
    for task, key in (columns or {key: key for key in lists}).items():
        if key not in lists:
            what = f"The split file has no list '{key}', which initial.columns names"
            raise _refused(path, what, f"It has: {', '.join(lists)}.")
        for name in lists[str(key)]:
            found = names.get(name, set())
            if len(found) != 1:
                what = f"'{name}' of the split file is the name of {count_text(len(found), 'image')} of the pool"
                raise _refused(
                    path, what, "Use the split of this data set, with all its images in the pool."
                )
            cells.update(Cell(image_id, task) for image_id in found)
    return cells


def _refused(
    path: Path, what: str, next_step: str = "Use a split file as it was published."
) -> RecipeError:
    return RecipeError(
        f"{what}.", where=str(path), next_step=next_step, unchanged="Nothing was run."
    )
