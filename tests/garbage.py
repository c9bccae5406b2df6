"""How often the processes of tests look for garbage."""

import gc
from collections.abc import Generator

import pytest


def look_rarely_for_garbage() -> None:
    """Look after 20,000 new objects, not after 700: that saves a tenth of the tests' processor time."""
    gc.set_threshold(20_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for none while tests are found, which takes a quarter less time, and later not among them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure() -> None:
    """Look at the end among all, as libraries do that tell what was left."""
    gc.unfreeze()
