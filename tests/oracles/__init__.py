"""Other tools' own libraries, which have an environment of their own, and programs for them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: What `./dev oracles` makes: datumaro, labelme, label-studio-sdk, and torchmetrics without torch.
ORACLES = Path(__file__).parents[2] / ".venv-oracles"
#: Its packages, if it has the Python of this environment.
PACKAGES = ORACLES / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
LACKING = "the tools' own libraries are not installed: run ./dev oracles"
needs_oracles = pytest.mark.skipif(not (ORACLES / "stamp").exists(), reason=LACKING)


@contextmanager
def beside() -> Iterator[None]:
    """Inside the block, what this environment lacks is imported from theirs; skips a file without it."""
    if not (ORACLES / "stamp").exists() or not PACKAGES.exists():
        pytest.skip(LACKING, allow_module_level=True)
    sys.path.append(str(PACKAGES))
    try:
        yield
    finally:
        sys.path.remove(str(PACKAGES))
