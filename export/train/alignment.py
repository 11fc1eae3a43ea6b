"""Before the language model sees a picture: make image tokens resemble the embeddings of the words that describe them.

Each photograph's captions give a soft set of words. A word's evidence in a picture is the best match between its
(centred) token embedding and the image tokens, and is trained with a binary cross-entropy (multiple-instance
learning). It costs a few minutes and spares the language model the slow start of reading tokens that mean nothing
yet.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor, nn

from lorgnette.export.train.connector import TOKENS, Connector
from lorgnette.export.train.courses import Course
from lorgnette.export.train.encoder import Encoder
from lorgnette.export.train.pictures import random_view, show
from lorgnette.llm.evaluation.caption_questions import words_of

_MIN_PHOTOS = 12
_BATCH = 32
_SHARPNESS = 20.0
_STOP_WORDS = """
    a an the in on is and with of are to at his her its their through while down over up by into near another for from
    as out other next off around some has along that him it each there one them does he they who this being very about
    all between towards toward onto against during whilst after across together behind beside
"""


def word_targets(photos: Sequence[Sequence[str]]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The words that enough photographs share, and [photos, words]: the share of captions that say each."""
    said = [words_of(captions) for captions in photos]
    stop_words = set(_STOP_WORDS.split())
    spread = Counter(word for sets in said for word in set().union(*sets))
    words = sorted(w for w, n in spread.items() if n >= _MIN_PHOTOS and w not in stop_words and len(w) > 1)
    column = {word: i for i, word in enumerate(words)}
    targets = np.zeros((len(photos), len(words)), np.float32)
    for row, sets in enumerate(said):
        for one in sets:
            for word in one & column.keys():
                targets[row, column[word]] += 1 / len(sets)
    return words, targets


def word_directions(words: Sequence[str], tokenizer: Tokenizer, embedding: Tensor) -> Tensor:
    """Unit vectors [words, hidden]: each word's mean token embedding less the vocabulary's mean."""
    centred = embedding - embedding.mean(0)
    rows = [centred[tokenizer.encode(f" {word}", add_special_tokens=False).ids].mean(0) for word in words]
    return nn.functional.normalize(torch.stack(rows), dim=-1)


def align(
    encoder: Encoder,
    connector: Connector,
    course: Course,
    tokenizer: Tokenizer,
    embedding: Tensor,
    *,
    steps: int,
    seed: int,
) -> float:
    """Train `connector` in place behind the `encoder` as it is; returns the mean loss of the last 50 steps."""
    words, targets = word_targets([photo.captions for photo in course.photos])
    device = connector.pos.device
    directions = word_directions(words, tokenizer, embedding)
    prior = torch.from_numpy(targets.mean(0)).clamp_min(1e-4).to(device)
    bias = nn.Parameter(torch.logit(prior) - 2.0)
    with torch.no_grad():
        spread = (embedding - embedding.mean(0)).norm(dim=-1).mean()
        connector.g.fill_(float(spread) / math.sqrt(embedding.shape[1]))
        connector.pos.copy_(embedding.mean(0).expand(TOKENS, -1))
    optimizer = torch.optim.AdamW([{"params": list(connector.parameters())}, {"params": [bias]}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [1.5e-3, 1e-2], total_steps=steps, pct_start=0.1)
    rng, views = np.random.default_rng(seed), random.Random(seed)
    losses: list[Tensor] = []
    for _ in track(range(steps), "aligning the connector with words"):
        rows = rng.choice(len(targets), min(_BATCH, len(targets)), replace=False)
        with torch.no_grad():
            shown = [random_view(views, mirror=True) for _ in rows]
            cells = encoder(show(np.stack([course.pictures[row] for row in rows]), shown, device))
        match = connector.directions(cells) @ directions.t()  # [B, tokens, words]
        logits = torch.logsumexp(_SHARPNESS * match, 1) - math.log(TOKENS) + bias
        said = torch.from_numpy(targets[rows]).to(device)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, said) * len(words)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(connector.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return float(torch.stack(losses[-50:]).mean())
