"""What a client can set of its session. Fields that are excluded are taken and have no effect (docs/realtime.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lorgnette.assistant.realtime.sound_format import FORMATS, SoundFormat

Modality = Literal["text", "audio"]
Modalities = Annotated[list[Modality], Field(min_length=1, max_length=1)]
MostTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
WithoutEffect = Annotated[Any, Field(exclude=True)]


class Settings(BaseModel):
    """A misspelt field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Format(Settings):
    """`rate` is for PCM; the others have one rate."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Literal[24_000] | None = None

    @property
    def format(self) -> SoundFormat:
        return FORMATS[self.type]


class ServerVad(Settings):
    """A turn ends when it has been quiet for `silence_duration_ms`."""

    type: Literal["server_vad"] = "server_vad"
    threshold: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    silence_duration_ms: Annotated[int, Field(ge=32, le=10_000)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: None = None
    prefix_padding_ms: WithoutEffect = None


class SemanticVad(Settings):
    """A turn ends at a pause that sounds like an end, or after 1.2, 2 or 4 s, whatever it sounds like."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(Settings):
    """Whether the client hears what was understood. The transcriber is ours whatever `model` says."""

    model: str = ""
    language: str | None = None
    prompt: WithoutEffect = None
    keywords: WithoutEffect = None
    delay: WithoutEffect = None


class Input(Settings):
    format: Format = Format()
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = ServerVad()
    noise_reduction: WithoutEffect = None


class Output(Settings):
    format: Format = Format()
    voice: WithoutEffect = None
    speed: WithoutEffect = None


class Audio(Settings):
    input: Input = Input()
    output: Output = Output()


class Tool(Settings):
    """A function that the model might call, if it could."""

    type: Literal["function"] = "function"
    name: str
    description: str = ""
    parameters: Any = None


class SessionSettings(Settings):
    type: Literal["realtime"] = "realtime"
    output_modalities: Modalities = ["audio"]
    max_output_tokens: MostTokens = "inf"
    tools: list[Tool] = []
    tool_choice: Annotated[Literal["auto", "none"], Field(exclude=True)] = "auto"
    audio: Audio = Audio()
    id: WithoutEffect = None
    object: WithoutEffect = None
    model: WithoutEffect = None
    instructions: WithoutEffect = None
    include: WithoutEffect = None
    parallel_tool_calls: WithoutEffect = None
    reasoning: WithoutEffect = None
    tracing: WithoutEffect = None
    truncation: WithoutEffect = None

    def updated(self, changes: dict[str, Any]) -> SessionSettings:
        """With `changes`, of which every level may be in part. Raises pydantic.ValidationError."""
        return SessionSettings.model_validate(_merged(self.model_dump(), changes))

    def described(self, session_id: str, model: str, voice: str) -> dict[str, Any]:
        """The session as it is in force: what was asked for and has no effect does not come back."""
        settings = self.model_dump()
        settings["audio"]["output"]["voice"] = voice
        for way in settings["audio"].values():
            if way["format"]["type"] == "audio/pcm":
                way["format"]["rate"] = FORMATS["audio/pcm"].rate_hz
            else:
                del way["format"]["rate"]
        force = {"instructions": "", "tool_choice": "none"}
        return {"id": session_id, "object": "realtime.session", "model": model} | settings | force


def _merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    both = {name: value for name, value in changes.items() if isinstance(value, dict) and _same_kind(old, name, value)}
    return old | changes | {name: _merged(old[name], value) for name, value in both.items()}


def _same_kind(old: dict[str, Any], name: str, new: dict[str, Any]) -> bool:
    """Another kind of turn detection or format begins with its own defaults."""
    before = old.get(name)
    return isinstance(before, dict) and new.get("type", before.get("type")) == before.get("type")
