"""Names of the types that many signatures have."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: An array of any numbers.
Array = NDArray[Any]
Bools = NDArray[np.bool_]
#: Colours, or other numbers of 8 bits.
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
#: Places in another array.
Places = NDArray[np.intp]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
#: An object of JSON, or a table of TOML.
Json = dict[str, Any]
#: Values by their names, such as options; nobody changes them.
Values = Mapping[str, Any]
