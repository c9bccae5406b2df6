"""Laws of what an encoder hands on, whatever else it carries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import pytest
import torch
from torch import Tensor

from labelgrid.nets.network import Features, Network, Output, reason_to_ignore
from labelgrid.nets.networks import mti_net, pad_net, shared_heads
from labelgrid.testing.networks import made


@dataclass(frozen=True)
class More(Features):
    """Features with a map a task, too."""

    own: Mapping[str, Tensor]


def features(count: int = 3) -> More:
    draw = torch.Generator().manual_seed(0)
    levels = tuple(torch.randn(count, c, s, s, generator=draw) for c, s in ((4, 8), (6, 4)))
    return More(torch.randn(count, 5, 8, 8, generator=draw), levels, {"depth": levels[0] + 1})


def parts(found: More) -> list[Tensor]:
    return [found.shared, *found.levels, *found.own.values()]


@pytest.mark.parametrize(
    "rows", [slice(1, 2), torch.tensor([2, 0]), torch.tensor([True, False, True])]
)
def test_every_part_is_indexed_and_the_sort_of_features_stays(rows: slice | Tensor) -> None:
    some = features()[rows]
    assert (
        isinstance(some, More)
        and len(parts(some)) == len(parts(features())) == len(fields(More)) + 1
    )
    assert all(
        torch.equal(part, whole[rows])
        for part, whole in zip(parts(some), parts(features()), strict=True)
    )


def test_each_image_is_repeated_beside_itself() -> None:
    twice = features().repeat(2)
    wanted = features()[torch.tensor([0, 0, 1, 1, 2, 2])]
    assert all(
        torch.equal(part, whole) for part, whole in zip(parts(twice), parts(wanted), strict=True)
    )


def test_an_embedding_is_the_mean_of_the_deepest_map() -> None:
    found = features()
    assert found.deepest is found.levels[-1]
    assert found.pooled().shape == (3, 6)
    torch.testing.assert_close(found.pooled()[1, 2], found.levels[-1][1, 2].mean())


def test_an_output_is_split_into_equal_parts_of_its_batch() -> None:
    found = features(4)
    whole = Output(
        initial=({"depth": found.shared},),
        final={"depth": found.levels[0]},
        features=found,
        task_features={"depth": found.levels[1]},
    )
    assert whole.parts(1) == [whole]
    for i, part in enumerate(whole.parts(2)):
        rows = slice(2 * i, 2 * i + 2)
        assert isinstance(part.features, More) and part.initial_features == ()
        wanted = [
            *parts(found[rows]),
            found.shared[rows],
            found.levels[0][rows],
            found.levels[1][rows],
        ]
        got = [
            *parts(part.features),
            part.initial[0]["depth"],
            part.final["depth"],
            part.task_features["depth"],
        ]
        assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize(
    ("build", "options", "reason"),
    [
        (pad_net.build, pad_net.Options(width=8), ""),
        (mti_net.build, mti_net.Options(width=8, own="features"), ""),
        (shared_heads.build, shared_heads.Options(), "has one stage"),
        (pad_net.build, pad_net.Options(width=8, messages="features"), 'messages = "features"'),
        (mti_net.build, mti_net.Options(width=8, messages="features"), 'messages = "features"'),
    ],
)
def test_a_network_says_why_known_labels_have_no_effect(
    build: Callable[..., Network], options: object, reason: str
) -> None:
    said = reason_to_ignore(made(build, options))
    assert (reason in said) if reason else not said
