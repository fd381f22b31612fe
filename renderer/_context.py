"""A context: the checks of the specification in their order, then one command on the timeline, or one call.

Both faces of the API, blocking and asyncio, are made of this. What the specification calls a promise method is a
coroutine over promises here; the other methods are as users see them.
"""
# ruff: noqa: SLF001  a context, its tensors and its graphs are one room; the underscores keep users out

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ipc.codec import encode_descriptor, encode_graph
from ipc.descriptors import Descriptor
from ipc.errors import MLTypeError, UnknownError, escape_label
from ipc.generated.webnn.v1 import context_pb2
from ipc.graph import ConstantSource, Graph, OperandId
from ipc.shared_memory import seal_constants
from ipc.timeline import Binding, ClientTensor
from renderer._arrays import Array, Buffer, as_array, bytes_of_like, check_out, empty, head, matching_bytes
from renderer._checks import check_bindings, check_names
from renderer._constants import REGION_NAME, Constants
from renderer._context_state import ContextState
from renderer._conversions import DataTypeLike, of_kind, to_descriptor, to_named
from renderer._promises import Promise
from renderer._reads import Read
from renderer.graph import MLGraph
from renderer.tensor import MLTensor

_MAX_CHECKED = 4096  # dispatches that are remembered to be valid

CHUNK_BYTES = 4 << 20  # of a graph on its way; messages are capped at 16 MiB


