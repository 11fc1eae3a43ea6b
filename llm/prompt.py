"""From a question, a picture, its writing and what was said before to the model's ids, by the bundle's template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lorgnette.device.errors import InputError
from lorgnette.llm.engine import Prompt
from lorgnette.llm.manifest import PromptTemplate
from lorgnette.llm.tokenizer import Tokenizer
from lorgnette.vision.scene_text import SceneText
from lorgnette.vision.tiles import Grid

_SHORTEN = "ask a shorter question"
# No vocabulary in use has tokens that average more characters; a longer text cannot fit and need not be tokenised.
_MOST_CHARACTERS_PER_TOKEN = 16
_WHOLE = Grid()


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
        self._opening = tokenizer.template_ids(template.opening)
        before_question, self._question_space = _space_off(template.before_question)
        self._before_question = tokenizer.template_ids(before_question)
        self._after_image, self._image_space = _space_off(template.after_image)
        self._end_of_question = tokenizer.template_ids(template.end_of_question)
        self._end_of_answer = tokenizer.template_ids(template.end_of_answer)

    @lru_cache(maxsize=32)  # noqa: B019 - a writer lives as long as its engine
    def beginning(self, grid: Grid = _WHOLE) -> tuple[int, ...]:
        """The ids of every prompt about a picture cut so, up to and with the picture and what follows it."""
        template = self._template
        image = template.image_token * template.tokens_per_image
        text = template.opening + template.before_image
        text += (template.whole_before_tiles if grid.rows else template.whole).format(image=image)
        for row in range(1, grid.rows + 1):
            for column in range(1, grid.columns + 1):
                text += template.tile.format(row=row, column=column, image=image)
            text += template.end_of_row
        text += template.whole_after_tiles.format(image=image) if grid.rows else ""
        return tuple(self._tokenizer.template_ids(text + self._after_image))

    def write(self, prompt: Prompt, grid: Grid = _WHOLE) -> PromptIds:
        """The ids of `prompt`, whose picture, if it has one, is cut into `grid`. Raises InputError for an empty
        question or one that leaves no room for an answer."""
        pictured = prompt.picture is not None
        rest: list[int] = [] if pictured else self._opening + self._before_question
        space = self._image_space if pictured else self._question_space
        block = self._block(prompt.text)
        if block:
            rest, space = rest + self._text(space + block), ""
        for exchange in prompt.history:
            rest += self._question(space, exchange.question)
            rest += self._text(self._template.before_answer + exchange.answer)
            rest += self._end_of_answer + self._before_question
            space = self._question_space
        rest += self._question(space, prompt.question)
        ids = PromptIds(self.beginning(grid) if pictured else (), tuple(rest))
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

    def _question(self, space: str, question: str) -> list[int]:
        # The template's ids are right only for a question without space around it (see PromptTemplate).
        stripped = question.strip()
        if not stripped:
            raise InputError("the question is empty", "say or write what you want to know")
        return self._text(space + stripped) + self._end_of_question

    def _text(self, text: str) -> list[int]:
        if len(text) > _MOST_CHARACTERS_PER_TOKEN * self._context:
            raise InputError(f"the question is too long: {len(text):,} characters", _SHORTEN)
        return self._tokenizer.text_ids(text)


def _space_off(piece: str) -> tuple[str, str]:
    """A piece of the template without the spaces at its end, and these: vocabularies have them at a word's beginning,
    so that they are tokenised with the question behind them."""
    kept = piece.rstrip(" ")
    return kept, piece[len(kept) :]
