"""Defines addresses of objects, like s3://bucket/a.jpg, and refuses secrets in them."""

import os
import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from labelgrid.basics.errors import UsageError

#: The schemes of addresses. Others that fsspec knows can run commands or open connections of
#: other kinds, and an address may come from a stranger's project.
SCHEMES = (
    "s3",
    "gs",
    "gcs",
    "az",
    "abfs",
    "abfss",
    "https",
    "http",
    "file",
    "memory",
)
#: Schemes whose hosts are written as container@account.
_ACCOUNTS = ("abfs", "abfss")
_START = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: What a `Path` makes of the start of an address.
_COLLAPSED = re.compile(rf"({'|'.join(SCHEMES)}):/(?=[^/])")
#: What follows the colon, where it is not "//": files of this machine have no host.
_SLASHES = {"file": "///"}
_USER = re.compile(r"://[^/]*@")


class Address(str):
    """The address of an object, or of all objects with this beginning.

    Example:
        >>> address = Address("s3://bucket/photos/a.JPG")
        >>> address.scheme, address.store, address.suffix, address.folder
        ('s3', 's3://bucket', '.jpg', 's3://bucket/photos')
    """

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """The protocol."""
        return self.partition("://")[0]

    @property
    def store(self) -> str:
        """The part that names the store: a bucket, a container, a server."""
        scheme, _, rest = self.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def key(self) -> str:
        """The name of the object in its store."""
        return self[len(self.store) + 1 :]

    @property
    def suffix(self) -> str:
        """The extension of its name, in small letters."""
        return os.path.splitext(self.key)[1].lower()  # noqa: PTH122 - a Path each is slow for a million

    @property
    def folder(self) -> "Address":
        """The address without its last name."""
        key = self.key.rstrip("/").rpartition("/")[0]
        return Address(f"{self.store}/{key}" if key else self.store)

    def below(self, name: str) -> "Address":
        """The address of an object below this address."""
        return Address(f"{self.rstrip('/')}/{name}")

    @property
    def is_plain(self) -> bool:
        """Whether no part of its key is empty or leads to another folder."""
        return not {"", ".", ".."}.intersection(self.key.split("/"))


def is_address(text: str) -> bool:
    """Whether a text is an address, and not a path of this machine.

    Example:
        >>> is_address("s3://bucket/a.png"), is_address("photos/a.png")
        (True, False)
    """
    return _START.match(text) is not None


def place_of(location: str | Path) -> Path | Address:
    """A file or folder as a path, or an object's checked address, also where a `Path` holds it.

    Example:
        >>> place_of("photos"), place_of(Path("s3://bucket/photos"))
        (PosixPath('photos'), 's3://bucket/photos')
    """
    text = _COLLAPSED.sub(
        lambda start: f"{start[1]}:{_SLASHES.get(start[1], '//')}", str(location), count=1
    )
    if is_address(text):
        return check_address(text)
    return Path(location)


def check_address(text: str) -> Address:
    """An address whose store can be asked, and that holds no secret.

    Raises:
        UsageError: its scheme is unknown, it names a user or a password, or it has a query, as
            signed addresses have. The message repeats neither.

    Example:
        >>> check_address("s3://ann:secret@bucket/photos")
        Traceback (most recent call last):
        labelgrid.basics.errors.UsageError: The address holds a user's name or a password (s3://...).
          Leave it out; ...
    """
    address = Address(text)
    if address.scheme not in SCHEMES or "::" in text:
        raise UsageError(
            f"Addresses that begin with '{address.scheme}://' are not read.",
            next_step=f"Use one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}.",
        )
    user = address.store.partition("://")[2].partition("@")[0]
    if _USER.search(address) and (address.scheme not in _ACCOUNTS or ":" in user):
        raise UsageError(
            "The address holds a user's name or a password.",
            where=f"{address.scheme}://...",
            next_step="Leave it out; the environment of the command says who you are, as the "
            "store's own tools read it (docs/how-to/object-storage.md).",
        )
    if "?" in text:
        raise UsageError(
            "The address has a query, as signed addresses have, which are secret and run out.",
            where=f"{without_query(text)}?...",
            next_step="Give the address without it, and access by the environment.",
        )
    return address


def without_query(text: str) -> str:
    """An address without its query and without a user, to be shown.

    Example:
        >>> without_query("https://ann:secret@host/a.png?sig=secret")
        'https://host/a.png'
    """
    return _USER.sub("://", text.partition("?")[0])


def common_folder(addresses: Iterable[Address]) -> Address:
    """The deepest folder above objects of one store.

    Example:
        >>> common_folder([Address("s3://b/photos/x/a.png"), Address("s3://b/photos/xy/b.png")])
        's3://b/photos'
    """
    ordered = list(addresses)
    first = min(ordered)
    last = max(ordered)
    names = zip(first.folder.split("/"), last.folder.split("/"), strict=False)
    same = takewhile(lambda pair: pair[0] == pair[1], names)
    return Address("/".join(name for name, _ in same))
