"""The memory that a session's bound inputs and outputs lie in: the processor's, or a GPU's.

What is bound stays where it is from one run to the next. On the processor that is NumPy's arrays themselves; a GPU has
copies, and `send` and `fetch` carry between the two.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from lorgnette.device.provider import CPU, GPU_TURN
from lorgnette.device.session import Array


class Memory(Protocol):
    """What holds bound values. `name` is the runtime's for it."""

    name: str

    def place(self, array: Array) -> Any:
        """A value with the shape, type and content of `array`."""
        ...

    def send(self, array: Array, value: Any) -> None:
        """Make `value`, which was placed for `array`, hold what that holds now."""
        ...

    def fetch(self, value: Any) -> Array:
        """What `value` holds; do not write to it."""
        ...

    def copy(self, source: Any, target: Any, length: int) -> None:
        """Take over the first `length` rows of the third axis; of those behind them nothing is promised."""
        ...

    def bind_input(self, binding: Any, name: str, value: Any) -> None: ...

    def bind_output(self, binding: Any, name: str, value: Any) -> None: ...


class HostMemory:
    """NumPy's arrays, where they are."""

    name = CPU

    def place(self, array: Array) -> Any:
        return array

    def send(self, array: Array, value: Any) -> None:
        """Nothing to do: they are the same."""

    def fetch(self, value: Any) -> Array:
        array: Array = value
        return array

    def copy(self, source: Any, target: Any, length: int) -> None:
        target[:, :, :length] = source[:, :, :length]

    def bind_input(self, binding: Any, name: str, value: Any) -> None:
        binding.bind_input(name, CPU, 0, value.dtype, value.shape, value.ctypes.data)

    def bind_output(self, binding: Any, name: str, value: Any) -> None:
        binding.bind_output(name, CPU, 0, value.dtype, value.shape, value.ctypes.data)


class DeviceMemory:
    """ONNX Runtime's values in the memory `name`: "cuda", or "cpu" to try without a GPU what is done with one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def place(self, array: Array) -> Any:
        from onnxruntime import OrtValue

        # On a processor the value would be the array itself.
        with GPU_TURN:
            return OrtValue.ortvalue_from_numpy(array.copy() if self.name == CPU else array, self.name)

    def send(self, array: Array, value: Any) -> None:
        self._update(value, array)

    def fetch(self, value: Any) -> Array:
        with GPU_TURN:
            array: Array = value.numpy()
        return array

    def copy(self, source: Any, target: Any, length: int) -> None:
        if source.shape() == target.shape():
            self._update(target, source)
            return
        # The third axis is not the first: its beginning is no stretch of memory, so it takes the long way.
        there = self.fetch(source)
        whole = np.zeros(target.shape(), there.dtype)
        whole[:, :, :length] = there[:, :, :length]
        self._update(target, whole)

    def bind_input(self, binding: Any, name: str, value: Any) -> None:
        binding.bind_ortvalue_input(name, value)

    def bind_output(self, binding: Any, name: str, value: Any) -> None:
        binding.bind_ortvalue_output(name, value)

    def _update(self, value: Any, content: Any) -> None:
        """Give `value` the content of an array or of another value."""
        with GPU_TURN:
            value.update_inplace(content)


HOST = HostMemory()


def memory_of(provider: str) -> Memory:
    """The memory that sessions on `provider` compute in."""
    return HOST if provider == CPU else DeviceMemory(provider)
