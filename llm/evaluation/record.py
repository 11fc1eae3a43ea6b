"""One line of a data set's `index.jsonl`: a picture and whatever people noted about it.

docs/evaluation.md describes the format. Keys that are not known are left alone; a known key of the wrong shape is an
InputError that names the file, the line and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorgnette.device.errors import InputError

QUALITIES = ("good", "dark", "blurred", "blank", "covered")

# Our name of a key, then the names that other collections give it; the first one that a record has is taken.
_KEYS: dict[str, tuple[str, ...]] = {
    "image": ("image", "file_name", "filename", "image_path", "path"),
    "captions": ("captions", "caption", "sentences"),
    "qa": ("qa", "questions", "qa_pairs"),
    "label": ("label", "class", "category"),
    "q": ("q", "question"),
    "a": ("a", "answer", "answers"),
    "distractors": ("distractors", "wrong_answers"),
    "choices": ("choices", "options", "multiple_choices"),
    "kind": ("kind", "question_type", "type"),
}
# What a question asks for, by how it begins; the first that fits counts.
_KINDS: tuple[tuple[str, str], ...] = (
    ("reading", r"what (does|do) .*\b(say|read)\b|what('s| is| are) (written|printed)|(can you |please )?read\b"),
    ("colour", r"(what|which) colou?rs?\b|what is the colou?r\b"),
    ("count", r"how many\b|what number of\b"),
    ("activity", r"what (is|are|was|were) .*\bdoing\b|what (is|are) .* (playing|riding|holding|eating)\b"),
    ("when", r"(when|what time|what (part|time) of (the )?day)\b"),
    ("where", r"(where|in (what|which) (place|room|city|country))\b"),
    ("who", r"(who|whose|whom)\b"),
    ("why", r"(why|what for)\b"),
    ("how", r"how\b"),
    ("which", r"which\b"),
    ("what", r"(what|what's)\b"),
)
_YES_NO = re.compile(
    r"(is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|isn't|aren't|don't|doesn't)\b"
)
_FIRST_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question with every accepted answer. `distractors` are wrong answers to choose between (none: no choice)."""

    question: str
    answers: tuple[str, ...]
    distractors: tuple[str, ...] = ()
    kind: str = "other"


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture (`image` is its path inside the data set) and what is known of it; nothing else is required.

    `text` is what is written in it, line by line in reading order: () where nothing is, None where nobody looked.
    `quality` is "" or one of QUALITIES. `attack` is the canary of an instruction in the scene: the text that an answer
    holds only if the instruction was obeyed ("" for a picture without one).
    """

    image: str
    captions: tuple[str, ...] = ()
    split: str = ""
    qa: tuple[QuestionAnswer, ...] = ()
    label: str = ""
    coarse: str = ""
    text: tuple[str, ...] | None = None
    quality: str = ""
    attack: str = ""

    @property
    def usable(self) -> bool:
        """Whether the picture shows anything that can be asked about."""
        return self.quality in ("", "good")


def kind_of(question: str, answers: tuple[str, ...]) -> str:
    """What kind of thing a question asks for, by its first words and, for yes or no, by its answers."""
    asked = " ".join(question.lower().split())
    if _YES_NO.match(asked) and all(_first_word(answer) in ("yes", "no") for answer in answers):
        return "yes_no"
    for kind, pattern in _KINDS:
        if re.match(pattern, asked):
            return kind
    return "other"


def read_photo(record: Any, place: str) -> Photo:
    """The Photo that a decoded line stands for; `place` (file and line) begins every error."""
    if not isinstance(record, Mapping):
        raise _wrong(place, "the line", 'an object, as in {"image": "a.jpg"}')
    image = _find(record, "image")
    if not isinstance(image, str) or not image.strip():
        raise _wrong(place, "image", "the picture's path inside the data set")
    image = image.strip().removeprefix("./")
    if image.startswith("/") or ".." in image.split("/"):
        raise _wrong(place, "image", f"a path inside the data set, not {image!r}")
    return Photo(
        image=image,
        captions=_texts(_find(record, "captions"), place, "captions"),
        split=_text(record.get("split"), place, "split"),
        qa=_questions(record, place),
        label=_text(_find(record, "label"), place, "label"),
        coarse=_text(record.get("coarse"), place, "coarse"),
        text=None if record.get("text") is None else _lines(record["text"], place),
        quality=_quality(record.get("quality"), place),
        attack=_attack(record.get("attack"), place),
    )


def _wrong(place: str, key: str, wanted: str) -> InputError:
    return InputError(f"{place}: {key} must be {wanted}", "docs/evaluation.md describes the format")


def _find(record: Mapping[str, Any], key: str) -> Any:
    return next((record[name] for name in _KEYS[key] if record.get(name) is not None), None)


def _text(value: Any, place: str, key: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(place, key, "a text")
    return " ".join(value.split())


def _texts(value: Any, place: str, key: str) -> tuple[str, ...]:
    """One text or a list of texts; empty ones are dropped, numbers and booleans are answers too."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    texts = []
    for one in values:
        if isinstance(one, bool):
            one = "yes" if one else "no"
        elif isinstance(one, int | float):
            one = f"{one:g}"
        texts.append(_text(one, place, key) if one is not None else "")
    return tuple(dict.fromkeys(text for text in texts if text))


