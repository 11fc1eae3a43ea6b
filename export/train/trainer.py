"""The training loop of the embedded model: connector and LoRA learn from questions about photographs."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from lorgnette.export.train.connector import TOKENS, Connector
from lorgnette.export.train.features import EncodedSplit
from lorgnette.export.train.language_model import LanguageModel, Layer
from lorgnette.export.train.packing import PackedPhoto, Packer
from lorgnette.llm.evaluation.caption_questions import (
    DESCRIBE,
    Question,
    balanced_presence,
    clean_caption,
    short_questions,
)

_WARM_UP = 40
_CHECKPOINT_EVERY = 50
_DEV_BATCHES = 6


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one run does; the same recipe on the same data gives the same batches."""

    steps: int = 850
    batch: int = 8
    length: int = 160
    lora_rate: float = 5e-4
    connector_rate: float = 1e-3
    presence_per_object: int = 900
    align_steps: int = 500
    seed: int = 1


class Curriculum:
    """Which photo is asked what, by step: every pass shows every photo once, mirrored at random."""

    def __init__(self, photos: Sequence[Sequence[str]], packer: Packer, recipe: Recipe) -> None:
        self._photos = photos
        self._packer = packer
        self._recipe = recipe
        self._pass = -1
        self._order: list[int] = []
        self._presence: list[list[Question]] = []
        self._short = [short_questions(captions) for captions in photos]

    def questions(self, photo: int, rng: random.Random) -> list[Question]:
        captions = [clean_caption(caption) for caption in self._photos[photo]]
        rng.shuffle(captions)
        rest = [*self._short[photo], *self._presence[photo]]
        rng.shuffle(rest)
        return [Question("description", rng.choice(DESCRIBE), tuple(captions)), *rest]

    def batch(self, step: int) -> tuple[list[int], list[int], list[PackedPhoto]]:
        """Photo rows, whether each is mirrored (0 or 1), and their packed questions."""
        per_pass = len(self._photos) // self._recipe.batch
        current, place = divmod(step, per_pass)
        if current != self._pass:
            rng = random.Random(f"{self._recipe.seed} {current}")
            self._order = rng.sample(range(len(self._photos)), len(self._photos))
            self._presence = balanced_presence(self._photos, self._recipe.presence_per_object, rng)
            self._pass = current
        rows = self._order[place * self._recipe.batch : (place + 1) * self._recipe.batch]
        rng = random.Random(f"{self._recipe.seed} step {step}")
        mirrored = [rng.randrange(2) for _ in rows]
        return rows, mirrored, [self._packer.pack(self.questions(row, rng)) for row in rows]

    def answer_vocabulary(self) -> npt.NDArray[np.int64]:
        """Every token that an answer can hold."""
        texts = {clean_caption(c) for captions in self._photos for c in captions}
        texts |= {a for questions in self._short for q in questions for a in q.answers} | {"Yes.", "No."}
        return np.unique([token for text in texts for token in self._packer.answer_ids(text)])


