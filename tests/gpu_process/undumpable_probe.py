"""Starts a host and tries to read the memory of all its processes; prints what came of it as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.gpu_process.hosts import OwnedHost, tiny_options


def may_read(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except PermissionError:
        return False


def main() -> None:
    host = OwnedHost(tiny_options(sandbox="compat"))
    host.open()
    status = host.status()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ordinary:
        looks = {
            "ordinary process": may_read(ordinary.pid),
            "host": may_read(host.process.pid),
            "launcher": may_read(status["launchers"][0]["pid"]),
            "gpu process": may_read(status["gpu_processes"][0]["pid"]),
        }
        ordinary.kill()
    host.stop()
    print(json.dumps(looks))


if __name__ == "__main__":
    main()
