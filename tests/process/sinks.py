"""Receivers of messages, as processes of their own: a web server that answers as its path says, and a mail server.

The web server takes what is posted to /ok, and is unkind elsewhere. Run as a program: sinks.py PORT_FILE LOG_FILE.
"""

from __future__ import annotations

import email
import email.message
import email.policy
import http.server
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

METADATA = "http://169.254.169.254/latest/meta-data/"
_DEADLINE_S = 30.0


class Posted(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answers(http.server.BaseHTTPRequestHandler):
    """What each path does."""

    log_file: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        with self.log_file.open("a") as out:
            out.write(json.dumps([self.path, dict(self.headers), body]) + "\n")
        kind = self.path.strip("/").split("/")[0]
        getattr(self, f"answer_{kind}", self.answer_ok)()

    do_GET = do_PUT = do_POST

    def answer_ok(self) -> None:
        self._status(200)
        self.wfile.write(b"{}")

    def answer_broken(self) -> None:
        self._status(500)

    def answer_inward(self) -> None:
        self._status(302, METADATA)

    def answer_onward(self) -> None:
        host = self.headers["Host"]
        self._status(307, f"http://{host}/ok/redirected")

    def answer_garbage(self) -> None:
        self.wfile.write(os.urandom(4096))

    def answer_stall(self) -> None:
        time.sleep(3600)

    def answer_endless(self) -> None:
        self._status(500)
        while True:
            self.wfile.write(b"x" * 65536)

    def answer_drip(self) -> None:
        while True:
            self.wfile.write(b"H")
            self.wfile.flush()
            time.sleep(0.2)

    def _status(self, code: int, location: str = "") -> None:
        self.send_response(code)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class WebSink:
    """The web server."""

    def __init__(self, base: Path) -> None:
        base.mkdir(exist_ok=True)
        self._log, port_file = base / "posted", base / "port"
        self.process = subprocess.Popen([sys.executable, __file__, port_file, self._log])
        self.port = int(_until_written(port_file, self.process))

    def url(self, path: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{path}"

    def posted(self, path: str = "") -> list[Posted]:
        """Return what came, or what came to paths that begin so."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [one for one in (Posted(*json.loads(line)) for line in lines) if one.path.startswith("/" + path)]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class MailSink:
    """A mail server that keeps what it takes in a maildir."""

    def __init__(self, base: Path) -> None:
        self._maildir = base / "mail"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        listen, handler = f"127.0.0.1:{self.port}", "aiosmtpd.handlers.Mailbox"
        self.process = subprocess.Popen([sys.executable, "-m", "aiosmtpd", "-n", "-l", listen, "-c", handler, self._maildir])
        end_s = time.monotonic() + _DEADLINE_S
        while not self._listens():
            assert time.monotonic() < end_s and self.process.poll() is None
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def mails(self) -> list[email.message.EmailMessage]:
        files = sorted((self._maildir / "new").iterdir()) if (self._maildir / "new").is_dir() else []
        return [email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in files]  # type: ignore[misc]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _until_written(file: Path, process: subprocess.Popen[bytes]) -> str:
    end_s = time.monotonic() + _DEADLINE_S
    while not file.exists() or not file.read_text():
        assert time.monotonic() < end_s and process.poll() is None
        time.sleep(0.02)
    return file.read_text()


def main(port_file: Path, log_file: Path) -> None:
    Answers.log_file = log_file
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    port_file.write_text(str(server.server_address[1]))
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
