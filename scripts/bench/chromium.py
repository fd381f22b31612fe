"""A real Chromium, driven without a driver: it is started on a page of ours on the loopback, which asks for jobs.

    with Chromium(path) as browser:
        browser.run("return 6 * 7")

The page is cross-origin isolated, for a clock of 5 µs. Jobs are bodies of asynchronous functions with one parameter,
`sim`: what `chromium_page.js` offers. Whatever they return comes back as JSON; what they throw as `ScriptError`.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--enable-features=WebMachineLearningNeuralNetwork",
    # Without a GPU, WebNN is available only where the GPU process has something to draw with.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
_POLL_SECONDS = 20.0
_START_SECONDS = 30.0
_PAGE = Path(__file__).with_name("chromium_page.js")


class ChromiumError(Exception):
    """The browser does not start, ended, or does not answer; the message says which and why."""


class ScriptError(Exception):
    """A job threw: the exception's name and message, as the page tells it."""


class Chromium:
    """One browser with one page.

    Attributes:
        started: `time.perf_counter()` when it was launched.
        version: as the browser tells it.
    """

    def __init__(self, executable: Path, *flags: str) -> None:
        """Launch it and wait until the page asks for its first job.

        Args:
            flags: beside those that WebNN needs.

        Raises:
            ChromiumError: it does not start.
        """
        self._secret = secrets.token_urlsafe(16)  # who guesses it not can't be served, nor post results
        self._jobs: queue.Queue[tuple[int, str]] = queue.Queue()
        self._results: queue.Queue[tuple[int, Any]] = queue.Queue()
        self._data: dict[str, bytes] = {}
        self._number = 0
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="chromium-page", daemon=True).start()
        self._profile = tempfile.mkdtemp(prefix="webnn-sim.chromium.")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the browser
        url = f"http://127.0.0.1:{self._server.server_port}/{self._secret}/"
        command = [str(executable), *_FLAGS, f"--user-data-dir={self._profile}", *flags, url]
        self.started = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
            )
        except OSError as error:
            self._clean()
            raise ChromiumError(f"{executable} can't be started: {error}") from error
        try:
            self.version = str(self.run("return navigator.userAgent", timeout=_START_SECONDS)).partition("Chrome/")[2]
        except BaseException:
            self.close()
            raise
        self.version = self.version.partition(" ")[0]

    def run(self, script: str, *, timeout: float = 300.0) -> Any:
        """Run the body of an asynchronous function with the parameter `sim` in the page; what it returns.

        Raises:
            ScriptError: it threw.
            ChromiumError: the browser has ended, or there is no answer in `timeout` seconds.
        """
        self._number += 1
        self._jobs.put((self._number, script))
        deadline = time.monotonic() + timeout
        while True:
            try:
                number, answer = self._results.get(timeout=0.5)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise ChromiumError(
                        f"the browser ended with status {self._process.returncode}{self._said()}"
                    ) from None
                if time.monotonic() > deadline:
                    raise ChromiumError(f"the page did not answer in {timeout:g} s{self._said()}") from None
                continue
            if number == self._number:  # not an answer that came too late
                break
        if "error" in answer:
            raise ScriptError(str(answer["error"]))
        return answer["result"]

    def call(self, function: str, *arguments: object, timeout: float = 300.0) -> Any:
        """Await a function of `sim` with these arguments, JSON-ready."""
        listed = ", ".join(json.dumps(argument) for argument in arguments)
        return self.run(f"return await sim.{function}({listed})", timeout=timeout)

    def offer(self, name: str, data: bytes) -> str:
        """Bytes that a job can fetch; the path to fetch them from."""
        self._data[name] = data
        return f"data/{name}"

    def processes(self) -> Mapping[int, str]:
        """Its processes by number: `browser`, `gpu-process`, `renderer`, `utility`, `zygote`."""
        found = {self._process.pid: "browser"}
        while True:
            more = {pid: kind for pid, kind in _children(found) if pid not in found}
            if not more:
                return found
            found.update(more)

    def close(self) -> None:
        """End it, and remove its profile."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 15)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._clean()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _clean(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)  # a straggler of the browser's may still write there

    def _said(self) -> str:
        self._log.seek(0)
        lines = self._log.read()[-2000:].decode(errors="replace").strip().splitlines()
        return f"; it said: {lines[-1]}" if lines else ""


def _children(parents: Mapping[int, str]) -> list[tuple[int, str]]:
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int((directory / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if parent in parents:
                arguments = (directory / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").split()
                kinds = [argument[7:] for argument in arguments if argument.startswith("--type=")]
                found.append((int(directory.name), kinds[0] if kinds else "browser"))
    return found


def _handler(browser: Chromium) -> type[http.server.BaseHTTPRequestHandler]:
    # One room with its browser: the class is made here because the server makes an object of it per request.
    jobs, results, data = browser._jobs, browser._results, browser._data  # noqa: SLF001
    root = f"/{browser._secret}/"  # noqa: SLF001

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self.path.startswith(root):
                self.send_error(404)
                return
            match self.path.removeprefix(root).split("/"):
                case [""]:
                    self._send(b'<!doctype html><meta charset="utf-8"><script src="page.js"></script>', "text/html")
                case ["page.js"]:
                    self._send(_PAGE.read_bytes(), "text/javascript")
                case ["job"]:
                    self._send_job()
                case ["data", name] if name in data:
                    self._send(data[name], "application/octet-stream")
                case _:
                    self.send_error(404)

        def do_POST(self) -> None:
            if not self.path.startswith(f"{root}result/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(b"", "text/plain")
            results.put((int(self.path.rpartition("/")[2]), json.loads(body)))

        def _send_job(self) -> None:
            try:
                number, script = jobs.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._send(b"", "text/plain")
            else:
                self._send(script.encode(), "text/plain", {"X-Job": str(number)})

        def _send(self, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
            self.send_response(200)
            headers = {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Embedder-Policy": "require-corp",
                **(more or {}),
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the browser is being closed
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the terminal is for progress."""

    return Handler
