"""A map of names is read from words or a file."""

from pathlib import Path

import pytest

from labelgrid.annotate.import_options import read_names
from labelgrid.basics.errors import UsageError


def test_a_file_of_names_may_hold_commas_comments_and_equal_signs(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("# of the vendor\nbed, double=bed\n\na=b=wall\n")
    assert read_names(str(path)) == {"bed, double": "bed", "a=b": "wall"}


@pytest.mark.parametrize("text", ["car", "=car", "car=", "car=vehicle,person", "a=b,a=c"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--map|map of names"):
        read_names(text)
