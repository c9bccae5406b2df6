import math

from labelgrid.drawings.wording import number, rough_number, signed_number, spread


def test_numbers_are_written_for_people() -> None:
    assert [number(v) for v in (0, 3, 0.5, 123.456, 1e6, 1000, 1234.56, -2000.0)] == [
        *("0", "3", "0.5", "123.5"),
        *("1,000,000", "1,000", "1,234.6", "-2,000"),
    ]
    assert [number(v) for v in (math.nan, math.inf, -math.inf)] == ["–"] * 3
    assert [signed_number(v) for v in (0.0, -0.0, 2.5, -2000.0, math.nan)] == [
        "0",
        "0",
        "+2.5",
        "−2,000",
        "–",
    ]
    assert [rough_number(v) for v in (0.00123456, -1234.5, 0.0, math.nan)] == [
        "+0.00123",
        "−1,230",
        "0",
        "–",
    ]
    assert spread(5.12345, 0.0123) == "5.123 ± 0.012" and spread(5.0, math.nan) == "5"
