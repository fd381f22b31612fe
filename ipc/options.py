"""How a host and its GPU processes run: one value that travels as JSON on a command line."""

from __future__ import annotations

import dataclasses
import json
import platform
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

BACKEND_NAMES: Final = ("reference", "onnxruntime", "openvino")
DEFAULT_BACKEND: Final = "onnxruntime"

DEFAULT_CARRIER: Final = "ring" if platform.machine() == "x86_64" else "stream"
"""The ring relies on the order in which x86-64 makes stores visible; Python has no fences."""

DEFAULT_SPIN_US: Final = 100
"""Microseconds to poll before sleeping: twice what a wake-up across cores takes."""

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "backend": BACKEND_NAMES,
    "carrier": ("inline", "stream", "ring"),
    "sandbox": ("strict", "compat", "off"),
    "sandbox_mode": ("enforce", "report", "audit"),
    "tensor_memory": ("auto", "private"),
    "guards": ("on", "off"),
    "log_level": ("debug", "info", "warning", "error"),
}


class OptionsError(ValueError):
    """An option is unknown, of the wrong type, or has a value it cannot have; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """Everything that can be chosen about a host.

    Attributes:
        backend: what a session gets that asks for none by name.
        one_process: all backends in one GPU process, as Chromium has it, instead of one process each.
        isolate: a GPU process of its own for every renderer.
        carrier: of the timeline, for contexts that ask for none by name.
        spin_us: microseconds for which both sides of the carrier `ring` poll before they sleep; 0 sleeps at once.
        sandbox: how much of the sandbox is demanded.
        sandbox_mode: what becomes of a system call that the policy does not allow.
        threads: threads per graph; 0 lets the backend choose.
        tensor_memory: "private" never lets a backend use memory that a renderer can change.
        guards: "off" leaves out what keeps native kernels from being led beyond their memory by values of tensors: for
            measurements of what that costs, and for nothing else.
        quotas: limits of a session that differ from the default, by name.
        preload: modules that register operators, imported before the sandbox closes.
        memory_limit: bytes of one process: private ones, and where a control group may be made, all of them.
        start_timeout: seconds from a launcher's start to READY of its GPU process.
        hang_timeout: seconds that a GPU process may leave the host without an answer; 0 waits for ever.
        crash_limit: recent crashes that nobody caused after which a backend is disabled.
        forgive_after: seconds without a crash that make up for one.
        charge_limit: crashes caused by one renderer after which it gets no more sessions.
        faults: what is to go wrong on purpose, in the grammar of `ipc.faults`.
        log_level: of the host and its GPU processes.
        trace: descriptor that every process appends its trace to, see `ipc.trace`; 0 for none.
        recording: descriptor that GPU processes append what crosses the boundary to, see `ipc.recording`; 0 for none.
    """

    backend: str = DEFAULT_BACKEND
    one_process: bool = False
    isolate: bool = False
    carrier: str = DEFAULT_CARRIER
    spin_us: int = DEFAULT_SPIN_US
    sandbox: str = "strict"
    sandbox_mode: str = "enforce"
    threads: int = 1
    tensor_memory: str = "auto"
    guards: str = "on"
    quotas: Mapping[str, int] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    memory_limit: int = 8 << 30  # Chromium's limit for its GPU process on a machine of up to 16 GiB
    start_timeout: float = 60.0
    hang_timeout: float = 60.0
    crash_limit: int = 3  # Chromium: kGpuFallbackCrashCount
    forgive_after: float = 300.0  # Chromium: kForgiveGpuCrashMinutes
    charge_limit: int = 2
    faults: str = ""
    log_level: str = "warning"
    trace: int = 0
    recording: int = 0

    def __post_init__(self) -> None:
        kinds = typing.get_type_hints(type(self))
        for name in _FIELDS:
            value = getattr(self, name)
            if isinstance(value, list):  # as JSON and users write it
                value = tuple(value)
                object.__setattr__(self, name, value)
            if not _is_a(value, kinds[name]):
                raise OptionsError(f"option {name}: {value!r} is not of type {_name_of(kinds[name])}")
            if name in CHOICES and value not in CHOICES[name]:
                raise OptionsError(f"option {name}: {value!r} is none of {', '.join(CHOICES[name])}")
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise OptionsError(f"option {name}: {value!r} is negative or not finite")

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads."""
        return json.dumps({name: _plain(getattr(self, name)) for name in _FIELDS})

    @classmethod
    def from_json(cls, text: str) -> HostOptions:
        """The options in `text`; those that are missing have their defaults.

        Raises:
            OptionsError: it is no JSON object, or an option is unknown or invalid.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise OptionsError(f"options: not JSON: {error}") from error
        if not isinstance(values, dict):
            raise OptionsError("options: not a JSON object")
        if unknown := sorted(values.keys() - set(_FIELDS)):
            raise OptionsError(f"options: unknown: {', '.join(unknown)}")
        return cls(**values)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that the options name: for whoever starts a process with them."""
        return tuple(filter(None, (self.trace, self.recording)))

    @property
    def process_groups(self) -> tuple[tuple[str, ...], ...]:
        """Which backends share a GPU process."""
        return (BACKEND_NAMES,) if self.one_process else tuple((name,) for name in BACKEND_NAMES)

    def group_of(self, backend: str) -> tuple[str, ...]:
        """The backends that share a GPU process with this one."""
        return next(group for group in self.process_groups if backend in group)


_FIELDS: Final = tuple(entry.name for entry in dataclasses.fields(HostOptions))


def _is_a(value: object, kind: Any) -> bool:
    """Whether `value` is of a type that occurs in `HostOptions`; a bool is no number."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if typing.get_origin(kind) is Mapping:
        return isinstance(value, Mapping) and all(isinstance(k, str) and _is_a(v, int) for k, v in value.items())
    return isinstance(value, kind)


def _name_of(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value
