"""The seam to the machine's arithmetic: a model file opened on ONNX Runtime, arrays in and arrays out by name.

Each session has threads of its own. Left to the runtime's default they keep spinning for 43 ms after each run: several
sessions slow one another down about four-fold, and a voice detector that runs every 32 ms keeps a core busy for good.
With spinning off decoding loses a third of its speed. So they spin for a millisecond, which spans the gap between two
tokens, and no longer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lorgnette.device.errors import LorgnetteError
from lorgnette.device.provider import CPU, GPU_TURN, runtime_providers

Array = npt.NDArray[Any]

# Everything that goes wrong comes back as an exception; the runtime's own log would repeat it on standard error.
_LOG_NOTHING = 4
_SPIN_US = "1000"


class SessionError(LorgnetteError):
    """A model file could not be opened, or the runtime failed while computing."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output. `shape` has an int for each fixed side and a name (or None) for each free one."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


class Session(Protocol):
    """An opened model. `run` takes one array for each input and returns all outputs; it may be called by any thread."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]: ...


class OnnxSession:
    """A model file on ONNX Runtime.

    `threads` is how many compute (0: one for each core that this process may use). `optional_inputs` are those that
    have a default. `raw` is the runtime's own session, for callers that bind memory. `content` is a model made from
    that of the file, in its place. `provider` is one that works here (`choose_provider`). `replays` asks a GPU to be
    ready for recordings (`run_bound`), and says afterwards whether it is: all of the model must compute there.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 0,
        content: bytes | None = None,
        *,
        provider: str = CPU,
        replays: bool = False,
    ) -> None:
        self.path = path
        self.provider = provider
        self._turn = contextlib.nullcontext() if provider == CPU else GPU_TURN
        try:
            with self._turn:
                self.raw, self.replays = _open(content or str(path), threads, provider, replays)
        except _runtime_errors() as error:
            raise SessionError(
                f"cannot open the model {path}: {_first_line(error)}", "fetch or build it again"
            ) from error
        self.inputs = {spec.name: spec for spec in map(_spec, self.raw.get_inputs())}
        self.optional_inputs = {spec.name: spec for spec in map(_spec, self.raw.get_overridable_initializers())}
        self.outputs = {spec.name: spec for spec in map(_spec, self.raw.get_outputs())}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs for `feeds`. Raises SessionError."""
        names = list(self.outputs)
        try:
            with self._turn:
                return dict(zip(names, self.raw.run(names, dict(feeds), self._run_options(0)), strict=True))
        except _runtime_errors() as error:
            raise SessionError(f"{self.path.name} failed: {_first_line(error)}") from error

    def run_bound(self, binding: Any, recording: int = 0) -> None:
        """Run on memory that the caller bound with `raw.io_binding()`. Raises SessionError.

        If the session `replays`, the first run of a `recording` (1, 2, ...; 0 is none) records what the GPU is told to
        do, and the next tell it that at once: shapes and memory must be the same.
        """
        try:
            with self._turn:
                self.raw.run_with_iobinding(binding, self._run_options(recording))
        except _runtime_errors() as error:
            raise SessionError(f"{self.path.name} failed: {_first_line(error)}") from error

    def _run_options(self, recording: int) -> Any:
        if not self.replays:
            return None
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(recording or -1))
        return options


def _open(model: str | bytes, threads: int, provider: str, replays: bool) -> tuple[Any, bool]:
    """A session of the runtime, and whether it replays."""
    from onnxruntime import InferenceSession

    if replays and provider != CPU:
        with contextlib.suppress(*_runtime_errors()):
            providers = runtime_providers(provider, replays=True)
            return InferenceSession(model, session_options(threads), providers=providers), True
    return InferenceSession(model, session_options(threads), providers=runtime_providers(provider)), False


def session_options(threads: int = 0) -> Any:
    """Options of a session with `threads` threads (0: one for each core that this process may use)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
    options.log_severity_level = _LOG_NOTHING
    # A turn touches many lengths: remembering an allocation pattern for each costs memory and gains nothing here.
    options.enable_mem_pattern = False
    return options


def available_cores() -> int:
    """Cores that this process may use: fewer than the machine has under `taskset` or a container's limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _spec(argument: Any) -> TensorSpec:
    return TensorSpec(argument.name, _dtype(argument.type), tuple(argument.shape))


def _dtype(onnx_type: str) -> np.dtype[Any]:
    """`tensor(float)` and its like as NumPy's type."""
    inner = onnx_type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(inner, inner))


def _runtime_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    named = "Fail InvalidArgument InvalidGraph InvalidProtobuf NoSuchFile NotImplemented RuntimeException"
    return (RuntimeError, ValueError, *(getattr(state, name) for name in named.split()))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
