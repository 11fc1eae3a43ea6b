"""From a message as it travels to an item, and sound back to how it travels."""

from __future__ import annotations

import base64

from lorgnette.assistant.realtime.client_events import Content, Message, Picture, Sound, Text
from lorgnette.assistant.realtime.conversation import Item, Part, new_id
from lorgnette.assistant.realtime.input_buffer import decode_base64, decode_sound
from lorgnette.assistant.realtime.refusal import Refusal
from lorgnette.assistant.realtime.sound_format import SoundFormat
from lorgnette.device.picture import decode_picture
from lorgnette.device.resample import resample
from lorgnette.device.sound import AudioChunk

_PICTURES = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,")


def read_item(message: Message, form: SoundFormat) -> Item:
    """The item of a message whose sounds have `form`. Raises Refusal, and InputError for a broken picture."""
    parts = [_part(content, message.role, form) for content in message.content]
    return Item(message.role, parts, message.id or new_id("item"))


def encode_sound(sound: AudioChunk, form: SoundFormat) -> str:
    return base64.b64encode(form.encode(resample(sound.samples, sound.rate_hz, form.rate_hz))).decode()


def _part(content: Content, role: str, form: SoundFormat) -> Part:
    if content.type.startswith("output") != (role == "assistant"):
        raise Refusal("invalid_value", f"a message of the {role} has no {content.type}", param="item.content")
    match content:
        case Text(type=kind, text=text):
            return Part(kind, text)
        case Sound(audio=audio):
            return Part("input_audio", sound=decode_sound(audio, form))
        case Picture(image_url=url):
            start = next((known for known in _PICTURES if url.startswith(known)), None)
            if start is None:
                raise Refusal(
                    "invalid_value",
                    "a picture is a data URL of a PNG, JPEG or WebP in Base64: nothing is fetched",
                    param="item.content.image_url",
                )
            data = decode_base64(url[len(start) :], "item.content.image_url")
            return Part("input_image", picture=decode_picture(data), encoded=url)
