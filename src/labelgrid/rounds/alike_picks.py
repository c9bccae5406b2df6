"""Finds picked images that look like further images, as frames of a video do.

Loads no torch.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from labelgrid.basics.errors import LabelgridError, command
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.near_duplicates import (
    alike_groups,
    as_block,
    near_duplicates,
    nearest_pairs,
    read_thumbnails,
)
from labelgrid.images.thumbnails import LEAST, Thumbnail
from labelgrid.ledger.grid import Grid, ImageRow, Pick
from labelgrid.ledger.store import Store
from labelgrid.project.images.image_files import size_of
from labelgrid.project.records import newest_fit
from labelgrid.select.strategy import Strategy

#: So many picked images are compared, the best ones.
MOST = 200
#: The images that are read between two signs of progress.
AT_ONCE = 16
#: So many labelled images are compared before a picked one in the order of names, and after it.
NEIGHBOURS = 1
#: The strategies that spread their picks, with a model and without one.
SPREADS = "core_set"
SPREADS_COLD = "typiclust"
#: The examples that a remark names.
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class AlikeLabelled:
    """A picked image beside a similar image with a label or a request.

    Args:
        image: its id.
        labelled: the id of the other image.
        likeness: their correlation.
    """

    image: str
    labelled: str
    likeness: float


@dataclass(frozen=True, kw_only=True)
class AlikePicks:
    """The picked images that look like further images.

    Args:
        compared: the number of picked images that were compared.
        groups: groups of images that look alike, the largest group first.
        labelled: the picked images that look like an image with a label or a request.
    """

    compared: int = 0
    groups: Sequence[Sequence[str]] = ()
    labelled: Sequence[AlikeLabelled] = field(default_factory=list)

    def as_json(self) -> Json:
        """The images as JSON values."""
        return asdict(self)

    def text(self, advice: str) -> str:
        """A remark on similar images, with advice; empty without any."""
        if not self.groups and not self.labelled:
            return ""
        parts = []
        of = f"of {count_text(self.compared, 'picked image')}"
        if self.groups:
            alike = sum(map(len, self.groups))
            shown = [join_names(group, SHOWN) for group in self.groups]
            parts.append(f"{alike} {of} look like another one: {join_names(shown, SHOWN, '; ')}.")
        if self.labelled:
            shown = [f"{pair.image} and {pair.labelled}" for pair in self.labelled]
            verb = "looks" if len(self.labelled) == 1 else "look"
            parts.append(
                f"{len(self.labelled)} {of} {verb} like one that is labelled or asked for: "
                f"{join_names(shown, SHOWN, '; ')}."
            )
        parts.append("Labels of near-copies, such as frames of one video, teach less.")
        return " ".join([*parts, advice]).rstrip()


def say_alike(
    store: Store,
    picks: Sequence[Pick],
    progress: Progress,
    *,
    folder: Path,
    picker: tuple[str, Strategy] | None,
    requested: bool,
) -> AlikePicks:
    """Say which picked images look alike.

    Args:
        store: the store of the project.
        picks: best first.
        progress: shows the message.
        folder: the project's, for commands.
        picker: the name and the strategy that picked; None: a search, whose picks are to be alike.
        requested: whether the picks were requested.
    """
    alike = alike_picks(store, picks, progress)
    text = alike.text(_advice(folder, picker, requested=requested) if picker else "")
    if text:
        progress.say(text)
    return alike


def alike_picks(store: Store, picks: Sequence[Pick], progress: Progress) -> AlikePicks:
    """Compare the thumbnails of picked images, and of labelled images beside them.

    Only neighbours in the order of names are compared, and the nearest image by features where a
    pick is explained by features: each compared picture is read. Small images and those that cannot
    be read are left out.

    Args:
        store: the store of the project.
        picks: best first.
        progress: receives the progress.
    """
    picked = list(dict.fromkeys(pick.cell.image_id for pick in picks))[:MOST]
    others = _beside(picked, store.grid())
    nearest = {pick.explanation.nearest for pick in picks if pick.cell.image_id in set(picked)}
    others |= nearest - {""} - set(picked)
    rows = [
        row
        for row in store.images(names=[*picked, *others])
        if not row.height or max(row.height, row.width) >= LEAST  # the size may be unknown
    ]
    if not rows:
        return AlikePicks()
    progress.start("Comparing the picks", len(rows), "images")
    thumbnails: dict[str, Thumbnail] = {}
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        read_thumbnails(map(_with_size, part), thumbnails)
        progress.advance(len(part))
    of_picks = {name: thumbnails[name] for name in picked if name in thumbnails}
    if not of_picks:
        return AlikePicks()
    pairs = []
    if len(thumbnails) > len(of_picks):
        pairs = near_duplicates([as_block(thumbnails)], set(of_picks))
    labelled = []
    for pair in nearest_pairs(pairs):
        alike = AlikeLabelled(image=pair.measured, labelled=pair.training, likeness=pair.likeness)
        labelled.append(alike)
    groups = alike_groups(as_block(of_picks))
    return AlikePicks(compared=len(of_picks), groups=groups, labelled=labelled)


def _with_size(row: ImageRow) -> ImageRow:
    """Add the size of an unchecked image, unless its file is damaged."""
    with suppress(LabelgridError, OSError):
        height, width = size_of(row)
        return replace(row, height=height, width=width)
    return row


def _advice(folder: Path, picker: tuple[str, Strategy], *, requested: bool) -> str:
    name, strategy = picker
    spreads = SPREADS if newest_fit(folder) else SPREADS_COLD
    if name == spreads:
        return ""
    words = ["--strategy", spreads]
    commands = [command("query", folder, *words, "--budget", "N")]
    if strategy.needs:
        commands.insert(0, command("score", folder, *words))
    if requested:
        commands.insert(0, command("undo", folder))
    shown = ", then ".join(f"`{line}`" for line in commands)
    return f"{shown} {'asks' if requested else 'would ask'} for images that are spread instead."


def _beside(picked: Collection[str], grid: Grid) -> set[str]:
    """The images with a label or a request next to picked images in the order of names."""
    rows = np.flatnonzero(grid.bought.any(1)).tolist()
    names = sorted({grid.images[row] for row in rows} - set(picked))
    beside = set()
    for image_id in picked:
        place = bisect_left(names, image_id)
        beside |= set(names[max(0, place - NEIGHBOURS) : place + NEIGHBOURS])
    return beside
