"""Everything that scenarios share: settings, and the parts that hear, think and speak, loaded once for all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from lorgnette.assistant.config import Config, LiveConfig, load_config
from lorgnette.assistant.live.assistant import LiveParts
from lorgnette.assistant.wiring import Wiring


class Stage:
    """Opens parts as settings describe them. `settings` (a.b=c) come after those of each scenario and stand over them;
    `file` is a TOML file of settings under both."""

    def __init__(
        self,
        file: Path | None = None,
        settings: Sequence[str] = (),
        progress: Callable[[str, float], None] = lambda stage, done: None,
    ) -> None:
        self._file = file
        self._settings = tuple(settings)
        self._progress = progress
        self._parts: dict[Config, LiveParts] = {}

    def config(self, settings: Sequence[str]) -> Config:
        """The settings of a scenario that asks for these. Raises ConfigError."""
        return load_config(self._file, [*settings, *self._settings])

    def parts(self, config: Config) -> LiveParts:
        """Parts for a conversation with these settings; only the echo canceller, which learns the room, is new."""
        live = config.live
        # What the conversation alone looks at makes no other parts; a wake word that is there need not be used.
        alike = LiveConfig(start="wake", wake_word=live.wake_word, end_of_turn=live.end_of_turn)
        key = dataclasses.replace(config, live=alike)
        if key not in self._parts:
            self._parts[key] = Wiring(key, self._progress).live_parts()
        return dataclasses.replace(self._parts[key], echo=Wiring(config).echo_canceller())
