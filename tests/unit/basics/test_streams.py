"""Named streams and keyed draws."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.streams import image_key, keyed_uniform, seed_of, stream


def test_streams_of_other_names_or_seeds_are_others():
    seeds = {
        seed_of(s, *names)
        for s in range(3)
        for names in (("a",), ("a", 1), ("a", 11), ("b",), ("a", "1", ""), ())
    }
    assert len(seeds) == 18 and all(0 <= seed < 2**63 for seed in seeds)
    assert stream(0, "a", 1).random() == stream(0, "a", 1).random() != stream(0, "a", 2).random()


def test_seeds_do_not_change_between_versions():
    assert seed_of(0, "select", 3) == 6402236129384842737
    assert image_key("scene/0001.jpg") == 7139730634128386803


@given(
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20, unique=True),
    st.integers(0, 2**63 - 1),
)
def test_a_keyed_draw_depends_on_its_key_alone(keys, salt):
    array = np.array(keys, np.uint64)
    drawn = keyed_uniform(array, salt)
    assert ((drawn >= 0) & (drawn < 1)).all()
    np.testing.assert_array_equal(keyed_uniform(array[::-1], salt)[::-1], drawn)
    np.testing.assert_array_equal(keyed_uniform(array[:1], salt), drawn[:1])


def test_keyed_draws_are_uniform_and_independent_between_salts():
    keys = np.array([image_key(f"{i}.jpg") for i in range(20_000)], np.uint64)
    first, second = keyed_uniform(keys, 1), keyed_uniform(keys, 2)
    counts = np.histogram(first, 20, (0, 1))[0]
    assert (
        (counts - 1000) ** 2 / 1000
    ).sum() < 50  # chi-square, 19 degrees of freedom: p about 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
