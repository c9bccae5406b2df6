"""Thins large images to bands of rows, in which a relation derives the same labels.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.basics.camera import Camera
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.relations.true_agreement import TruePair

#: Larger images are thinned to so many pixels, in so many bands from top to bottom.
PIXELS = 1_000_000
BANDS = 8


@dataclass(frozen=True, kw_only=True)
class Band:
    """Rows of an image.

    Args:
        labels: the labels of the rows, and of some more rows above and below.
        above: the number of rows above.
        rows: the number of rows.
        first: the row of the image that the labels begin with.
    """

    labels: Mapping[str, LabelArray]
    above: int
    rows: int
    first: int

    def derive(self, relation: BoundRelation, camera: Camera | None) -> LabelArray:
        """The derived label of the rows; the camera is the whole image's."""
        if camera:
            camera = camera.shift(0, self.first)
        label = relation.label(self.labels, camera)
        return rows_of(label, slice(self.above, self.above + self.rows))


@dataclass(frozen=True, kw_only=True)
class BandedPair(TruePair):
    """The true labels of some bands of an image: `truth` holds these rows alone.

    Args:
        bands: the bands from top to bottom.
        whole: the size of the image.
    """

    bands: Sequence[Band]
    whole: Size

    @property
    def size(self) -> Size:
        """As `TruePair.size`: the size of the whole image."""
        return self.whole

    def derive(self, relation: BoundRelation, view: float | None = None) -> LabelArray:
        """As `TruePair.derive`, of the rows of the bands."""
        camera = self.camera_by(view)
        return _stacked([band.derive(relation, camera) for band in self.bands])


def thin_pair(pair: TruePair, margin: int) -> TruePair:
    """The pair, or bands of about `PIXELS` pixels of a larger one.

    Args:
        pair: the labels of an image.
        margin: the rows above and below a row from which a relation derives the row.
    """
    height, width = pair.truth.size
    rows = PIXELS // (width * BANDS)
    if height * width <= PIXELS or not rows:
        return pair
    bands = []
    truths = []
    for number in range(BANDS):
        start = (2 * number + 1) * height // (2 * BANDS) - rows // 2
        first = max(0, start - margin)
        around = slice(first, start + rows + margin)
        labels = {name: rows_of(label, around) for name, label in pair.labels.items()}
        bands.append(Band(labels=labels, above=start - first, rows=rows, first=first))
        truths.append(rows_of(pair.truth, slice(start, start + rows)))
    return BandedPair(
        labels={}, truth=_stacked(truths), camera=pair.camera, bands=bands, whole=(height, width)
    )


def rows_of(label: LabelArray, rows: slice) -> LabelArray:
    """The given rows of a label, as a view."""
    return replace(label, value=label.value[rows], valid=label.valid[rows])


def _stacked(labels: Sequence[LabelArray]) -> LabelArray:
    """Stack labels of an image from top to bottom."""
    value = np.concatenate([label.value for label in labels])
    valid = np.concatenate([label.valid for label in labels])
    return replace(labels[0], value=value, valid=valid)
