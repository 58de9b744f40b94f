"""A program of its own: fetch one address and print what it answers. `python -m autoops.tail.fetch URL SECONDS`

In a process, because only a process can be ended in the middle of an answer that comes byte by byte. Guarantees: http and https
only; 64 KiB at most; a redirection is followed to the same host only; nothing is sent but the request. Writes nothing.
"""

from __future__ import annotations

import http.client
import sys
import urllib.request
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit

MAX_BYTES = 64 << 10


class SameHost(urllib.request.HTTPRedirectHandler):
    """Follows where the same host sends us, five times at most."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request to go on with. Raises URLError."""
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            raise URLError(f"it sends us to another host ({after.scheme}://{after.netloc})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, timeout_s: float) -> bytes:
    """Return what an address answers. Raises OSError (URLError), ValueError, http.client.HTTPException."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        SameHost(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "autoops", "Accept": "application/json, text/plain"})
    answer = opener.open(request, timeout=timeout_s)
    if answer is None:  # no handler for this scheme
        raise ValueError("neither http nor https")
    with answer:
        found = bytes(answer.read(MAX_BYTES + 1))
    if len(found) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return found


def main() -> None:
    """Run the program."""
    try:
        found = fetch(sys.argv[1], float(sys.argv[2]))
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
