"""The pieces of a prompt out of a checkpoint's chat template, by rendering it and looking at what comes out.

A template is a program (Jinja) that turns messages into text; the runtime wants the text around question and picture
instead. So it is rendered for a few conversations with markers in place of what people say, in a sandbox, and cut at
the markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorgnette.export.llama import WeightsFormatError

_Q1, _A1, _Q2 = "QUESTION-ONE", "ANSWER-ONE", "QUESTION-TWO"


@dataclass(frozen=True, slots=True)
class PromptPieces:
    """As in the manifest's `PromptTemplate`. `before_image` and `after_image` are empty for a model of text alone."""

    opening: str
    before_image: str
    before_question: str
    after_image: str
    end_of_question: str
    before_answer: str
    end_of_answer: str


def prompt_pieces(
    template: str, special: Mapping[str, str], image_token: str = "", *, inline: bool = False
) -> PromptPieces:
    """Cut up what `template` renders. `special` gives `bos_token` and the like; `image_token` is what stands for a
    picture ("": the model sees none), which begins the text of a message if it is `inline`, else it is a part of the
    message. Raises `WeightsFormatError` for a template that does not work that way."""
    plain = inline or not image_token

    def render(*texts: str, picture: bool = False) -> str:
        if picture and inline:
            texts = (image_token + texts[0], *texts[1:])
        messages = [
            _message(("user", "assistant")[i % 2], text, plain=plain, picture=picture and i == 0)
            for i, text in enumerate(texts)
        ]
        return _render(template, messages, special)

    try:
        alone, end_of_question = _cut(render(_Q1), _Q1)
        _, between, following, _ = _cut(render(_Q1, _A1, _Q2), _Q1, _A1, _Q2)
        before_question = _common_end(alone, following)
        opening = alone.removesuffix(before_question)
        if not between.startswith(end_of_question):
            # Other white space before an answer that was given is a slip: the model learned but one of the two.
            if between.split() != end_of_question.split():
                raise ValueError("an answer that was given does not stand where one is to be given")
            between = end_of_question
        before_image = after_image = ""
        if image_token:
            before_picture, after_image, _ = _cut(render(_Q1, picture=True), image_token, _Q1)
            if not before_picture.startswith(opening):
                raise ValueError("a picture changes what a conversation begins with")
            before_image = before_picture.removeprefix(opening)
    except ValueError as error:
        raise WeightsFormatError(
            f"the chat template cannot be used: {error}", "give a checkpoint with its own chat template"
        ) from error
    return PromptPieces(
        opening=opening,
        before_image=before_image,
        before_question=before_question,
        after_image=after_image,
        end_of_question=end_of_question,
        before_answer=between.removeprefix(end_of_question),
        end_of_answer=following.removesuffix(before_question),
    )


def _message(role: str, text: str, *, plain: bool, picture: bool) -> dict[str, object]:
    if plain:
        return {"role": role, "content": text}
    content = [{"type": "image"}] if picture else []
    return {"role": role, "content": [*content, {"type": "text", "text": text}]}


def _cut(text: str, *markers: str) -> list[str]:
    """The text before, between and after the markers, which must come once each and in order."""
    parts = []
    for marker in markers:
        before, found, text = text.partition(marker)
        if not found or marker in text:
            raise ValueError(f"it does not say {marker!r} once")
        parts.append(before)
    return [*parts, text]


def _common_end(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _render(template: str, messages: Sequence[Mapping[str, object]], special: Mapping[str, str]) -> str:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, with which transformers' templates mark what a model is trained to say."""

        tags = {"generation"}  # noqa: RUF012 - as the base class has it

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.globals["raise_exception"] = refuse
    # A date in the prompt would differ every day, and the ids computed ahead with it.
    environment.globals["strftime_now"] = lambda form: "26 Jul 2024" if "b" in form else ""
    values: dict[str, Any] = {"messages": messages, "add_generation_prompt": True, "tools": None, **special}
    try:
        return environment.from_string(template).render(values)
    except (TemplateError, TypeError) as error:
        raise ValueError(str(error)) from error
