"""Names of array types."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Of any numbers.
Array = NDArray[Any]
Bools = NDArray[np.bool_]
#: Colours, or other numbers of 8 bits.
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
#: Places in another array.
Places = NDArray[np.intp]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
#: Floating-point numbers of any size.
AnyFloats = NDArray[np.floating]
#: What random draws and ties depend on, see `streams.image_keys`.
Keys = NDArray[np.uint64]
