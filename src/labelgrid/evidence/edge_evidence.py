"""Doubts labels whose outlines do not follow the edges of their images, and finds out why.

Loads no torch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, islice

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence import edge_agreement
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.edge_agreement import (
    BETTER,
    LIMIT,
    LIMIT_FEW,
    MANY,
    SCALES,
    WAYS,
    Edges,
    Shift,
    agreement,
    best_shift,
    common_shift,
    image_edges,
    is_same_shift,
    is_slanting,
    rescaled,
    shifted,
    turned,
)
from labelgrid.evidence.known_labels import KnownLabels
from labelgrid.images.places import image_file, orientation_or_upright
from labelgrid.images.reading import read_image

#: The most labels of a task, and the images of others, with which each label is compared.
LABELS = 16
OTHERS = 12
#: Fewer labels, or other images, say nothing.
LEAST = 3
#: A shift by a smaller share of a side is no cause: outlines drawn a little too wide agree with it.
SHIFT = 0.06
#: The text of a doubt without a cause.
NO_CAUSE = "Outlines drawn loosely, or along what no edge of the image shows, look like this, too."

Outlines = Mapping[str, Edges]


@dataclass(frozen=True)
class OutlineFit:
    """The agreement of a label's outlines with the edges of its image.

    Args:
        agreement: the agreement of the label as it lies.
        turned: the best agreement of the label in one of `WAYS`.
        way: the way with this agreement.
    """

    agreement: float
    turned: float
    way: str


@dataclass(frozen=True)
class _Cause:
    """A change with which labels would agree with the images.

    Args:
        how: the rest of a sentence that begins "They agree".
        agreement: the mean agreement of the labels after the change.
        notes: as in `Doubt`.
    """

    how: str
    agreement: float
    notes: Mapping[str, str] = field(default_factory=dict)


def _doubt(task: str, statement: str, cause: _Cause | None, orientation: int) -> Doubt:
    if cause is None:
        return Doubt(task, f"{statement} {NO_CAUSE}")
    text = f"{statement} They agree ({cause.agreement:.1f}) {cause.how}."
    if orientation > 1:
        text += (
            f" Their photographs declare EXIF orientation {orientation}: the labels may lie in the "
            "stored orientation; make them upright."
        )
    return Doubt(task, text, cause.notes)


def limit(labels: int) -> float:
    """The least mean agreement that is not doubted, by the number of labels."""
    return LIMIT if labels >= MANY else LIMIT_FEW


def _shift_words(down: float, right: float) -> str:
    """A shift as shares of the sides, in words.

    Example:
        >>> _shift_words(0.0, 0.16), _shift_words(-0.1, -0.02)
        ('16% too far right', '10% too far up and 2% too far left')
    """
    parts = []
    if round(100 * down):
        parts.append(f"{abs(down):.0%} too far {'down' if down > 0 else 'up'}")
    if round(100 * right):
        parts.append(f"{abs(right):.0%} too far {'right' if right > 0 else 'left'}")
    return " and ".join(parts) or "where they should"


class EdgeEvidence:
    """The edges of images, each read once.

    Args:
        known: knows all images.
    """

    def __init__(self, label_source: KnownLabels) -> None:
        self._known = label_source
        self._edges: dict[str, Edges | None] = {}
        self._places: dict[str, tuple[str, str, str]] = {}

    @cached_property
    def _drawn(self) -> list[str]:
        image_ids = self._known.image_ids
        return [image_ids[place] for place in drawn_places(image_ids, seed_of(0, "image edges"))]

    def agreements(self, outlines: Outlines, *, of_one: bool = False) -> dict[str, float]:
        """The known agreement of each label with its own image, by image.

        Args:
            outlines: image -> the outlines of its label.
            of_one: whether all maps come from a single label, and none of the others belongs to
                another image.
        """
        left_out = tuple(outlines) if of_one else ()
        self._find([*outlines, *self._drawn[: OTHERS + max(len(left_out), 1)]])
        agreements = {}
        for image_id, outline in outlines.items():
            value = self._agreement(outline, image_id, *left_out)
            if value is not None:
                agreements[image_id] = value
        return agreements

    def outline_fit(self, outline: Edges, image_id: str) -> OutlineFit | None:
        """The agreement of a label with its own image; None if unknown."""
        self._find([image_id, *self._drawn[: OTHERS + 1]])
        value = self._agreement(outline, image_id)
        if value is None:
            return None
        tried = {}
        for way in WAYS:
            tried[way] = self._agreement(turned(outline, way), image_id) or 0.0
        best = max(tried, key=lambda way: tried[way])
        return OutlineFit(value, tried[best], best)

    def edges_of(self, image_id: str) -> Edges | None:
        """The edges of an image; None if it is small, or cannot be read: other commands say so."""
        if image_id not in self._edges:
            self._find([image_id])
            self._edges[image_id] = None
            with suppress(LabelgridError, OSError):
                image = read_image(image_file(*self._places[image_id]))
                if max(image.shape) >= edge_agreement.LEAST:
                    self._edges[image_id] = image_edges(image)
        return self._edges[image_id]

    def forget(self, image_id: str) -> None:
        """Free the memory of an image's edges, unless further labels are compared with them."""
        if image_id not in self._drawn[: OTHERS + 2]:
            self._edges.pop(image_id, None)

    def doubts(self, task: str, outlines: Outlines, images: Sequence[str]) -> list[Doubt]:
        """Doubt the first outlines of a task, separately for each EXIF orientation of photographs.

        `images` are all images whose labels are imported, for labels that were exchanged.
        """
        groups: dict[int, dict[str, Edges]] = defaultdict(dict)
        compared = dict(islice(outlines.items(), LABELS))
        self._find(compared)
        for image_id, outline in compared.items():
            groups[orientation_or_upright(*self._places[image_id])][image_id] = outline
        doubts = []
        for orientation, group in sorted(groups.items()):
            values = list(self.agreements(group).values())
            if len(values) < LEAST:
                continue
            mean = float(np.mean(values))
            labels = count_text(len(values), "label")
            least = limit(len(values))
            if mean < least:
                statement = (
                    f"the outlines of {labels} do not follow the edges of their images: agreement "
                    f"{mean:.1f} (right labels: above {least:g}; in photographs of rooms, usually "
                    "4 to 11)."
                )
                cause = self._cause(group, sorted(images), mean)
            else:
                statement = (
                    f"the outlines of {labels} follow the edges of their images less (agreement "
                    f"{mean:.1f}) than they would if the labels lay elsewhere."
                )
                cause = self._place(group, mean)
            if cause or mean < least:
                doubts.append(_doubt(task, statement, cause, orientation))
        return doubts

    def usually_off(self, outlines: Outlines) -> bool:
        """Whether many earlier labels do not follow the edges of their images, or lie elsewhere."""
        values = list(self.agreements(outlines).values())
        if len(values) < MANY:
            return False
        mean = float(np.mean(values))
        return mean < LIMIT or self._place(outlines, mean) is not None

    def shift_doubts(self, task: str, outlines: Outlines, earlier: Outlines) -> list[Doubt]:
        """Doubt labels with a small shift in common, unless earlier labels have the same."""
        shift = self._common_shift(outlines)
        if shift is None or is_same_shift(shift, self._common_shift(earlier)):
            return []
        count = count_text(min(len(outlines), LABELS), "label")
        statement = (
            f"the outlines of {count} fit the edges of their images best if the labels are moved: "
            f"they lie {_shift_words(*shift)}, as shares of the image's sides. Check whether the "
            "labels were cut, padded or resized as the images were."
        )
        return [Doubt(task, statement)]

    def _common_shift(self, outlines: Outlines) -> Shift | None:
        """The shift that labels have in common; None if they have none, or are few."""
        group = dict(islice(outlines.items(), LABELS))
        self._find(group)
        images = {image_id: self.edges_of(image_id) for image_id in group}
        pairs = []
        for name, edges in images.items():
            if edges is not None:
                pairs.append((group[name], edges))
        shift = common_shift(pairs) if len(pairs) >= MANY else None
        if shift is None:
            return None
        down, right = shift
        others = [(down, right)]
        if is_slanting(shift):
            others += [(-down, right), (down, -right)]
        # Outlines drawn loosely agree as well if they are moved other ways.
        back = self._changed(group, shifted, -down, -right)
        further = max(self._changed(group, shifted, *other) for other in others)
        if back > further + BETTER:
            return shift
        return None

    def _changed(self, group: Outlines, change: Callable[..., Edges], *how: float | str) -> float:
        """The mean agreement of labels that are changed."""
        outlines = {name: change(outline, *how) for name, outline in group.items()}
        return float(np.mean(list(self.agreements(outlines).values())))

    def _commonly_shifted(self, group: Outlines) -> list[_Cause]:
        shift = self._common_shift(group)
        if shift is None:
            return []
        value = self._changed(group, shifted, -shift[0], -shift[1])
        return [_Cause(f"as labels that lie {_shift_words(*shift)}", value)]

    def _place(self, group: Outlines, mean: float) -> _Cause | None:
        """A better place for labels that follow edges somewhat; None of few labels.

        None, too, for labels that are only shifted a little.
        """
        if len(group) < MANY:
            return None
        best = max(self._elsewhere(group), key=lambda cause: cause.agreement)
        shifted_back = [cause.agreement for cause in self._commonly_shifted(group)]
        if best.agreement > max(mean + BETTER, *shifted_back, 0):
            return best
        return None

    def _elsewhere(self, group: Outlines) -> list[_Cause]:
        tried = []
        for way in WAYS:
            value = self._changed(group, turned, way)
            tried.append(_Cause(f"as labels that lie {way}", value))
        for how, factors in SCALES.items():
            value = self._changed(group, rescaled, *factors)
            if value > limit(len(group)) + BETTER:  # loosely drawn ones fit other sizes somewhat
                tried.append(_Cause(f"as labels that {how}", value))
        return tried

    def _cause(self, group: Outlines, images: Sequence[str], mean: float) -> _Cause | None:
        tried = self._elsewhere(group)
        tried += self._of_neighbours(group, images)
        tried += self._exchanged(group)
        tried += self._shifted(group)
        tried += self._commonly_shifted(group)
        best = max(tried, key=lambda cause: cause.agreement)
        if best.agreement > mean + BETTER:
            return best
        return None

    def _of_neighbours(self, group: Outlines, images: Sequence[str]) -> list[_Cause]:
        """The agreements of labels with the next image, and with the previous one."""
        tried = []
        self._find([*images, *self._drawn[: OTHERS + 2]])
        places = {image_id: place for place, image_id in enumerate(images)}
        for step, name in ((1, "next"), (-1, "previous")):
            others = {one: images[(places[one] + step) % len(images)] for one in group}
            values = [self._across(group[one], one, other) for one, other in others.items()]
            notes = {}
            for one, other in sorted(others.items()):
                notes[one] = f"its label fits {other}"
                notes.setdefault(other, f"the label of {one} fits this image")
            how = f"with the {name} image, in the order of names"
            tried.append(_Cause(how, float(np.mean(values)), notes))
        return tried

    def _exchanged(self, group: Outlines) -> list[_Cause]:
        agreements = self.agreements(group)
        candidates = []
        for one, other in combinations(sorted(agreements), 2):
            both = (self._across(group[one], one, other), self._across(group[other], other, one))
            if min(both) > max(agreements[one], agreements[other]) + BETTER:
                candidates.append((sum(both), one, other))
        values: dict[str, float] = {}
        pairs = []
        for total, one, other in sorted(candidates, reverse=True):
            if not {one, other} & values.keys():
                values |= dict.fromkeys((one, other), total / 2)
                pairs.append((one, other))
        if not pairs:
            return []
        pairs.sort()
        notes = {}
        for one, other in pairs:
            notes[one] = f"its label looks exchanged with that of {other}"
            notes[other] = f"its label looks exchanged with that of {one}"
        names = join_names([f"{one} with {other}" for one, other in pairs])
        value = float(np.mean(list({**agreements, **values}.values())))
        return [_Cause(f"once labels are exchanged: {names}", value, notes)]

    def _across(self, outline: Edges, image_id: str, other: str) -> float:
        return self._agreement(outline, other, image_id) or 0.0

    def _shifted(self, group: Outlines) -> list[_Cause]:
        """The shift that explains most labels.

        Loosely drawn outlines agree with a small shift, and also with the opposite shift: such a
        shift is no cause.
        """
        shifts = []
        values = []
        opposite = []
        for image_id, outline in group.items():
            edges = self.edges_of(image_id)
            if edges is not None:
                down, right = best_shift(outline, edges)
                back = shifted(outline, -down, -right)
                further = shifted(outline, down, right)
                shifts.append((down, right))
                values.append(self._agreement(back, image_id) or 0.0)
                opposite.append(self._agreement(further, image_id) or 0.0)
        down, right = map(float, np.median(shifts, 0))
        apart = np.abs(np.array(shifts) - (down, right)).max(1) < 0.04
        explained = float(np.mean(np.where(apart, values, 0.0)))
        if max(abs(down), abs(right)) < SHIFT or explained < np.mean(opposite) + BETTER:
            return []
        return [_Cause(f"as labels that lie {_shift_words(down, right)}", explained)]

    def _agreement(self, outline: Edges, image_id: str, *left_out: str) -> float | None:
        """The agreement of a label with an image, beside others; None if unknown."""
        photo_edges = self.edges_of(image_id)
        aside = {image_id, *left_out}
        drawn = [name for name in self._drawn[: OTHERS + len(aside)] if name not in aside]
        others = [edges for edges in map(self.edges_of, drawn) if edges is not None]
        if photo_edges is None or len(others) < LEAST:
            return None
        return agreement(outline, photo_edges, others)

    def _find(self, image_ids: Iterable[str]) -> None:
        unknown = set(image_ids) - self._places.keys()
        if unknown:
            for row in self._known.images(unknown):
                self._places[row.image_id] = (row.root, row.image_id, row.digest)
