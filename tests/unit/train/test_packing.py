"""Small tensors are joined and come back bit for bit; what was joined wrongly is refused."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from labelgrid.train.packing import SMALL, pack, unpack


def test_a_state_comes_back_with_its_types_shapes_order_and_versions() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 1).double())
    optimiser = torch.optim.Adam(network.parameters())
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    state = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3}
    packed, joined = pack(state)
    back = unpack(packed, joined)
    assert list(back["network"]) == list(state["network"])
    assert isinstance(back["network"], OrderedDict)
    assert back["network"]._metadata == state["network"]._metadata  # type: ignore[attr-defined]
    for name, value in network.state_dict().items():
        assert back["network"][name].dtype == value.dtype
        assert torch.equal(back["network"][name], value)
    assert back["optimiser"]["param_groups"] == state["optimiser"]["param_groups"]
    assert torch.equal(
        back["optimiser"]["state"][0]["exp_avg"], state["optimiser"]["state"][0]["exp_avg"]
    )
    assert back["epoch"] == 3


def test_the_state_itself_stays_as_it_is_and_shares_nothing_with_what_comes_back() -> None:
    state = {
        "a": torch.zeros(2),
        "b": [torch.ones(1)],
        "c": (1, "x", None),
        "d": torch.Size((2, 3)),
    }
    back = unpack(*pack(state))
    back["a"].add_(1)
    assert state["a"].tolist() == [0, 0]
    assert back["b"][0].tolist() == [1]  # nor with its neighbour
    assert back["c"] == (1, "x", None)
    assert isinstance(back["d"], torch.Size)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(SMALL + 1),
        torch.zeros(3, 2).T,
        torch.eye(2).to_sparse(),
        nn.Parameter(torch.zeros(2)),
        torch.zeros(2, dtype=torch.complex64).conj(),
        torch.zeros(2, dtype=torch.complex64).conj().imag,
    ],
    ids=["large", "transposed", "sparse", "parameter", "conjugate", "negative"],
)
def test_a_tensor_that_is_large_or_more_than_its_values_is_left_to_torch(
    tensor: torch.Tensor,
) -> None:
    packed, joined = pack({"a": tensor})
    assert packed["a"] is tensor
    assert len(joined) == 0
    assert unpack(packed, joined)["a"] is tensor


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 1, 1), (4, 1, 2, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_channels_that_are_last_in_memory_stay_there(
    shape: tuple[int, ...], order: torch.memory_format
) -> None:
    tensor = torch.rand(shape).contiguous().to(memory_format=order)
    packed, joined = pack({"a": tensor, "b": torch.ones(1)})
    back = unpack(packed, joined)
    assert len(joined) == 4 * (tensor.numel() + 1)
    assert torch.equal(back["a"], tensor)
    assert back["a"].stride() == tensor.stride()


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int16, torch.bfloat16, torch.complex64, torch.float8_e4m3fn]
)
def test_numbers_of_every_type_come_back(dtype: torch.dtype) -> None:
    state = {"odd": torch.tensor([True]), "a": torch.tensor([0, 1, 1]).to(dtype)}
    back = unpack(*pack(state))
    assert back["a"].dtype == dtype
    assert torch.equal(back["a"].view(torch.uint8), state["a"].view(torch.uint8))


def test_scalars_empty_tensors_and_an_empty_state_come_back() -> None:
    state = {"step": torch.tensor(3.0), "none": torch.zeros(0, 4), "flag": torch.tensor([True])}
    back = unpack(*pack(state))
    assert [tuple(value.shape) for value in back.values()] == [(), (0, 4), (1,)]
    assert unpack(*pack({})) == {}


def bytes_of(numbers: int) -> torch.Tensor:
    """The bytes of so many numbers."""
    return torch.zeros(4 * numbers, dtype=torch.uint8)


PLACE = (torch.float32, (2, 2), False)


@pytest.mark.parametrize(
    ("packed", "joined", "fault"),
    [
        ({"a": PLACE}, bytes_of(3), ValueError),
        ({"a": PLACE}, bytes_of(5), ValueError),
        ({"a": PLACE}, bytes_of(4).view(4, 4), TypeError),
        ({"a": PLACE}, torch.zeros(16), TypeError),
        ({"a": PLACE}, [0] * 16, TypeError),
        ({"a": PLACE}, bytes_of(1)[:1].expand(16), TypeError),
        ({"a": (torch.float32, (-2, 2), False)}, bytes_of(4), ValueError),
        ({"a": (torch.float32, (-2, -2), False)}, bytes_of(4), RuntimeError),
        ({"a": (torch.float32, (4,), True)}, bytes_of(4), IndexError),
        ({"a": (torch.float32, "4", False)}, bytes_of(4), TypeError),
    ],
)
def test_what_pack_did_not_write_is_refused(
    packed: object, joined: object, fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        unpack(packed, joined)  # type: ignore[arg-type]
