"""What terms draw: keyed by seed, term, view, step and image.

The same again when a step is run again.
"""

from dataclasses import replace

import torch

from labelgrid.train.step_draws import Draws

POOL = tuple(f"{i}.jpg" for i in range(6))
DRAWS = Draws(seed=5, step=7, ids=POOL[:2], pool=POOL, load=lambda ids, seed: (tuple(ids), seed))


def numbers(draws, *names):
    return tuple(torch.rand(3, generator=draws.generator(*names)).tolist())


def test_numbers_depend_on_seed_step_view_and_image_and_on_nothing_else():
    others = [
        DRAWS,
        replace(DRAWS, seed=6),
        replace(DRAWS, step=8),
        DRAWS.of_view("crop"),
        DRAWS.of_view("noise"),
    ]
    assert (
        len(
            {numbers(draws) for draws in others}
            | {numbers(DRAWS, POOL[0]), numbers(DRAWS, POOL[1])}
        )
        == 7
    )
    torch.rand(4)
    again = replace(DRAWS, ids=POOL[2:4])
    assert numbers(again) == numbers(DRAWS) and numbers(again, POOL[0]) == numbers(DRAWS, POOL[0])


def test_other_images_are_not_of_the_batch_and_come_once_while_there_are_enough():
    ids, seed = DRAWS.others(4)
    assert sorted(ids) == list(POOL[2:]) and DRAWS.others(4) == (ids, seed)
    assert replace(DRAWS, pool=POOL[::-1]).others(4) == (ids, seed)
    assert len({replace(DRAWS, step=step).others(4) for step in range(9)}) == 9
    assert set(DRAWS.others(9)[0]) <= set(POOL[2:])


def test_where_all_images_are_in_the_batch_others_are_of_them():
    assert set(replace(DRAWS, ids=POOL).others(3)[0]) <= set(POOL)
