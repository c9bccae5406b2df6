"""Pairs of tasks: those of a slow loop; distances of maps."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.errors import RecipeError
from labelgrid.train.pairs import allowed_pairs, distance, pairs_of

NAMES = ("a", "b", "c")


@given(
    present=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=4),
    chosen=st.lists(st.sampled_from([*itertools.permutations(NAMES, 2)]), max_size=4),
    sources=st.sampled_from(["unlabelled", "all"]),
)
def test_pairs_are_those_of_a_loop(present, chosen, sources):
    pairs = pairs_of(torch.tensor(present), allowed_pairs(NAMES, chosen, "it"), sources)
    found = {*zip(pairs.image.tolist(), pairs.source.tolist(), pairs.target.tolist(), strict=True)}
    wanted = {
        (n, s, t)
        for n, row in enumerate(present)
        for s, t in itertools.permutations(range(3), 2)
        if row[t]
        and (sources == "all" or not row[s])
        and (not chosen or (NAMES[s], NAMES[t]) in chosen)
    }
    assert found == wanted and len(pairs) == len(wanted)
    counts = [3 if sources == "all" else row.count(False) for row in present]
    assert pairs.divisors.tolist() == [max(count, 1) for count in counts]
    sums = pairs.per_image(torch.ones(len(pairs)))
    assert sums.tolist() == [sum(n == image for image, _, _ in wanted) for n in range(len(present))]
    for task in range(3):
        assert [rows.tolist() for rows in pairs.images_of(task)] == [
            sorted({one[0] for one in wanted if one[place] == task}) for place in (1, 2)
        ]


@pytest.mark.parametrize("pair", [("a", "a"), ("a", "x")])
def test_what_is_no_pair_is_refused(pair):
    with pytest.raises(
        RecipeError, match=r"terms\.it\.listed has .* not a pair of two tasks(.|\n)*a, b, c"
    ):
        allowed_pairs(NAMES, [pair], "it")


def test_distances_are_those_of_places_and_stay_finite_at_zero():
    a, b = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    maps = [x.view(1, 2, 1, 2).requires_grad_() for x in (a.T.contiguous().T, b)]
    found = distance(*maps)
    torch.testing.assert_close(found, torch.tensor([1 - (0.5**0.5 + 0.0) / 2]))
    zero = torch.zeros(1, 3, 2, 2, requires_grad=True)
    distance(zero, torch.rand(1, 3, 2, 2)).sum().backward()
    assert distance(zero, zero).item() == 1 and torch.isfinite(zero.grad).all()
