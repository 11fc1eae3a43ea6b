"""The model in PyTorch, through transformers: what every bundle is measured against where it can be.

Needs the `export` extra. The weights are those of the opened checkpoint, so that a LoRA that was merged is in them.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

import numpy as np

from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.llama import WeightsFormatError
from lorgnette.export.verification.subject import Case, FloatArray


class PytorchReference:
    """A `Model` in float32 on the CPU. Raises `WeightsFormatError` if transformers does not take the weights, and
    ImportError where it is not installed."""

    def __init__(self, checkpoint: Checkpoint, stop_ids: tuple[int, ...]) -> None:
        torch, transformers = (cast(Any, importlib.import_module(name)) for name in ("torch", "transformers"))
        self._torch = torch
        self._stop_ids = list(stop_ids)
        config = transformers.AutoConfig.from_pretrained(checkpoint.folder)
        self._sees = hasattr(config, "vision_config")
        auto = transformers.AutoModelForImageTextToText if self._sees else transformers.AutoModelForCausalLM
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        try:
            self._model: Any = auto.from_pretrained(checkpoint.folder, dtype=torch.float32).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise WeightsFormatError(
                f"transformers does not open {checkpoint.origin.name}: {error}", "leave --reference out"
            ) from error
        if checkpoint.origin.lora:
            self._take(checkpoint)

    def features(self, pixels: FloatArray) -> FloatArray:
        with self._torch.no_grad():
            found = self._model.model.get_image_features(**self._picture(pixels))
        states = getattr(found, "pooler_output", found)
        if not isinstance(states, self._torch.Tensor):
            states = self._torch.cat(list(states))
        return np.asarray(states.reshape(-1, states.shape[-1]).numpy(), np.float32)

    def logits(self, case: Case, answer: list[int]) -> FloatArray:
        inputs = self._inputs(case, answer)
        with self._torch.no_grad():
            found = self._model(**inputs, logits_to_keep=len(answer) + 1).logits[0]
        return np.asarray(found.numpy(), np.float32)

    def greedy(self, case: Case, count: int) -> list[int]:
        inputs = self._inputs(case, [])
        with self._torch.no_grad():
            generated = self._model.generate(
                **inputs, max_new_tokens=count, do_sample=False, eos_token_id=self._stop_ids, pad_token_id=0
            )
        return [int(token) for token in generated[0, len(case.ids) :]]

    def _inputs(self, case: Case, answer: list[int]) -> dict[str, Any]:
        ids = self._torch.tensor([[*case.ids, *answer]])
        found = {"input_ids": ids, "attention_mask": self._torch.ones_like(ids)}
        return found if case.pixels is None else found | self._picture(case.pixels)

    def _picture(self, pixels: FloatArray) -> dict[str, Any]:
        values = self._torch.from_numpy(np.ascontiguousarray(pixels))[None]
        mask = self._torch.ones((1, len(pixels), *pixels.shape[-2:]), dtype=self._torch.long)
        return {"pixel_values": values, "pixel_attention_mask": mask}

    def _take(self, checkpoint: Checkpoint) -> None:
        """The weights with what was merged into them."""
        with self._torch.no_grad():
            for name, parameter in self._model.named_parameters():
                if name in checkpoint.tensors:
                    parameter.copy_(self._torch.from_numpy(checkpoint.tensors[name]))
