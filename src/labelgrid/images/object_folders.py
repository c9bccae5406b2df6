"""Lists the images in stores of objects: all images below an address, or the images of a list."""

import csv
import io
import posixpath
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from labelgrid.basics.errors import ImageError, LabelgridError
from labelgrid.basics.files import read_foreign_text
from labelgrid.basics.progress import Silent
from labelgrid.images.listing import EXTENSIONS, LeftOut
from labelgrid.storage.addresses import Address, check_address, common_folder, is_address
from labelgrid.storage.objects import download
from labelgrid.storage.stamps import Stamp, list_below
from labelgrid.storage.systems import can_list

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns that name images, the surest first, of tables with more than one column of text.
COLUMNS = ("url", "uri", "address", "image", "image_url", "path", "file", "filename", "name")
#: The most rows of a list, and the most bytes of a path in it.
MOST_IMAGES = 20_000_000
LONGEST = 2**14
#: The extensions of lists.
LISTS = frozenset({".txt", ".csv", ".parquet", ".list"})


class Objects(NamedTuple):
    """Images below a root; stamps where known, and the numbers of other files by extension."""

    root: str
    image_ids: list[str]
    stamps: Mapping[Address, Stamp]
    others: Mapping[str, int]


class Entry(NamedTuple):
    """A text of a list, and the place, such as "line 3"."""

    where: str
    text: str


def list_objects(folder: Address, left_out: LeftOut = None) -> Objects:
    """List the images below an address, by name, without hidden objects.

    Images whose names lead out of the folder go to `left_out`, by name.

    Raises:
        ImageError: there is no image, or the store cannot list.
        StorageError: the store refuses or does not answer.
    """
    if not can_list(folder):
        raise ImageError(
            "A web server does not list its files.",
            where=folder,
            next_step="Give a list of their addresses: a .txt, .csv or .parquet file.",
        )
    stamps = {}
    others: Counter[str] = Counter()
    start = len(folder.rstrip("/")) + 1
    try:
        for address, stamp in list_below(folder):
            if any(part.startswith(".") for part in address[start:].split("/")):
                continue
            if address.suffix not in EXTENSIONS:
                others[address.suffix] += 1
            elif _is_usable(address, address[start:], left_out):
                stamps[address] = stamp
    except FileNotFoundError:
        stamps = {}
    if not stamps:
        raise ImageError(
            "There are no images below this address.",
            where=folder,
            next_step=f"Images are objects that end in {', '.join(sorted(EXTENSIONS))}.",
        )
    ordered = sorted(stamps)
    ids = [address[start:] for address in ordered]
    return Objects(str(folder.rstrip("/")), ids, stamps, others)


def _is_usable(address: Address, name: str, left_out: LeftOut) -> bool:
    if address.is_plain and "?" not in name:
        return True
    error = ImageError(
        f"The name '{name}' has an empty part, '.', '..' or '?'.",
        where=address.folder,
        next_step="Rename the object.",
    )
    if left_out is None:
        raise error
    left_out[name] = error
    return False


def read_object_list(source: Path | Address, roots: Collection[str] = ()) -> list[Objects]:
    """Read the images of a list: addresses, or paths relative to the list's folder.

    The ids of addresses are the ends below the deepest common folder in a store, or below one of
    the roots.

    Args:
        source: the list: a text file of lines, or a .csv or .parquet file with a column of images.
        roots: addresses that are roots of images already.

    Raises:
        ImageError: the list cannot be read or is empty, or an entry cannot be meant, or appears
            twice.
        StorageError: the list's store refuses or does not answer.
        UsageError: an address is of an unknown scheme or holds a secret.
    """
    with TemporaryDirectory(prefix="labelgrid-") as folder:
        path = source if isinstance(source, Path) else download(source, Path(folder), Silent())
        base = source.resolve().parent if isinstance(source, Path) else source.folder
        by_root = _by_root(_entries(path, str(source)), base, str(source), roots)
    if not by_root:
        raise ImageError(
            "The list names no images.", where=source, next_step="Write one path per line."
        )
    return [Objects(root, ids, {}, {}) for root, ids in by_root.items()]


