"""Provides random numbers: named streams, and draws keyed by image id instead of position."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to load
    import numpy as np

    from labelgrid.basics.array_types import Floats, Keys


def seed_of(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` of `seed`.

    Adding a stream never changes the draws of another.

    Example:
        >>> seed_of(0, "augment", 3) == seed_of(0, "augment", 3) != seed_of(0, "augment", 4)
        True
    """
    return _hash_63("\x1f".join([str(seed), *map(str, names)]))


def _hash_63(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(seed: int, *names: str | int) -> "np.random.Generator":
    """The NumPy generator of a named stream.

    Example:
        >>> int(stream(0, "select", 3).integers(100)) == int(stream(0, "select", 3).integers(100))
        True
    """
    import numpy as np

    return np.random.default_rng(seed_of(seed, *names))


def image_key(image_id: str) -> int:
    """The 63-bit key of an image id for random draws and ties."""
    return _hash_63(image_id)


def image_keys(image_ids: Iterable[str]) -> "Keys":
    """The keys of image ids, uint64 [n]."""
    import numpy as np

    return np.array([image_key(image_id) for image_id in image_ids], np.uint64)


def keyed_uniform(keys: "Keys", salt: int) -> "Floats":
    """A uniform number in [0, 1) per key, float64 [n], from the key and the salt alone.

    Uses the finaliser of SplitMix64 (Steele, Lea & Flood 2014).

    Example:
        >>> import numpy as np
        >>> a = keyed_uniform(np.array([1, 2, 3], np.uint64), 7)
        >>> bool((keyed_uniform(np.array([3, 1], np.uint64), 7) == a[[2, 0]]).all())
        True
    """
    import numpy as np

    golden = np.uint64(0x9E3779B97F4A7C15)
    with np.errstate(over="ignore"):
        z = (keys ^ (np.uint64(salt & (2**64 - 1)) * golden)) + golden
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def drawn_places(image_ids: Iterable[str], salt: int) -> list[int]:
    """The places of image ids in an order that is drawn by the ids and the salt alone.

    Example:
        >>> ids = ["a.png", "b.png", "c.png"]
        >>> drawn = [ids[place] for place in drawn_places(ids, 7)]
        >>> drawn == [ids[::-1][place] for place in drawn_places(ids[::-1], 7)]
        True
    """
    import numpy as np

    draws = keyed_uniform(image_keys(image_ids), salt)
    return np.argsort(draws, kind="stable").tolist()
