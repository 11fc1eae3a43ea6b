"""What a bundle's `manifest.json` (spec 3) says: every fact about a model that its files do not tell by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SPEC = 3


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle. `name` is its path in the folder, with "/". `role` is the session's name
    ("decoder_model_merged"), "tokenizer", or "client" for what only other programs read.

    `suffix` is the precision's file suffix as in transformers.js ("" is fp32, "_quantized" 8-bit). `size` in bytes.
    A file of role "data" holds tensors of the sessions beside it and is never opened by itself.
    """

    name: str
    role: str
    suffix: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes `pixel_values`: resize to `width` x `height` pixels, then (x - mean) / std per channel.

    `mean` and `std` are in 0..255 units, in the order of `channels`. `resize` is "squash" (the aspect ratio is not
    kept). `filter` is "area" (OpenCV's INTER_AREA), or "lanczos", "bicubic" or "bilinear" (Pillow's). `layout` is
    "NCHW", or "NTCHW" where a session takes several tiles of a picture and a mask of them.

    With a `longest_edge` the picture is first scaled so that its longer side has that many pixels. If `max_tiles` is
    more than 1 its sides are then scaled up to whole tiles of `width` x `height`, it is cut into them row by row, and
    the whole picture, squashed, is the last tile; the grid is as large as `max_tiles` allows. 0 leaves out this step.

    That is the `tiling` "scaled". In "direct" the picture goes to whole tiles in one step, to as many as its longer
    side fills but no more than `longest_edge` has, and the whole picture, from that by "bilinear", is the first tile;
    "direct_enlarged" takes all of `longest_edge` for small pictures too.
    """

    width: int
    height: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str
    filter: str
    layout: str
    channels: str
    longest_edge: int = 0
    max_tiles: int = 1
    tiling: str = "scaled"


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The text around the picture and the question.

    A prompt is `opening`, then a turn: `before_image`, the picture, `after_image`, the question, `end_of_question`; or,
    without a picture, `before_question`, the question, `end_of_question`. What was said before comes between picture
    and question as whole exchanges, each answer between `before_answer` and `end_of_answer`, then `before_question`.
    The pieces hold special tokens and are tokenised with them; the question is a person's text and must be tokenised
    without. Generation ends at any of `stop_ids`.

    The picture is `whole`, in which {image} stands for `tokens_per_image` times `image_token`, whose embedding rows the
    image features replace. A picture in tiles is `tile` for each of them, naming {row} and {column} from 1 and {image},
    with `end_of_row` behind each row, and then `whole_after_tiles`, or before all of them `whole_before_tiles`, as its
    `tiling` puts the whole. A model that sees no tiles has these empty; one that sees no pictures has no `image_token`.

    Where somebody has looked for writing in the picture, `after_image` is followed by `text_heading` and a `text_line`
    for each line, which names {text} and {place}, or by `no_text`. These three hold no special tokens and end with a
    line's end; all three are empty for a model that was not trained on them and takes no text.
    """

    opening: str
    before_image: str
    before_question: str
    after_image: str
    end_of_question: str
    before_answer: str
    end_of_answer: str
    image_token: str
    tokens_per_image: int
    stop_ids: tuple[int, ...]
    whole: str = "{image}"
    tile: str = ""
    end_of_row: str = ""
    whole_after_tiles: str = ""
    whole_before_tiles: str = ""
    text_heading: str = ""
    text_line: str = ""
    no_text: str = ""

    @property
    def takes_text(self) -> bool:
        """Whether the model was trained to be told what is written in the picture."""
        return bool(self.text_line)


@dataclass(frozen=True, slots=True)
class DecoderGeometry:
    """Shapes of the decoder: `past_key_values.N.key` is [batch, kv_heads, past, head_dim] for N in 0..layers-1.

    `context` is the greatest number of positions, `hidden` the width of an embedding, `vocabulary` that of the logits.
    The runtime reads element types from the sessions.
    """

    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    context: int


@dataclass(frozen=True, slots=True)
class Part:
    """Weights that went into the bundle: what they are, under which licence, and the SHA-256 of the source file."""

    name: str
    licence: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`default_suffix` names for each session the precision to run; `parity` holds measured figures.

    `preprocessing` is None for a model that sees no pictures. `confidence` are the coefficients that turn an answer's
    log-probabilities into a chance of being right (empty where nobody measured them). `builder` is the version of the
    code that wrote the bundle, `inputs` the hash of everything that went in (two bundles with the same `inputs` are the
    same). `profile` is the kind of device it was made for ("": any), `provenance` says with what it was made.
    """

    spec: int
    name: str
    builder: str
    inputs: str
    profile: str
    files: tuple[BundleFile, ...]
    default_suffix: Mapping[str, str]
    preprocessing: Preprocessing | None
    prompt: PromptTemplate
    decoder: DecoderGeometry
    parts: tuple[Part, ...]
    parity: Mapping[str, float]
    confidence: Mapping[str, float]
    provenance: Mapping[str, str]
