"""What each token of a byte-level vocabulary adds to a text, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

_PRINTABLE = (range(ord("!"), ord("~") + 1), range(0xA1, 0xAC + 1), range(0xAE, 0xFF + 1))


def byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary (Radford et al., Language Models are
    Unsupervised Multitask Learners, 2019): itself where it can be seen, else one past the first 256."""
    seen = {chr(byte): byte for part in _PRINTABLE for byte in part}
    unseen = (byte for byte in range(256) if chr(byte) not in seen)
    return seen | {chr(256 + place): byte for place, byte in enumerate(unseen)}


class Vocabulary:
    """`tokens[id]` are the bytes that the token stands for; None for special tokens and ids without one."""

    def __init__(self, tokens: Sequence[bytes | None]) -> None:
        self.tokens = tuple(tokens)

    @classmethod
    def byte_level(cls, spelled: Iterable[str | None]) -> Vocabulary:
        """From the tokens as a tokenizer spells them; None where a token is special. Raises UnicodeEncodeError where
        they are spelled otherwise."""
        bytes_of = str.maketrans({character: chr(byte) for character, byte in byte_alphabet().items()})
        return cls([None if token is None else token.translate(bytes_of).encode("latin-1") for token in spelled])

    @cached_property
    def ids(self) -> dict[bytes, int]:
        return {token: index for index, token in enumerate(self.tokens) if token}

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return max((len(token) for token in self.ids), default=0)

    @cached_property
    def with_quote(self) -> tuple[int, ...]:
        """Ids of the tokens that hold a double quote."""
        return tuple(index for token, index in self.ids.items() if b'"' in token)
