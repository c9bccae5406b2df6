"""Laws of the plan: what is left of each run, and how long it takes at the rate of the finished steps."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from labelgrid.basics.files import write_text
from labelgrid.lab.simulation.forecast import record_seconds
from labelgrid.lab.simulation.run_jobs import work_of
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.study_plan import plan_study
from labelgrid.testing.laws import WATCH
from tests.studies import begin, study_request

#: The command line, which says at its end whether it asked for torch.
WATCHED_MAIN = f"""{WATCH}
import atexit
from labelgrid.cli import main
atexit.register(lambda: Watch.asked and print("asked for", Watch.asked, file=sys.stderr))
sys.exit(main())
"""


def test_a_job_has_the_work_of_its_own_run(tmp_path: Path) -> None:
    of = study_request(tmp_path, strategies=["partal", "random_cells"])
    pool = len(of.study.splits(of.root)[of.study.pool])
    plan = plan_study(of)
    assert len({work.scored for work in plan.left.values()}) > 1
    for key, run in plan.planned.items():
        expected = work_of(run, of.study, recipe=of.recipe, pool=pool, root=of.root)
        assert plan.left[key] == expected


def test_a_plan_counts_runs_and_steps_and_writes_nothing(tmp_path: Path) -> None:
    of = replace(study_request(tmp_path), jobs=3)
    plan = plan_study(of)
    assert (plan.runs, plan.at_once, plan.seconds) == (4, 3, None)
    assert plan.steps == sum(sum(work.steps) for work in plan.left.values()) > 0
    assert not of.out.exists()


def test_the_time_is_that_of_the_finished_steps_by_arm(tmp_path: Path) -> None:
    of = replace(study_request(tmp_path), jobs=1)
    begin(of, [])
    before = plan_study(of)
    for key, seconds in (("start-seed0", 10.0), ("partal-seed0", 30.0)):
        folder = of.out / "runs" / key
        write_text(folder / "rounds" / "0002" / "fit.json", "{}")
        write_text(folder / "rounds" / "0002" / "fit" / "last.ckpt", "")
        record_seconds(folder, seconds)
    write_text(of.out / "runs" / "partal-seed0" / "rounds" / "0001" / "fit.json", "{}")  # its start
    plan = plan_study(of)
    done = {key: sum(before.left[key].steps) - sum(plan.left[key].steps) for key in plan.left}
    assert done["start-seed0"] and done["partal-seed0"]
    mean = 40.0 / (done["start-seed0"] + done["partal-seed0"])
    own = 30.0 / done["partal-seed0"]
    partal = sum(plan.left["partal-seed0"].steps)
    expected = own * partal + mean * (plan.steps - partal)
    assert abs(plan.seconds - expected) < 1e-6


def test_a_study_that_has_run_knows_the_time_of_more_seeds(tmp_path: Path) -> None:
    of = replace(study_request(tmp_path, strategies=["random_cells"], rounds=1, full=False), jobs=1)
    assert not run_study(of).failed
    assert plan_study(of).seconds == 0 and plan_study(of).runs == 0
    more = plan_study(replace(of, study=replace(of.study, seeds=3)))
    one = [sum(job.max_work.steps) for key, job in more.jobs.items() if "seed0" in key]
    assert more.steps == 2 * sum(one)
    assert 0 < more.seconds < 600


def test_a_dry_run_loads_no_torch(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    begin(of)
    words = ["simulate", of.recipe, "--data", of.root, "--out", of.out, "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED_MAIN, *words],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0 and "asked for" not in done.stderr, done.stderr
    assert "steps at most" in done.stdout
