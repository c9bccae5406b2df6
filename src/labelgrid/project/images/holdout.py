"""Holds images out for measuring: drawn at random, whole groups with all copies, never trained on.

Loads no torch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from labelgrid.basics.errors import ProjectError, command
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.basics.words import count_text
from labelgrid.evidence.near_duplicates import Draw, as_block, leak_warning, near_duplicates
from labelgrid.images.thumbnails import Thumbnail
from labelgrid.ledger.grid import ImageRow, State
from labelgrid.ledger.store import Store
from labelgrid.project.records import Fit
from labelgrid.project.requests import request_heldout


def holdout_count(asked: str | int, total: int) -> int:
    """The number of images to hold out: `asked` itself, or its share of `total`.

    The share is rounded, but to at least 1 above 0 %.

    Raises:
        ProjectError: it is neither a number from 0 up nor a share from 0 % to 100 %.

    Example:
        >>> holdout_count("30", 120), holdout_count("20%", 120), holdout_count("1%", 12)
        (30, 24, 1)
    """
    text = str(asked).strip()
    number = text.removesuffix("%").strip()
    try:
        share = float(number) / 100 if text.endswith("%") else None
        count = int(number) if share is None else max(round(share * total), int(share > 0))
        wrong = count < 0 or (share is not None and not 0 <= share <= 1)
    except (ValueError, OverflowError):
        wrong = True
    if wrong:
        raise ProjectError(
            "--holdout must be a number of images from 0 up, or a share such as 20%. "
            f"Found {text}.",
            next_step="Use, for example, --holdout 50.",
        )
    return count


def hold_out(
    store: Store,
    seed: int,
    count: int,
    progress: Progress,
    fits: Sequence[Fit] = (),
    new: Collection[str] = (),
) -> int:
    """Hold out `count` training images drawn at random, and request their labels.

    Whole groups are held out, until `count` is reached. Images with the same content are drawn
    together, so that no copy of a held-out image stays in training.

    Args:
        store: the ledger.
        seed: the seed of the draw.
        count: the least number of images.
        progress: shows copies, and a warning if little is left to buy.
        fits: the finished trainings; images that they may have used are not drawn.
        new: the images that were added after these trainings.

    Returns:
        the number of images that were held out.

    Raises:
        ProjectError: too few images can be held out, or none would be left to train on.
    """
    if not count:
        return 0
    rows = list(store.images())
    family = families(rows)
    used = images_trained_on(store, rows, fits) - set(new)
    free = free_images(rows, family, used)
    held = _draw_families(free, family, seed, count)
    if len(held) < count:
        raise ProjectError(
            f"{count_text(count, 'image')} cannot be held out: only {len(free)} are in no other "
            "split and cannot have been trained on.",
            next_step="Hold out fewer, or add images. After a training, all that ever had a label "
            "may have been used.",
        )
    if sum(row.split == "train" for row in rows) <= len(held):
        raise ProjectError(
            "All images would be held out: their groups are too large, or they are copies.",
            next_step="Hold out fewer, or add images; groups are chosen once, with `init --group`.",
        )
    digests = [row.digest for row in held if row.digest]
    copies = len(digests) - len(set(digests))
    if copies:
        among = count_text(
            copies, "of the held-out images is a copy", "of the held-out images are copies"
        )
        progress.say(f"{among} of others among them; no copy stays in training.")
    warning = put_into_heldout(store, held)
    if warning:
        progress.say(warning)
    return len(held)


def put_into_heldout(store: Store, rows: Sequence[ImageRow]) -> str:
    """Hold out images and request their labels; return a warning if little is left to buy."""
    before = pool_left(store)
    store.update_images(replace(row, split="heldout") for row in rows)
    request_heldout(store, [row.image_id for row in rows], [task.name for task in store.tasks()])
    return pool_warning(before, pool_left(store))


@dataclass(frozen=True)
class PoolLeft:
    """The number of training images, and of their missing labels."""

    images: int
    labels: int


def pool_left(store: Store) -> PoolLeft:
    """The present pool's numbers of images and labels."""
    missing = sum(count.missing for count in store.counts(("train",)).values())
    return PoolLeft(store.count_images(("train",)), missing)


