"""A case in a real Chromium: its page is served on the loopback, and posts back what came of it."""

from __future__ import annotations

import http.server
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--enable-features=WebMachineLearningNeuralNetwork",
)
_MAX_RESULT = 64 << 20  # bytes of a posted result


class ChromiumError(Exception):
    """The browser could not be started, or said nothing; the message has its own words."""


def run_page(chromium: Path, page: str, seconds: float = 60.0) -> dict[str, Any]:
    """What a page of `export.as_page` posts: `outcome` is `computed`, `refused` or `no WebNN`.

    Raises:
        ChromiumError: it posted nothing in time.
    """
    with _served(page) as (address, results), tempfile.TemporaryDirectory(prefix="webnn-fuzz.") as profile:
        command = [str(chromium), *_FLAGS, f"--user-data-dir={profile}", address]
        try:
            browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except OSError as error:
            raise ChromiumError(f"{chromium} can't be started: {error}") from error
        with browser:
            try:
                return results.get(timeout=seconds)
            except queue.Empty:
                browser.kill()
                assert browser.stderr is not None
                said = browser.stderr.read().decode(errors="backslashreplace")[-2000:]
                raise ChromiumError(f"{chromium} posted nothing within {seconds:g} s: {said}") from None
            finally:
                browser.kill()


@contextmanager
def _served(page: str) -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """The address of a server with this page, and what is posted to it."""
    results: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page.encode()
            found = self.path == "/"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(content)

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            result = json.loads(self.rfile.read(min(length, _MAX_RESULT)))
            self.send_response(204)
            self.end_headers()
            results.put(result)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", results
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
