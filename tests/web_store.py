"""A web server of objects that fails in the ways a test says: statuses, cut answers, silence."""

import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: An answer that ends in the middle of its content.
CUT = "cut"


class WebStore:
    """Objects by their paths, and the faults of the next answers.

    `asked` are the methods and paths of all requests. Its address has a port that nobody listens
    at while it is stopped.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: list[int | str] = []
        self.asked: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                store.answer(self, body=True)

            def do_HEAD(self) -> None:
                store.answer(self, body=False)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        self.asked.append(f"{handler.command} {handler.path}")
        fault = self.faults.pop(0) if self.faults else 0
        content = self.objects.get(handler.path)
        if isinstance(fault, int) and fault:
            content = b""
        status = fault if isinstance(fault, int) and fault else 404 if content is None else 200
        content = content or b""
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        handler.end_headers()
        if body:
            handler.wfile.write(content[: len(content) // 2] if fault == CUT else content)
        handler.close_connection = True


def make_certificate(folder: Path, begins: timedelta = timedelta()) -> Path:
    """A file with a certificate of this machine that nobody has signed, for a day, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.now(UTC) + begins
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_text = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(key_text + certificate.public_bytes(pem))
    return path


@contextmanager
def web_store(certificate: Path | None = None) -> Iterator[WebStore]:
    """Run such a server, on https with a certificate."""
    store = WebStore()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        store.server.socket = context.wrap_socket(store.server.socket, server_side=True)
        store.url = store.url.replace("http:", "https:")
    thread = threading.Thread(target=store.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield store
    finally:
        store.server.shutdown()
        store.server.server_close()
        thread.join()
