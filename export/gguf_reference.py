"""The model of a GGUF file in PyTorch, as transformers itself reads the file: its own names and row order.

Only the model: transformers' tokenizer of such a file begins texts with a token that this one does not.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

from lorgnette.export.checkpoint.folder import Checkpoint
from lorgnette.export.checkpoint.gguf_file import SUFFIX
from lorgnette.export.llama import WeightsFormatError
from lorgnette.export.verification.pytorch_reference import PytorchReference


class GgufReference(PytorchReference):
    """A `Model` in float32 on the CPU. Raises `WeightsFormatError` if transformers does not take the file, and
    ImportError where it is not installed."""

    def __init__(self, checkpoint: Checkpoint, stop_ids: tuple[int, ...]) -> None:
        names = ("torch", "transformers", "transformers.modeling_gguf_pytorch_utils")
        torch, transformers, reading = (cast(Any, importlib.import_module(name)) for name in names)
        self._torch, self._sees = torch, False
        self._stop_ids = list(stop_ids)
        (file,) = (name for name in checkpoint.origin.files if name.endswith(SUFFIX))
        transformers.logging.set_verbosity_error()
        try:
            config = transformers.AutoConfig.from_pretrained(checkpoint.folder, gguf_file=file)
            self._model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
            # What `from_pretrained(gguf_file=...)` does, which asks for accelerate to do it.
            found = reading.load_gguf_checkpoint(
                str(checkpoint.folder / file), return_tensors=True, model_to_load=self._model
            )["tensors"]
            tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
            missing = set(self._model.load_state_dict(found, strict=False).missing_keys) - tied
            if missing:
                raise ValueError(f"it does not find {sorted(missing)[0]}")
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise WeightsFormatError(
                f"transformers does not read {checkpoint.origin.name}: {error}", "leave it out with --no-pytorch"
            ) from error
        if checkpoint.origin.lora:
            self._take(checkpoint)
