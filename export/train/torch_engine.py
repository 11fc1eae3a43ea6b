"""The embedded model's language part in PyTorch and float32, as an engine: what the quantized bundle is held against.

Pictures, prompts and the choice of tokens are the bundle's own, so that a difference is the language model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from lorgnette.device.errors import InputError
from lorgnette.device.session import Array, TensorSpec
from lorgnette.export.adapter import merge, read_adapter
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.llama import FloatArray, LlamaWeights
from lorgnette.llm.bundle import ModelBundle, hash_file
from lorgnette.llm.kv_cache import KvCache
from lorgnette.llm.manifest import DecoderGeometry
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.llm.sampling import Logits


class TorchEngine(OnnxEngine):
    """`bundle`'s model with its language part from `gguf` and `adapter`, the files that the bundle was made of.

    Raises InputError where it was made of others, WeightsFormatError where they cannot be read.
    """

    def __init__(self, bundle: ModelBundle, gguf: Path, adapter: Path, settings: EngineSettings) -> None:
        made_of = {part.sha256 for part in bundle.parts}
        for file in (gguf, adapter):
            if hash_file(file) not in made_of:
                raise InputError(f"the bundle {bundle.folder} was not made of {file}", "name the right one: --adapter")
        weights = merge(read_gguf(gguf).weights, read_adapter(adapter))
        super().__init__(
            bundle,
            settings,
            embed=TorchEmbedding(weights.embedding),
            decoder=TorchDecoder(weights, bundle.decoder, settings.threads),
        )
        self.name = f"{bundle.name}-pytorch"


class TorchEmbedding:
    """The embedding table as a session: `input_ids` [1, n] to `inputs_embeds` [1, n, hidden]."""

    def __init__(self, table: FloatArray) -> None:
        self._table = table
        self.inputs = {"input_ids": TensorSpec("input_ids", np.dtype(np.int64), (1, None))}
        shape = (1, None, table.shape[1])
        self.outputs = {"inputs_embeds": TensorSpec("inputs_embeds", np.dtype(np.float32), shape)}

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {"inputs_embeds": self._table[feeds["input_ids"]]}


class TorchDecoder:
    """A `CachedDecoder`: transformers' Llama, given the cache's rows as its past and asked for the new ones."""

    def __init__(self, weights: LlamaWeights, geometry: DecoderGeometry, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._geometry = geometry
        self._model = torch_llama(weights)

    def new_cache(self, capacity: int = 64) -> KvCache:
        return KvCache(self._geometry, np.dtype(np.float32), capacity)

    def append(self, embeds: npt.NDArray[np.floating[Any]], cache: KvCache) -> Logits:
        """See `Decoder.append`."""
        start, end = cache.length, cache.length + len(embeds)
        cache.reserve(end)
        past: Any = DynamicCache()
        pairs = list(zip(cache.buffers[::2], cache.buffers[1::2], strict=True))
        for layer, (keys, values) in enumerate(pairs if start else []):
            past.update(torch.from_numpy(keys[:, :, :start]), torch.from_numpy(values[:, :, :start]), layer)
        with torch.inference_mode():
            output = self._model(
                inputs_embeds=torch.from_numpy(np.array(embeds[None], np.float32)),
                position_ids=torch.arange(start, end)[None],
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
        for computed, (keys, values) in zip(past.layers, pairs, strict=True):
            keys[:, :, start:end] = computed.keys[:, :, start:].numpy()
            values[:, :, start:end] = computed.values[:, :, start:].numpy()
        cache.length = end
        return np.asarray(output.logits[0, -1].numpy(), dtype=np.float32)


def torch_llama(weights: LlamaWeights) -> Any:
    """Transformers' model with these weights, in float32 and for inference."""
    config = weights.config
    model: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            head_dim=config.head_dim,
            max_position_embeddings=config.context,
            rms_norm_eps=config.norm_epsilon,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=True,
            eos_token_id=None,
            bos_token_id=None,
            pad_token_id=None,
        )
    )
    state = {name: torch.from_numpy(np.array(array)) for name, array in weights.tensors.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing in ([], ["lm_head.weight"]) and unexpected == [], (missing, unexpected)
    model.tie_weights()
    return model.eval()
