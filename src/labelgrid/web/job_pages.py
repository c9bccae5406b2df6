"""Answers with the pages of jobs and of a budget."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from labelgrid.api.contents import status_and_step
from labelgrid.basics import plugins
from labelgrid.ledger.grid import Unit
from labelgrid.operations.next_step import next_step
from labelgrid.operations.status import round_rows
from labelgrid.web import jobs
from labelgrid.web.exports import current_exports, export_choice, exported_by, reported_at
from labelgrid.web.import_pictures import picture_of
from labelgrid.web.kept_picks import picks_view
from labelgrid.web.pages import Opened, render
from labelgrid.web.proposed_budget import ProposedBudget, proposed_budget


def router(opened: Opened) -> APIRouter:
    """The pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs", response_class=HTMLResponse)
    def show_jobs() -> Response:
        with opened() as project:
            return render(
                "jobs.html.j2",
                project=project,
                jobs=jobs.jobs(project),
                elsewhere=jobs.elsewhere(project),
                rounds=jobs.exported_rounds(project),
                proposed=proposed_budget(round_rows(project.disk), next_step(project.disk)),
                export_choice=export_choice(project),
                exported=current_exports(project),
                formats=plugins.names("tools"),
                has_report=reported_at(project) != "",
            )

    @routes.get("/jobs/{number}", response_class=HTMLResponse)
    def show_job(number: int) -> Response:
        with opened() as project:
            job = jobs.shown(project, number)
            picks = None if job.is_active else picks_view(project, number)
            return render(
                "job.html.j2",
                project=project,
                job=job,
                picks=picks,
                exported=exported_by(project, job),
                has_picture=picture_of(project, job) is not None,
                has_report=reported_at(project) != "",
                formats=plugins.names("tools"),
            )

    @routes.get("/jobs/{number}/now", response_class=HTMLResponse)
    def show_part(number: int, brief: bool = False) -> Response:
        """The part of a page that changes; when the job has ended, the whole page is loaded."""
        with opened() as project:
            job = jobs.shown(project, number)
        answer = render("job-now.html.j2", job=job, brief=brief)
        if not job.is_active:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @routes.get("/budget", response_class=HTMLResponse)
    def show_budget(
        budget: Annotated[float | None, Query(gt=0, allow_inf_nan=False)] = None,
        unit: Unit = "labels",
    ) -> Response:
        with opened() as project:
            status, step = status_and_step(project.disk)
            proposed = proposed_budget(status["rounds"], step)
            if budget is not None:
                proposed = ProposedBudget(budget, unit)
            prices = {}
            for name, task in project.tasks.items():
                missing = status["tasks"][name]["missing"]
                prices[name] = {"cost": task.cost, "missing": missing}
            cost = proposed.cost(prices)
            advised = project.advise(budget=cost or None)
        return render("budget.html.j2", project=project, advised=advised, proposed=proposed)

    return routes
