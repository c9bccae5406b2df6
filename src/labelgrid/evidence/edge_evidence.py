"""Doubts labels whose outlines do not follow the edges of their images, and finds out why.

Loads no torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence import edge_agreement
from labelgrid.evidence.common_shift import common_shift, is_same_shift, is_slanting
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.edge_agreement import (
    BETTER,
    LIMIT,
    LIMIT_FEW,
    MANY,
    SCALES,
    WAYS,
    Edges,
    agreement,
    best_shift,
    image_edges,
    rescaled,
    shifted,
    turned,
)
from labelgrid.evidence.known_labels import KnownLabels
from labelgrid.images.places import image_file, orientation_or_upright
from labelgrid.images.reading import read_image

#: At most so many labels of a task are compared, each with its own image and so many others.
LABELS = 16
OTHERS = 12
#: Fewer labels, or other images, say nothing.
LEAST = 3
#: A shift is a cause if it is so large a share of a side: outlines drawn a little too wide agree
#: with smaller ones.
SHIFT = 0.06
#: What is said where nothing tried makes the labels agree.
NO_CAUSE = "Outlines drawn loosely, or along what no edge of the image shows, look like this, too."

Outlines = Mapping[str, Edges]


@dataclass(frozen=True)
class OutlineFit:
    """How well the outlines of one label follow the edges of its image.

    Args:
        agreement: with its own image.
        turned: the best agreement of the label if it lay in one of `WAYS`.
        way: that way.
    """

    agreement: float
    turned: float
    way: str


@dataclass(frozen=True)
class _Cause:
    """What would make labels agree with their images.

    Args:
        text: a sentence.
        agreement: of the labels then, in the mean.
        notes: as of `Doubt`.
    """

    text: str
    agreement: float
    notes: Mapping[str, str] = field(default_factory=dict)


def _notes_of(others: Mapping[str, str]) -> dict[str, str]:
    """What is said of labels that agree with other images, each beside the image that it shows."""
    notes: dict[str, str] = {}
    for one, other in sorted(others.items()):
        notes[one] = f"its label fits {other}"
        notes.setdefault(other, f"the label of {one} fits this image")
    return notes


def _doubt(task: str, what: str, cause: _Cause, orientation: int) -> Doubt:
    """The doubt about labels, and what would make them agree, if that is known."""
    text = cause.text
    if text and orientation > 1:
        text += (
            f" Their photographs declare EXIF orientation {orientation}: the labels may lie in the "
            "stored orientation; make them upright."
        )
    return Doubt(task, f"{what} {text or NO_CAUSE}", cause.notes)


def limit(labels: int) -> float:
    """The least mean agreement of so many labels that is not doubted."""
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

    def __init__(self, known: KnownLabels) -> None:
        self._known = known
        self._edges: dict[str, Edges | None] = {}
        self._places: dict[str, tuple[str, str, str]] = {}

    @cached_property
    def _drawn(self) -> list[str]:
        """All images, in the order in which they are drawn as others."""
        ids = self._known.image_ids
        draws = keyed_uniform(image_keys(ids), seed_of(0, "image edges"))
        return [ids[int(index)] for index in np.argsort(draws, kind="stable")]

    def agreements(self, outlines: Outlines, *, of_one: bool = False) -> dict[str, float]:
        """How well each label agrees with its own image, by image; some may not be known.

        Args:
            outlines: image -> the outlines of its label.
            of_one: all are those of one label, for which none of these is another's image.
        """
        found = {}
        own = set(outlines)
        self._find([*outlines, *self._drawn[: OTHERS + (len(own) if of_one else 1)]])
        for image_id, outline in outlines.items():
            value = self._agreement(outline, image_id, own if of_one else {image_id})
            if value is not None:
                found[image_id] = value
        return found

    def outline_fit(self, outline: Edges, image_id: str) -> OutlineFit | None:
        """How well one label agrees with its own image; None if that is not known."""
        self._find([image_id, *self._drawn[: OTHERS + 1]])
        value = self._agreement(outline, image_id, {image_id})
        if value is None:
            return None
        tried = {}
        for way in WAYS:
            tried[way] = self._agreement(turned(outline, way), image_id, {image_id}) or 0.0
        best = max(tried, key=lambda way: tried[way])
        return OutlineFit(value, tried[best], best)

    def edges_of(self, image_id: str) -> Edges | None:
        """The edges of an image; None if it is small, or cannot be read."""
        self._find([image_id])
        return self._edges_of(image_id)

    def forget(self, image_id: str) -> None:
        """Free the memory of an image's edges, unless labels of others are compared with them."""
        if image_id not in self._drawn[: OTHERS + 2]:
            self._edges.pop(image_id, None)

    def doubts(self, task: str, outlines: Outlines, images: Sequence[str]) -> list[Doubt]:
        """Doubt the labels of a task, apart by the orientation that their photographs declare.

        Args:
            task: the task.
            outlines: image -> the outlines of its label on the grid; the first are compared.
            images: all images whose labels are imported, for labels that were exchanged.
        """
        groups: dict[int, dict[str, Edges]] = defaultdict(dict)
        looked_at = list(outlines)[:LABELS]
        self._find(looked_at)
        for image_id in looked_at:
            orientation = orientation_or_upright(*self._places[image_id])
            groups[orientation][image_id] = outlines[image_id]
        found = []
        for orientation, group in sorted(groups.items()):
            values = list(self.agreements(group).values())
            if len(values) < LEAST:
                continue
            mean = float(np.mean(values))
            if mean < limit(len(values)):
                what = (
                    f"the outlines of {count_text(len(values), 'label')} do not follow the edges "
                    f"of their images: agreement {mean:.1f} (right labels: above "
                    f"{limit(len(values)):g}; in photographs of rooms, usually 4 to 11)."
                )
                cause = self._cause(group, sorted(images), mean)
                found.append(_doubt(task, what, cause, orientation))
                continue
            what = (
                f"the outlines of {count_text(len(values), 'label')} follow the edges of their "
                f"images less (agreement {mean:.1f}) than they would if the labels lay elsewhere."
            )
            cause = self._place(group, mean)
            if cause.text:
                found.append(_doubt(task, what, cause, orientation))
        return found

    def usually_off(self, outlines: Outlines) -> bool:
        """Whether many earlier labels do not follow the edges of their images, or lie elsewhere."""
        values = list(self.agreements(outlines).values())
        if len(values) < MANY:
            return False
        mean = float(np.mean(values))
        return mean < LIMIT or bool(self._place(outlines, mean).text)

    def shift_doubts(self, task: str, outlines: Outlines, earlier: Outlines) -> list[Doubt]:
        """Doubt labels that all lie a little beside their images, unless earlier ones do so, too.

        Args:
            task: the task.
            outlines: image -> the outlines of its label on the grid; the first are compared.
            earlier: those of earlier labels.
        """
        found = self._common_shift(outlines)
        if found is None or is_same_shift(found, self._common_shift(earlier)):
            return []
        count = count_text(min(len(outlines), LABELS), "label")
        what = (
            f"the outlines of {count} fit the edges of their images best if the labels are moved: "
            f"they lie {_shift_words(*found)}, as shares of the image's sides. Check whether the "
            "labels were cut, padded or resized as the images were."
        )
        return [Doubt(task, what)]

    def _common_shift(self, outlines: Outlines) -> tuple[float, float] | None:
        """How far labels all lie beside their images; None if they do not, or are few."""
        group = dict(list(outlines.items())[:LABELS])
        self._find(group)
        images = {image_id: self._edges_of(image_id) for image_id in group}
        pairs = [(group[name], own) for name, own in images.items() if own is not None]
        found = common_shift(pairs) if len(pairs) >= MANY else None
        if found is None:
            return None
        down, right = found
        others = [(down, right)]
        if is_slanting(found):
            others += [(-down, right), (down, -right)]
        # Outlines drawn loosely agree as well if they are moved other ways.
        back = self._moved(group, -down, -right)
        further = max(self._moved(group, *other) for other in others)
        return found if back > further + BETTER else None

    def _moved(self, group: Outlines, down: float, right: float) -> float:
        """How well labels agree if they are moved."""
        return self._mean({name: shifted(outline, down, right) for name, outline in group.items()})

    def _commonly_shifted(self, group: Outlines) -> list[_Cause]:
        """How well labels agree without the small shift that all share, if they do."""
        found = self._common_shift(group)
        if found is None:
            return []
        value = self._moved(group, -found[0], -found[1])
        text = f"They agree ({value:.1f}) as labels that lie {_shift_words(*found)}."
        return [_Cause(text, value)]

    def _place(self, group: Outlines, mean: float) -> _Cause:
        """Where labels that follow edges somewhat would lie better.

        Without a text if nowhere, if they only are a little shifted, or if they are few.
        """
        if len(group) < MANY:
            return _Cause("", mean)
        best = max(self._elsewhere(group), key=lambda cause: cause.agreement)
        shifted_back = [cause.agreement for cause in self._commonly_shifted(group)]
        if best.agreement > max(mean + BETTER, *shifted_back, 0):
            return best
        return _Cause("", mean)

    def _elsewhere(self, group: Outlines) -> list[_Cause]:
        """How well labels agree as ones that lie in `WAYS`, or in `SCALES`."""
        tried = []
        for way in WAYS:
            changed = {image_id: turned(outline, way) for image_id, outline in group.items()}
            value = self._mean(changed)
            tried.append(_Cause(f"They agree ({value:.1f}) as labels that lie {way}.", value))
        for how, factors in SCALES.items():
            changed = {image_id: rescaled(outline, *factors) for image_id, outline in group.items()}
            value = self._mean(changed)
            if value > limit(len(group)) + BETTER:  # loosely drawn ones fit other sizes somewhat
                tried.append(_Cause(f"They agree ({value:.1f}) as labels that {how}.", value))
        return tried

    def _cause(self, group: Outlines, images: Sequence[str], mean: float) -> _Cause:
        """What would make the labels agree; without a text if nothing tried does."""
        tried = self._elsewhere(group)
        tried += self._of_neighbours(group, images)
        tried += self._exchanged(group)
        tried += self._shifted(group)
        tried += self._commonly_shifted(group)
        best = max(tried, key=lambda cause: cause.agreement)
        return best if best.agreement > mean + BETTER else _Cause("", mean)

    def _mean(self, outlines: Outlines) -> float:
        return float(np.mean(list(self.agreements(outlines).values())))

    def _of_neighbours(self, group: Outlines, images: Sequence[str]) -> list[_Cause]:
        """How well labels agree with the image before, and after, their own."""
        tried = []
        self._find([*images, *self._drawn[: OTHERS + 2]])
        places = {image_id: place for place, image_id in enumerate(images)}
        for step, name in ((1, "next"), (-1, "previous")):
            others = {one: images[(places[one] + step) % len(images)] for one in group}
            values = [self._across(group[one], one, other) for one, other in others.items()]
            value = float(np.mean(values))
            text = f"They agree ({value:.1f}) with the {name} image, in the order of names."
            tried.append(_Cause(text, value, _notes_of(others)))
        return tried

    def _exchanged(self, group: Outlines) -> list[_Cause]:
        """How well labels agree if those are exchanged that agree with each other's images."""
        own = self.agreements(group)
        found = []
        for one, other in combinations(sorted(own), 2):
            both = (self._across(group[one], one, other), self._across(group[other], other, one))
            if min(both) > max(own[one], own[other]) + BETTER:
                found.append((sum(both), one, other))
        values: dict[str, float] = {}
        pairs = []
        for total, one, other in sorted(found, reverse=True):
            if not {one, other} & values.keys():
                values |= dict.fromkeys((one, other), total / 2)
                pairs.append((one, other))
        if not pairs:
            return []
        value = float(np.mean(list({**own, **values}.values())))
        names = join_names([f"{one} with {other}" for one, other in sorted(pairs)])
        text = f"They agree ({value:.1f}) once labels are exchanged: {names}."
        notes = {}
        for one, other in sorted(pairs):
            notes[one] = f"its label looks exchanged with that of {other}"
            notes[other] = f"its label looks exchanged with that of {one}"
        return [_Cause(text, value, notes)]

    def _across(self, outline: Edges, own: str, other: str) -> float:
        """How well a label agrees with another image than its own; 0 if that is not known."""
        return self._agreement(outline, other, {other, own}) or 0.0

    def _shifted(self, group: Outlines) -> list[_Cause]:
        """The shift that explains most labels, in words, and how well they agree then.

        Outlines drawn loosely agree with a small shift, and with one the other way, too: these are
        no cause.
        """
        shifts = []
        values = []
        opposite = []
        for image_id, outline in group.items():
            own = self._edges_of(image_id)
            if own is not None:
                down, right = best_shift(outline, own)
                back = shifted(outline, -down, -right)
                further = shifted(outline, down, right)
                shifts.append((down, right))
                values.append(self._agreement(back, image_id, {image_id}) or 0.0)
                opposite.append(self._agreement(further, image_id, {image_id}) or 0.0)
        down, right = map(float, np.median(shifts, 0))
        apart = np.abs(np.array(shifts) - (down, right)).max(1) < 0.04
        explained = float(np.mean(np.where(apart, values, 0.0)))
        if max(abs(down), abs(right)) < SHIFT or explained < np.mean(opposite) + BETTER:
            return []
        text = f"They agree ({explained:.1f}) as labels that lie {_shift_words(down, right)}."
        return [_Cause(text, explained)]

    def _agreement(self, outline: Edges, image_id: str, left_out: set[str]) -> float | None:
        own = self._edges_of(image_id)
        others = list(self._others(left_out))
        if own is None or len(others) < LEAST:
            return None
        return agreement(outline, own, others)

    def _others(self, left_out: set[str]) -> Iterator[Edges]:
        for image_id in self._drawn[: OTHERS + len(left_out)]:
            edges = None if image_id in left_out else self._edges_of(image_id)
            if edges is not None:
                yield edges

    def _edges_of(self, image_id: str) -> Edges | None:
        """The edges of an image; None if it cannot be read: other commands say so."""
        if image_id not in self._edges:
            self._edges[image_id] = None
            with suppress(LabelgridError, OSError):
                image = read_image(self._file(image_id))
                if max(image.shape) >= edge_agreement.LEAST:
                    self._edges[image_id] = image_edges(image)
        return self._edges[image_id]

    def _find(self, image_ids: Iterable[str]) -> None:
        """Look up where images are, with one query for all of them."""
        unknown = set(image_ids) - self._places.keys()
        if unknown:
            for row in self._known.images(unknown):
                self._places[row.image_id] = (row.root, row.image_id, row.digest)

    def _file(self, image_id: str) -> Path:
        return image_file(*self._places[image_id])
