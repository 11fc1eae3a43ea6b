"""Write an ONNX graph node by node, with the large tensors in a data file beside it that several graphs may share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 20
MICROSOFT = "com.microsoft"
_IR_VERSION = 10
_ALIGNMENT = 4096  # a page, so that the runtime can map tensors instead of reading them
_INLINE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ExternalTensor:
    """Where a tensor's bytes lie: `location` is a file beside the graph, `offset` and `length` in bytes."""

    location: str
    offset: int
    length: int


class DataFile:
    """A file of raw tensors, written in order. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = path.open("wb")

    def __enter__(self) -> DataFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def append(self, array: npt.NDArray[Any]) -> ExternalTensor:
        self._stream.write(b"\0" * (-self._stream.tell() % _ALIGNMENT))
        offset = self._stream.tell()
        self._stream.write(np.ascontiguousarray(array).data)
        return ExternalTensor(self._path.name, offset, array.nbytes)


def data_beside(path: Path, shared: DataFile | None = None) -> AbstractContextManager[DataFile]:
    """The file for the tensors of the graph at `path`: `shared`, which stays open, or a new one at `path`_data."""
    return DataFile(Path(f"{path}_data")) if shared is None else nullcontext(shared)


class GraphBuilder:
    """Collects nodes and weights; names of intermediate values are made up from the node's name.

    Tensors of 1 KB and more go to `data` if there is one, else everything is inside the graph. With `half` the graph
    computes in float16: its weights are stored so, and what it takes and gives is cast at its edges.
    """

    def __init__(self, name: str, data: DataFile | None = None, *, half: bool = False) -> None:
        self._name = name
        self._data = data
        self.half = half
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, TensorProto] = {}

    def node(
        self, op: str, inputs: list[str], name: str, *, outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """Append a node and return the name of its first output, which is `name` unless `outputs` says otherwise."""
        outputs = outputs or [name]
        self._nodes.append(helper.make_node(op, inputs, outputs, name=f"{name}/{op}", **attributes))
        return outputs[0]

    def contrib(
        self, op: str, inputs: list[str], name: str, *, outputs: list[str] | None = None, **attributes: Any
    ) -> str:
        """As `node`, for an operator of ONNX Runtime's own set."""
        return self.node(op, inputs, name, outputs=outputs, domain=MICROSOFT, **attributes)

    def has(self, output: str) -> bool:
        """Whether a node gives `output`."""
        return any(output in node.output for node in self._nodes)

    def weight(self, name: str, array: npt.NDArray[Any], place: ExternalTensor | None = None) -> str:
        """Add a constant tensor. `place` points to bytes that another graph has written already."""
        if name in self._weights:
            return name
        if self.half and array.dtype == np.float32:
            array = array.astype(np.float16)
        if place is None and self._data is not None and array.nbytes >= _INLINE_BYTES:
            place = self._data.append(array)
        if place is None:
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
            return name
        tensor = TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (("location", place.location), ("offset", place.offset), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
        self._weights[name] = tensor
        return name

    @property
    def float_type(self) -> int:
        """The graph's own float type, one of TensorProto's."""
        return int(TensorProto.FLOAT16 if self.half else TensorProto.FLOAT)

    def from_float32(self, x: str, output: str) -> str:
        """`x`, which is float32, as the graph's own float type; `x` itself where that is the same."""
        return self.node("Cast", [x], output, to=self.float_type) if self.half else x

    def as_float32(self, x: str, output: str) -> str:
        """`x`, of the graph's own float type, under the name `output` as float32."""
        if self.half:
            return self.node("Cast", [x], output, to=TensorProto.FLOAT)
        return self.node("Identity", [x], output)

    def adopt(self, nodes: list[NodeProto], weights: list[TensorProto]) -> None:
        """Append nodes and constants that were made elsewhere."""
        self._nodes.extend(nodes)
        self._weights |= {tensor.name: tensor for tensor in weights}

    def model(self, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> ModelProto:
        graph = helper.make_graph(self._nodes, self._name, inputs, outputs, list(self._weights.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="lorgnette")


def write_graph(model: ModelProto, path: Path) -> None:
    """Write `path` in one step: where it is, it is whole, and so are the data that were written before it."""
    half = path.with_suffix(".half")
    half.write_bytes(model.SerializeToString(deterministic=True))
    half.replace(path)


def value(name: str, dtype: int, shape: list[str | int]) -> ValueInfoProto:
    """An input or output of a graph; `dtype` is one of TensorProto's, a dimension given by name is free."""
    return helper.make_tensor_value_info(name, dtype, shape)
