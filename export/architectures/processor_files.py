"""Tokenizer, prompt and preprocessing out of the files that lie beside a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from lorgnette.export.architectures.parts import optional_json
from lorgnette.export.chat_template import PromptPieces, prompt_pieces
from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.llama import WeightsFormatError
from lorgnette.llm.manifest import Part, Preprocessing, PromptTemplate

_FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, which processor files use


def read_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Raises `WeightsFormatError` if there is no tokenizer.json, it is damaged, or it cannot take a text in pieces."""
    try:
        text = checkpoint.text("tokenizer.json")
        tokenizer = None if text is None else Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more precise
        raise WeightsFormatError(
            f"cannot read tokenizer.json of {checkpoint.origin.name}: {error}", "fetch the file again"
        ) from error
    if tokenizer is None:
        raise WeightsFormatError(
            f"{checkpoint.origin.name} has no tokenizer.json", "save the tokenizer with `save_pretrained` too"
        )
    # The runtime puts a prompt together from pieces. SentencePiece's way of old, a space before each text, spoils that.
    if "\u2581" in "".join(tokenizer.encode(".", add_special_tokens=False).tokens):
        raise WeightsFormatError(
            f"the tokenizer of {checkpoint.origin.name} puts a space before every text", "byte-level ones are supported"
        )
    return tokenizer


def chat_template(checkpoint: Checkpoint) -> str:
    """The checkpoint's own chat template, from wherever its version of transformers keeps it; "" for none."""
    own = checkpoint.text("chat_template.jinja")
    if own is not None:
        return own
    for name in ("processor_config.json", "chat_template.json", "tokenizer_config.json"):
        found = optional_json(checkpoint, name).get("chat_template")
        if isinstance(found, list):
            found = next((one["template"] for one in found if one.get("name") == "default"), None)
        if isinstance(found, str) and found:
            return found
    return ""


def special_tokens(checkpoint: Checkpoint) -> dict[str, str]:
    """`bos_token` and `eos_token`, which templates may name."""
    config = optional_json(checkpoint, "tokenizer_config.json")
    tokens: dict[str, str] = {}
    for name in ("bos_token", "eos_token"):
        value = config.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        tokens[name] = text if isinstance(text, str) else ""
    return tokens


def begins_with_bos(checkpoint: Checkpoint, tokenizer: Tokenizer) -> bool:
    """Whether the model was trained on texts that begin with `bos_token`: as tokenizer_config.json says, else as the
    tokenizer does it."""
    stated = optional_json(checkpoint, "tokenizer_config.json").get("add_bos_token")
    if isinstance(stated, bool):
        return stated
    token = special_tokens(checkpoint)["bos_token"]
    return bool(token) and tokenizer.encode(".").tokens[:1] == [token]


def prompt_of(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    image_token: str,
    tokens_per_image: int,
    stop_ids: tuple[int, ...],
    *,
    default_template: str,
    **pictures: str,
) -> PromptTemplate:
    """The manifest's prompt. `default_template` is the family's, for checkpoints that have none; `pictures` are the
    texts around whole pictures and tiles."""
    template = chat_template(checkpoint) or default_template
    pieces = prompt_pieces(template, special_tokens(checkpoint), image_token)
    return prompt_template(pieces, image_token, tokens_per_image, stop_ids, **pictures)


def prompt_template(
    pieces: PromptPieces, image_token: str, tokens_per_image: int, stop_ids: tuple[int, ...], **pictures: str
) -> PromptTemplate:
    """The manifest's prompt out of the pieces of a chat template; `pictures` as for `prompt_of`."""
    return PromptTemplate(
        opening=pieces.opening,
        before_image=pieces.before_image,
        before_question=pieces.before_question,
        after_image=pieces.after_image,
        end_of_question=pieces.end_of_question,
        before_answer=pieces.before_answer,
        end_of_answer=pieces.end_of_answer,
        image_token=image_token,
        tokens_per_image=tokens_per_image,
        stop_ids=stop_ids,
        **pictures,
    )


def preprocessing(facts: Mapping[str, Any], side: int, longest_edge: int = 0, *, splits: bool = False) -> Preprocessing:
    """How pictures are prepared, by a processor's settings: scaled to `longest_edge` first, and cut into tiles if it
    `splits` them; without one, squashed at once."""
    number = facts.get("resample", 1)
    if number not in _FILTERS:
        raise WeightsFormatError(f"the processor's resampling filter {number!r} is not supported", f"{_FILTERS} are")
    scale = float(facts.get("rescale_factor", 1 / 255))
    mean, std = (tuple(float(one) / scale for one in facts.get(f"image_{name}", [0.5] * 3)) for name in ("mean", "std"))
    rows = -(-longest_edge // side)
    return Preprocessing(
        width=side,
        height=side,
        mean=mean,
        std=std,
        resize="squash",
        filter=_FILTERS[number],
        layout="NTCHW" if longest_edge else "NCHW",
        channels="RGB",
        longest_edge=longest_edge,
        max_tiles=rows * rows + 1 if splits else 1,
    )


def weight_part(checkpoint: Checkpoint) -> Part:
    """Where the weights are from."""
    origin = checkpoint.origin
    name, digest = next(iter(origin.files.items()))
    revision = f" at {origin.revision}" if origin.revision else ""
    return Part(f"{origin.name}{revision}", origin.licence or "not stated by its card", name, digest)
