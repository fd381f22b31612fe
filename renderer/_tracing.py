"""Contexts of a traced process: the same calls, with the time they take recorded."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from ipc import trace
from renderer._context import ContextCore

Face = TypeVar("Face", bound=ContextCore)


def traced(face: type[Face]) -> type[Face]:
    """The class of contexts to use instead of `face`: itself, unless this process is traced."""
    if trace.recorder is None:
        return face
    mixin = _Calls if inspect.iscoroutinefunction(vars(face).get("read_tensor")) else _BlockingCalls
    return type(face.__name__, (mixin, face), {})


class _Calls(ContextCore):
    """The commands, from call to issue."""

    def write_tensor(self, *args: Any, **kwargs: Any) -> None:
        began = trace.now()
        super().write_tensor(*args, **kwargs)
        self._record(trace.Stage.ENCODE, began)

    def dispatch(self, *args: Any, **kwargs: Any) -> None:
        began = trace.now()
        super().dispatch(*args, **kwargs)
        self._record(trace.Stage.ENCODE, began)

    def _read(self, *args: Any, **kwargs: Any) -> Any:
        began = trace.now()
        read = super()._read(*args, **kwargs)
        self._record(trace.Stage.ENCODE, began)
        return read

    async def _compile(self, *args: Any, **kwargs: Any) -> Any:
        with trace.stage(trace.Stage.BUILD, trace.key_of(self._token)):
            return await super()._compile(*args, **kwargs)

    def _record(self, stage: trace.Stage, began: int) -> None:
        if trace.recorder is not None:
            trace.recorder.span(stage, began, trace.key_of(self._token), self._timeline.sequence)


class _BlockingCalls(_Calls):
    def read_tensor(self, *args: Any, **kwargs: Any) -> Any:
        began = trace.now()
        result = super().read_tensor(*args, **kwargs)  # type: ignore[misc]  # of the face that this is mixed into
        self._record(trace.Stage.WAIT, began)
        return result
