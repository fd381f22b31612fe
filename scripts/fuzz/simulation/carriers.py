"""What the carriers differ in, as a simulated renderer meets them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipc.errors import MLError
from ipc.shared_memory import map_pool
from ipc.timeline import ClientTensor, RingParts, TimelineClient, connect
from ipc.timeline.ring import RendererBells
from scripts.fuzz.simulation.world import World

if TYPE_CHECKING:
    from scripts.fuzz.simulation.renderer import SimulatedRenderer

_SECONDS = 20.0


def ring_parts(size: int, descriptors: list[int]) -> RingParts:
    """The parts of a ring that was handed over."""
    region, doorbell, bell = descriptors
    bells = RendererBells(doorbell, socket.socket(fileno=bell))
    try:
        return RingParts(map_pool(region, size), bells)
    finally:
        os.close(region)


def open_timeline(
    renderer: SimulatedRenderer, carrier: str, context: bytes, metadata: tuple[Any, ...], broken: Callable[[str], None]
) -> TimelineClient:
    """The product's timeline, over simulated wires."""
    stub: Any = renderer.stub
    if carrier != "ring":
        return connect(carrier, stub, metadata, broken)
    return connect(carrier, stub, metadata, broken, ring=renderer.ring(context), spin_us=renderer.spin_us)


def client_tensor(renderer: SimulatedRenderer, info: Any, length: int) -> ClientTensor:
    slots = [renderer.slot(slot) for name, slot in (("slot", info.slot), ("spare", info.spare)) if info.HasField(name)]
    return ClientTensor(info.token, length, *slots)


def wait(world: World, handle: Any) -> bool:
    """Wait for a read as the renderer does; whether it is done. What came of it is asked later."""
    if hasattr(handle, "set_result"):  # of the standard library, which knows nothing of simulated time
        return world.wait_for(handle.done, _SECONDS)
    try:
        handle.result(_SECONDS)
    except MLError:
        return True
    except TimeoutError:
        return False
    return True
