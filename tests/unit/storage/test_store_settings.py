"""Laws of the settings of the cache: the environment's, with defaults, and wrong ones are refused."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.storage.store_settings import cache_bytes, cache_folder, patience


def test_the_folder_is_that_of_the_variable_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELGRID_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LABELGRID_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "labelgrid" / "objects"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "labelgrid" / "objects"


def test_sizes_and_seconds_are_positive_numbers(monkeypatch):
    monkeypatch.delenv("LABELGRID_CACHE_GB", raising=False)
    assert cache_bytes() == 20e9
    monkeypatch.setenv("LABELGRID_CACHE_GB", "0.5")
    assert cache_bytes() == 5e8
    monkeypatch.setenv("LABELGRID_STORAGE_PATIENCE", "90")
    assert patience() == 90


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", "inf", "1e12"])
def test_a_wrong_number_is_refused_by_its_name(text, monkeypatch):
    monkeypatch.setenv("LABELGRID_CACHE_GB", text)
    with pytest.raises(UsageError, match="LABELGRID_CACHE_GB is"):
        cache_bytes()
