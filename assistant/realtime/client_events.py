"""What clients send: checked, and turned into records. Names are those of OpenAI's Realtime API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lorgnette.assistant.realtime.refusal import Refusal
from lorgnette.assistant.realtime.settings import Modalities, MostTokens, WithoutEffect


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Sent):
    type: Literal["input_text", "output_text"]
    text: str


class Sound(Sent):
    """`audio` is Base64 in the session's input format."""

    type: Literal["input_audio"]
    audio: str
    transcript: str | None = None


class Picture(Sent):
    """`image_url` is a data URL."""

    type: Literal["input_image"]
    image_url: str
    detail: WithoutEffect = None


Content = Annotated[Text | Sound | Picture, Field(discriminator="type")]


class Message(Sent):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant"]
    content: Annotated[list[Content], Field(min_length=1)]
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    object: WithoutEffect = None
    status: WithoutEffect = None


class Reference(Sent):
    type: Literal["item_reference"]
    id: str


class ResponseSettings(Sent):
    """One response's own settings (None: as the session has it)."""

    output_modalities: Modalities | None = None
    max_output_tokens: MostTokens | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: list[Annotated[Message | Reference, Field(discriminator="type")]] | None = None
    metadata: dict[str, str] | None = None
    tool_choice: Literal["auto", "none"] = "auto"
    tools: WithoutEffect = None
    instructions: WithoutEffect = None
    audio: WithoutEffect = None
    parallel_tool_calls: WithoutEffect = None
    reasoning: WithoutEffect = None


class ClientEvent(Sent):
    event_id: str | None = None


class SessionUpdate(ClientEvent):
    type: Literal["session.update"]
    session: dict[str, Any]


class Append(ClientEvent):
    type: Literal["input_audio_buffer.append"]
    audio: str


class Commit(ClientEvent):
    type: Literal["input_audio_buffer.commit"]


class Clear(ClientEvent):
    type: Literal["input_audio_buffer.clear"]


class ItemCreate(ClientEvent):
    type: Literal["conversation.item.create"]
    item: Message
    previous_item_id: str | None = None


class ItemTruncate(ClientEvent):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: Literal[0]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ItemDelete(ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: str


class ItemRetrieve(ClientEvent):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseSettings | None = None


class ResponseCancel(ClientEvent):
    type: Literal["response.cancel"]
    response_id: str | None = None


AnyClientEvent = (
    SessionUpdate
    | Append
    | Commit
    | Clear
    | ItemCreate
    | ItemTruncate
    | ItemDelete
    | ItemRetrieve
    | ResponseCreate
    | ResponseCancel
)
_EVENTS: TypeAdapter[AnyClientEvent] = TypeAdapter(Annotated[AnyClientEvent, Field(discriminator="type")])

# The codes that OpenAI's server uses, by pydantic's kinds of error.
_CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "union_tag_invalid": "invalid_value",
    "union_tag_not_found": "missing_required_parameter",
}


def read_event(message: dict[str, Any]) -> AnyClientEvent:
    """The event in a message. Raises Refusal."""
    try:
        return _EVENTS.validate_python(message)
    except ValidationError as error:
        raise refused(error, drop_tag=True) from error


def refused(error: ValidationError, prefix: str = "", *, drop_tag: bool = False) -> Refusal:
    """The first thing that is wrong. Values are left out of the message: they may be what somebody said.

    The place of an error inside a union begins with the tag of its member, which `drop_tag` takes away.
    """
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = [str(part) for part in first["loc"]]
    param = ".".join([*filter(None, [prefix]), *(place[1:] if drop_tag else place)]) or "type"
    return Refusal(_CODES.get(first["type"], "invalid_value"), f"{param}: {first['msg']}", param=param)