def _by_root(
    entries: Iterable[Entry], base: Path | Address, where: str, roots: Collection[str]
) -> dict[str, list[str]]:
    seen: dict[str, str] = {}
    relative: list[str] = []
    by_store = defaultdict[str, list[Address]](list)
    for entry in entries:
        text = _checked(entry, where)
        if text in seen:
            raise ImageError(f"'{text}' is on {seen[text]} and {entry.where}.", where=where)
        seen[text] = entry.where
        if is_address(text):
            above = [root for root in roots if text.startswith(f"{root}/")]
            store = max(above, key=len, default="") or Address(text).store
            by_store[store].append(Address(text))
        else:
            relative.append(text)
    by_root: dict[str, list[str]] = {}
    if relative:
        by_root[str(base)] = relative
    for store, addresses in by_store.items():
        root = Address(store) if store in roots else common_folder(addresses)
        start = len(root) + 1
        by_root.setdefault(str(root), []).extend(address[start:] for address in addresses)
    return by_root


def _checked(entry: Entry, where: str) -> str:
    text = entry.text
    if is_address(text):
        try:
            address = check_address(text)
        except LabelgridError as error:
            error.where = f"{where}, {entry.where}"
            raise
        suffix = address.suffix
        if not address.is_plain:
            raise ImageError(
                f"The address on {entry.where} has an empty part, '.' or '..'.",
                where=where,
                next_step="Write it as the store does.",
            )
    else:
        text = posixpath.normpath(text)
        suffix = posixpath.splitext(text)[1].lower()
        if text.startswith(("/", "../")):
            raise ImageError(
                f"'{entry.text}' on {entry.where} leaves the list's folder.",
                where=where,
                next_step="Write paths relative to the list's folder, or addresses.",
            )
    if suffix not in EXTENSIONS:
        raise ImageError(
            f"'{text}' on {entry.where} does not have the extension of an image.", where=where
        )
    return text


def _entries(path: Path, where: str) -> Iterator[Entry]:
    readers = {".csv": _csv_entries, ".parquet": _parquet_entries}
    read = readers.get(path.suffix.lower(), _text_entries)
    try:
        for entry in read(path, where):
            text = entry.text.strip()
            if text:
                yield Entry(entry.where, text)
    except (OSError, ValueError, csv.Error) as error:
        fault = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ImageError(
            f"The list cannot be read: {fault}.",
            where=where,
            next_step="Give a text file with one path or address a line, or a .csv or .parquet "
            "file with a column of them.",
        ) from error


def _text_entries(path: Path, where: str) -> Iterator[Entry]:
    for number, line in enumerate(read_foreign_text(path).splitlines(), 1):
        yield Entry(f"line {number}", line)


def _csv_entries(path: Path, where: str) -> Iterator[Entry]:
    rows = csv.reader(io.StringIO(read_foreign_text(path)))
    first = next(rows, [])
    names = [name.strip().lower() for name in first]
    titled = [name for name in COLUMNS if name in names]
    if titled:
        column = names.index(titled[0])
    elif len(first) < 2:
        column = 0
        yield Entry("line 1", "".join(first))
    else:
        raise _no_column(first, where)
    for row in rows:
        yield Entry(f"line {rows.line_num}", row[column] if column < len(row) else "")


def _parquet_entries(path: Path, where: str) -> Iterator[Entry]:
    from pyarrow import parquet  # slow to load, and most lists are text

    with parquet.ParquetFile(path) as heads:
        schema = heads.schema_arrow
    texts = [field.name for field in schema if _is_text(field.type)]
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        if file.metadata.num_rows > MOST_IMAGES:
            raise ImageError(
                f"The list has {file.metadata.num_rows:,} rows, more than {MOST_IMAGES:,}.",
                where=where,
                next_step="List the images of one project.",
            )
        by_name = {name.lower(): name for name in texts}
        titled = [by_name[name] for name in COLUMNS if name in by_name]
        if not titled and len(texts) != 1:
            raise _no_column(schema.names, where)
        column = (titled or texts)[0]
        number = 0
        for batch in file.iter_batches(columns=[column]):
            for text in _texts(batch.column(0), where):
                number += 1
                yield Entry(f"row {number}", text or "")


def _texts(column: "pa.Array", where: str) -> list[str | None]:
    """The texts of a column, none too long for a path; a frequent text is in memory once."""
    import pyarrow.compute as pc
    from pyarrow import types

    values = column.dictionary if types.is_dictionary(column.type) else column
    if (pc.max(pc.binary_length(values)).as_py() or 0) > LONGEST:
        raise ImageError(
            f"A path in the list has more than {LONGEST:,} bytes.",
            where=where,
            next_step="List paths or addresses of images.",
        )
    return column.to_pylist()


def _is_text(type: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(type):
        type = type.value_type
    return bool(types.is_string(type) or types.is_large_string(type))


def _no_column(names: Sequence[str], where: str) -> ImageError:
    return ImageError(
        f"No column names images; the columns are {', '.join(names)}.",
        where=where,
        next_step=f"Name it '{COLUMNS[0]}'.",
    )