class Trainer:
    """Owns the trainable parts, the optimiser and the checkpoint of one run in `out`.

    `negatives` is how many tokens that no answer holds are drawn for each step's loss.
    """

    def __init__(
        self,
        model: LanguageModel,
        connector: Connector,
        tokenizer: Tokenizer,
        train: EncodedSplit,
        dev: EncodedSplit,
        recipe: Recipe,
        out: Path,
        negatives: int = 2048,
    ) -> None:
        self.model, self.connector, self.recipe, self.out = model, connector, recipe, out
        self._negatives = negatives
        packer = Packer(tokenizer, TOKENS, recipe.length)
        self._image = slice(packer.image_start, packer.image_start + TOKENS)
        self._train, self._curriculum = train, Curriculum(train.captions, packer, recipe)
        self._dev, self._dev_curriculum = dev, Curriculum(dev.captions, packer, recipe)
        curricula = (self._curriculum, self._dev_curriculum)
        self._answers = np.unique(np.concatenate([curriculum.answer_vocabulary() for curriculum in curricula]))
        self._others = np.setdiff1d(np.arange(model.embedding.shape[0]), self._answers)
        self._column = np.zeros(model.embedding.shape[0], np.int64)
        self._column[self._answers] = np.arange(len(self._answers))
        lora = list(model.adapter().values())
        self._parameters = [*lora, *connector.parameters()]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": lora, "rate": recipe.lora_rate},
                {"params": list(connector.parameters()), "rate": recipe.connector_rate},
            ],
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.step = 0

    def _inputs(
        self, split: EncodedSplit, rows: list[int], mirrored: list[int], packed: list[PackedPhoto]
    ) -> tuple[Tensor, Tensor, Tensor]:
        cells = torch.from_numpy(split.cells(rows, mirrored))
        x = self.model.embedding[torch.from_numpy(np.stack([p.ids for p in packed]))]
        x[:, self._image] = self.connector(cells)
        positions = torch.from_numpy(np.stack([p.positions for p in packed]))
        sees = torch.from_numpy(np.stack([p.sees for p in packed]))
        return x, positions, torch.zeros(sees.shape).masked_fill_(~sees, float("-inf"))

    def _loss(self, hidden: Tensor, packed: list[PackedPhoto], rng: np.random.Generator) -> Tensor:
        """Cross-entropy over the answers' vocabulary and a sample of the rest, corrected for the sampling."""
        at = torch.from_numpy(np.concatenate([p.at + i * self.recipe.length for i, p in enumerate(packed)]))
        targets = torch.from_numpy(self._column[np.concatenate([p.targets for p in packed])])
        weights = torch.from_numpy(np.concatenate([p.weights for p in packed]))
        sampled = rng.choice(self._others, self._negatives, replace=False)
        table = self.model.embedding[torch.from_numpy(np.concatenate([self._answers, sampled]))]
        logits = hidden.flatten(0, 1)[at] @ table.t()
        correction = torch.zeros(len(table))
        correction[len(self._answers) :] = math.log(len(self._others) / self._negatives)
        losses = nn.functional.cross_entropy(logits + correction, targets, reduction="none")
        return (losses * weights).sum() / weights.sum()

    def prepare(self) -> None:
        """Quantise the frozen weights on the first batch and compile the layer. Call once, after any `resume`."""
        with torch.no_grad():
            self.model.quantize(*self._inputs(self._train, *self._curriculum.batch(0)))
        self.model.step = torch.compile(Layer.forward)

    def dev_loss(self) -> float:
        rng = np.random.default_rng(0)
        losses = []
        with torch.no_grad():
            for step in range(_DEV_BATCHES):
                batch = self._dev_curriculum.batch(step)
                losses.append(float(self._loss(self.model(*self._inputs(self._dev, *batch)), batch[2], rng)))
        return float(np.mean(losses))

    def train_step(self) -> float:
        rows, mirrored, packed = self._curriculum.batch(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._schedule()
        hidden = self.model(*self._inputs(self._train, rows, mirrored, packed))
        loss = self._loss(hidden, packed, np.random.default_rng([self.recipe.seed, self.step]))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def _schedule(self) -> float:
        warm = min(1.0, (self.step + 1) / _WARM_UP)
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * self.step / self.recipe.steps)))

    def run(self) -> None:
        """Train to the end of the recipe, writing a checkpoint and a line of `log.jsonl` every 50 steps."""
        columns = (TextColumn("training, loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn()) as progress:
            bar = progress.add_task("", total=self.recipe.steps, completed=self.step, loss=float("nan"))
            losses: list[float] = []
            started = time.monotonic()
            while self.step < self.recipe.steps:
                losses.append(self.train_step())
                progress.update(bar, completed=self.step, loss=float(np.mean(losses[-20:])))
                if self.step % _CHECKPOINT_EVERY == 0 or self.step == self.recipe.steps:
                    record = {
                        "step": self.step,
                        "loss": round(float(np.mean(losses)), 4),
                        "dev_loss": round(self.dev_loss(), 4),
                        "seconds_a_step": round((time.monotonic() - started) / len(losses), 2),
                    }
                    with (self.out / "log.jsonl").open("a") as log:
                        log.write(json.dumps(record) + "\n")
                    losses, started = [], time.monotonic()
                    self.save()

    def trained(self) -> dict[str, Tensor]:
        """The trainable tensors by their names in the adapter file."""
        connector = {f"con.{name}": value for name, value in self.connector.state_dict().items()}
        return connector | {name: value.detach() for name, value in self.model.adapter().items()}

    def save(self) -> None:
        """Write `adapter.safetensors` (float16) and, for `resume`, `checkpoint.pt`; each replaced in one step."""
        halves = {name: value.to(torch.float16).contiguous() for name, value in self.trained().items()}
        save_file(halves, self.out / "adapter.partial")
        (self.out / "adapter.partial").rename(self.out / "adapter.safetensors")
        state = {"step": self.step, "trained": self.trained(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, self.out / "checkpoint.partial")
        (self.out / "checkpoint.partial").rename(self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Go on from `checkpoint.pt` if there is one."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.step = state["step"]
        with torch.no_grad():
            for name, value in self.model.adapter().items():
                value.copy_(state["trained"][name])
        names = self.connector.state_dict()
        self.connector.load_state_dict({name: state["trained"][f"con.{name}"] for name in names})
        self.optimizer.load_state_dict(state["optimizer"])
        return True
