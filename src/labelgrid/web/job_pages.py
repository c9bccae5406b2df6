"""Answers with the pages of jobs and of a budget."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from labelgrid.api.project import Project
from labelgrid.web import jobs
from labelgrid.web.kept_picks import picks_view
from labelgrid.web.pages import render


def router(opened: Callable[[], Project]) -> APIRouter:
    """The pages; `opened` opens the project."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/jobs", response_class=HTMLResponse)
    def show_jobs() -> Response:
        with opened() as project:
            return render(
                "jobs.html.j2",
                jobs=jobs.jobs(project),
                elsewhere=jobs.elsewhere(project),
                rounds=jobs.exported_rounds(project),
                step=project.next_step(),
            )

    @routes.get("/jobs/{number}", response_class=HTMLResponse)
    def show_job(number: int) -> Response:
        with opened() as project:
            job = jobs.shown(project, number)
            picks = None if job.is_active else picks_view(project, number)
            return render("job.html.j2", job=job, picks=picks)

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
    ) -> Response:
        with opened() as project:
            return render(
                "budget.html.j2",
                advised=project.advise(budget=budget),
                step=project.next_step(),
            )

    return routes
