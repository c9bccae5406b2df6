"""Laws of attempts: what may pass is tried again for a while, what cannot pass is said at once."""

import errno
import ssl
import time
from datetime import timedelta
from urllib.request import urlopen

import pytest

from labelgrid.basics.errors import StorageError
from labelgrid.storage.addresses import Address
from labelgrid.storage.attempts import persist, reason_of, without_secrets
from tests.web_store import make_certificate, web_store

ADDRESS = Address("s3://bucket/a.png")


class Failing:
    """Fails with these errors, one after another, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        OSError(errno.EIO, "broken"),
        RuntimeError("503"),
        OSError(),
    ],
)
def test_what_may_pass_is_tried_again(error):
    action = Failing(error, error)
    assert persist(ADDRESS, action) == "done"
    assert action.calls == 3


def test_a_store_that_never_answers_is_given_up_in_time_with_one_sentence():
    action = Failing(*[TimeoutError("read timed out")] * 1000)
    start = time.monotonic()
    with pytest.raises(StorageError) as caught:
        persist(ADDRESS, action)
    assert time.monotonic() - start < 5
    assert 2 <= action.calls < 10
    text = str(caught.value)
    assert "did not answer for 1 s: TimeoutError: read timed out" in text
    assert "s3://bucket/a.png" in text and "what was fetched is kept" in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Forbidden"), "does not allow"),
        (OSError(errno.EINVAL, "no such region"), "refuses the request"),
        (type("NoCredentialsError", (Exception,), {})("none"), "does not allow"),
        (type("ClientResponseError", (Exception,), {"status": 401})("who"), "does not allow"),
        (type("ClientResponseError", (Exception,), {"status": 400})("bad"), "refuses the request"),
        (type("HttpResponseError", (Exception,), {"status_code": 403})("key"), "does not allow"),
        (type("HttpError", (Exception,), {"code": 401})("Invalid Credentials"), "does not allow"),
        (OSError("Forbidden: b/photos/o\nno access"), "does not allow"),
        (type("HttpError", (Exception,), {"code": 400})("bad"), "refuses the request"),
    ],
)
def test_what_cannot_pass_is_said_at_once(error, said):
    action = Failing(error)
    with pytest.raises(StorageError, match=said):
        persist(ADDRESS, action)
    assert action.calls == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(status):
    error = type("ClientResponseError", (Exception,), {"status": status})("later")
    assert persist(ADDRESS, Failing(error)) == "done"


@pytest.mark.parametrize(
    "error", [FileNotFoundError("a"), OSError(errno.ENOSPC, "full"), MemoryError()]
)
def test_a_missing_object_and_a_full_disk_are_for_the_caller(error):
    action = Failing(error)
    with pytest.raises(type(error)):
        persist(ADDRESS, action)
    assert action.calls == 1


@pytest.mark.parametrize(
    ("cause", "raised"),
    [
        (OSError(errno.EMFILE, "too many files"), OSError),
        (MemoryError(), MemoryError),
        (ValueError("no port"), FileNotFoundError),
        (type("ClientResponseError", (Exception,), {"status": 404})("none"), FileNotFoundError),
        (KeyError("name"), FileNotFoundError),
    ],
)
def test_a_fault_behind_a_missing_object_is_told_apart(cause, raised):
    missing = FileNotFoundError("a")
    missing.__cause__ = cause
    action = Failing(missing)
    with pytest.raises(raised) as caught:
        persist(ADDRESS, action)
    assert type(caught.value) is raised and action.calls == 1


def test_no_secret_of_the_environment_is_in_a_message(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=abcdef")
    text = "denied for hunter2hunter2 with AccountKey=abcdef"
    assert without_secrets(text) == "denied for *** with ***"
    assert "hunter2" not in reason_of(RuntimeError(text))
    with pytest.raises(StorageError) as caught:
        persist(ADDRESS, Failing(PermissionError(text)))
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "ya29.a/b+c=")
    assert without_secrets("url: /info?access_token=ya29.a%2Fb%2Bc%3D") == (
        "url: /info?access_token=***"
    )


def test_a_reason_is_one_short_line():
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert reason_of(RuntimeError("a.\nb")) == "RuntimeError: a"
    assert len(reason_of(RuntimeError("x" * 5000))) < 400


@pytest.mark.parametrize("begins", [timedelta(days=-3), timedelta(days=3)], ids=["over", "early"])
def test_a_certificate_that_is_out_of_date_is_not_said_to_be_untrusted(tmp_path, begins):
    certificate = make_certificate(tmp_path, begins)
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    with web_store(certificate=certificate) as web:
        address = Address(f"{web.url}/p/a.png")
        with pytest.raises(StorageError, match="certificate of the store is out of date") as caught:
            persist(address, lambda: urlopen(address, context=trusting))
    assert "SSL_CERT_FILE" not in str(caught.value)
    assert "clock" in str(caught.value)
