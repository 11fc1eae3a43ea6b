"""Text to token ids, with the line between the template's special tokens and what a person wrote kept sharp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as HuggingFaceTokenizer

from lorgnette.llm.bundle import BundleError
from lorgnette.llm.vocabulary import Vocabulary


class Tokenizer:
    """The tokenizer of a bundle (`tokenizer.json`). May be used by several threads."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            self._template = HuggingFaceTokenizer.from_str(text)
            self._plain = HuggingFaceTokenizer.from_str(text)
        except Exception as error:  # the library raises nothing more precise
            raise BundleError(f"cannot read the tokenizer {path}: {error}", "build the bundle again") from error
        # A question that spells out "<|im_end|>" must not be able to end the turn: in it, special tokens are just text.
        self._plain.encode_special_tokens = True

    def template_ids(self, text: str) -> list[int]:
        """Ids of a piece of the prompt template; special tokens in it count as such."""
        return list(self._template.encode(text, add_special_tokens=False).ids)

    def text_ids(self, text: str) -> list[int]:
        """Ids of a person's text; nothing in it is special."""
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def vocabulary(self) -> Vocabulary:
        """What each token adds to a text. Raises BundleError where the vocabulary is not byte-level."""
        special = self._template.get_added_tokens_decoder()
        spelled = {token_id: token for token, token_id in self._template.get_vocab(with_added_tokens=True).items()}
        ids = range(max(spelled, default=-1) + 1)
        try:
            return Vocabulary.byte_level(None if i in special else spelled.get(i) for i in ids)
        except UnicodeEncodeError as error:
            raise BundleError(
                "a model that is told what is written needs a byte-level vocabulary", "use another bundle"
            ) from error

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens included; bytes that are no UTF-8 become U+FFFD."""
        return str(self._template.decode(list(ids), skip_special_tokens=False))
