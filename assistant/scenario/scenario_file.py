"""Reading scenarios: YAML to `Scenario`, with a clear line for whatever is wrong. docs/scenarios.md has the format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from lorgnette.assistant.examples import shipped_examples
from lorgnette.assistant.live.events import State
from lorgnette.assistant.scenario.event_pattern import EventPattern
from lorgnette.assistant.scenario.scenario import (
    DEFAULT_VOICE,
    Action,
    Break,
    Do,
    Expectation,
    Pause,
    Play,
    Say,
    Scenario,
    SendAfter,
    Show,
    Step,
    Surroundings,
    View,
    Wait,
)
from lorgnette.assistant.scenario.scene import SPOILED
from lorgnette.assistant.scenario.sounds import NOISES
from lorgnette.assistant.simulator.faults import Faults
from lorgnette.device.errors import InputError
from lorgnette.device.source import read_source

Record = TypeVar("Record")

_MAX_BYTES = 2**20
_SWITCHES = {"hold": "hold_button", "fold": "fold", "wear": "wear"}
_PUSHES = {"press": "press_button", "tap": "tap", "stop": "stop", "repeat": "repeat"}
_TEXTS = {"ask": "ask", "heat": "heat"}


class ScenarioError(InputError):
    """A scenario that cannot be understood."""


def read_scenario(path: Path) -> Scenario:
    """The scenario in a file. Pictures and recordings are names of shipped examples or files beside it.

    Raises ScenarioError.
    """
    try:
        tree = yaml.safe_load(read_source(path, "scenario", _MAX_BYTES))
        return _Reader(path.parent).scenario(_mapping(tree, "the file"), path.stem)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error.message}", error.hint) from error


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._voice = DEFAULT_VOICE

    def scenario(self, tree: Mapping[str, Any], name: str) -> Scenario:
        _only(tree, "the file", "about", "settings", "room", "camera", "voice", "steps")
        self._voice = _text(tree.get("voice", DEFAULT_VOICE), "voice")
        settings = _mapping(tree.get("settings", {}), "settings")
        steps = tree.get("steps")
        if not isinstance(steps, list) or not steps:
            raise ScenarioError("steps: a list of what happens is needed")
        return Scenario(
            name,
            _text(tree.get("about", ""), "about"),
            tuple(
                f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()
            ),
            self._surroundings(_mapping(tree.get("room", {}), "room")),
            self._view(tree.get("camera", "cat"), "camera"),
            tuple(self._step(_mapping(step, f"step {n}"), f"step {n}") for n, step in enumerate(steps, 1)),
        )

    def _surroundings(self, tree: Mapping[str, Any]) -> Surroundings:
        found = _record(Surroundings, tree, "room")
        if found.noise and found.noise not in NOISES:
            return dataclasses.replace(found, noise=str(self._file(found.noise, "room.noise", "audio")))
        return found

    def _view(self, given: Any, where: str) -> View:
        tree = {"photo": given} if isinstance(given, str) else _mapping(given, where)
        _only(tree, where, "photo", "sign", "spoiled")
        if ("photo" in tree) == ("sign" in tree):
            raise ScenarioError(f"{where}: either a photo or a sign is before the camera")
        spoiled = _text(tree.get("spoiled", ""), f"{where}.spoiled")
        if spoiled not in SPOILED:
            raise ScenarioError(f"{where}.spoiled: {spoiled!r} is not known", f"choose from {', '.join(SPOILED[1:])}")
        if "sign" in tree:
            return View(None, _text(tree["sign"], f"{where}.sign"), spoiled)
        return View(self._file(_text(tree["photo"], where), where, "photo"), "", spoiled)

    def _file(self, name: str, where: str, kind: str) -> Path:
        examples = shipped_examples()
        path = Path(getattr(examples[name], kind)) if name in examples else self._folder / name
        if not path.is_file():
            raise ScenarioError(f"{where}: there is no {path}", f"a file, or one of {', '.join(examples)}")
        return path

    def _step(self, tree: Mapping[str, Any], where: str) -> Step:
        actions = [key for key in tree if key in _ACTIONS]
        if len(actions) != 1:
            raise ScenarioError(f"{where}: a step does one thing", f"one of {', '.join(_ACTIONS)}")
        extra = ("voice", "level") if actions[0] in ("say", "play") else ()
        _only(tree, where, actions[0], "send_after", "expect", *extra)
        after = self._send_after(tree["send_after"], f"{where}.send_after") if "send_after" in tree else None
        expect = self._expectation(tree["expect"], f"{where}.expect") if "expect" in tree else None
        return Step(_ACTIONS[actions[0]](self, tree, actions[0], where), after, expect)

    def _say(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        given = tree[key]
        parts = tuple(self._part(part, f"{where}.{key}") for part in (given if isinstance(given, list) else [given]))
        if not any(isinstance(part, str) for part in parts):
            raise ScenarioError(f"{where}.{key}: there are no words in it")
        voice = _text(tree.get("voice", self._voice), f"{where}.voice")
        return Say(parts, voice, _number(tree.get("level", 1.0), f"{where}.level"))

    def _part(self, part: Any, where: str) -> str | Pause:
        if isinstance(part, str):
            return _text(part, where)
        tree = _mapping(part, where)
        _only(tree, where, "pause")
        return Pause(_number(tree.get("pause"), f"{where}.pause"))

    def _play(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        name = _text(tree[key], f"{where}.{key}")
        recording = None if name == "cough" else self._file(name, f"{where}.{key}", "audio")
        return Play(recording, _number(tree.get("level", 1.0), f"{where}.level"))

    def _show(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        return Show(self._view(tree[key], f"{where}.{key}"))

    def _break(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        return Break(_record(Faults, _mapping(tree[key], f"{where}.{key}"), f"{where}.{key}"))

    def _wait(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        return Wait(_number(tree[key], f"{where}.{key}"))

    def _switch(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        if not isinstance(tree[key], bool):
            raise ScenarioError(f"{where}.{key}: true or false")
        return Do(_SWITCHES[key], tree[key])

    def _push(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        if tree[key] is not True:
            raise ScenarioError(f"{where}.{key}: only true makes sense")
        return Do(_PUSHES[key])

    def _battery(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        return Do(key, _number(tree[key], f"{where}.{key}"))

    def _words(self, tree: Mapping[str, Any], key: str, where: str) -> Action:
        return Do(_TEXTS[key], _text(tree[key], f"{where}.{key}"))

    def _send_after(self, given: Any, where: str) -> SendAfter:
        tree = _mapping(given, where)
        _only(tree, where, "event", "delay_s")
        event = _pattern(tree["event"], f"{where}.event") if "event" in tree else None
        return SendAfter(_number(tree.get("delay_s", 0.0), f"{where}.delay_s"), event)

    def _expectation(self, given: Any, where: str) -> Expectation:
        tree = dict(_mapping(given, where))
        for key in ("answer", "said", "understood"):
            if key in tree:
                tree[key] = tuple(tuple(entry.split("|")) for entry in _texts(tree[key], f"{where}.{key}"))
        for key in ("answer_not", "states", "lit"):
            if key in tree:
                tree[key] = _texts(tree[key], f"{where}.{key}")
        for key in ("events", "events_not"):
            if key in tree:
                tree[key] = tuple(_pattern(entry, f"{where}.{key}") for entry in _texts(tree[key], f"{where}.{key}"))
        if "silent_after" in tree:
            tree["silent_after"] = _pattern(tree["silent_after"], f"{where}.silent_after")
        for state in tree.get("states", ()):
            if state not in tuple(State):
                raise ScenarioError(f"{where}.states: {state!r} is no state", f"choose from {', '.join(State)}")
        return _record(Expectation, tree, where)


_ACTIONS: dict[str, Callable[[_Reader, Mapping[str, Any], str, str], Action]] = {
    "say": _Reader._say,
    "play": _Reader._play,
    "show": _Reader._show,
    "faults": _Reader._break,
    "wait": _Reader._wait,
    "battery": _Reader._battery,
    **dict.fromkeys(_SWITCHES, _Reader._switch),
    **dict.fromkeys(_PUSHES, _Reader._push),
    **dict.fromkeys(_TEXTS, _Reader._words),
}


def _record(kind: type[Record], tree: Mapping[str, Any], where: str) -> Record:
    """A dataclass whose simple fields are checked against their types; the others have been read already."""
    hints = get_type_hints(kind)
    _only(tree, where, *hints)
    for key, value in tree.items():
        wanted = hints[key]
        if (wanted is bool or wanted == bool | None) and not isinstance(value, bool):
            raise ScenarioError(f"{where}.{key}: true or false, not {value!r}")
        if wanted is float or wanted == float | None or wanted == int | None:
            _number(value, f"{where}.{key}")
        if wanted is str:
            _text(value, f"{where}.{key}")
    return kind(**tree)


def _only(tree: Mapping[str, Any], where: str, *known: str) -> None:
    for key in tree:
        if key not in known:
            raise ScenarioError(f"{where}: {key!r} is not known", f"choose from {', '.join(known)}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ScenarioError(f"{where}: keys and values are needed, not {value!r}")
    return {str(key): each for key, each in value.items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        # YAML reads a bare yes or 12 as something else than words.
        raise ScenarioError(f"{where}: words are needed, not {value!r}", "put them in quotation marks")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(entry, where) for entry in (value if isinstance(value, list) else [value]))


def _setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScenarioError(f"{where}: a number is needed, not {value!r}")
    return value


def _pattern(value: Any, where: str) -> EventPattern:
    try:
        return EventPattern.parse(_text(value, where))
    except InputError as error:
        raise ScenarioError(f"{where}: {error.message}", error.hint) from error
