"""The lamps on the page's glasses."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lorgnette.assistant.live.events import CaptureChanged
from lorgnette.assistant.simulator.link import Link
from lorgnette.device.errors import DeviceError


class PageIndicator:
    """Lights a lamp by telling the page, on the same ordered connection on which it is then asked for sound or
    pictures: it shows the lamp before it takes the first of them. Where no page is, nothing can be lit."""

    def __init__(self, link: Link, tell: Callable[[CaptureChanged], None]) -> None:
        self._link = link
        self._tell = tell
        self._lit: set[str] = set()
        self._lock = threading.Lock()

    @property
    def lit(self) -> frozenset[str]:
        """The sources whose lamps burn."""
        with self._lock:
            return frozenset(self._lit)

    def light(self, source: str) -> None:
        if not self._link.connected:
            raise DeviceError("no page shows it", "open the simulator's page")
        with self._lock:
            self._lit.add(source)
        self._tell(CaptureChanged(source, True))

    def dark(self, source: str) -> None:
        with self._lock:
            self._lit.discard(source)
        self._tell(CaptureChanged(source, False))
