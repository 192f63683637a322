"""A mail server that takes everything: enough of SMTP for a provider's notifier."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


class _Counter(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say(b"220 post office")
        for line in self.rfile:
            word = line.strip().upper()
            if word == b"DATA":
                self._say(b"354 go on")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.letters.append(letter.decode())  # type: ignore[attr-defined]
            self._say(b"250 yes" if word != b"QUIT" else b"221 bye")

    def _say(self, what: bytes) -> None:
        self.wfile.write(what + b"\r\n")


@contextmanager
def open_post_office() -> Iterator[tuple[int, list[str]]]:
    """Its port, and the letters that arrived."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Counter) as server:
        server.daemon_threads = True
        server.letters = []  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1], server.letters  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()
