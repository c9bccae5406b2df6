"""What is known of metrics' curves before a campaign is measured, learnt from recorded campaigns.

`benchmarks/advice.py --priors` learns them from `docs/results/records`. `percentage` and `other`
are for metrics that no record has.
"""

from collections.abc import Mapping

from labelgrid.select.label_curve import CurvePrior

PRIORS: Mapping[str, CurvePrior] = {
    "AP": CurvePrior(
        own=0.0285,
        all=0.0331,
        own_spread=0.396,
        all_spread=0.894,
        shared_spread=-0.464,
        noise=0.011,
    ),
    "IoU": CurvePrior(
        own=0.084,
        all=0.156,
        own_spread=0.314,
        all_spread=0.606,
        shared_spread=-0.402,
        noise=0.0786,
    ),
    "RMSE": CurvePrior(
        own=0.0348,
        all=0.0229,
        own_spread=0.527,
        all_spread=0.605,
        shared_spread=-0.484,
        noise=0.0275,
    ),
    "mErr": CurvePrior(
        own=0.0326,
        all=0.0254,
        own_spread=1.1,
        all_spread=1.51,
        shared_spread=-1.1,
        noise=0.0166,
    ),
    "mIoU": CurvePrior(
        own=0.0696,
        all=0.134,
        own_spread=1.47,
        all_spread=3.52,
        shared_spread=-1.63,
        noise=0.052,
    ),
    "other": CurvePrior(
        own=0.0337,
        all=0.0264,
        own_spread=0.808,
        all_spread=0.758,
        shared_spread=-0.655,
        noise=0.0216,
    ),
    "percentage": CurvePrior(
        own=0.0629,
        all=0.0894,
        own_spread=1.31,
        all_spread=5.5,
        shared_spread=-1.69,
        noise=0.0448,
    ),
}
