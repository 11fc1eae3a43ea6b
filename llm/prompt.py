"""From a question, a picture, its writing and what was said before to the model's ids, by the bundle's template."""

from __future__ import annotations

from dataclasses import dataclass

from lorgnette.device.errors import InputError
from lorgnette.llm.bundle import PromptTemplate
from lorgnette.llm.engine import Prompt
from lorgnette.llm.tokenizer import Tokenizer
from lorgnette.vision.scene_text import SceneText

_SHORTEN = "ask a shorter question"
# No vocabulary in use has tokens that average more characters; a longer text cannot fit and need not be tokenised.
_MOST_CHARACTERS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class PromptIds:
    """`beginning` is the part that depends on the picture alone (empty without one), `rest` everything after it."""

    beginning: tuple[int, ...]
    rest: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.beginning) + len(self.rest)


class PromptWriter:
    """Fills in a bundle's template. `context` is the model's greatest number of positions."""

    def __init__(self, template: PromptTemplate, tokenizer: Tokenizer, context: int) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._context = context
        self._before_image = tokenizer.template_ids(template.before_image)
        self._after_image = tokenizer.template_ids(template.after_image)
        self._end_of_question = tokenizer.template_ids(template.end_of_question)
        self._end_of_answer = _end_of_turn(self._end_of_question, self._before_image)

    def beginning(self) -> tuple[int, ...]:
        """The ids of every prompt about a picture, up to and with the picture and what follows it in the template."""
        image = [self._template.image_token_id] * self._template.tokens_per_image
        return (*self._before_image, *image, *self._after_image)

    def write(self, prompt: Prompt) -> PromptIds:
        """The ids of `prompt`. Raises InputError for an empty question or one that leaves no room for an answer."""
        pictured = prompt.picture is not None
        rest: list[int] = [] if pictured else list(self._before_image)
        rest += self._text(self._block(prompt.text))
        for exchange in prompt.history:
            rest += self._question(exchange.question) + self._text(exchange.answer)
            rest += self._end_of_answer + self._before_image
        rest += self._question(prompt.question)
        ids = PromptIds(self.beginning() if pictured else (), tuple(rest))
        if len(ids) >= self._context:
            raise InputError(
                f"the question is too long: {len(ids)} tokens, and the model takes {self._context - 1}", _SHORTEN
            )
        return ids

    def _block(self, lines: tuple[SceneText, ...] | None) -> str:
        """What the model is told of the writing in the picture; nothing where nobody looked or it takes no text.

        A line cannot leave its quotes: it is `quotable`, and tokenised as a person's text, so nothing in it is special.
        """
        template = self._template
        if lines is None or not template.takes_text:
            return ""
        written = [(quotable, line.place) for line in lines if (quotable := line.quotable)]
        if not written:
            return template.no_text
        # Filled in from the left and once: what a line says is no part of the template.
        return template.text_heading + "".join(template.text_line.format(text=t, place=p) for t, p in written)

    def _question(self, question: str) -> list[int]:
        # The template's ids are right only for a question without space around it (see PromptTemplate).
        stripped = question.strip()
        if not stripped:
            raise InputError("the question is empty", "say or write what you want to know")
        return self._text(stripped) + self._end_of_question

    def _text(self, text: str) -> list[int]:
        if len(text) > _MOST_CHARACTERS_PER_TOKEN * self._context:
            raise InputError(f"the question is too long: {len(text):,} characters", _SHORTEN)
        return self._tokenizer.text_ids(text)


def _end_of_turn(end_of_question: list[int], before_image: list[int]) -> list[int]:
    """What ends anybody's turn: the part of `end_of_question` before the next speaker's part begins.

    Speakers begin with the same special token, `before_image` with the wearer's: in ChatML that leaves "<|im_end|>\\n".
    """
    starts = before_image[:1]
    return end_of_question[: end_of_question.index(starts[0])] if starts and starts[0] in end_of_question else []
