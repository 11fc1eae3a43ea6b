"""The training loop of the embedded model: connector and LoRA learn from lessons about photographs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save
from tokenizers import Tokenizer
from torch import Tensor, nn

from lorgnette.export.train.batches import Batch, BatchMaker
from lorgnette.export.train.connector import TOKENS, Connector
from lorgnette.export.train.courses import Course, Mixture, Slot
from lorgnette.export.train.curves import draw_curves
from lorgnette.export.train.encoder import Encoder
from lorgnette.export.train.examination import Examination
from lorgnette.export.train.language_model import LanguageModel, Layer
from lorgnette.export.train.lessons import Lesson
from lorgnette.export.train.objective import Losses, SampledHead, losses, states_and_targets
from lorgnette.export.train.packing import PackedPhoto, Packer
from lorgnette.export.train.pictures import View, on_device, show
from lorgnette.export.train.recipe import Recipe
from lorgnette.export.train.self_critical import Critic, Speaker

_WARM_UP = 40
_TOLD_EVERY = 10
_CHECKPOINT_EVERY = 50
_EXAMINE_EVERY = 200
_LAST_RATE = 0.02
_LOOKED_THROUGH = 1200  # photographs whose lessons tell which tokens are frequent


class Trainer:
    """Owns the trainable parts, the optimiser and the checkpoint of one run in `out`.

    `negatives` is how many of the tokens that answers seldom hold are drawn for each step's loss.
    """

    def __init__(
        self,
        model: LanguageModel,
        encoder: Encoder,
        connector: Connector,
        tokenizer: Tokenizer,
        courses: Sequence[Course],
        dev: Sequence[Course],
        recipe: Recipe,
        out: Path,
        *,
        device: torch.device | None = None,
        negatives: int = 2048,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.model, self.connector = model.to(self.device).eval(), connector.to(self.device)
        self.encoder = encoder.to(self.device)
        self.encoder.learn(recipe.encoder_stages)
        self.recipe, self.out = recipe, out
        self._packer = Packer(tokenizer, TOKENS, recipe.length, recipe.short_answer_weight)
        self._image = slice(self._packer.image_start, self._packer.image_start + TOKENS)
        mixture = Mixture(courses, recipe.mixture, recipe.batch, recipe.seed)
        self._batches = BatchMaker(mixture, self._packer, recipe.seed)
        captions = [photo.captions for course in courses[:1] for photo in course.photos]
        self._critic = Critic(captions) if captions and captions[0] else None
        frequent = self.frequent_tokens()
        self.speaker = Speaker(model, self._packer, tokenizer, frequent)
        self._head = SampledHead(model.embedding, frequent, negatives)
        self._examination = Examination(self, dev, recipe.examined, recipe.seed)
        lora, looking = list(model.adapter().values()), [p for p in encoder.parameters() if p.requires_grad]
        self._parameters = [*lora, *connector.parameters(), *looking]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": lora, "rate": recipe.lora_rate},
                {"params": list(connector.parameters()), "rate": recipe.connector_rate},
                {"params": looking, "rate": recipe.encoder_rate},
            ],
            betas=(0.9, 0.98),
            weight_decay=0.01,
            fused=self.device.type == "cuda",
        )
        self.step = 0
        self._encoder_trained = recipe.encoder_stages > 0

    @property
    def steps(self) -> int:
        return self.recipe.steps + self.recipe.self_critical_steps

    def images(self, slots: Sequence[Slot], views: Sequence[View]) -> Tensor:
        """Image tokens [B, tokens, hidden] of these views of what is shown."""
        pixels = show(np.stack([slot.picture for slot in slots]), views, self.device)
        tokens: Tensor = self.connector(self.encoder(pixels))
        return tokens

    def pack(self, lessons: Sequence[Lesson]) -> PackedPhoto:
        return self._packer.pack(lessons)

    def losses(self, images: Tensor, packed: Sequence[PackedPhoto], rng: np.random.Generator) -> Losses:
        """The losses of packed lessons about `images`."""
        states, targets = states_and_targets(self.model(*self._inputs(images, packed)), packed)
        return losses(self._head.log_probabilities(states, targets, rng), packed)

    def _inputs(self, images: Tensor, packed: Sequence[PackedPhoto]) -> tuple[Tensor, Tensor, Tensor]:
        def stacked(name: str) -> Tensor:
            return on_device(np.stack([getattr(one, name) for one in packed]), self.device)

        x = self.model.embedding[stacked("ids")]
        x[:, self._image] = images
        sees = stacked("sees")
        return x, stacked("positions"), torch.zeros(sees.shape, device=self.device).masked_fill_(~sees, float("-inf"))

    def frequent_tokens(self) -> npt.NDArray[np.int64]:
        """The tokens of the answers of many lessons."""
        seen = np.zeros(len(self.model.embedding), np.int64)
        looks = max(1, _LOOKED_THROUGH // self.recipe.batch)
        for step in range(0, max(1, self.recipe.steps), max(1, self.recipe.steps // looks)):
            for lessons in self._batches.lessons(step):
                for lesson in lessons:
                    if lesson.kind != "reading":
                        for answer in (*lesson.answers, *lesson.wrong):
                            seen[self._packer.answer_ids(answer)] += 1
        return np.flatnonzero(seen)

    def prepare(self) -> None:
        """Round the frozen weights as the recipe says and compile the layer. Call once, after any `resume`."""
        precision = self.recipe.precision or ("int8" if self.device.type == "cpu" else "bf16")
        if precision == "int8":
            batch = self._batches.make(0)
            with torch.no_grad():
                images = self.images(self._batches.slots(0), batch.views)
                self.model.quantize(*self._inputs(images, batch.packed))
        elif precision == "bf16":
            self.model.to_bfloat16()
        self.model.step = torch.compile(Layer.forward)

    def train_step(self, batch: Batch | None = None) -> dict[str, Tensor]:
        """One step, on `batch` if it has been made already; returns its losses by name. Asking a GPU for their values
        waits for it, so ask seldom."""
        batch = batch or self._batches.make(self.step)
        slots, packed = self._batches.slots(self.step), batch.packed
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout and of drawn captions
        if self.step >= self.recipe.steps and self._critic is not None:
            packed = self._with_own_captions(slots, batch)
        self.model.train()
        found = self.losses(
            self.images(slots, batch.views), packed, np.random.default_rng([self.recipe.seed, self.step])
        )
        self.model.eval()
        loss = found.told
        if found.chosen is not None:
            loss = loss + self.recipe.choice_weight * found.chosen
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._schedule()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        return found.figures()

    def _with_own_captions(self, slots: Sequence[Slot], batch: Batch) -> list[PackedPhoto]:
        """The lessons, with what the model itself says in place of what people wrote, weighted by how good it is."""
        assert self._critic is not None
        rows = [i for i, each in enumerate(batch.lessons) if each and each[0].kind == "description"]
        if not rows:
            return batch.packed
        with torch.no_grad():
            images = self.images([slots[i] for i in rows], [batch.views[i] for i in rows])
        asked = batch.lessons[rows[0]][0].question
        said = self.speaker.say(images, asked, samples=self.recipe.samples, greedy=False)
        packed = list(batch.packed)
        for i, captions in zip(rows, said, strict=True):
            rewards = self._critic.advantages(captions, slots[i].photo.captions)
            advantages = tuple(self.recipe.reward_scale * reward for reward in rewards)
            own = replace(batch.lessons[i][0], question=asked, answers=tuple(captions), weights=advantages)
            packed[i] = self.pack([own, *batch.lessons[i][1:]])
        return packed

    def _schedule(self) -> float:
        if self.step >= self.recipe.steps:
            left = 1 - (self.step - self.recipe.steps) / max(1, self.recipe.self_critical_steps)
            return self.recipe.self_critical_rate * max(0.1, left)
        warm = min(1.0, (self.step + 1) / _WARM_UP)
        return warm * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * self.step / self.recipe.steps)))

    def run(self) -> None:
        """Train to the end of the recipe, writing a checkpoint and a line of `log.jsonl` every 50 steps."""
        columns = (TextColumn("training, loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn()) as progress:
            bar = progress.add_task("", total=self.steps, completed=self.step, loss=float("nan"))
            records: list[dict[str, Tensor]] = []
            started = time.monotonic()
            for batch in self._batches.ahead(range(self.step, self.steps), self.recipe.workers):
                records.append(self.train_step(batch))
                progress.update(bar, completed=self.step)
                if self.step % _TOLD_EVERY == 0:
                    progress.update(bar, loss=float(records[-1]["loss"]))
                if self.step % _CHECKPOINT_EVERY == 0 or self.step == self.steps:
                    seconds = (time.monotonic() - started) / len(records)
                    record: dict[str, object] = {"step": self.step, "seconds_a_step": round(seconds, 2)}
                    for name in dict.fromkeys(name for each in records for name in each):
                        values = torch.stack([each[name] for each in records if name in each])
                        record[name] = round(float(values.mean()), 4)
                    if self.step % _EXAMINE_EVERY == 0 or self.step == self.steps:
                        record |= self._examination.sit()
                    with (self.out / "log.jsonl").open("a") as log:
                        log.write(json.dumps(record) + "\n")
                    draw_curves(self.out / "log.jsonl", self.out / "curves.svg")
                    self.save()
                    records, started = [], time.monotonic()

    def trained(self) -> dict[str, Tensor]:
        """The trainable tensors by their names in the adapter file."""
        out = {f"con.{name}": value for name, value in self.connector.state_dict().items()}
        out |= {name: value.detach() for name, value in self.model.adapter().items()}
        if self._encoder_trained:
            out |= {f"enc.{name}": value.detach() for name, value in self.encoder.tensors().items()}
        return out

    def save(self) -> None:
        """Write `adapter.safetensors` (float16) and, for `resume`, `checkpoint.pt`; each replaced in one step."""
        halves = {name: value.to("cpu", torch.float16).contiguous() for name, value in self.trained().items()}
        (self.out / "adapter.partial").write_bytes(save(halves))
        (self.out / "adapter.partial").rename(self.out / "adapter.safetensors")
        state = {"step": self.step, "trained": self.trained(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, self.out / "checkpoint.partial")
        (self.out / "checkpoint.partial").rename(self.out / "checkpoint.pt")

    def resume(self) -> bool:
        """Go on from `checkpoint.pt` if there is one."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return False
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.step = state["step"]
        self.start_from(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def start_from(self, trained: Mapping[str, Tensor]) -> None:
        """Take the trainable tensors, by their names in the adapter file, from somewhere else.

        An encoder that was not trained there stays as it is.
        """
        self._encoder_trained |= any(name.startswith("enc.") for name in trained)
        with torch.no_grad():
            for name, value in self.trained().items():
                if name in trained or not name.startswith("enc."):
                    value.copy_(trained[name])
