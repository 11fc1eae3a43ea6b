"""What a decoder session is fed to compute a prompt from its beginning, with nothing in the cache."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from lorgnette.device.session import Array, OnnxSession
from lorgnette.export.llama import FloatArray
from lorgnette.llm.bound_cache import LOGITS_KEPT


def whole_prompt(session: OnnxSession, rows: FloatArray, logits_kept: int = 1) -> dict[str, Array]:
    """The feeds for embedding `rows` [S, hidden]: logits of the last `logits_kept` positions, 0 for all."""
    past = [spec for name, spec in session.inputs.items() if name.startswith("past_key_values")]
    empty = {spec.name: np.zeros(cast(Any, (1, spec.shape[1], 0, spec.shape[3])), spec.dtype) for spec in past}
    return {
        "inputs_embeds": rows[None],
        "attention_mask": np.ones((1, len(rows)), np.int64),
        "position_ids": np.arange(len(rows), dtype=np.int64)[None],
        LOGITS_KEPT: np.array([logits_kept], np.int64),
        **empty,
    }
