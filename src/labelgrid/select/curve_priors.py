"""The curves of metrics as recorded campaigns tell them, for campaigns without a measured round.

`benchmarks/advice.py --priors` learns the numbers from `docs/results/records`. `percentage` and
`other` are for metrics that no record has.
"""

from collections.abc import Mapping
from dataclasses import fields

from labelgrid.select.label_curve import CurvePrior

#: The fields of `CurvePrior`, in order: own, all, own_spread, all_spread, shared_spread, noise.
_NUMBERS = {
    "AP": (0.0285, 0.0321, 0.957, 1.55, -1.02, 0.0113),
    "IoU": (0.084, 0.156, 0.3, 0.565, -0.378, 0.0786),
    "RMSE": (0.0348, 0.0217, 0.599, 0.621, -0.487, 0.0276),
    "mErr": (0.0326, 0.0249, 1.62, 2.58, -1.87, 0.0165),
    "mIoU": (0.0696, 0.129, 1.65, 4.39, -2.12, 0.0518),
    "other": (0.0337, 0.0261, 1.27, 1.36, -1.15, 0.0215),
    "percentage": (0.0629, 0.0877, 1.53, 5.76, -1.91, 0.0448),
}
_NAMES = [field.name for field in fields(CurvePrior)]

PRIORS: Mapping[str, CurvePrior] = {
    metric: CurvePrior(**dict(zip(_NAMES, numbers, strict=True)))
    for metric, numbers in _NUMBERS.items()
}
