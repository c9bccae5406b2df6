"""The state of an unfinished preparation: kept, loaded, not written too often, and refused if it is damaged."""

import pytest
import torch

from labelgrid.basics.errors import ModelError, ProjectError
from labelgrid.train import preparation_state
from labelgrid.train.preparation_state import Unfinished


def parts(seed):
    torch.manual_seed(seed)
    layer = torch.nn.Linear(2, 1)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return {"layer": layer, "optimiser": optimiser}


def test_the_position_and_all_states_come_back(tmp_path):
    path = tmp_path / "new folder" / "state"
    assert Unfinished(path, parts(0)).resume() is None
    Unfinished(path, parts(0)).save((5, 1, 2), now=True)
    other = parts(1)
    assert Unfinished(path, other).resume() == (5, 1, 2)
    wanted = parts(0)
    assert torch.equal(other["layer"].weight, wanted["layer"].weight)
    for kept, one in zip(
        *(p["optimiser"].state_dict()["state"].values() for p in (other, wanted)), strict=True
    ):
        assert torch.equal(kept["exp_avg"], one["exp_avg"])


def test_it_is_written_now_and_then(tmp_path, monkeypatch):
    kept = Unfinished(tmp_path / "state", parts(0))
    kept.save((1,))
    assert not kept.path.exists()
    monkeypatch.setattr(preparation_state, "SAVE_EVERY", 0.0)
    kept.save((2,))
    assert kept.resume() == (2,)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:100], lambda raw: b"", lambda raw: b"garbage"])
def test_a_damaged_file_is_refused(tmp_path, spoil):
    kept = Unfinished(tmp_path / "state", parts(0))
    kept.save((1,), now=True)
    kept.path.write_bytes(spoil(kept.path.read_bytes()))
    with pytest.raises(ModelError, match=r"cannot be read(.|\n)*Remove the file"):
        kept.resume()


def test_a_folder_that_cannot_be_written_is_an_error_for_the_user(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ProjectError, match="The disk reports an error"):
        Unfinished(tmp_path / "file" / "state", parts(0)).save((1,), now=True)
