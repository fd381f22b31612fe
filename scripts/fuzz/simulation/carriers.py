"""What the carriers differ in, as a renderer meets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ipc.timeline import ClientTensor
from scripts.fuzz.simulation.world import World

if TYPE_CHECKING:
    from scripts.fuzz.simulation.renderer import SimulatedRenderer


def take_ring(message: Any, descriptors: list[int], rings: dict[bytes, Any]) -> bool:
    return False


def open_timeline(connect: Any, carrier: str, renderer: SimulatedRenderer, metadata: Any, broken: Callable[[str], None]) -> Any:
    return connect(carrier, renderer.stub, metadata, broken)


def client_tensor(renderer: SimulatedRenderer, info: Any, length: int) -> ClientTensor:
    slot = renderer.slot(info.slot) if info.HasField("slot") else None
    return ClientTensor(info.token, length, slot)


def wait(world: World, handle: Any) -> None:
    world.wait_for(handle.done)
