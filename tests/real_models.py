"""The four small real networks, which lie outside the repository: tests of them skip where they are absent."""

from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "shared/data/suppliers"
needs_models = pytest.mark.skipif(
    not MODELS.is_dir(), reason="the real networks are not in ../shared/data/suppliers"
)