def _lines(value: Any, place: str) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _wrong(place, "text", "a list of lines ([] where nothing is written)")
    return tuple(" ".join(line.split()) for line in lines if line.strip())


def _questions(record: Mapping[str, Any], place: str) -> tuple[QuestionAnswer, ...]:
    """The list under `qa`, or the one question that stands in the record itself."""
    listed = _find(record, "qa")
    if listed is None:
        listed = [record] if _find(record, "q") is not None else []
    if not isinstance(listed, list):
        raise _wrong(place, "qa", "a list of questions with answers")
    return tuple(_question(item, place, f"qa[{index}]") for index, item in enumerate(listed))


def _question(item: Any, place: str, key: str) -> QuestionAnswer:
    if not isinstance(item, Mapping):
        raise _wrong(place, key, 'an object, as in {"q": "What is it?", "a": "A cup."}')
    question = _text(_find(item, "q"), place, f"{key}.q")
    if not question:
        raise _wrong(place, f"{key}.q", "a question")
    choices = _texts(_find(item, "choices"), place, f"{key}.choices")
    answers = _texts(_chosen(_find(item, "a"), choices, place, f"{key}.a"), place, f"{key}.a")
    if not answers:
        raise _wrong(place, f"{key}.a", "an answer or a list of accepted answers")
    distractors = _texts(_find(item, "distractors"), place, f"{key}.distractors")
    accepted = {text.lower() for text in answers}
    distractors = tuple(text for text in (*distractors, *choices) if text.lower() not in accepted)
    kind = _text(_find(item, "kind"), place, f"{key}.kind").lower().replace(" ", "_").replace("/", "_")
    kind = {"color": "colour", "number": "count", "counting": "count"}.get(kind, kind)
    return QuestionAnswer(question, answers, distractors, kind or kind_of(question, answers))


def _chosen(answer: Any, choices: tuple[str, ...], place: str, key: str) -> Any:
    """The text of the choice that `answer` names by number (from 0) or letter (from A); any other answer as it is."""
    if not choices or isinstance(answer, bool) or str(answer) in choices:
        return answer
    if isinstance(answer, str) and re.fullmatch(r"[A-Z]\.?", answer):
        answer = ord(answer[0]) - ord("A")
    if not isinstance(answer, int):
        return answer
    if not 0 <= answer < len(choices):
        raise _wrong(place, key, f"the number of a choice (0 to {len(choices) - 1}) or its text")
    return choices[answer]


def _quality(value: Any, place: str) -> str:
    quality = _text(value, place, "quality")
    if quality and quality not in QUALITIES:
        raise _wrong(place, "quality", f"one of {', '.join(QUALITIES)}")
    return quality


def _attack(value: Any, place: str) -> str:
    if value is None or value is False:
        return ""
    canary = value.get("canary") if isinstance(value, Mapping) else None
    if not isinstance(canary, str) or not canary.strip():
        raise _wrong(place, "attack", '{"canary": what an answer holds only if the instruction was obeyed}')
    return " ".join(canary.split())


def _first_word(text: str) -> str:
    match = _FIRST_WORD.search(text.lower())
    return match[0] if match else ""
