"""Reads the split files of MTPSL: lists of labelled images for each task.

No code in these files is run.

For NYUv2 and Cityscapes a file of PyTorch holds the tensor `labels_weights`, rows × tasks, with 1
where an image has a label; for PASCAL a file of `np.save` holds a dict that lists image ids by
task.
"""

import io
import pickle  # for the name of an error
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from labelgrid.basics.array_types import Floats
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.files import read_bytes, read_text
from labelgrid.basics.words import count_text
from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.plain_pickle import lists_of_texts
from labelgrid.ledger.grid import Cell

#: Bytes that a split file may have, compressed and not.
LIMIT = 2**24
#: The name of the tensor.
WEIGHTS = "labels_weights"
#: How files of `torch.save` begin: zip archives since PyTorch 1.6, before that a pickled number
#: after two bytes.
_ZIP = b"PK\x03\x04"
_OLD = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def published_cells(plan: InitialLabels, root: Path, pool: Collection[str]) -> list[Cell]:
    """Read the cells that a published split labels, ordered by image id, then task.

    Raises:
        RecipeError: the file cannot be read, holds anything else, or does not fit the pool.

    Source: MTPSL, the splits in its published repository.
    """
    path = root / plan.file
    value = _read_split(path)
    if isinstance(value, Mapping):
        if plan.rows:
            raise _refusal(
                path, "The split file lists image ids, so it has no rows", "Remove initial.rows."
            )
        return sorted(_cells_of_lists(value, plan.columns, pool, path))
    order = _row_order(plan.rows, root, pool, path)
    return sorted(_cells_of_weights(value, plan, order, path))


def _read_split(path: Path) -> Floats | dict[str, list[str]]:
    try:
        data = read_bytes(path, LIMIT)
        if data.startswith(_ZIP) or data[2:14] == _OLD:
            return _load_weights(data)
        return lists_of_texts(data)
    except OSError as error:
        raise _refusal(
            path, f"The split file cannot be read: {error}", "Check the path."
        ) from error
    except Exception as error:  # torch raises many types for damaged files and for objects
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise _refusal(
            path, f"The split file was not opened: {reason or type(error).__name__}"
        ) from error


def _load_weights(data: bytes) -> Floats:
    """Load the weights in a file of `torch.save`, [rows, tasks]."""
    import torch

    if data.startswith(_ZIP):
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
        if sum(part.file_size for part in parts) > LIMIT:
            raise ValueError(f"unpacked it has more than {LIMIT} bytes")
    try:
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Its text recommends to load the file without `weights_only`.
        raise ValueError(
            "it is damaged, or holds other objects than tensors, which may run code"
        ) from error
    if isinstance(value, Mapping):
        value = value.get(WEIGHTS)
    if not isinstance(value, torch.Tensor) or not torch.can_cast(value.dtype, torch.float64):
        raise ValueError(f"it holds no tensor {WEIGHTS} of numbers")
    if value.numel() > LIMIT:  # an expanded tensor has more values than its file
        raise ValueError(f"its tensor has more than {LIMIT} values")
    return value.detach().to(torch.float64).numpy()


def _row_order(rows: str, root: Path, pool: Collection[str], path: Path) -> Sequence[str]:
    """Find the image id of each row, as the option `rows` says."""
    if not rows:
        raise _refusal(
            path,
            "The split file is a tensor, and nothing says which image is in which row",
            'Set initial.rows to "sorted", "numbers", '
            "or the path of a list with one image id a line.",
        )
    if rows == "sorted":
        return sorted(pool)
    if rows == "numbers":
        return _sort_by_number(pool, path)
    return _read_order(root / rows, pool)


def _read_order(path: Path, pool: Collection[str]) -> list[str]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refusal(
            path, f"The list of rows cannot be read: {error}", "Check initial.rows."
        ) from error
    order = [line.strip() for line in lines if line.strip()]
    pool_ids = set(pool)
    unknown = [image_id for image_id in order if image_id not in pool_ids]
    fault = ""
    if unknown:
        fault = f"has '{unknown[0]}', which is not in the pool"
    elif len(set(order)) < len(order):
        fault = "has an image twice"
    if fault:
        raise _refusal(path, f"The list of rows {fault}", "List each image of the pool once.")
    return order


