"""Defines the choices that several statistics offer. Loads no torch."""

from typing import Literal

#: Where a map is computed: at every pixel of the original image, on a grid of half the size at
#: which the network sees it, or at the heads' resolution.
At = Literal["original", "half", "head"]
#: What several predictions say of a pixel: the entropy of their mean (PartAL eq. 3 and 4); what
#: they disagree on; or the least confidence or margin of their mean class probabilities, and the
#: variance of values.
Measure = Literal["entropy", "information", "least_confidence", "margin"]
#: What one prediction of classes says of a pixel; see `pixel.confidence`.
Confidence = Literal["entropy", "least_confidence", "margin"]
