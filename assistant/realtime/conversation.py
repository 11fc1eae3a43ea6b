"""What was said in a session, as a list of items, and the question that a list of items comes to."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorgnette.assistant.background import Pending
from lorgnette.assistant.realtime.refusal import Refusal
from lorgnette.device.errors import InputError
from lorgnette.device.frame import Frame
from lorgnette.device.sound import AudioChunk
from lorgnette.llm.engine import Exchange
from lorgnette.speech.transcriber import Transcript


def new_id(kind: str) -> str:
    """As in OpenAI's API: what it is, an underscore, and what makes it unique."""
    return f"{kind}_{secrets.token_hex(10)}"


@dataclass(frozen=True, slots=True)
class Understood:
    """A transcript, and the monotonic times between which it was made."""

    transcript: Transcript
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Part:
    """One piece of a message: words, sound or a picture. `kind` is the API's `type`; `encoded` is what the client sent
    (a data URL). `understood` is what a sound says; `spoken` are an answer's clauses, each with the seconds of sound at
    which it ends."""

    kind: str
    text: str = ""
    picture: Frame | None = None
    encoded: str = ""
    sound: AudioChunk | None = None
    understood: Pending[Understood] | None = None
    spoken: list[tuple[str, float]] = field(default_factory=list)

    @property
    def spoken_s(self) -> float:
        return self.spoken[-1][1] if self.spoken else 0.0

    def words(self) -> str:
        """Waits for the transcript of a sound. Raises what transcribing raised."""
        return self.understood.get().transcript.text if self.understood else self.text

    def truncate(self, end_s: float) -> None:
        """Keep what was heard by `end_s`; of the clause that it falls into, the words that fit by their length."""
        heard: list[str] = []
        kept: list[tuple[str, float]] = []
        start_s = 0.0
        for clause, clause_end_s in self.spoken:
            if start_s >= end_s:
                break
            share = min(1.0, (end_s - start_s) / (clause_end_s - start_s)) if clause_end_s > start_s else 1.0
            words = clause if share == 1.0 else _beginning(clause, share)
            heard.append(words)
            kept.append((words, min(end_s, clause_end_s)))
            start_s = clause_end_s
        self.text, self.spoken = " ".join(filter(None, heard)), kept

    def described(self, encode: Callable[[AudioChunk], str] | None = None) -> dict[str, Any]:
        """As it travels. Pictures and sounds are heavy: they go only where `encode` is given."""
        match self.kind:
            case "input_image":
                return {"type": self.kind, "image_url": self.encoded if encode else None}
            case "input_audio" | "output_audio":
                sound = encode(self.sound) if encode and self.sound else None
                return {"type": self.kind, "transcript": self.text, "audio": sound}
            case _:
                return {"type": self.kind, "text": self.text}


@dataclass(slots=True)
class Item:
    """A message of the user or of the assistant."""

    role: str
    parts: list[Part]
    id: str = field(default_factory=lambda: new_id("item"))
    status: str = "completed"

    @property
    def asks(self) -> bool:
        """Whether there is more in it than pictures."""
        return self.role == "user" and any(part.kind != "input_image" for part in self.parts)

    def words(self) -> str:
        return " ".join(filter(None, (part.words().strip() for part in self.parts)))

    def described(self, encode: Callable[[AudioChunk], str] | None = None) -> dict[str, Any]:
        content = [part.described(encode) for part in self.parts]
        about = {"id": self.id, "object": "realtime.item", "type": "message", "status": self.status, "role": self.role}
        return about | {"content": content}


class Conversation:
    """The items of a session, in order."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put `item` behind the item `after` (None: at the end, "root": at the beginning); the id before it now.

        Raises Refusal.
        """
        if any(known.id == item.id for known in self._items):
            raise Refusal("item_id_taken", f"there is an item {item.id} already", param="item.id")
        place = len(self._items) if after is None else 0 if after == "root" else self._place(after) + 1
        self._items.insert(place, item)
        return self._items[place - 1].id if place else None

    def find(self, item_id: str) -> Item:
        """Raises Refusal."""
        return self._items[self._place(item_id)]

    def delete(self, item_id: str) -> None:
        """Raises Refusal."""
        del self._items[self._place(item_id)]

    def _place(self, item_id: str) -> int:
        for place, item in enumerate(self._items):
            if item.id == item_id:
                return place
        raise Refusal("item_not_found", f"there is no item {item_id}", param="item_id")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list of items asks: `understood` where it was spoken."""

    words: str
    picture: Frame
    history: tuple[Exchange, ...]
    understood: Understood | None


def what_is_asked(items: Sequence[Item], otherwise: Callable[[], Frame] | None, remember: int) -> Asked:
    """The last message of the user that is more than pictures, about the newest picture (without one, `otherwise`
    gives it), with the last `remember` exchanges. Waits for transcripts. Raises InputError.

    Of messages that nobody answered only the last counts: a small model would try to answer both at once.
    """
    last = next((item for item in reversed(items) if item.role == "assistant" or item.asks), None)
    if last is None or not last.asks:
        raise InputError("nothing was asked", "add a message of the user, or commit sound")
    words = last.words()
    if not words:
        raise InputError("no speech was heard in the question", "speak up, or check the microphone")
    pictures = [part.picture for item in items for part in item.parts if part.picture is not None]
    if not pictures and otherwise is None:
        raise InputError("there is no picture in the conversation", "add a message with an input_image")
    picture = pictures[-1] if pictures else otherwise() if otherwise else None
    assert picture is not None
    heard = [part.understood.get() for part in last.parts if part.understood]
    history = tuple(_exchanges(items))[-remember:] if remember else ()
    return Asked(words, picture, history, heard[-1] if heard else None)


def _exchanges(items: Iterable[Item]) -> Iterator[Exchange]:
    """What was asked and answered; an answer of which nothing was heard is none."""
    for before, item in itertools.pairwise(item for item in items if item.role == "assistant" or item.asks):
        if before.asks and item.role == "assistant" and item.words():
            yield Exchange(before.words(), item.words())


def _beginning(clause: str, share: float) -> str:
    """As many whole words as fit into `share` of the characters."""
    head = clause[: int(len(clause) * share) + 1]
    return head.strip() if len(head) >= len(clause) else head.rpartition(" ")[0].strip()
