"""Opens the stores of addresses by fsspec, which is loaded here and late."""

import logging
import os
from functools import lru_cache
from typing import Any

from labelgrid.basics.errors import StorageError, UsageError
from labelgrid.basics.type_names import Json
from labelgrid.storage.addresses import Address
from labelgrid.storage.attempts import CREDENTIALS, reason_of, within, without_secrets
from labelgrid.storage.threads import THREADS

#: Seconds in which a client must be made: one without credentials asks the machines of the cloud.
#: With the time for a first answer of the store, a command without a network ends in a minute.
OPENING = 20.0
#: The packages that fsspec needs for a scheme; that for web servers comes with labelgrid.
_PACKAGES = {
    **dict.fromkeys(("gs", "gcs"), "'labelgrid[gs]'"),
    **dict.fromkeys(("az", "abfs", "abfss"), "'labelgrid[az]'"),
    **dict.fromkeys(("http", "https"), "'fsspec[http]'"),
    "s3": "'labelgrid[s3]'",
}
#: Attempts are repeated here, by one rule for all stores, and not again by their clients.
_S3 = {
    "config_kwargs": {
        "max_pool_connections": THREADS,
        "connect_timeout": 10,
        "read_timeout": 30,
        "retries": {"max_attempts": 1, "mode": "standard"},
    }
}
_OPTIONS: dict[str, Json] = {"s3": _S3}
#: Clients that print each failed request with its traceback, unless logging is set up.
_PRINTING = ("gcsfs",)
#: How the names of variables begin that say who and where a store is; a change needs a new client.
_VARIABLES = ("AWS_", "AZURE_", "GCSFS_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
#: Stores that list their objects; a web server does not.
_UNLISTED = ("http", "https")


def can_list(address: Address) -> bool:
    """Whether the store of an address lists its objects."""
    return address.scheme not in _UNLISTED


def system_of(address: Address) -> Any:
    """The client of an address's store, one for each process and environment.

    A notebook that sets other credentials or another endpoint gets a new client.

    Raises:
        StorageError: the package that reads such stores is not installed, or it does not take the
            credentials.
    """
    variables = {name: text for name, text in os.environ.items() if name.startswith(_VARIABLES)}
    return _open(os.getpid(), address.store, frozenset(variables.items()))


@lru_cache(maxsize=16)
def _open(process: int, store: str, variables: frozenset[tuple[str, str]]) -> Any:
    """A client of a store; a forked process needs its own."""
    from fsspec.core import get_filesystem_class, url_to_fs

    address = Address(store)
    options = _OPTIONS.get(address.scheme, {})
    for name in _PRINTING:
        logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        get_filesystem_class(address.scheme)  # loading it says nothing of the store
        system, _ = within(
            OPENING,
            lambda: url_to_fs(
                f"{store}/", skip_instance_cache=True, use_listings_cache=False, **options
            ),
        )
    except ImportError as error:
        package = _PACKAGES.get(address.scheme, "fsspec")
        raise StorageError(
            f"Addresses that begin with '{address.scheme}://' need a package that is not "
            f"installed: {error}.",
            next_step=f"Install it: pip install {package}.",
        ) from error
    except TimeoutError as error:
        raise StorageError(
            f"No credentials for the store were found in {OPENING:.0f} s.",
            where=store,
            next_step=CREDENTIALS,
        ) from error
    except ValueError as error:
        raise UsageError(
            f"The store cannot be opened: {without_secrets(str(error)).rstrip('!.')}.",
            where=store,
            next_step=f"Check the address. {CREDENTIALS}",
        ) from error
    except Exception as error:  # each client has errors of its own
        raise StorageError(
            f"The store cannot be opened: {reason_of(error)}.", where=store, next_step=CREDENTIALS
        ) from error
    system.retries = 1
    return system
