import pytest

from tests.reference.drawn_labels import DRAWS


@pytest.fixture(autouse=True)
def _same_draws_in_any_company() -> None:
    DRAWS.manual_seed(0)
