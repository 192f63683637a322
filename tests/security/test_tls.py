"""What goes to another machine is encrypted, for the machine that is meant, or it does not go at all."""

import asyncio
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from order_integration.channels.commands import ChannelConnection
from order_integration.channels.marketplace import CONNECTOR
from order_integration.conformance.bench import channel_of
from order_integration.errors import ConfigurationError, ContractError
from order_integration.omnitron.shared_token import SharedToken
from order_integration.transport import FixedHeaders, HttpSession, Limits, checked_base_url
from sandbox.faults import running
from sandbox.marketplace.app import create_app

KEY = "zq7-Kanarya-Anahtar"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\nConnection: close\r\n\r\n"
ANSWER = HEAD + b'{"key": "token"}'


@dataclass
class Server:
    """HTTPS with a certificate of our own; notes what it was told after the handshake, and how often it was asked."""

    certificate: Path
    answer: bytes = ANSWER
    asked: int = 0
    told: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            client, _ = self.listening.accept()
            with client:
                client.settimeout(10)
                if client.recv(1, socket.MSG_PEEK) == b"":  # the end, from `close`
                    return
                self.asked += 1
                try:
                    with self.context.wrap_socket(client, server_side=True) as encrypted:
                        if request := encrypted.recv(65536):
                            self.told.append(request)
                            encrypted.sendall(self.answer)
                except (ssl.SSLError, OSError):
                    continue

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listening.close()


def certificate(folder: Path, *names: str, days: int = 1) -> Path:
    """Signed by itself; made for `names`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "channel")])
    begin = datetime.now(UTC) - timedelta(days=10)
    known = [x509.IPAddress(ip_address(one)) if one[0].isdigit() else x509.DNSName(one) for one in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(encoding)
    )
    return path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A server with a certificate for these names."""
    started: list[Server] = []

    def start(*names: str, answer: bytes = ANSWER, **own: Any) -> Server:
        started.append(Server(certificate(tmp_path, *names, **own), answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


def trust(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SSL_CERT_FILE does; but that is read once, when a process starts."""
    trusting = ssl.create_default_context(cafile=str(server.certificate))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)


def ask(url: str, method: str = "POST") -> Any:
    async def story() -> Any:
        limits = Limits(first_wait=0.001)
        async with HttpSession(checked_base_url(url, "connection shop"), FixedHeaders({"X-Key": KEY}), limits) as http:
            return await http.call(method, "orders", body={"who": KEY}, repeatable=True)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("localhost",), 1, "self-signed"),
        (("shop.example",), 1, "self-signed"),
        (("localhost",), -1, "self-signed|expired"),
    ],
)
def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(
    serve: Callable[..., Server], names: tuple[str, ...], days: int, why: str
) -> None:
    server = serve(*names, days=days)

    with pytest.raises(ConfigurationError, match=rf"certificate that is not trusted \(.*({why})") as caught:
        ask(f"https://localhost:{server.port}")

    assert (server.asked, server.told) == (1, [])
    assert "nothing was sent" in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("shop.example",), 1, "Hostname mismatch"),
        (("127.0.0.1",), 1, "Hostname mismatch"),
        (("localhost",), -1, "expired"),
    ],
)
def test_a_trusted_certificate_of_another_machine_or_of_yesterday_is_refused(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], days: int, why: str
) -> None:
    server = serve(*names, days=days)
    trust(server, monkeypatch)

    with pytest.raises(ConfigurationError, match=why):
        ask(f"https://localhost:{server.port}")
    assert (server.asked, server.told) == (1, [])


def test_a_certificate_whose_authority_is_trusted_is_taken(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("localhost")
    trust(server, monkeypatch)

    assert ask(f"https://localhost:{server.port}") == {"key": "token"}

    assert KEY.encode() in server.told[0]


def test_a_redirect_to_http_is_not_followed(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    with running(create_app()) as elsewhere:
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}/api/orders\r\nContent-Length: 0\r\n\r\n"
        server = serve("localhost", answer=head.encode())
        trust(server, monkeypatch)

        with pytest.raises(ContractError):
            ask(f"https://localhost:{server.port}", "GET")

        assert httpx.get(f"{elsewhere}/admin/requests").json() == []
    assert server.asked == 1


def test_no_password_goes_to_an_omnitron_that_nobody_vouches_for(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("localhost")
    token = SharedToken(f"https://localhost:{server.port}/", "integration", KEY, tmp_path / "state")

    with pytest.raises(ConfigurationError, match="certificate that is not trusted"):
        asyncio.run(token.headers())

    assert (server.asked, server.told) == (1, [])
    assert [path.suffix for path in (tmp_path / "state").iterdir()] == [".lock"]  # and it is no wrong password


def test_no_key_goes_to_a_channel_that_nobody_vouches_for(serve: Callable[..., Server]) -> None:
    server = serve("localhost")
    connection = ChannelConnection(f"https://localhost:{server.port}", password=KEY)

    async def story() -> Any:
        async with CONNECTOR(channel_of("marketplace"), connection) as connector:
            return await connector.http.get("api/orders")

    with pytest.raises(ConfigurationError, match="certificate that is not trusted"):
        asyncio.run(story())
    assert (server.asked, server.told) == (1, [])


TRICKS = [
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://evil.example/127.0.0.1",
    "http://localhost@evil.example",
    "http://localhost:80@evil.example:90/",
    "http://127.0.0.1;@evil.example",
    "http://evil\\@localhost",
    "http://localhost\\@evil.example/",
    "http://localhost#@evil.example/",
    "http://localhost?@evil.example/",
    "http://[::1].evil.example",
    "http://[::1]evil.example",
    "http://[::ffff:8.8.8.8]",
    "http://[::]",
    "http://0.0.0.0",
    "http://0",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://127.1",
    "http://127.1.2.999",
    "http://127.\u0660.0.1",
    "http://127.0.0.1\u3002evil.example",
    "http://\u24dbocalhost",
    "http://localhost%2eevil.example",
    "http://localhost%00.evil.example",
    "http://local\thost",
    "http://localhost\n.evil.example",
    "http://localhost ",
    "http://localhost.",
    "HTTP://evil.example",
    "http:localhost",
    "http:///localhost",
    "https://user:zq7-Kanarya-Parola@shop.example",
    "https://shop.example?key=zq7-Kanarya-Parola",
    "https://shop.example:99999",
    "file:///etc/passwd",
    "unix://localhost",
]


@pytest.mark.parametrize("url", TRICKS)
def test_no_address_is_taken_for_this_machine_by_a_trick(url: str) -> None:
    with pytest.raises(ConfigurationError, match="connection shop") as caught:
        checked_base_url(url, "connection shop")
    assert "Kanarya" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://127.9.9.9",
        "http://LOCALHOST:1",
        "http://[::1]:8000",
        "https://[2001:db8::1]/api",
        "https://shop.example:8443/a/b",
        "https://mağaza.example",
    ],
)
def test_plain_addresses_are_taken(url: str) -> None:
    assert checked_base_url(url, "connection shop") == f"{url}/"
