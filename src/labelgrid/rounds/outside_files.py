"""Lists and reads the prediction files of a network outside the program. Loads no torch."""

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.files import digest, open_regular
from labelgrid.formats.npz import open_arrays, stated_array, unpack

EXTENSION = ".npz"
#: A file whose arrays have more bytes is refused: 10 passes of 40 classes at 640x480 have 0.5e9.
LARGEST = 2**32

Arrays = dict[str, Array]


@dataclass(frozen=True)
class OutsideFiles:
    """A folder of prediction files, with the names of the files."""

    folder: Path
    names: frozenset[str]

    @classmethod
    def of(cls, folder: Path) -> "OutsideFiles":
        """List the files of a folder and of the folders in it.

        Raises:
            ProjectError: there is no such folder, or no such file in it.
        """
        paths = folder.rglob(f"*{EXTENSION}")
        names = frozenset(path.relative_to(folder).as_posix() for path in paths)
        if not names:
            fault = f"holds no {EXTENSION} file" if folder.is_dir() else "does not exist"
            raise ProjectError(
                f"The folder of predictions {fault}.",
                where=folder,
                next_step="Write the predictions of each image into it as IMAGE.npz, with arrays "
                "such as 'depth.values' [1, h, w].",
                unchanged="Nothing was scored.",
            )
        return cls(folder, names)

    def digest(self) -> str:
        """The hash of all names and contents.

        Raises:
            ProjectError: a file cannot be read.
        """
        total = hashlib.blake2b(digest_size=16)
        for name in sorted(self.names):
            try:
                content = digest(self.folder / name)
            except OSError as error:
                raise ProjectError(
                    f"A file of predictions cannot be read: {error.strerror}.",
                    where=self.folder / name,
                    next_step="Write it again.",
                ) from error
            total.update(f"{name}\0{content}\0".encode(errors="surrogateescape"))
        return total.hexdigest()


def predictions_changed(folder: Path, recorded: str) -> bool:
    """Whether a folder of predictions exists with another digest than recorded."""
    return folder.is_dir() and OutsideFiles.of(folder).digest() != recorded


def read_predictions(path: Path, most: int = LARGEST) -> Arrays:
    """Read the arrays of numbers in a file, by their names; nothing is unpickled.

    Args:
        path: the file.
        most: the bytes that all arrays may have together; their heads are read before.

    Raises:
        LabelError: it is damaged or too large, or holds something else.
    """
    arrays = {}
    with _file_errors(path), open_regular(path) as file, open_arrays(file) as archive:
        stated = [stated_array(archive, member) for member in archive.infolist()]
        total = sum(array.size for array in stated)
        if total > most:
            raise ValueError(
                f"its arrays have {total / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB that "
                "predictions of its image can have"
            )
        for array in stated:
            name = array.member.filename.removesuffix(".npy")
            arrays[name] = unpack(archive, array, path)
    return arrays


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Turn the errors of archives into `LabelError`."""
    try:
        yield
    except (
        OSError,
        ValueError,
        EOFError,
        BadZipFile,
        zlib.error,
        RuntimeError,  # it is encrypted
        NotImplementedError,
    ) as error:
        raise LabelError(
            f"The file cannot be read: {error}.",
            where=path,
            next_step="Write it with `numpy.savez`, arrays of numbers alone.",
        ) from error
