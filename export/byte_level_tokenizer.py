"""A byte-level BPE tokenizer out of its tokens and merges, for files that hold no tokenizer.json."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

# How a text is cut before its bytes are merged, by llama.cpp's names: SmolLM's tokenizer takes digits one by one and
# cuts the rest as GPT-2 does; Qwen2's has an expression of its own and composes accents (tokenizer.json of each).
SMOLLM, QWEN2 = "smollm", "qwen2"
_QWEN2_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level_tokenizer(
    tokens: Sequence[str],
    merges: Sequence[str],
    special: Sequence[str],
    *,
    added: Sequence[str] = (),
    split: str = SMOLLM,
) -> Tokenizer:
    """The tokenizer; it adds no tokens itself.

    `merges` are pairs with a space between; ids are places in `tokens`; `special` and `added` are those found whole in
    a text, of which only `special` are left out of a decoded one.
    """
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs))
    if split == QWEN2:
        tokenizer.normalizer = normalizers.NFC()
        cuts = [
            pre_tokenizers.Split(Regex(_QWEN2_CUTS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    else:
        cuts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    return tokenizer
