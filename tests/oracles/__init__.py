"""Other tools' own libraries, which have an environment of their own, and programs for them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What `./dev oracles` makes: datumaro, labelme, label-studio-sdk, and torchmetrics without torch.
ORACLES = Path(__file__).parents[2] / ".venv-oracles"
LACKING = "the tools' own libraries are not installed: run ./dev oracles"
needs_oracles = pytest.mark.skipif(not (ORACLES / "stamp").exists(), reason=LACKING)


@contextmanager
def beside() -> Iterator[None]:
    """Inside the block, what this environment lacks is imported from theirs; skips a file without it."""
    if not (ORACLES / "stamp").exists():
        pytest.skip(LACKING, allow_module_level=True)
    (packages,) = ORACLES.glob("lib/python*/site-packages")
    sys.path.append(str(packages))
    try:
        yield
    finally:
        sys.path.remove(str(packages))
