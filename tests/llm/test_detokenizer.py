"""Streaming text: every piece is whole characters, and together they are the text."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.llm.detokenizer import Detokenizer
from lorgnette.llm.tokenizer import Tokenizer

TINY = Path(__file__).parents[1] / "models" / "tiny_vlm"
TEXTS = [
    "The hat in the van.",
    "caf\u00e9 \u20ac5",
    "\u732b\u3068\U0001f600!",
    " leading",
    "a\n\nb  c",
    "\U0001f468\u200d\U0001f469",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY / "tokenizer.json")


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_and_make_up_the_text(tokenizer: Tokenizer, text: str) -> None:
    """The tiny tokenizer has hardly any merges, so that nearly every byte is a token of its own."""
    ids = tokenizer.text_ids(text)
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.push(token_id) for token_id in ids]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    if not text.isascii():
        assert "" in pieces, "something must have been held back"


def test_an_unfinished_character_is_never_shown(tokenizer: Tokenizer) -> None:
    detokenizer = Detokenizer(tokenizer)
    shown = "".join(detokenizer.push(token_id) for token_id in tokenizer.text_ids("ok \u20ac")[:-1])
    assert shown == "ok "


def test_bytes_that_are_no_character_do_not_stop_the_stream(tokenizer: Tokenizer) -> None:
    lone = tokenizer.text_ids("\u20ac")[1]
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.push(token_id) for token_id in [*tokenizer.text_ids("a"), lone, *tokenizer.text_ids("bc")]]
    assert "".join(pieces) == "a\ufffdbc"


def test_special_tokens_are_text_in_a_question_and_special_in_the_template(tokenizer: Tokenizer) -> None:
    assert tokenizer.template_ids("<|im_end|>") == [2]
    assert 2 not in tokenizer.text_ids("<|im_end|>")
    assert tokenizer.decode(tokenizer.text_ids("<|im_end|>")) == "<|im_end|>"
