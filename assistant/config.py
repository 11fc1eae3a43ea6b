"""The wearer's choices: one frozen tree, from defaults, a TOML file and `--set a.b=c`, in that order.

What a model needs (sizes, means, stop tokens) is not here but in the bundle's manifest, beside the model.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import platformdirs

from lorgnette.device.errors import LorgnetteError

Section = TypeVar("Section")


class ConfigError(LorgnetteError):
    """A setting does not exist, has the wrong type or is out of range; `key` is its dotted path."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message, hint)
        self.key = key


def _between(default: Any, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How answers are made. `bundle` is a folder ("" for the embedded model); temperature 0 is greedy.

    Answers whose calibrated confidence is less than `hesitate_below` are said with doubt. 0 is never, and the default:
    how much doubt helps and how much annoys is for each wearer to say. With `advice` a frame that shows nothing is
    answered with what to do about it. `tiles` are the most that a model which takes tiles looks at for a question that
    need not read (0: as many as for one that does). `provider` is where the bundle computes: "cuda" is an NVIDIA GPU,
    "auto" takes one for what is in half precision.
    """

    bundle: str = ""
    provider: str = _one_of("auto", "auto", "cpu", "cuda")
    variant: str = _one_of("quantized", "quantized", "fp32")
    max_new_tokens: int = _between(64, 1, 4096)
    temperature: float = _between(0.0, 0.0, 10.0)
    top_p: float = _between(0.9, 0.0, 1.0)
    seed: int = _between(0, 0, 2**31 - 1)
    hesitate_below: float = _between(0.0, 0.0, 1.0)
    advice: bool = True
    tiles: int = _between(1, 0, 100)


@dataclass(frozen=True, slots=True)
class ReadingConfig:
    """Reading what is written in a picture. `reader` is a name of the weights catalogue ("" to read nothing).

    `ahead` reads writing that stands out before anybody asks for it.
    """

    reader: str = "pp-ocrv6-small"
    ahead: bool = True


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """Names are those of the weights catalogue. `language` is a code such as "en" ("" to detect it).

    `quick_transcriber` hears English first, and `transcriber` what that is not sure of ("" to leave it out).
    """

    transcriber: str = "whisper-base"
    quick_transcriber: str = "moonshine-tiny-en"
    language: str = ""
    beam_size: int = _between(5, 1, 20)
    voice: str = "piper-en-us-joe-medium"
    speed: float = _between(1.0, 0.25, 4.0)


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """Which camera, the picture asked of it in pixels, and how old a picture may be."""

    index: int = _between(0, 0, 64)
    width: int = _between(1280, 16, 16384)
    height: int = _between(720, 16, 16384)
    max_age_s: float = _between(1.0, 0.01, 60.0)


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """Devices by PortAudio name or number ("" for the default); when listening stops."""

    input_device: str = ""
    output_device: str = ""
    max_question_s: float = _between(15.0, 1.0, 300.0)
    end_silence_s: float = _between(0.8, 0.1, 10.0)


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A conversation. `start` is what begins a question: the wake word, any speech ("open") or the button ("push"); the
    button always does, and for `follow_up_s` after an answer any speech.

    `echo` is "cancel" where the microphone hears the loudspeaker, "headset" where it does not. Times of turn-taking are
    silences (`speech/turn_taking.py`). `look_ahead` sees while the wearer still speaks, `partials` understands while
    the wearer still speaks, every `partial_s`. `remember` shows the model the last questions and answers, too.
    `volume` is 0 to 1.
    """

    start: str = _one_of("wake", "wake", "open", "push")
    wake_word: str = "alexa"
    echo: str = _one_of("cancel", "cancel", "headset")
    follow_up_s: float = _between(6.0, 0.0, 120.0)
    patience_s: float = _between(8.0, 1.0, 120.0)
    end_of_turn: str = "smart-turn-v3"
    soft_end_s: float = _between(0.064, 0.032, 2.0)
    ask_s: float = _between(0.16, 0.032, 5.0)
    unfinished_s: float = _between(1.6, 0.1, 10.0)
    whole_s: float = _between(0.8, 0.1, 10.0)
    finished_probability: float = _between(0.3, 0.0, 1.0)
    interrupt_s: float = _between(0.25, 0.03, 2.0)
    look_ahead: bool = True
    partials: bool = True
    partial_s: float = _between(1.2, 0.1, 10.0)
    camera_linger_s: float = _between(10.0, 0.0, 600.0)
    remember: int = _between(0, 0, 20)
    volume: float = _between(1.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class WeightsConfig:
    """`folder` is tried before the network: <folder>/<name>/<file>. `extra_catalogue` is a second lock file of ours.

    `hub_endpoint` replaces the hub's address (a mirror); "" leaves huggingface_hub's own default and HF_ENDPOINT.
    """

    folder: str = ""
    hub_endpoint: str = ""
    extra_catalogue: str = ""


@dataclass(frozen=True, slots=True)
class TraceConfig:
    """One record of timings a turn; `folder` is where ("" for the platform's state folder)."""

    enabled: bool = True
    folder: str = ""


@dataclass(frozen=True, slots=True)
class TelemetryConfig:
    """Figures for others, without words or pixels; none by default. `metrics_port` is where Prometheus finds counters
    (0: nowhere), on this machine alone. `collector` is the address that OpenTelemetry's spans are sent to, as in
    http://127.0.0.1:4318/v1/traces ("": nowhere)."""

    metrics_port: int = _between(0, 0, 65535)
    collector: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole tree. `threads` is for the models (0: one for each core this process may use)."""

    threads: int = _between(0, 0, 1024)
    offline: bool = False
    engine: EngineConfig = field(default_factory=EngineConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    trace: TraceConfig = field(default_factory=TraceConfig)
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)

    @property
    def thread_count(self) -> int:
        return self.threads or len(os.sched_getaffinity(0))


def load_config(file: Path | None = None, settings: Iterable[str] = ()) -> Config:
    """The tree from `file` (or LORGNETTE_CONFIG, or the platform's config folder, if there) and `a.b=c` settings.

    Raises ConfigError.
    """
    config = Config()
    named = file or (Path(os.environ["LORGNETTE_CONFIG"]) if os.environ.get("LORGNETTE_CONFIG") else None)
    chosen = named or platformdirs.user_config_path("lorgnette", appauthor=False) / "config.toml"
    if named or chosen.is_file():
        config = _merge(config, _read(chosen), "")
    for setting in settings:
        config = _merge(config, _parse_setting(setting), "")
    return config


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError("", f"cannot read the config file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError("", f"{file} is not TOML: {error}") from error


def _parse_setting(setting: str) -> dict[str, Any]:
    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise ConfigError("", f"--set {setting!r} is not of the form a.b=c", "as in --set engine.max_new_tokens=32")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # so that nobody has to quote a quote: --set speech.language=en
    tree: dict[str, Any] = {}
    *sections, leaf = key.split(".")
    branch = tree
    for section in sections:
        branch = branch.setdefault(section, {})
    branch[leaf] = value
    return tree


def _merge(section: Section, values: Mapping[str, Any], prefix: str) -> Section:
    assert dataclasses.is_dataclass(section)
    fields = {f.name: f for f in dataclasses.fields(section)}
    types = get_type_hints(type(section))
    changes: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in fields:
            raise ConfigError(key, "no such setting", f"choose from {', '.join(prefix + known for known in fields)}")
        current = getattr(section, name)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, dict):
                raise ConfigError(key, "is a section, not a value", f"set one of its keys: {key}.<key>")
            changes[name] = _merge(current, value, f"{key}.")
        else:
            changes[name] = _checked(key, value, types[name], fields[name].metadata)
    return dataclasses.replace(section, **changes)  # type: ignore[type-var]


def _checked(key: str, value: Any, wanted: type, limits: Mapping[str, Any]) -> Any:
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is str and type(value) is int:
        value = str(value)  # a device may be given by its number
    if type(value) is not wanted:
        raise ConfigError(key, f"must be {_NOUNS[wanted]}, not {value!r}")
    if "choices" in limits and value not in limits["choices"]:
        raise ConfigError(key, f"{value!r} is not a choice", f"choose from {', '.join(limits['choices'])}")
    # Written so that NaN, which compares false to everything, is refused.
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise ConfigError(key, f"must be between {limits['low']} and {limits['high']}, not {value!r}")
    return value


_NOUNS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