def _sort_by_number(pool: Collection[str], path: Path) -> list[str]:
    stems = {image_id: PurePosixPath(image_id).stem for image_id in pool}
    numbers = {}
    for image_id, stem in stems.items():
        if stem.isascii() and stem.isdecimal():
            numbers[image_id] = int(stem)
    fault = ""
    if len(numbers) < len(stems):
        fault = f"The file name of '{min(stems.keys() - numbers.keys())}' is not a number"
    elif len(set(numbers.values())) < len(numbers):
        fault = "Two images have the same number"
    if fault:
        raise _refusal(
            path,
            f'{fault}, and initial.rows is "numbers"',
            "Name a list of the rows' images instead.",
        )
    return sorted(numbers, key=numbers.__getitem__)


def _cells_of_weights(
    weights: Floats, plan: InitialLabels, order: Sequence[str], path: Path
) -> list[Cell]:
    """Find the cells whose weight is 1; `order` has the image id of each row."""
    shape = weights.shape
    if len(shape) != 2 or not shape[1]:
        raise _refusal(
            path, f"The tensor of the split file is not of rows × tasks; its shape is {shape}"
        )
    if shape[0] != len(order):
        rows = count_text(shape[0], "row")
        images = count_text(len(order), "image")
        raise _refusal(
            path,
            f"The split file has {rows}, and initial.rows gives {images}",
            "Use the split of this data set, with all its images in the pool.",
        )
    cells = []
    for task, column in _check_columns(plan.columns, shape[1], path).items():
        values = weights[:, column].tolist()
        other = [value for value in values if value not in (0, 1)]
        if other:
            raise _refusal(
                path, f"The split file has the weight {other[0]}; only 0 and 1 are expected"
            )
        for image_id, value in zip(order, values, strict=True):
            if value:
                cells.append(Cell(image_id, task))
    return cells


def _check_columns(columns: Mapping[str, int | str], count: int, path: Path) -> dict[str, int]:
    """The column of each task, if a tensor with `count` columns has all."""
    numbers = {
        task: column
        for task, column in columns.items()
        if isinstance(column, int) and column in range(count)
    }
    if not numbers or numbers != dict(columns):
        raise _refusal(
            path,
            f"initial.columns does not name columns of the {count} of the split file",
            f"Set initial.columns to each task's column, from 0 to {count - 1}, "
            "such as { depth = 1 }.",
        )
    return numbers


def _cells_of_lists(
    lists: Mapping[str, Sequence[str]],
    columns: Mapping[str, int | str],
    pool: Collection[str],
    path: Path,
) -> set[Cell]:
    by_name = _images_by_name(pool)
    cells: set[Cell] = set()
    for task, key in (columns or {key: key for key in lists}).items():
        if key not in lists:
            raise _refusal(
                path,
                f"The split file has no list '{key}', which initial.columns names",
                f"It has: {', '.join(lists)}.",
            )
        for name in lists[str(key)]:
            image_ids = by_name.get(name, set())
            if len(image_ids) != 1:
                images = count_text(len(image_ids), "image")
                raise _refusal(
                    path,
                    f"'{name}' of the split file is the name of {images} of the pool",
                    "Use the split of this data set, with all its images in the pool.",
                )
            cells.update(Cell(image_id, task) for image_id in image_ids)
    return cells


def _images_by_name(pool: Collection[str]) -> dict[str, set[str]]:
    """Find the images for a name: an image id, with or without ending and folder."""
    by_name: dict[str, set[str]] = {}
    for image_id in pool:
        path = PurePosixPath(image_id)
        for name in (image_id, str(path.with_suffix("")), path.stem):
            by_name.setdefault(name, set()).add(image_id)
    return by_name


def _refusal(
    path: Path, fault: str, next_step: str = "Use a split file as it was published."
) -> RecipeError:
    return RecipeError(f"{fault}.", where=path, next_step=next_step, unchanged="Nothing was run.")
