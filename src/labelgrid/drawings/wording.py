"""Formats numbers, units and names for readers."""

import math
from collections.abc import Mapping

from labelgrid.ledger.grid import Explanation


def number(value: float) -> str:
    """A number rounded for reading; "–" for NaN and infinity.

    Example:
        >>> number(0.123456), number(12345.5), number(1234.0), number(float("nan"))
        ('0.1235', '12,345.5', '1,234', '–')
    """
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.1f}".removesuffix(".0")


def signed_number(value: float) -> str:
    """A change with its sign.

    Example:
        >>> signed(1.5), signed(-0.25)
        ('+1.5', '−0.25')
    """
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{number(abs(value))}"


def rough_number(value: float) -> str:
    """A difference with its sign, to three significant digits: more digits would be noise with few seeds.

    Example:
        >>> rough(-0.0074713), rough(0.0)
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
    return f"{number(mean)} ± {deviation:.2g}" if math.isfinite(deviation) else number(mean)


def explanation_lines(terms: Mapping[str, float], explanation: Explanation) -> list[str]:
    """The terms of a pick, its ranks and the nearest labelled image, a line each.

    None if nothing is known.

    Example:
        >>> explained({"unsure": 2.31}, Explanation({"unsure": 0.987}, 12, {"noise": 480}, "b.jpg", 3.0))
        ['unsure 2.31: higher than 98 % of candidates', 'rank 12; 480 without noise', 'nearest labelled image: b.jpg']
    """
    shares = {
        name: int(100 * max(share, 1 - share)) for name, share in explanation.quantiles.items()
    }
    sides = {
        name: "higher" if share >= 0.5 else "lower" for name, share in explanation.quantiles.items()
    }
    parts = [
        f"{name} {number(value)}"
        + (f": {sides[name]} than {shares[name]} % of candidates" if name in shares else "")
        for name, value in terms.items()
        if math.isfinite(value)
    ]
    if explanation.without:
        others = ", ".join(f"{rank:,} without {name}" for name, rank in explanation.without.items())
        parts.append(f"rank {explanation.rank:,}; {others}")
    if explanation.nearest:
        parts.append(f"nearest labelled image: {explanation.nearest}")
    return parts


def shorten_name(name: str) -> str:
    """A name shortened to fit a drawing; tables show it whole.

    Example:
        >>> short("depth"), short("my_package.strategies.margin:Thing")
        ('depth', 'my_package.s…argin:Thing')
    """
    return name if len(name) <= 24 else f"{name[:12]}…{name[-11:]}"


def add_unit(name: str, unit: str) -> str:
    """A name with its unit in brackets.

    Example:
        >>> with_unit("RMSE", "m"), with_unit("loss_mtl", "")
        ('RMSE (m)', 'loss_mtl')
    """
    return f"{name} ({unit})" if unit else name
