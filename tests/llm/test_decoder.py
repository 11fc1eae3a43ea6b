"""The decoder over its cache: in place and by copying alike, in pieces, rewound, grown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.memory import DeviceMemory
from lorgnette.device.session import OnnxSession, SessionError
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.kv_cache import Conversation, KvCache


class DeviceDecoder(Decoder):
    """One whose caches are kept as a GPU's are, in the processor's memory: all that happens there but the kernels."""

    def new_cache(self, capacity: int = 64) -> KvCache:
        memory = DeviceMemory("cpu")
        return (
            KvCache(self._geometry, self._kv_dtype, capacity, memory) if self.in_place else super().new_cache(capacity)
        )


@pytest.fixture(scope="module", params=[Decoder, DeviceDecoder])
def decoder(bundle: ModelBundle, request: pytest.FixtureRequest) -> Decoder:
    made: Decoder = request.param(OnnxSession(bundle.path("decoder_model_merged")), bundle.decoder)
    return made


@pytest.fixture(scope="module")
def embeds(bundle: ModelBundle) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((100, bundle.decoder.hidden)).astype(np.float32)


def test_our_graphs_are_written_in_place(decoder: Decoder) -> None:
    assert decoder.in_place


def test_in_place_and_by_copying_are_the_same_to_the_bit(
    bundle: ModelBundle, decoder: Decoder, embeds: npt.NDArray[np.float32]
) -> None:
    copying = Decoder(OnnxSession(bundle.path("decoder_model_merged")), bundle.decoder)
    copying.in_place = False
    one, other = decoder.new_cache(8), copying.new_cache(8)
    for start, end in [(0, 20), (20, 21), (21, 22), (22, 60), (60, 61)]:
        assert np.array_equal(decoder.append(embeds[start:end], one), copying.append(embeds[start:end], other))
    for mine, theirs in zip(one.buffers, other.buffers, strict=True):
        assert np.array_equal(one.memory.fetch(mine)[:, :, :61], theirs[:, :, :61])


def test_pieces_give_the_logits_of_the_whole(decoder: Decoder, embeds: npt.NDArray[np.float32]) -> None:
    whole = decoder.append(embeds, decoder.new_cache())
    cache = decoder.new_cache()
    for start in range(0, 100, 7):
        logits = decoder.append(embeds[start : start + 7], cache)
    assert np.abs(logits - whole).max() <= 1e-4


def test_rewinding_is_exact(decoder: Decoder, embeds: npt.NDArray[np.float32]) -> None:
    cache = decoder.new_cache()
    decoder.append(embeds[:30], cache)
    first = decoder.append(embeds[30:40], cache)
    decoder.append(embeds[40:70], cache)
    cache.rewind(30)
    assert np.array_equal(decoder.append(embeds[30:40], cache), first)


def test_a_copied_cache_is_independent(decoder: Decoder, embeds: npt.NDArray[np.float32]) -> None:
    original, copy = decoder.new_cache(), decoder.new_cache(4)
    decoder.append(embeds[:30], original)
    copy.copy_from(original)
    expected = decoder.append(embeds[30:35], original)
    decoder.append(embeds[60:90], original)
    assert np.array_equal(decoder.append(embeds[30:35], copy), expected)


def test_the_context_is_the_limit(bundle: ModelBundle, decoder: Decoder) -> None:
    context = bundle.decoder.context
    cache = decoder.new_cache()
    decoder.append(np.zeros((context, bundle.decoder.hidden), np.float32), cache)
    assert cache.length == cache.capacity == context
    with pytest.raises(ValueError, match="context"):
        decoder.append(np.zeros((1, bundle.decoder.hidden), np.float32), cache)


def test_embeddings_of_another_width_are_a_clear_error_and_change_nothing(decoder: Decoder) -> None:
    cache = decoder.new_cache()
    with pytest.raises(SessionError, match="decoder_model_merged"):
        decoder.append(np.zeros((2, 7), np.float32), cache)
    assert cache.length == 0


def test_a_conversation_is_cut_back_to_marks_only(bundle: ModelBundle) -> None:
    conversation = Conversation(KvCache(bundle.decoder, np.dtype(np.float32)))
    beginning = KvCache(bundle.decoder, np.dtype(np.float32))
    beginning.length = 3
    conversation.restart(beginning, [1, "picture", 2])
    conversation.note([5, 6, 7])
    conversation.cache.length = 6
    conversation.mark()
    conversation.note([8])
    conversation.cache.length = 7
    assert conversation.reuse([1, "picture", 2, 5, 6, 7, 9]) == 6
    assert conversation.reuse([1, "picture", 2, 5, 6, 9]) == 3
    assert conversation.cache.length == 3
    assert conversation.reuse([1, "other", 2, 5]) == 0


def test_one_key_is_always_left_to_compute(bundle: ModelBundle) -> None:
    conversation = Conversation(KvCache(bundle.decoder, np.dtype(np.float32)))
    conversation.note([1, 2])
    conversation.cache.length = 2
    conversation.mark()
    assert conversation.reuse([1, 2]) == 0
    assert conversation.cache.length == 0


def test_a_mark_needs_as_many_keys_as_positions(bundle: ModelBundle) -> None:
    conversation = Conversation(KvCache(bundle.decoder, np.dtype(np.float32)))
    conversation.note([1])
    with pytest.raises(ValueError, match="noted"):
        conversation.mark()
