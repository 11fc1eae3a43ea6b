"""The tensors of a checkpoint as float32 arrays that are read when somebody asks for one.

bfloat16 is the upper half of a float32, so it needs neither PyTorch nor ml_dtypes. Files are read rather than mapped:
mapped pages count as this process's memory as long as the map lives, and a file that is cut short under a map kills
the process instead of raising an error.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lorgnette.export.checkpoint.json_file import read_json
from lorgnette.export.checkpoint.safetensors_header import StoredTensor, read_header
from lorgnette.export.llama import FloatArray, WeightsFormatError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_NUMPY = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
_BLOCK = 1 << 20  # numbers converted at once: the memory that a conversion takes beyond its result
_FETCH = "fetch the file again"


class LazyTensors(Mapping[str, FloatArray]):
    """Arrays by name, each made anew on every look-up: keep none longer than needed. `in` and `shape` read no data."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor. Raises KeyError for an unknown name."""

    @abstractmethod
    def __contains__(self, name: object) -> bool: ...


def shape_of(tensors: Mapping[str, FloatArray], name: str) -> tuple[int, ...]:
    """The shape of a tensor of any mapping, without reading it where that can be helped."""
    return tensors.shape(name) if isinstance(tensors, LazyTensors) else tensors[name].shape


class SafetensorsTensors(LazyTensors):
    """The tensors of one or several safetensors files. `files` are these files.

    Making one reads the headers only and raises `WeightsFormatError` if a file is damaged or two hold the same name.
    A look-up raises it for a tensor of another type than float16, bfloat16, float32 or float64.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._stored: dict[str, StoredTensor] = {}
        for file in files:
            for name, tensor in read_header(file).items():
                if name in self._stored:
                    raise WeightsFormatError(f"{self._stored[name].file} and {file} both hold {name}", _FETCH)
                self._stored[name] = tensor

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all tensors as they are stored."""
        return sum(tensor.size for tensor in self._stored.values())

    def shape(self, name: str) -> tuple[int, ...]:
        return self._stored[name].shape

    def dtype_name(self, name: str) -> str:
        """The type that the file holds, in the format's word ("BF16")."""
        return self._stored[name].dtype

    def file(self, name: str) -> Path:
        """The file that holds a tensor."""
        return self._stored[name].file

    def __getitem__(self, name: str) -> FloatArray:
        return _read(name, self._stored[name])

    def __contains__(self, name: object) -> bool:
        return name in self._stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


class NamedTensors(LazyTensors):
    """`tensors` under other names: `names` maps ours to theirs."""

    def __init__(self, tensors: Mapping[str, FloatArray], names: Mapping[str, str]) -> None:
        self._tensors, self._names = tensors, dict(names)

    def shape(self, name: str) -> tuple[int, ...]:
        return shape_of(self._tensors, self._names[name])

    def __getitem__(self, name: str) -> FloatArray:
        return self._tensors[self._names[name]]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open_tensors(folder: Path) -> SafetensorsTensors:
    """The tensors of `model.safetensors` in `folder`, or of the files that `model.safetensors.index.json` lists.

    Raises `WeightsFormatError` if a file is missing or damaged, or if index and files do not agree.
    """
    if (folder / SINGLE).exists():
        return SafetensorsTensors([folder / SINGLE])
    index = folder / INDEX
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(shard, str) for shard in places.values()):
        raise WeightsFormatError(f"{index} lists no weights", _FETCH)
    shards = sorted(set(places.values()))
    for shard in shards:
        # An index is somebody else's text: it may name files beside it and nothing else.
        if Path(shard).name != shard or "\\" in shard or not shard.endswith(".safetensors"):
            raise WeightsFormatError(f"{index} names {shard!r}, which is no safetensors file beside it", _FETCH)
        if not (folder / shard).is_file():
            raise WeightsFormatError(f"{folder} lacks {shard}, one of {len(shards)} files of weights", _FETCH)
    tensors = SafetensorsTensors([folder / shard for shard in shards])
    for name, shard in places.items():
        if name not in tensors or tensors.file(name).name != shard:
            raise WeightsFormatError(f"{index} says that {shard} holds {name}, and it does not", _FETCH)
    return tensors


def _read(name: str, stored: StoredTensor) -> FloatArray:
    if stored.dtype not in _NUMPY:
        raise WeightsFormatError(
            f"{name} in {stored.file} is {stored.dtype}, which the exporter does not read",
            "save the model in float32, float16 or bfloat16",
        )
    values = np.empty(math.prod(stored.shape), np.float32)
    bits = values.view(np.uint32)
    try:
        with stored.file.open("rb") as stream:
            stream.seek(stored.offset)
            for start in range(0, values.size, _BLOCK):
                block = slice(start, min(start + _BLOCK, values.size))
                raw = np.fromfile(stream, _NUMPY[stored.dtype], block.stop - start)
                if raw.size < block.stop - start:
                    raise WeightsFormatError(f"{stored.file} was cut short while it was read", _FETCH)
                if stored.dtype == "BF16":
                    np.left_shift(raw, 16, out=bits[block], dtype=np.uint32)
                else:
                    values[block] = raw
    except OSError as error:
        raise WeightsFormatError(f"cannot read {stored.file}: {error.strerror}", _FETCH) from error
    return values.reshape(stored.shape)
