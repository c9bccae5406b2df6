"""Answers programs that start, watch and stop jobs."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, File, Query

from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.type_names import Json
from labelgrid.web import jobs
from labelgrid.web.job_forms import ImportForm
from labelgrid.web.job_orders import AnyOrder
from labelgrid.web.kept_picks import request_picks
from labelgrid.web.pages import Opened


def router(opened: Opened) -> APIRouter:
    """The routes of jobs."""
    routes = APIRouter(prefix="/api", tags=["jobs"])

    @routes.get("/jobs")
    def list_jobs() -> list[Json]:
        """The newest jobs, the newest first."""
        with opened() as project:
            return [asdict(job) for job in jobs.jobs(project)]

    @routes.get("/jobs/{number}")
    def read_job(number: int) -> Json:
        """A job: the command, the state, and the end of the log."""
        with opened() as project:
            return asdict(jobs.shown(project, number))

    @routes.post("/jobs", status_code=201)
    def start_job(order: AnyOrder) -> Json:
        """Start a command on this machine, which goes on when the server ends."""
        with opened() as project:
            return asdict(jobs.shown(project, jobs.start(project, order)))

    @routes.post("/jobs/import", status_code=201)
    def start_import(form: Annotated[ImportForm, File()]) -> Json:
        """Import labels that are sent: a .zip, .json or .xml file of a labelling tool.

        `format` is one of `labelgrid list tools`; the other fields are the options of the command.
        """
        with opened() as project:
            return asdict(jobs.shown(project, jobs.start(project, form.order())))

    @routes.get("/advice")
    def read_advice(
        budget: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
    ) -> Json:
        """The advice of `labelgrid advise`: the labels to buy next, with the gain to expect."""
        with opened() as project:
            return replace_non_finite(asdict(project.advise(budget=budget)))

    _add_existing(routes, opened)
    return routes


def _add_existing(routes: APIRouter, opened: Opened) -> None:
    """Add the routes of a started job."""

    @routes.post("/jobs/{number}/again", status_code=201)
    def start_again(number: int) -> Json:
        """Start the command of a job again: a stopped command goes on where it was."""
        with opened() as project:
            return asdict(jobs.shown(project, jobs.again(project, number)))

    @routes.post("/jobs/{number}/request", status_code=201)
    def request_found(number: int) -> Json:
        """Start a job to request exactly the picks of a dry run; 409 if a cell changed.

        A dry run is a job with `{"command": "query", "budget": 10, "dry_run": true}`.
        """
        with opened() as project:
            return asdict(jobs.shown(project, request_picks(project, number)))

    @routes.post("/jobs/{number}/stop")
    def stop_job(number: int) -> Json:
        """Stop a job as Ctrl-C does; the same command resumes it."""
        with opened() as project:
            return asdict(jobs.stop(project, number))
