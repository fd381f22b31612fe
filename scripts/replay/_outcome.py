"""What came of a replay, and when two results are the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from ipc.descriptors import DataType, Descriptor

_MOST_DIFFERENCES: Final = 100

# Of another backend than the recorded one: the rounding of a few operations one after the other.
_RELATIVE: Final = {DataType.FLOAT16: 1e-2, DataType.FLOAT32: 1e-4}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was not as recorded.

    Attributes:
        event: its number in the recording, from 1.
        what: a packet, a reply, a result, an end.
    """

    event: int
    what: str
    recorded: str
    replayed: str


@dataclass(slots=True)
class Outcome:
    """Counts, and all differences.

    Attributes:
        backend: that ran the graphs.
        exact: whether results were compared bit for bit.
        results: reads whose bytes were compared.
        truncated: whether the recording ends in the middle of an event.
        death: how the GPU process ended; empty where it lives.
    """

    backend: str = ""
    exact: bool = True
    events: int = 0
    sessions: int = 0
    calls: int = 0
    commands: int = 0
    results: int = 0
    result_bytes: int = 0
    truncated: bool = False
    death: str = ""
    differences: list[Difference] = field(default_factory=list)
    more_differences: int = 0

    @property
    def identical(self) -> bool:
        """Whether everything was as recorded."""
        return not self.differences

    def differs(self, event: int, what: str, recorded: object, replayed: object) -> None:
        """Note a difference; of very many only the first are kept."""
        if len(self.differences) < _MOST_DIFFERENCES:
            self.differences.append(Difference(event, what, _shown(recorded), _shown(replayed)))
        else:
            self.more_differences += 1

    def to_json(self) -> dict[str, Any]:
        return {"identical": self.identical, **asdict(self)}


def same_bytes(recorded: bytes, replayed: bytes, descriptor: Descriptor | None, *, exact: bool) -> bool:
    """Whether two contents of a tensor are the same.

    Args:
        descriptor: of the tensor, if it is known.
        exact: bit for bit; otherwise within a tolerance where the values are floats.
    """
    if recorded == replayed:
        return True
    tolerance = _RELATIVE.get(descriptor.data_type) if descriptor is not None else None
    if exact or descriptor is None or tolerance is None or len(recorded) != len(replayed):
        return False
    a, b = (np.frombuffer(data, descriptor.data_type.storage).astype(np.float64) for data in (recorded, replayed))
    return bool(np.allclose(b, a, rtol=tolerance, atol=tolerance, equal_nan=True))


def _shown(value: object) -> str:
    text = value.hex(" ", 4) if isinstance(value, bytes) else str(value)
    return text if len(text) <= 300 else f"{text[:300]} … ({len(text)} characters)"
