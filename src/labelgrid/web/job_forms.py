"""Answers forms that start and stop jobs, and leads to the page of the job."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import ConfigDict, Field, ValidationError, create_model

from labelgrid.basics.type_names import Json
from labelgrid.web import jobs
from labelgrid.web.job_orders import NAMES, ImportChoices, ImportFile, order_of
from labelgrid.web.kept_picks import request_picks
from labelgrid.web.pages import Opened

_FIELDS: Json = dict.fromkeys(NAMES, (str, ""))
_Texts: Any = create_model("Texts", **_FIELDS)


class JobForm(_Texts):
    """The fields of a form that starts a job; an empty field is not given."""

    model_config = ConfigDict(extra="forbid")


class ImportForm(ImportChoices):
    """A file to import, with the options that a person chose."""

    file: UploadFile
    format: str = Field("", description="The labelling tool; empty: the one that recognises it.")

    def order(self) -> ImportFile:
        """The order to import it."""
        said = {name: getattr(self, name) for name in self.model_fields_set - {"file"}}
        return ImportFile(name=self.file.filename or "", file=self.file.file, **said)


def router(opened: Opened) -> APIRouter:
    """The routes of the forms."""
    routes = APIRouter(prefix="/api/job-form", include_in_schema=False)

    @routes.post("/import")
    def import_by_form(request: Request, form: Annotated[ImportForm, File()]) -> Response:
        request.state.back = "/jobs"
        with opened() as project:
            return _watch(jobs.start(project, form.order()))

    @routes.post("/start/{command}")
    def start_by_form(request: Request, command: str, form: Annotated[JobForm, Form()]) -> Response:
        request.state.back = "/jobs"
        try:
            job_order = order_of({"command": command, **form.model_dump()})
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        with opened() as project:
            return _watch(jobs.start(project, job_order))

    @routes.post("/request/{number}")
    def request_by_form(request: Request, number: int) -> Response:
        request.state.back = f"/jobs/{number}"
        with opened() as project:
            return _watch(request_picks(project, number))

    @routes.post("/again/{number}")
    def start_again_by_form(request: Request, number: int) -> Response:
        request.state.back = f"/jobs/{number}"
        with opened() as project:
            return _watch(jobs.again(project, number))

    @routes.post("/stop/{number}")
    def stop_by_form(request: Request, number: int) -> Response:
        request.state.back = f"/jobs/{number}"
        with opened() as project:
            jobs.stop(project, number)
        return _watch(number)

    return routes


def _watch(number: int) -> Response:
    return RedirectResponse(f"/jobs/{number}", status_code=303)
