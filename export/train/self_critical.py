"""Captions of the model's own, better than the rest of them or worse: training on the score that counts.

For each photograph a few captions are drawn; each is rewarded with its CIDEr-D against what people wrote, less the mean
reward of the others, and made more or less likely accordingly (S. Rennie et al., "Self-critical sequence training for
image captioning", CVPR 2017, with the baseline of R. Luo, "A better variant of self-critical sequence training", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from lorgnette.export.train.language_model import LanguageModel
from lorgnette.export.train.packing import Packer
from lorgnette.llm.evaluation.cider import CiderScorer

# So that a caption that ends in "on a" loses what one that ends well gains: the end is a word like others.
_END = " endofcaption"


class Speaker:
    """Says captions in batches, with the weights as they are in training and the words that answers often hold."""

    def __init__(
        self, model: LanguageModel, packer: Packer, tokenizer: Tokenizer, frequent: npt.NDArray[np.int64]
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._prefix = torch.tensor(packer.prefix)
        self._image_start = packer.image_start
        self._packer = packer
        self._words = torch.from_numpy(frequent)
        self._stop = packer.answer_ids("")[0]

    @torch.no_grad()
    def say(
        self, images: Tensor, question: str, *, samples: int = 1, greedy: bool = True, most: int = 24
    ) -> list[list[str]]:
        """`samples` answers about each of the `images` [B, tokens, hidden]; greedy ones are all alike."""
        device = images.device
        table = self._model.embedding
        count, tokens = images.shape[0], images.shape[1]
        x = table[self._prefix.to(device)].repeat(count, 1, 1)
        x[:, self._image_start : self._image_start + tokens] = images
        asked = table[torch.tensor(self._packer.question_ids(question), device=device)].expand(count, -1, -1)
        state, past = self._model.extend(torch.cat([x, asked], 1), 0, None)
        position = x.shape[1] + asked.shape[1]
        state = state.repeat_interleave(samples, 0)
        past = [(k.repeat_interleave(samples, 0), v.repeat_interleave(samples, 0)) for k, v in past]
        words = self._words.to(device)
        head = table[words].t().contiguous()
        said: list[list[int]] = [[] for _ in range(count * samples)]
        going = torch.ones(count * samples, dtype=torch.bool, device=device)
        for _ in range(most):
            logits = state @ head
            ids = words[logits.argmax(-1) if greedy else torch.multinomial(logits.softmax(-1), 1)[:, 0]]
            going &= ids != self._stop
            for row in going.nonzero()[:, 0].tolist():
                said[row].append(int(ids[row]))
            if not bool(going.any()):
                break
            state, past = self._model.extend(table[ids][:, None], position, past)
            position += 1
        texts = [self.text(ids) for ids in said]
        return [texts[i * samples : (i + 1) * samples] for i in range(count)]

    def text(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False)).strip()


class Critic:
    """Rewards captions; document frequencies come from the training captions."""

    def __init__(self, captions: Sequence[Sequence[str]]) -> None:
        self._scorer = CiderScorer([[text.rstrip(" .") + _END for text in texts] for texts in captions])

    def advantages(self, said: Sequence[str], written: Sequence[str]) -> list[float]:
        """For each caption: its reward less the mean reward of the others."""
        references = [text.rstrip(" .") + _END for text in written]
        rewards = self._scorer.scores([_ended(text) for text in said], references)
        total, others = sum(rewards), max(1, len(said) - 1)
        return [reward - (total - reward) / others for reward in rewards]


def _ended(text: str) -> str:
    """A caption that was cut off, or that has no full stop, has no end."""
    return text.rstrip(" .") + _END if text.endswith(".") else text
