"""The training loop of the embedded model: connector and LoRA learn from lessons about photographs."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from lorgnette.export.train.courses import Course, Mixture, Slot
from lorgnette.export.train.curves import draw_curves
from lorgnette.export.train.examination import Examination
from lorgnette.export.train.language_model import LanguageModel, Layer
from lorgnette.export.train.lessons import Lesson
from lorgnette.export.train.objective import Losses, SampledHead, losses, states_and_targets
from lorgnette.export.train.packing import PackedPhoto, Packer
from lorgnette.export.train.recipe import Recipe
from lorgnette.export.train.self_critical import Critic, Speaker

_WARM_UP = 40
_CHECKPOINT_EVERY = 50
_EXAMINE_EVERY = 200
_LAST_RATE = 0.02


class Trainer:
    """Owns the trainable parts, the optimiser and the checkpoint of one run in `out`.

    `negatives` is how many of the tokens that answers seldom hold are drawn for each step's loss.
    """

    def __init__(
        self,
        model: LanguageModel,
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
        self.model, self.connector = model.to(self.device), connector.to(self.device)
        self.recipe, self.out = recipe, out
        self._packer = Packer(tokenizer, TOKENS, recipe.length)
        self._image = slice(self._packer.image_start, self._packer.image_start + TOKENS)
        self._mixture = Mixture(courses, recipe.mixture, recipe.batch, recipe.seed)
        captions = [photo.captions for course in courses[:1] for photo in course.photos]
        self._critic = Critic(captions) if captions and captions[0] else None
        frequent = self.frequent_tokens()
        self.speaker = Speaker(model, self._packer, tokenizer, frequent)
        self._head = SampledHead(model.embedding, frequent, negatives)
        self._examination = Examination(self, dev, recipe.seed)
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

    @property
    def steps(self) -> int:
        return self.recipe.steps + self.recipe.self_critical_steps

    def images(self, slots: Sequence[Slot]) -> Tensor:
        """Image tokens [B, tokens, hidden] of what is shown."""
        cells = torch.from_numpy(np.stack([slot.course.cells(slot.shown) for slot in slots])).to(self.device)
        tokens: Tensor = self.connector(cells)
        return tokens

    def pack(self, lessons: Sequence[Lesson]) -> PackedPhoto:
        return self._packer.pack(lessons)

    def losses(self, images: Tensor, packed: Sequence[PackedPhoto], rng: np.random.Generator) -> Losses:
        """The losses of packed lessons about `images`."""
        states, targets = states_and_targets(self.model(*self._inputs(images, packed)), packed)
        return losses(self._head.log_probabilities(states, targets, rng), packed)

    def _inputs(self, images: Tensor, packed: Sequence[PackedPhoto]) -> tuple[Tensor, Tensor, Tensor]:
        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(one, name) for one in packed])).to(self.device)

        x = self.model.embedding[stacked("ids")]
        x[:, self._image] = images
        sees = stacked("sees")
        return x, stacked("positions"), torch.zeros(sees.shape, device=self.device).masked_fill_(~sees, float("-inf"))

    def _lessons(self, slots: Sequence[Slot], step: int) -> list[list[Lesson]]:
        rng = random.Random(f"{self.recipe.seed} step {step}")
        return [slot.lessons(rng) for slot in slots]

    def frequent_tokens(self) -> npt.NDArray[np.int64]:
        """The tokens of the answers of many lessons."""
        seen = np.zeros(len(self.model.embedding), np.int64)
        for step in range(0, max(1, self.recipe.steps), max(1, self.recipe.steps // 150)):
            for lessons in self._lessons(self._mixture.slots(step), step):
                for lesson in lessons:
                    if lesson.kind != "reading":
                        for answer in (*lesson.answers, *lesson.wrong):
                            seen[self._packer.answer_ids(answer)] += 1
        return np.flatnonzero(seen)

    def prepare(self) -> None:
        """Round the frozen weights as the recipe says and compile the layer. Call once, after any `resume`."""
        precision = self.recipe.precision or ("int8" if self.device.type == "cpu" else "bf16")
        if precision == "int8":
            slots = self._mixture.slots(0)
            with torch.no_grad():
                packed = [self.pack(lessons) for lessons in self._lessons(slots, 0)]
                self.model.quantize(*self._inputs(self.images(slots), packed))
        elif precision == "bf16":
            self.model.to_bfloat16()
        self.model.step = torch.compile(Layer.forward)

    def train_step(self) -> dict[str, float]:
        """One step; returns its losses by name."""
        slots = self._mixture.slots(self.step)
        lessons = self._lessons(slots, self.step)
        critical = self.step >= self.recipe.steps and self._critic is not None
        if critical:
            lessons = self._with_own_captions(slots, lessons)
        images = self.images(slots)
        packed = [self.pack(each) for each in lessons]
        found = self.losses(images, packed, np.random.default_rng([self.recipe.seed, self.step]))
        loss = found.told
        if not math.isnan(found.right):
            loss = loss + self.recipe.choice_weight * found.chosen
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._schedule()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        values = torch.stack([found.told, found.chosen]).tolist()
        return {"loss": values[0], "choice_loss": values[1], "choice_right": found.right}

    def _with_own_captions(self, slots: Sequence[Slot], lessons: list[list[Lesson]]) -> list[list[Lesson]]:
        """The lessons, with what the model itself says in place of what people wrote, weighted by how good it is."""
        assert self._critic is not None
        rows = [i for i, each in enumerate(lessons) if each and each[0].kind == "description"]
        if not rows:
            return lessons
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        with torch.no_grad():
            images = self.images([slots[i] for i in rows])
        asked = lessons[rows[0]][0].question
        said = self.speaker.say(images, asked, samples=self.recipe.samples, greedy=False)
        out = list(lessons)
        for i, captions in zip(rows, said, strict=True):
            photo = slots[i].course.photos[slots[i].shown.place]
            rewards = self._critic.advantages(captions, photo.captions)
            advantages = tuple(self.recipe.reward_scale * reward for reward in rewards)
            own = replace(lessons[i][0], question=asked, answers=tuple(captions), weights=advantages)
            out[i] = [own, *lessons[i][1:]]
        return out

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
            records: list[dict[str, float]] = []
            started = time.monotonic()
            while self.step < self.steps:
                records.append(self.train_step())
                progress.update(bar, completed=self.step, loss=float(np.mean([r["loss"] for r in records[-20:]])))
                if self.step % _CHECKPOINT_EVERY == 0 or self.step == self.steps:
                    seconds = (time.monotonic() - started) / len(records)
                    record: dict[str, object] = {"step": self.step, "seconds_a_step": round(seconds, 2)}
                    for name in records[0]:
                        values = [r[name] for r in records if not math.isnan(r[name])]
                        if values:
                            record[name] = round(float(np.mean(values)), 4)
                    if self.step % _EXAMINE_EVERY == 0 or self.step == self.steps:
                        record |= self._examination.sit()
                    with (self.out / "log.jsonl").open("a") as log:
                        log.write(json.dumps(record) + "\n")
                    draw_curves(self.out / "log.jsonl", self.out / "curves.svg")
                    self.save()
                    records, started = [], time.monotonic()

    def trained(self) -> dict[str, Tensor]:
        """The trainable tensors by their names in the adapter file."""
        connector = {f"con.{name}": value for name, value in self.connector.state_dict().items()}
        return connector | {name: value.detach() for name, value in self.model.adapter().items()}

    def save(self) -> None:
        """Write `adapter.safetensors` (float16) and, for `resume`, `checkpoint.pt`; each replaced in one step."""
        halves = {name: value.to("cpu", torch.float16).contiguous() for name, value in self.trained().items()}
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
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.step = state["step"]
        self.start_from(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def start_from(self, trained: Mapping[str, Tensor]) -> None:
        """Take the trainable tensors, by their names in the adapter file, from somewhere else."""
        with torch.no_grad():
            for name, value in self.trained().items():
                value.copy_(trained[name])
