"""Laws of clients: one for a store and a process, loaded late, and a missing package is said."""

import socket
import subprocess
import sys

import pytest

from labelgrid.basics.errors import StorageError, UsageError
from labelgrid.storage import store_settings, systems
from labelgrid.storage.addresses import Address
from labelgrid.storage.systems import can_list, system_of


def test_a_store_has_one_client_in_a_process():
    first = system_of(Address("memory://a/b.png"))
    assert first is system_of(Address("memory://a/c/d.png"))


def test_other_credentials_or_another_endpoint_get_a_client_of_their_own(monkeypatch):
    store = Address("memory://a")
    first = system_of(store)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    second = system_of(store)
    assert second is not first and system_of(store) is second
    monkeypatch.setenv("HOMEPAGE", "x")
    assert system_of(store) is second
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert system_of(store) is first


def test_a_web_server_cannot_list():
    assert can_list(Address("s3://b/a")) and not can_list(Address("https://host/a"))


@pytest.mark.parametrize(
    ("address", "module", "command"),
    [
        ("s3://b/a.png", "s3fs", "pip install 'labelgrid[s3]'"),
        ("gs://b/a.png", "gcsfs", "pip install 'labelgrid[gs]'"),
        ("az://b/a.png", "adlfs", "pip install 'labelgrid[az]'"),
        ("https://host/a.png", "aiohttp", "pip install 'fsspec[http]'"),
        ("http://host/a.png", "aiohttp", "pip install 'fsspec[http]'"),
    ],
)
def test_a_missing_package_is_said_with_the_command_that_installs_it(
    address, module, command, monkeypatch
):
    for name in [name for name in sys.modules if name.partition(".")[0] in (module, "fsspec")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StorageError) as caught:
        system_of(Address(address.replace("b/", f"missing-{module}/")))
    assert command in str(caught.value)


def test_credentials_that_a_client_of_google_does_not_take_are_one_sentence(monkeypatch):
    pytest.importorskip("gcsfs", reason="gs:// needs the extra [gs]")
    import fsspec.config

    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file.json")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "google_default"})
    with pytest.raises(StorageError) as caught:
        system_of(Address("gs://wrong-credentials/a.png"))
    text = str(caught.value)
    assert "The store cannot be opened: DefaultCredentialsError: File *** was not found" in text
    assert "Set your credentials in the environment" in text


def test_a_client_of_google_that_finds_no_credentials_ends_in_a_sentence_within_its_time(
    monkeypatch, tmp_path
):
    pytest.importorskip("gcsfs", reason="gs:// needs the extra [gs]")
    assert systems.OPENING + store_settings.DEFAULT_PATIENCE < 60
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, answers nothing
        machine = f"127.0.0.1:{silent.getsockname()[1]}"
        for name in ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"):
            monkeypatch.setenv(name, machine)
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
        monkeypatch.setattr(systems, "OPENING", 1.0)
        with pytest.raises(StorageError) as caught:
            system_of(Address("gs://without-credentials/a.png"))
    assert "No credentials for the store were found in 1 s (gs://without-credentials)." in str(
        caught.value
    )
    assert "Set your credentials in the environment" in str(caught.value)


def test_a_client_of_azure_without_an_account_says_where_credentials_come_from(monkeypatch):
    pytest.importorskip("adlfs", reason="az:// needs the extra [az]")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "")
    with pytest.raises(UsageError) as caught:
        system_of(Address("az://wrong-credentials/a.png"))
    text = str(caught.value)
    assert "The store cannot be opened: unable to connect to account" in text
    assert "Check the address. Set your credentials in the environment" in text


def test_no_client_is_loaded_until_an_object_is_asked_for():
    code = (
        "import sys, labelgrid.operations.create, labelgrid.operations.extend,"
        "labelgrid.data.project_source, labelgrid.imports.import_labels, labelgrid.storage.objects;"
        "print([name for name in ('fsspec', 's3fs', 'aiohttp', 'botocore') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
