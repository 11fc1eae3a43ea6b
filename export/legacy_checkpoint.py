"""Read a PyTorch checkpoint of the old (pre-1.6) format without PyTorch and without trusting its pickles.

The file is five pickles in a row (magic number, protocol, system information, the state dict, the storage keys) and
then, for each storage key, an int64 element count and the raw little-endian elements. The state dict's pickle refers
to storages by persistent ids. Only the few names that a plain state dict needs can be resolved; anything else is
refused, so a checkpoint cannot run code.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8"), "HalfStorage": np.dtype("<f2")}


@dataclass(slots=True)
class _Storage:
    dtype: np.dtype[Any]
    numel: int
    data: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> npt.NDArray[Any]:
        assert self.storage.data is not None
        itemsize = self.storage.dtype.itemsize
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= self.storage.numel:
            raise InputError("a tensor in the checkpoint points outside its storage", "fetch the file again")
        view = np.lib.stride_tricks.as_strided(
            self.storage.data[self.offset :], self.shape, tuple(s * itemsize for s in self.strides)
        )
        return np.ascontiguousarray(view)


def _rebuild_tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _View:
    return _View(storage, offset, tuple(shape), tuple(strides))


class _StateDictUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise InputError(f"the checkpoint wants to load {module}.{name}", "only plain state dicts are read")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, numel, *_view = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise InputError("the checkpoint holds something other than tensors", "only plain state dicts are read")
        return self.storages.setdefault(str(key), _Storage(dtype, int(numel)))


def read_legacy_checkpoint(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of the state dict at `path`, by name.

    Raises InputError where the file is not a checkpoint of this format, is cut short, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            if _StateDictUnpickler(file).load() != _MAGIC:
                raise InputError(f"{path.name} is not a PyTorch checkpoint of the old format")
            _StateDictUnpickler(file).load()  # protocol version
            _StateDictUnpickler(file).load()  # system information
            reader = _StateDictUnpickler(file)
            state = reader.load()
            for key in _StateDictUnpickler(file).load():
                storage = reader.storages[key]
                numel = int.from_bytes(file.read(8), "little", signed=True)
                data = file.read(numel * storage.dtype.itemsize)
                if numel != storage.numel or len(data) != numel * storage.dtype.itemsize:
                    raise InputError(f"{path.name} is cut short", "fetch the file again")
                storage.data = np.frombuffer(data, storage.dtype)
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path.name} is not a PyTorch checkpoint of the old format", "fetch the file again"
        ) from error
    return {name: value.array() for name, value in state.items() if isinstance(value, _View)}
