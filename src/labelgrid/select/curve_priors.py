"""The curves of metrics as recorded campaigns tell them, for campaigns without a measured round.

`benchmarks/advice.py --priors` learns the numbers from `docs/results/records`. `percentage` and
`other` are for metrics that no record has.
"""

from collections.abc import Mapping

from labelgrid.select.label_curve import CurvePrior

PRIORS: Mapping[str, CurvePrior] = {
    "AP": CurvePrior(
        task=0.0285,
        all=0.0321,
        task_spread=0.957,
        all_spread=1.55,
        shared_spread=-1.02,
        noise=0.0113,
    ),
    "IoU": CurvePrior(
        task=0.084,
        all=0.156,
        task_spread=0.3,
        all_spread=0.565,
        shared_spread=-0.378,
        noise=0.0786,
    ),
    "RMSE": CurvePrior(
        task=0.0348,
        all=0.0217,
        task_spread=0.599,
        all_spread=0.621,
        shared_spread=-0.487,
        noise=0.0276,
    ),
    "mErr": CurvePrior(
        task=0.0326,
        all=0.0249,
        task_spread=1.62,
        all_spread=2.58,
        shared_spread=-1.87,
        noise=0.0165,
    ),
    "mIoU": CurvePrior(
        task=0.0696,
        all=0.129,
        task_spread=1.65,
        all_spread=4.39,
        shared_spread=-2.12,
        noise=0.0518,
    ),
    "other": CurvePrior(
        task=0.0337,
        all=0.0261,
        task_spread=1.27,
        all_spread=1.36,
        shared_spread=-1.15,
        noise=0.0215,
    ),
    "percentage": CurvePrior(
        task=0.0629,
        all=0.0877,
        task_spread=1.53,
        all_spread=5.76,
        shared_spread=-1.91,
        noise=0.0448,
    ),
}
