"""Measures the report of a study of 90 runs, and what takes most of it.

Runs the real `labelgrid report` on a recorded study. Then, in this process: its drawings against
`Figure.savefig`, which draws each twice, and exact p-values and bootstrap intervals of ten
differences against SciPy's.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from _measure import check_limit, command, interleaved, labelgrid, machine, show
from matplotlib.figure import Figure
from scipy import stats

from labelgrid.basics.comparison import bootstrap_interval, sign_flip_p
from labelgrid.drawings.drawing import STYLE, Drawing, drawing_bytes
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.study_page import study_page

STUDY = Path(__file__).parents[1] / "docs/results/records/strategies-test"
#: The limits: processor seconds of the command; how many times faster than SciPy; drawings against
#: drawing twice.
SECONDS = 5.0
FASTER = 50.0
DRAWN = 0.8


def saved(drawing: Drawing) -> bytes:
    """The file of a drawing as Matplotlib saves it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=drawing.size, layout="constrained")
        drawing.draw(figure)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()


def scipys_p(values: np.ndarray) -> float:
    test = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=9999)
    return float(test.pvalue)


def scipys_interval(values: np.ndarray) -> object:
    return stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        line = labelgrid("report", str(STUDY), "--out", str(Path(folder) / "report.html"))
        whole = min((command(line) for _ in range(options.repeats)), key=lambda run: run.processor)
    print(
        f"  labelgrid report: {whole.seconds:.2f} s (processor {whole.processor:.2f} s, peak {whole.peak:.0f} MiB)"
    )

    report = study_report(STUDY)
    drawings = list(study_page(report, study_measures(report)).drawings())
    assert all(saved(drawing) == drawing_bytes(drawing, "svg") for drawing in drawings)
    differences = np.random.default_rng(0).normal(0.3, 1.0, 10)
    assert scipys_p(differences) == sign_flip_p(differences)
    sides: dict[str, Callable[[], object]] = {
        f"{len(drawings)} drawings, drawn twice": lambda: [saved(drawing) for drawing in drawings],
        f"{len(drawings)} drawings": lambda: [
            drawing_bytes(drawing, "svg") for drawing in drawings
        ],
        "20 exact p-values, SciPy": lambda: [scipys_p(differences) for _ in range(20)],
        "20 exact p-values": lambda: [sign_flip_p(differences) for _ in range(20)],
        "20 intervals, SciPy": lambda: [scipys_interval(differences) for _ in range(20)],
        "20 intervals": lambda: [bootstrap_interval(differences, 0) for _ in range(20)],
    }
    times = interleaved(sides, options.repeats)
    show(times)
    twice, once, their_p, our_p, their_interval, our_interval = times.values()
    print(f"intervals: {their_interval.work_over(our_interval):.3g} x faster than SciPy")
    kept = [
        check_limit("drawings, over drawn twice", once.work_over(twice), DRAWN),
        check_limit(
            "exact p-values, faster than SciPy", their_p.work_over(our_p), FASTER, least=True
        ),
        check_limit("labelgrid report of 90 runs, processor", whole.processor, SECONDS, "s"),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
