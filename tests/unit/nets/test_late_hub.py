"""timm is loaded without the hub's client, which is there when weights are fetched."""

import subprocess
import sys

import pytest

LATER = """
import sys
from labelgrid.nets.late_compiler import timm
from labelgrid.nets.late_hub import CALLED, CALLER, CAUGHT, UTILS
import huggingface_hub

caller = sys.modules[CALLER]
assert caller.has_hf_hub()
assert UTILS not in sys.modules and not {*CALLED} & {*vars(huggingface_hub)}
try:
    caller.hf_hub_download("no/such/name", "file")
    raise SystemExit("it is refused")
except huggingface_hub.utils.HFValidationError:
    pass
for name in CAUGHT:
    assert vars(caller)[name] is getattr(huggingface_hub.utils, name), name
assert isinstance(caller.HfApi(), huggingface_hub.HfApi)
"""
FETCHED = """
import os, sys
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_CACHE"] = sys.argv[1]
from pathlib import Path
import torch
from labelgrid.nets.late_compiler import timm
from labelgrid.nets.late_hub import UTILS

revision = Path(sys.argv[1], "models--some--one", "snapshots", "a" * 40)
revision.mkdir(parents=True)
refs = Path(sys.argv[1], "models--some--one", "refs")
refs.mkdir()
Path(refs, "main").write_text("a" * 40)
gone = Path(sys.argv[1], "models--some--one", ".no_exist", "a" * 40)
gone.mkdir(parents=True)
Path(gone, "model.safetensors").touch()
torch.save({"weight": torch.ones(2)}, revision / "pytorch_model.bin")
state = sys.modules["timm.models._hub"].load_state_dict_from_hf("some/one")
assert state["weight"].tolist() == [1, 1]
"""
ASKED = """
from labelgrid.nets.late_hub import UTILS, late_hub
import sys

with late_hub():
    stand_in = sys.modules[UTILS]
    from huggingface_hub.utils import HFValidationError
    assert sys.modules[UTILS] is not stand_in
with late_hub():
    assert HFValidationError is sys.modules[UTILS].HFValidationError
"""


@pytest.mark.parametrize("code", [LATER, FETCHED, ASKED])
def test_the_client_is_loaded_when_it_is_called(code: str, tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