class ContextCore(ContextState):
    """What a context is in both faces of the API."""

    def write_tensor(self, tensor: MLTensor, data: Buffer) -> None:
        """Write the bytes of `data`, copied now, after all that was issued before. Returns at once.

        Args:
            data: an array of the tensor's type and shape, or raw bytes of its exact length.

        Raises:
            MLTypeError: the tensor belongs to another context or is not writable, or `data` doesn't match it.
            InvalidStateError: tensor or context are destroyed or lost.

        Source: WebNN, `MLContext.writeTensor`; for a destroyed tensor its tests, which want an InvalidStateError.
        """
        self._check_process()
        of_kind(tensor, MLTensor, "write_tensor")
        content = bytes_of_like(data, tensor._layout)
        array = None if content is not None else as_array(data, "write_tensor")
        with self._lock:
            self._check_usable(tensor, "write_tensor")
            if not tensor._writable:
                raise MLTypeError(f"write_tensor: {tensor!r} is not writable")
            if array is not None:
                content = matching_bytes(array, tensor._descriptor, "write_tensor")
            assert content is not None
            self._timeline.write(tensor._handle, content)

    def dispatch(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> None:
        """Run a graph after all that was issued before. Returns at once.

        A computation that fails poisons its outputs: reading one raises OperationError, until it is written again.

        Raises:
            MLTypeError: graph or tensors belong to another context, a tensor occurs twice, is destroyed or constant,
                or names, types or shapes are not those of the graph.
            InvalidStateError: graph or context are destroyed or lost.

        Source: WebNN, `MLContext.dispatch`.
        """
        self._check_process()
        if type(inputs) is not dict or type(outputs) is not dict:
            inputs, outputs = to_named(inputs, MLTensor, "inputs"), to_named(outputs, MLTensor, "outputs")
        # Objects are known by their addresses: what was checked holds no one alive, and ends when one of them is freed.
        checked = self._checked
        key = (id(graph), *inputs, *map(id, inputs.values()), None, *outputs, *map(id, outputs.values()))
        binding = checked.get(key)
        if binding is not None and self._timeline.dispatch_again(binding):
            return
        of_kind(graph, MLGraph, "dispatch")
        given, wanted = to_named(inputs, MLTensor, "inputs"), to_named(outputs, MLTensor, "outputs")
        with self._lock:
            self._check_dispatch(graph, given, wanted)
            if len(checked) >= _MAX_CHECKED:
                checked.clear()
            checked[key] = self._issue_dispatch(graph, given, wanted)

    # --- promises: the faces wait for them ------------------------------------------------------------------------

    async def _create_tensor(
        self, descriptor: Descriptor, *, readable: bool = False, writable: bool = False
    ) -> MLTensor:
        self._check_open()
        self._check_dimensions(descriptor, "create_tensor")
        request = context_pb2.CreateTensorRequest(
            context=self._token,
            descriptor=encode_descriptor(descriptor),
            readable=readable,
            writable=writable,
            after=self._timeline.sequence,
        )
        info = (await self._call(self._session.stub.CreateTensor, request)).tensor
        return self._add_tensor(info, descriptor, readable=readable, writable=writable)

    async def _create_constant_tensor(self, descriptor: Descriptor, array: Array) -> MLTensor:
        self._check_open()
        self._check_dimensions(descriptor, "create_constant_tensor")
        data = matching_bytes(array, descriptor, "create_constant_tensor")
        with self._offered(lambda: seal_constants([data], REGION_NAME)) as region:
            request = context_pb2.CreateConstantTensorRequest(
                context=self._token,
                descriptor=encode_descriptor(descriptor),
                region=region,
                after=self._timeline.sequence,
            )
            info = (await self._call(self._session.stub.CreateConstantTensor, request)).tensor
        return self._add_tensor(info, descriptor, constant=True)

    async def _compile(self, graph: Graph, constants: Mapping[OperandId, int | MLTensor], data: Constants) -> MLGraph:
        """Compile what a builder has recorded and checked.

        Args:
            constants: where in `data` each is, or its tensor.
        """
        with contextlib.ExitStack() as offered:
            region = b""
            if any(isinstance(source, int) for source in constants.values()):
                region = offered.enter_context(self._offered(data.seal))
            for operand, source in constants.items():
                if isinstance(source, MLTensor):
                    graph.constants[operand] = ConstantSource(source._handle.token, is_tensor=True)
                else:
                    graph.constants[operand] = ConstantSource(region, source)
            message = encode_graph(graph).SerializeToString()
            chunks = _chunks(message, context=self._token, after=self._timeline.sequence)
            info = (await self._call(self._session.stub.CreateGraph, chunks)).graph
        inputs, outputs = graph.input_descriptors(), graph.output_descriptors()
        built = MLGraph(self, info.token, inputs, outputs, tuple(info.devices))
        self._add(built, self._graphs)
        return built

    async def _compute(self, graph: MLGraph, arrays: Mapping[str, Buffer]) -> dict[str, Read]:
        """Write, dispatch and begin to read, on tensors that the graph keeps for this."""
        self._check_process()
        of_kind(graph, MLGraph, "compute")
        if not isinstance(arrays, Mapping):
            raise MLTypeError(f"inputs are a mapping of names, not {arrays!r}")
        given = {name: as_array(data, f"compute: input [{name}]") for name, data in arrays.items()}
        if graph._context is not self:
            raise MLTypeError("compute: the graph belongs to another context")
        self._check_graph(graph, "compute")
        check_names(given, graph._inputs, "inputs")
        data = {
            name: matching_bytes(array, graph._inputs[name], f"inputs [{escape_label(name)}]")
            for name, array in given.items()
        }
        inputs, outputs = graph._own_tensors or await self._make_own_tensors(graph)
        with self._lock:  # as one: another thread's inputs must not come between
            self._check_graph(graph, "compute")
            for name, tensor in inputs.items():
                self._timeline.write(tensor._handle, data[name])
            self._issue_dispatch(graph, inputs, outputs)
            reads = {}
            for name, tensor in outputs.items():
                target = empty(tensor._descriptor)
                reads[name] = self._begin_read(tensor, target, head(target, tensor._descriptor))
            return reads

    async def _make_own_tensors(self, graph: MLGraph) -> tuple[dict[str, MLTensor], dict[str, MLTensor]]:
        inputs = {name: await self._create_tensor(each, writable=True) for name, each in graph._inputs.items()}
        outputs = {name: await self._create_tensor(each, readable=True) for name, each in graph._outputs.items()}
        with self._lock:
            if graph._own_tensors is None and not graph._destroyed:
                graph._own_tensors = inputs, outputs
                return inputs, outputs
        for tensor in (*inputs.values(), *outputs.values()):  # another thread was faster, or the graph is gone
            tensor.destroy()
        self._check_graph(graph, "compute")
        assert graph._own_tensors is not None
        return graph._own_tensors

    def _read(self, tensor: MLTensor, out: Buffer | None, *, copy: bool) -> Read:
        """Begin to read a tensor: into `out`, into a new array, or as a view."""
        self._check_process()
        of_kind(tensor, MLTensor, "read_tensor")
        target = None if out is None else as_array(out, "read_tensor")
        with self._lock:
            self._check_usable(tensor, "read_tensor")
            if not tensor._readable:
                raise MLTypeError(f"read_tensor: {tensor!r} is not readable")
            if target is None and copy:
                target = empty(tensor._descriptor)
            into = None if target is None else bytes_of_like(target, tensor._layout)
            if target is not None and (into is None or into.readonly):
                check_out(target, tensor._descriptor, "read_tensor")
                into = head(target, tensor._descriptor)
            return self._begin_read(tensor, target, into)

    # --- arguments ------------------------------------------------------------------------------------------------

    def _to_descriptor(self, data_type: Descriptor | DataTypeLike, shape: Iterable[int] | None) -> Descriptor:
        return to_descriptor(data_type, shape, int4=self._options.experimental_int4)

    def _to_constant(
        self, data_type: Descriptor | DataTypeLike, shape_and_data: tuple[Any, ...]
    ) -> tuple[Descriptor, Array]:
        match shape_and_data:
            case (data,):
                return self._to_descriptor(data_type, None), as_array(data, "create_constant_tensor")
            case (shape, data):
                return self._to_descriptor(data_type, shape), as_array(data, "create_constant_tensor")
        raise MLTypeError("create_constant_tensor: give a data type, a shape and data, or a descriptor and data")

    def _check_dispatch(self, graph: MLGraph, inputs: dict[str, MLTensor], outputs: dict[str, MLTensor]) -> None:
        if graph._context is not self:
            raise MLTypeError(f"dispatch: {graph!r} belongs to another context")
        self._check_graph(graph, "dispatch")
        tensors = [*inputs.values(), *outputs.values()]
        if len(set(tensors)) != len(tensors):
            raise MLTypeError("dispatch: a tensor occurs twice among inputs and outputs")
        for tensor in tensors:
            if tensor._context is not self:
                raise MLTypeError(f"dispatch: {tensor!r} belongs to another context")
            if tensor._destroyed:
                raise MLTypeError(f"dispatch: {tensor!r} is destroyed")
        check_bindings(inputs, graph._inputs, "inputs")
        check_bindings(outputs, graph._outputs, "outputs")

    # --- commands and calls ---------------------------------------------------------------------------------------

    def _issue_dispatch(self, graph: MLGraph, inputs: dict[str, MLTensor], outputs: dict[str, MLTensor]) -> Binding:
        return self._timeline.dispatch(
            graph._token,
            {name: tensor._handle for name, tensor in inputs.items()},
            {name: tensor._handle for name, tensor in outputs.items()},
        )

    def _begin_read(self, tensor: MLTensor, target: Array | None, into: memoryview | None) -> Read:
        """Read into `into`, the bytes of `target`; or show the bytes where they are, without both."""
        handle = self._timeline.read(tensor._handle, into, view=into is None)
        return Read(handle, tensor._reads, tensor._descriptor, target)

    def _call(self, method: Any, request: object) -> Promise[Any]:
        """The reply to a call, or InvalidStateError as soon as the context is lost."""
        outcome: Promise[Any] = Promise()
        with self._lock:
            if self._destroyed:
                self._check_open()
            self._pending.add(outcome)

        def settle(reply: Promise[Any]) -> None:
            self._pending.discard(outcome)
            error = reply.exception()
            if error is None:
                outcome.resolve(reply.result())
            else:
                outcome.reject(error)

        self._session.call(method, request).add_done_callback(settle)  # type: ignore[arg-type]
        return outcome

    @contextlib.contextmanager
    def _offered(self, seal: Callable[[], int]) -> Iterator[bytes]:
        """The token of the region that `seal` makes, withdrawn when the GPU process has taken what it needs.

        Raises:
            UnknownError: there is no memory for it.
        """
        try:
            descriptor = seal()
        except MemoryError as error:
            raise UnknownError(str(error)) from error
        try:
            token = self._session.offer(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        try:
            yield token
        finally:
            self._session.withdraw(token)

    def _add_tensor(self, info: context_pb2.TensorInfo, descriptor: Descriptor, **uses: bool) -> MLTensor:
        with self._session.distrusting():
            slots = [
                self._session.slot(slot.region, slot.offset, descriptor.byte_length)
                for name, slot in (("slot", info.slot), ("spare", info.spare))
                if info.HasField(name)
            ]
        tensor = MLTensor(self, ClientTensor(info.token, descriptor.byte_length, *slots), descriptor, **uses)
        self._add(tensor, self._tensors)
        return tensor


def _chunks(message: bytes, *, context: bytes, after: int) -> Iterator[context_pb2.CreateGraphChunk]:
    """A serialised graph in pieces; the first declares the total."""
    head: dict[str, Any] = {"context": context, "total_bytes": len(message), "after": after}
    for start in range(0, len(message), CHUNK_BYTES):
        yield context_pb2.CreateGraphChunk(data=message[start : start + CHUNK_BYTES], **head)
        head = {}
