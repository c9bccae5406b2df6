"""Reads an array from an .npz file: a zip file of .npy files. Nothing in it is run or trusted."""

import io
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from labelgrid.errors import LabelError
from labelgrid.files import read_bytes
from labelgrid.formats.arrays import Array, file_errors, npy_samples
from labelgrid.images.opening import WrongFileError, max_bytes, refuse_other_format
from labelgrid.words import join_names

#: A file with more arrays is no label file.
MOST = 1000
_ENCRYPTED = 1


def read_npz(path: Path, key: str | None) -> Array:
    """The array of an .npz file, or the one that `key` names.

    Raises:
        LabelError: the file has no array or several, none of this name, or is damaged or too large.
    """
    with file_errors(path):
        data = read_bytes(path, max_bytes())
        if not data:
            raise ValueError("it is empty")
        refuse_other_format(data, path)
        if data.count(b"PK\x01\x02") > MOST:
            raise WrongFileError(f"it holds more than {MOST} arrays", "Save the right one alone.")
        with ZipFile(io.BytesIO(data)) as archive:
            members = {member.filename: member for member in archive.infolist()}
            member = _member(members, key, path)
            return npy_samples(_content(archive, member), path)


def _member(members: dict[str, ZipInfo], key: str | None, path: Path) -> ZipInfo:
    names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
    if key is not None and key not in names:
        raise LabelError(
            f"The file has no array {key!r}.",
            where=str(path),
            next_step=f"It has {join_names(names, 9)}.",
        )
    if not names:
        raise LabelError(
            "The file holds 0 arrays.", where=str(path), next_step="Write it with `numpy.savez`."
        )
    if key is None and len(names) > 1:
        raise LabelError(
            f"The file holds {len(names)} arrays: {join_names(names, 9)}.",
            where=str(path),
            next_step=f'Declare which one is the label, such as `key = "{names[0]}"`.',
            declare={"key": names[0]},
        )
    return members[f"{key or names[0]}.npy"]


def _content(archive: ZipFile, member: ZipInfo) -> bytes:
    """Unpack a member; no more bytes than a label can have."""
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError("it is encrypted, or not packed as NumPy does")
    limit = max_bytes()
    with archive.open(member) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError("it unpacks to far more than a label can have")
    return data