def pool_warning(before: PoolLeft, after: PoolLeft) -> str:
    """A warning that holding images out leaves less than half of the labels to buy, or "".

    Example:
        >>> pool_warning(PoolLeft(60, 120), PoolLeft(40, 80))
        ''
        >>> pool_warning(PoolLeft(60, 120), PoolLeft(24, 12)).partition(":")[0]
        '36 of 60 training images are held out now, and cannot be picked'
    """
    if 2 * after.labels >= before.labels:
        return ""
    images = count_text(before.images, "training image is", "training images are")
    return (
        f"{before.images - after.images:,} of {images} held out now, and cannot be picked: of "
        f"{count_text(before.labels, 'label')} to buy {after.labels:,} are left, in "
        f"{count_text(after.images, 'image')}. Add images to train on, or begin again with fewer "
        "held out."
    )


def free_images(
    rows: Sequence[ImageRow], family: Mapping[str, str], used: Collection[str]
) -> list[ImageRow]:
    """The training images that can still be held out with a whole family.

    `family` is as by `families`; `used` are images that trainings may have used.
    """
    fixed = set()
    for row in rows:
        if row.image_id in used or row.split in ("val", "test"):
            fixed.add(family[row.image_id])
    return [row for row in rows if row.split == "train" and family[row.image_id] not in fixed]


def say_leaks(
    store: Store, seed: int, thumbnails: Mapping[str, Thumbnail], progress: Progress
) -> None:
    """Warn of training images similar to images for measuring, and name groups that help.

    Images without a thumbnail are not compared.
    """
    rows = list(store.images()) if thumbnails else []
    measured = [row.image_id for row in rows if row.split != "train"]
    if not measured:
        return
    progress.start("Comparing images", 1, "steps")
    compared = [image_id for image_id in measured if image_id in thumbnails]
    pairs = near_duplicates([as_block(thumbnails)], set(compared))
    warning = leak_warning(pairs, rows, len(compared), drawing_anew(rows, seed))
    progress.advance()
    if warning:
        progress.say(warning)


def say_not_compared(folder: Path, progress: Progress) -> None:
    """Name the command that compares images for measuring with training images."""
    progress.say(
        "Held-out images were not compared with the others: "
        f"`{command('duplicates', folder)}` finds those that look like a training image."
    )


def drawing_anew(rows: Sequence[ImageRow], seed: int) -> Draw:
    """A function that draws as many held-out images as `rows` have, from regrouped rows."""
    count = sum(row.split != "train" for row in rows)

    def draw(grouped: Sequence[ImageRow]) -> list[ImageRow]:
        return _draw_families(grouped, families(grouped), seed, count)

    return draw


def _draw_families(
    rows: Sequence[ImageRow], family: Mapping[str, str], seed: int, count: int
) -> list[ImageRow]:
    """Draw whole families until there are `count` images.

    A family's draw depends on its name and the seed only.
    """
    keys = image_keys(family[row.image_id] for row in rows)
    draws = keyed_uniform(keys, seed_of(seed, "holdout"))
    held: list[ImageRow] = []
    for index in np.lexsort((keys, draws)):
        row = rows[int(index)]
        if len(held) >= count and family[row.image_id] != family[held[-1].image_id]:
            break
        held.append(row)
    return held


def families(rows: Sequence[ImageRow]) -> dict[str, str]:
    """Image id -> the name of its family, by group and by content.

    A family is images that must be in one split. Its name is the group, or the image id if there is
    no group; of several, the first.

    Example:
        >>> rows = [
        ...     ImageRow(image_id="a", root="", digest="1"),
        ...     ImageRow(image_id="b", root="", digest="2"),
        ...     ImageRow(image_id="c", root="", digest="1"),
        ... ]
        >>> families(rows)
        {'a': 'a', 'b': 'b', 'c': 'a'}
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    names = {row.image_id: row.group or row.image_id for row in rows}
    first: dict[str, str] = {}
    for row in rows:
        family = root(names[row.image_id])
        if row.digest:
            other = root(first.setdefault(row.digest, family))
            parent[max(family, other)] = min(family, other)
    return {image_id: root(name) for image_id, name in names.items()}


def images_trained_on(store: Store, rows: Sequence[ImageRow], fits: Sequence[Fit]) -> set[str]:
    """The images that a finished training may have used.

    Those are the images that ever had a label, or all images if a training used all.
    """
    if not fits:
        return set()
    if any(fit.recipe.get("train", {}).get("images") == "all" for fit in fits):
        return {row.image_id for row in rows}
    labelled_ids = set()
    for event in chain(store.events(), store.part_events()):
        if event.move.to == State.LABELLED:
            labelled_ids.add(event.move.cell.image_id)
    return labelled_ids
