"""The entry of the blocking API."""

from __future__ import annotations

from typing import Any

from renderer._ml import MLCore
from renderer._promises import start, wait
from renderer.context import MLContext


class ML(MLCore):
    """Makes contexts; starts a host process with the first one, or attaches to one that runs.

    Source: WebNN, `ML`.
    """

    def create_context(
        self,
        *,
        backend: str | None = None,
        power_preference: str = "default",
        accelerated: bool = True,
        carrier: str | None = None,
        experimental_int4: bool = False,
        timeout: float | None = None,
    ) -> MLContext:
        """A context in the GPU process of a backend, which is started if need be.

        Args:
            backend: "reference", "onnxruntime" or "openvino"; the host's default where not given. An extension.
            power_preference: "default", "high-performance" or "low-power"; a hint.
            accelerated: a hint that ranks below it.
            carrier: "inline", "stream" or "ring": how commands and tensors travel. An extension.
            experimental_int4: whether int4 and uint4 are known. An extension.
            timeout: seconds.

        Raises:
            MLTypeError: an option has none of its values.
            NotSupportedError: there is no such backend, or host and GPU process can't be started.
            TimeoutError: it took longer than `timeout` seconds.

        Source: WebNN, `ML.createContext`.
        """
        made = start(
            self._create_context(
                MLContext,
                backend=backend,
                power_preference=power_preference,
                accelerated=accelerated,
                carrier=carrier,
                experimental_int4=experimental_int4,
            )
        )
        return wait(made, timeout, MLContext.destroy)

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """What the host tells about itself and its GPU processes; JSON-ready. An extension.

        Raises:
            NotSupportedError: there is no host.
        """
        return wait(start(self._status()), timeout)

    def destroy(self) -> None:
        """End the host, if it was started here, and wait for its end; contexts are lost. Idempotent."""
        self._close().result()
