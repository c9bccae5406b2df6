"""Follows the runs of a study in other processes by files."""

import time
from dataclasses import dataclass, field

from labelgrid.executors.job import JobFolder
from labelgrid.executors.share import Share
from labelgrid.lab.simulation.run_jobs import Job, Jobs

#: Seconds for which a run of another share that has not begun is waited for, since the shares of an
#: array job do not begin at once.
PATIENCE = 600.0


@dataclass(kw_only=True)
class OtherShares:
    """What of a study is not done here.

    Args:
        jobs: the jobs of all runs, by key, in an order that is the same for all shares.
        share: what is done here.
    """

    jobs: Jobs
    share: Share
    _shares: dict[str, Share] = field(init=False, default_factory=dict)
    _until: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + PATIENCE
        for index, (key, job) in enumerate(self.jobs.items()):
            is_mine = self.share.takes(index)
            if not is_mine or (not self.share.is_all and _runs(job)):
                self._shares[key] = Share(index % self.share.count, self.share.count)

    def __contains__(self, key: str) -> bool:
        """Whether a run is another share's, or a process elsewhere works on it."""
        return key in self._shares

    def may_end(self, key: str) -> bool:
        """Whether a run that is not done here runs, or may begin soon."""
        return _runs(self.jobs[key]) or time.monotonic() < self._until

    def not_done(self, key: str) -> str:
        """The sentence on a run that continues a run of another share."""
        return f"It continues {key}, which {self._shares[key]} has not finished."


def _runs(job: Job) -> bool:
    """Whether a process works on a run, on any machine as far as its signs say."""
    return not job.is_done and JobFolder(job.progress_folder).state == "running"
