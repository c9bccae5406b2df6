"""Formats numbers, units and names for readers."""

import math
from collections.abc import Mapping

from labelgrid.ledger.grid import Explanation


def number(value: float) -> str:
    """A number rounded for reading; "–" for NaN and infinity.

    Example:
        >>> number(0.123456), number(12345.5), number(1234.0), number(float("nan")), number(-0.0)
        ('0.1235', '12,345.5', '1,234', '–', '0')
    """
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1000:
        return f"{value:z.4g}"
    return f"{value:,.1f}".removesuffix(".0")


def signed_number(value: float) -> str:
    """A change with its sign.

    Example:
        >>> signed_number(1.5), signed_number(-0.25)
        ('+1.5', '−0.25')
    """
    sign = ""
    if value > 0:
        sign = "+"
    elif value < 0:
        sign = "−"
    return f"{sign}{number(abs(value))}"


def rough_number(value: float) -> str:
    """A difference with its sign, to three significant digits.

    More digits would be noise with few seeds.

    Example:
        >>> rough_number(-0.0074713), rough_number(0.0)
        ('−0.00747', '0')
    """
    return signed_number(float(f"{value:.3g}"))


def rough_range(low: float, high: float) -> str:
    """The smallest and the largest of differences, each as `rough_number`.

    Example:
        >>> rough_range(-0.25, 1.5)
        '−0.25 to +1.5'
    """
    return f"{rough_number(low)} to {rough_number(high)}"


def spread(mean: float, deviation: float) -> str:
    """A mean and its standard deviation; the mean alone if the deviation is NaN.

    Example:
        >>> spread(2.0, 0.25), spread(2.0, float("nan"))
        ('2 ± 0.25', '2')
    """
    if not math.isfinite(deviation):
        return number(mean)
    return f"{number(mean)} ± {deviation:.2g}"


def explanation_lines(terms: Mapping[str, float], explanation: Explanation) -> list[str]:
    """The terms of a pick, its ranks and the nearest labelled image, a line each.

    None if nothing is known.

    Example:
        >>> explanation = Explanation(
        ...     quantiles={"unsure": 0.987},
        ...     rank=12,
        ...     without={"noise": 480},
        ...     nearest="b.jpg",
        ...     distance=3.0,
        ... )
        >>> for line in explanation_lines({"unsure": 2.31}, explanation):
        ...     print(line)
        unsure 2.31: higher than 98 % of candidates
        rank 12; 480 without noise
        nearest labelled image: b.jpg
    """
    lines = []
    for name, value in terms.items():
        if math.isfinite(value):
            comparison = ""
            quantile = explanation.quantiles.get(name)
            if quantile is not None:
                side = "higher" if quantile >= 0.5 else "lower"
                comparison = (
                    f": {side} than {int(100 * max(quantile, 1 - quantile))} % of candidates"
                )
            lines.append(f"{name} {number(value)}{comparison}")
    if explanation.without:
        ranks = [f"{rank:,} without {name}" for name, rank in explanation.without.items()]
        lines.append(f"rank {explanation.rank:,}; {', '.join(ranks)}")
    if explanation.nearest:
        lines.append(f"nearest labelled image: {explanation.nearest}")
    return lines


def shorten_name(name: str) -> str:
    """A name shortened to fit a drawing; tables show it whole.

    Example:
        >>> shorten_name("depth"), shorten_name("my_package.strategies.margin:Thing")
        ('depth', 'my_package.s…argin:Thing')
    """
    if len(name) <= 24:
        return name
    return f"{name[:12]}…{name[-11:]}"


def add_unit(name: str, unit: str) -> str:
    """A name with its unit in brackets.

    Example:
        >>> add_unit("RMSE", "m"), add_unit("loss_mtl", "")
        ('RMSE (m)', 'loss_mtl')
    """
    if not unit:
        return name
    return f"{name} ({unit})"
