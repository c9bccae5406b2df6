"""Finds the number of a depth map that likely means "not measured": far beyond the rest."""

from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array

#: The largest numbers of the types in which depths are stored: writers clamp what is farther, or
#: infinite, to them, and some sensors write them where they saw nothing.
LARGEST = {
    255: "the largest number of 8 bits",
    32767: "the largest number of 16 bits with a sign",
    65504: "the largest floating-point number of 16 bits",
    65535: "the largest number of 16 bits",
    2147483647: "the largest number of 32 bits with a sign",
}
#: It is at least so many times the next one: no surface is there, and one behind all others.
GAP = 2


class Lone(NamedTuple):
    """The largest number, the next smaller one, and the fraction of pixels with the largest."""

    number: float
    next: float
    fraction: float


def lone_largest(numbers: Array) -> Lone | None:
    """The largest of some numbers above 0, if at least twice the next one; None otherwise.

    Example:
        >>> lone_largest(np.array([1.5, 2.0, 65504.0, 65504.0]))
        Lone(number=65504.0, next=2.0, fraction=0.5)
        >>> lone_largest(np.array([1.5, 2.0, 2.5]))
    """
    if not numbers.size:
        return None
    largest = numbers.max()
    is_it = numbers == largest
    if is_it.all():
        return None
    below = float(numbers[~is_it].max())
    if float(largest) < GAP * below:
        return None
    whole = float(largest).is_integer()
    return Lone(float(largest if whole else str(largest)), below, float(np.mean(is_it)))


def number_text(number: float) -> str:
    """The text that declares a number, without a point for whole numbers.

    Example:
        >>> number_text(65504.0), number_text(2147483647.0), number_text(9999.9)
        ('65504', '2147483647', '9999.9')
    """
    if float(number).is_integer():
        return str(int(number))
    return str(number)
