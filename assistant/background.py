"""The only file in which threads start."""

from __future__ import annotations

import atexit
import queue
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from lorgnette.device.errors import DeviceError, LorgnetteError
from lorgnette.device.sound import AudioChunk
from lorgnette.device.speaker import Speaker

Value = TypeVar("Value")

_ROOM = 4
_POLL_S = 0.1
_FAREWELL_S = 10.0


class Pending(Generic[Value]):
    """A value that is being computed on a thread of its own, from now on."""

    def __init__(self, compute: Callable[[], Value], name: str) -> None:
        self._compute = compute
        self._value: Value
        self._error: BaseException | None = None
        self._done = threading.Event()
        # A daemon, so that Ctrl-C need not wait for a model to finish loading.
        threading.Thread(target=self._run, name=f"lorgnette-{name}", daemon=True).start()

    def get(self) -> Value:
        """The value, as soon as it is there. Raises what `compute` raised."""
        while not self._done.wait(_POLL_S):  # a wait without end would not let Ctrl-C through
            pass
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._compute()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the value
            self._error = error
        finally:
            self._done.set()


class Errand(Pending[Value]):
    """A value that perhaps nobody will come for. The end of the program waits for it, a while: a thread that is inside
    the runtime's native code when the interpreter goes away aborts the process."""

    _running: ClassVar[weakref.WeakSet[Errand[Any]]] = weakref.WeakSet()

    def __init__(self, compute: Callable[[], Value], name: str) -> None:
        super().__init__(compute, name)
        # Registered anew each time, to run before whatever the runtime has registered by now.
        atexit.unregister(Errand._finish)
        atexit.register(Errand._finish)
        Errand._running.add(self)

    @staticmethod
    def _finish() -> None:
        for errand in list(Errand._running):
            errand._done.wait(_FAREWELL_S)


class Worker:
    """A thread that does `work` until it returns. Where it fails, `on_error` hears of it and the work begins again
    after `retry_s`, as long as `wanted` says so: the one supervisor loop of the program."""

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        wanted: Callable[[], bool],
        on_error: Callable[[str, Exception], None],
        retry_s: float = 1.0,
    ) -> None:
        self.name = name
        self._work = work
        self._wanted = wanted
        self._on_error = on_error
        self._retry_s = retry_s
        self._thread = threading.Thread(target=self._run, name=f"lorgnette-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float = _FAREWELL_S) -> bool:
        """Wait for the end; False where it has not come in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._wanted():
            try:
                return self._work()
            except Exception as error:  # noqa: BLE001 - a part that fails must not take the conversation with it
                self._on_error(self.name, error)
                deadline = time.monotonic() + self._retry_s
                while self._wanted() and time.monotonic() < deadline:
                    time.sleep(_POLL_S / 2)


class Playback:
    """Plays chunks while the next ones are still being made: at most 4 wait, `play` blocks when there are more.

    Leaving the context waits until everything was heard, or, when it is left by an error, stops at once. `first_ns` and
    `end_ns` are the monotonic times of the first sound and of its end (None before).
    """

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker
        self._waiting: queue.Queue[AudioChunk | None] = queue.Queue(_ROOM)
        self._stopped = threading.Event()
        self._error: LorgnetteError | None = None
        self.first_ns: int | None = None
        self.end_ns: int | None = None

    def play(self, chunk: AudioChunk) -> None:
        """Play after what came before. Raises what the speaker raised meanwhile."""
        self._put(chunk)

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._open.enter_context(self._speaker)
        self._thread = threading.Thread(target=self._run, name="lorgnette-playback", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._put(None)
            else:
                self._stopped.set()
            while self._thread.is_alive():
                self._thread.join(_POLL_S)
        except KeyboardInterrupt:
            self._stopped.set()
            raise
        finally:
            failed = self._error if kind is None else error
            self._open.__exit__(type(failed) if failed else None, failed, trace)
            self.end_ns = time.monotonic_ns()
        if kind is None and self._error is not None:
            raise self._error

    def _put(self, chunk: AudioChunk | None) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                return self._waiting.put(chunk, timeout=_POLL_S)
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    chunk = self._waiting.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if chunk is None:
                    return
                if self.first_ns is None:
                    self.first_ns = time.monotonic_ns()
                self._speaker.play(chunk)
        except LorgnetteError as error:
            self._error = error
        except OSError as error:
            self._error = DeviceError(f"the speaker failed: {error}", "is it plugged in, and free?")
