"""Tells users and programs what went wrong: a page for browsers, JSON for programs."""

import errno

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from labelgrid.basics.errors import (
    DatabaseError,
    LabelError,
    LabelgridError,
    StateError,
    UsageError,
)
from labelgrid.basics.files import of_system
from labelgrid.web.pages import as_unicode, render

#: The status of an answer by the type of its error; of any other one: 404.
STATUS: dict[type[LabelgridError], int] = {
    UsageError: 400,
    StateError: 409,
    LabelError: 422,
    DatabaseError: 503,
}
#: The types of errors that may be of this machine.
OF_SYSTEM = (MemoryError, ModuleNotFoundError, OSError, RuntimeError)
#: The most faults of a request that are listed.
MOST = 5


def add_handlers(app: FastAPI) -> None:
    """Let an application answer errors."""
    app.add_exception_handler(LabelgridError, _answer_error)
    for kind in OF_SYSTEM:
        app.add_exception_handler(kind, _answer_of_system)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)


def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LabelgridError)
    statuses = []
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            statuses.append(status)
    return _answer(request, error, next(iter(statuses), 404))


def _answer_of_system(request: Request, error: Exception) -> Response:
    problem = of_system(error)
    if problem is None:
        raise error
    is_name = getattr(error, "errno", None) == errno.ENAMETOOLONG
    return _answer(request, problem, 400 if is_name else 507)


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    lines = []  # without the values, which may be anything
    for fault in error.errors()[:MOST]:
        location = ".".join(map(str, fault["loc"]))
        lines.append(f"{location:.80}: {fault['msg']:.200}")
    problem = UsageError(f"{'; '.join(lines)}.", unchanged="Nothing was changed.")
    return _answer(request, problem, 422)


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "There is nothing at this address" if error.status_code == 404 else error.detail
    problem = LabelgridError(f"{text.rstrip('.')}.", unchanged="Nothing was changed.")
    return _answer(request, problem, error.status_code)


def _answer(request: Request, error: LabelgridError, status: int) -> Response:
    if "text/html" in request.headers.get("accept", ""):  # a browser asks for a page
        back = getattr(request.state, "back", "/")
        return render("error.html.j2", status=status, error=error, back=back)
    names = ("what", "where", "next_step", "unchanged")
    values = {name: as_unicode(getattr(error, name)) for name in names}
    return JSONResponse(values, status_code=status)
