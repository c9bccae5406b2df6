"""Laws of the names of types: what Python and mypy see is the type itself."""

from collections.abc import Mapping
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics import array_types, type_names

COVERS = ["labelgrid.basics.array_types"]


def test_a_name_is_the_type_itself():
    assert type_names.Values == Mapping[str, Any]
    assert array_types.Bools == NDArray[np.bool_]


def test_records_with_such_names_are_read_as_before():
    def described(values: type_names.Values) -> type_names.Json: ...

    assert get_type_hints(described) == {"values": Mapping[str, Any], "return": dict[str, Any]}
