"""Names of the types that many signatures have. Loads no library of arrays."""

from collections.abc import Mapping
from typing import Any

#: An object of JSON, or a table of TOML.
Json = dict[str, Any]
#: Values by their names, such as options; nobody changes them.
Values = Mapping[str, Any]
#: Height and width.
Size = tuple[int, int]
#: Texts by their names.
Texts = Mapping[str, str]
#: Names in order.
Names = tuple[str, ...]
#: Tables by their names.
Tables = Mapping[str, Values]
