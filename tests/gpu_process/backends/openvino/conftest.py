"""Before any test module here imports the backend's rooms, and with them OpenVINO, its telemetry is switched off."""

from __future__ import annotations

from gpu_process.backends import prepare_import

prepare_import()
