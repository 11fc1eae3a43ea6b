"""Where a model computes: on the processor, or on an NVIDIA GPU through ONNX Runtime's CUDA provider."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import subprocess
import threading
from pathlib import Path
from typing import Any

from lorgnette.device.errors import LorgnetteError

CPU, CUDA = "cpu", "cuda"
# Held by whoever asks the GPU for anything: while one thread records (`OnnxSession.run_bound`), CUDA forbids the others
# to, and computing takes turns there anyway.
GPU_TURN = threading.RLock()
AUTOMATIC = "auto"
_CUDA = "CUDAExecutionProvider"
# cuDNN's exhaustive search runs each convolution in every way it knows before it answers for the first time.
_CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC"}
_WARNING, _FATAL = 2, 4  # of the runtime's log
_INSTALL = "pip install 'lorgnette[cuda]', then as docs/gpu.md says; or set engine.provider to cpu"


class ProviderError(LorgnetteError):
    """A GPU was asked for and cannot be used."""


def choose_provider(wanted: str, half: bool) -> str:
    """`wanted`, or for "auto" the GPU if it works and the model computes in float16 (`half`), as it does best.

    Raises ProviderError if "cuda" is wanted and does not work.
    """
    if wanted == AUTOMATIC:
        return CUDA if half and not why_no_cuda() else CPU
    if wanted == CUDA and why_no_cuda():
        raise ProviderError(f"no GPU can be used: {why_no_cuda()}", _INSTALL)
    return wanted


def runtime_providers(provider: str, *, replays: bool = False) -> list[Any]:
    """ONNX Runtime's names for `provider`, in order: what a GPU has no kernel for, the processor computes.

    With `replays` a GPU may record what a run launches, and launch it again at once.
    """
    if provider == CPU:
        return ["CPUExecutionProvider"]
    options = _CUDA_OPTIONS | {"enable_cuda_graph": "1"} if replays else _CUDA_OPTIONS
    return [(_CUDA, options), "CPUExecutionProvider"]


@functools.cache
def why_no_cuda() -> str:
    """Why ONNX Runtime cannot compute on a GPU here, in one line; "" where it can."""
    import onnxruntime

    if _CUDA not in onnxruntime.get_available_providers():
        return "the installed onnxruntime computes on processors alone"
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        onnxruntime.preload_dlls()
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        onnxruntime.OrtValue.ortvalue_from_shape_and_type([1], "float32", CUDA, 0)
    except RuntimeError as error:
        return _missing_library() or " ".join(str(error).split())[:300]
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
    return ""


def gpu_name() -> str:
    """What the driver calls the first GPU; "an NVIDIA GPU" where it does not say."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.splitlines()
    except (OSError, subprocess.TimeoutExpired):
        told = []
    return told[0].strip() if told else "an NVIDIA GPU"


def _missing_library() -> str:
    """What the dynamic linker says of the CUDA provider: the runtime only logs that it does not load."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
            ctypes.CDLL(str(folder / name))
    except OSError as error:
        return str(error)
    return ""
