"""Asks a store again while no answer comes, and gives the reason in one sentence."""

import errno
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import TypeVar
from urllib.parse import quote

from labelgrid.basics.errors import LabelgridError, StorageError
from labelgrid.storage.addresses import Address, without_query
from labelgrid.storage.store_settings import patience

T = TypeVar("T")

#: The first wait between two attempts and the longest one, in seconds.
FIRST = 0.2
LONGEST = 10.0
#: The seconds that every attempt has, at least: a busy machine may need some.
LEAST_TIME = 10.0
#: A store that sends fewer bytes a second does not answer.
LEAST_RATE = 1000
#: Errors of this machine's disk.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE)
#: What the store says of a request that it will never do.
_REFUSALS = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENAMETOOLONG)
_FORBIDDEN = (401, 403)
#: What the store says of an object that it does not hold.
_MISSING = (404, 410)
#: What clients call the status that a server answered with.
_STATUS = ("status", "status_code", "code")
#: How gcsfs's error for a status of `_FORBIDDEN` begins, which holds no status.
_FORBIDDEN_WORD = "Forbidden"
#: What the libraries of TLS say of a certificate that nobody whom they trust has signed.
_UNTRUSTED = "certificate verify failed"
#: What they say if its time is over, or has not begun.
_OUT_OF_DATE = ("certificate has expired", "certificate is not yet valid")
#: Status codes below 500 that pass.
_PASSING = (408, 425, 429)
#: What to do about wrong credentials.
CREDENTIALS = (
    "Set your credentials in the environment, as the store's own tools read them "
    "(docs/how-to/object-storage.md), and run the same command again."
)
#: The variables of the environment that hold secrets, by parts of their names.
_SECRET = ("SECRET", "TOKEN", "KEY", "PASSWORD", "CREDENTIAL", "CONNECTION_STRING", "SAS")


def within(seconds: float, action: Callable[[], T], grown: Callable[[], int] | None = None) -> T:
    """Do an action that must end, or show progress, within some seconds.

    An action that does not end is left alone, in a thread that ends with the program.

    Args:
        seconds: how long it may take, if it does not go on.
        action: the action, which is done once.
        grown: a function that returns the number of fetched bytes; the action goes on at
            `LEAST_RATE` a second or more.

    Raises:
        TimeoutError: it did not.

    Example:
        >>> within(5.0, lambda: 3)
        3
    """
    outcome: Future[T] = Future()

    def act() -> None:
        try:
            outcome.set_result(action())
        except BaseException as error:  # noqa: BLE001 it is raised again below
            outcome.set_exception(error)

    threading.Thread(target=act, daemon=True).start()
    before = 0
    while not wait([outcome], timeout=seconds).done:
        now = grown() if grown else 0
        if now - before < LEAST_RATE * seconds:
            raise TimeoutError(f"it sent {now - before:,} bytes in {seconds:.0f} s")
        before = now
    return outcome.result()


def persist(address: Address, action: Callable[[], T], grown: Callable[[], int] | None = None) -> T:
    """Do an action on a store, again and again while the failure may pass.

    `within` does every attempt.

    Waits get longer, and are drawn at random, so that many processes do not ask at once. They end
    after the seconds of `patience`.

    Raises:
        FileNotFoundError: there is no such object.
        OSError: this machine's disk is full or cannot be written.
        StorageError: the store refuses, or did not answer in time.
    """
    end = time.monotonic() + patience()
    wait = FIRST
    while True:
        try:
            return within(max(LEAST_TIME, end - time.monotonic()), action, grown)
        except Exception as error:  # each client has errors of its own
            fault = _fault_of(error)
            is_ours = isinstance(fault, FileNotFoundError | LabelgridError | MemoryError)
            if is_ours or (isinstance(fault, OSError) and fault.errno in _DISK):
                if fault is error:
                    raise
                raise fault from None
            _refuse(address, fault)
            if time.monotonic() + wait > end:
                raise StorageError(
                    f"The store did not answer for {patience():.0f} s: {reason_of(fault)}.",
                    where=without_query(address),
                    next_step="Check the network, and run the same command again: what was fetched "
                    "is kept.",
                ) from None
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(2 * wait, LONGEST)


def _fault_of(error: Exception) -> Exception:
    """The true error: fsspec reports every error of a web server as a missing object."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or not isinstance(cause, Exception):
        return error
    is_missing = isinstance(cause, FileNotFoundError) or _status_of(cause) in _MISSING
    no_address = isinstance(cause, (LookupError, ValueError)) and not isinstance(cause, OSError)
    return error if is_missing or no_address else cause


def _refuse(address: Address, error: Exception) -> None:
    """Raise an error that cannot pass."""
    text = str(error).lower()
    status = _status_of(error)
    name = type(error).__name__
    is_forbidden = isinstance(error, PermissionError) or "Credential" in name or "Auth" in name
    is_refused = False
    if isinstance(error, OSError):
        is_forbidden = is_forbidden or str(error).startswith(_FORBIDDEN_WORD)
        is_refused = error.errno in _REFUSALS
    if _UNTRUSTED in text and any(words in text for words in _OUT_OF_DATE):
        fault = "The certificate of the store is out of date"
        next_step = "Let whoever runs the store renew it, or set this machine's clock right."
    elif _UNTRUSTED in text:
        fault = "The certificate of the store is not trusted"
        next_step = (
            "If it is your organisation's, set SSL_CERT_FILE (for s3:// AWS_CA_BUNDLE) "
            "to the file of its certificates, and run the same command again."
        )
    elif is_forbidden or status in _FORBIDDEN:
        fault = "The store does not allow this"
        next_step = CREDENTIALS
    elif is_refused or (400 <= status < 500 and status not in _PASSING):
        fault = "The store refuses the request"
        next_step = "Check the address."
    else:
        return
    raise StorageError(
        f"{fault}: {reason_of(error)}.", where=without_query(address), next_step=next_step
    ) from None


def _status_of(error: Exception) -> int:
    values = (getattr(error, name, 0) for name in _STATUS)  # the later ones are deprecated in some
    status = next((value for value in values if isinstance(value, int) and value), 0)
    answer = getattr(error, "response", None)  # of S3's client
    if not status and isinstance(answer, Mapping):
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return status


def reason_of(error: BaseException) -> str:
    r"""The first line of an error, without what is secret in the environment.

    Example:
        >>> reason_of(TimeoutError("read timed out\nmore"))
        'TimeoutError: read timed out'
    """
    text = next(iter(str(error).splitlines()), "").strip().rstrip(".")
    text = without_secrets(text)[:300]
    if text:
        return f"{type(error).__name__}: {text}"
    return type(error).__name__


def without_secrets(text: str) -> str:
    """A text without the values of variables whose names say secrets."""
    for name, value in os.environ.items():
        if len(value) >= 6 and any(part in name.upper() for part in _SECRET):
            text = text.replace(value, "***").replace(quote(value, safe=""), "***")
    return text
