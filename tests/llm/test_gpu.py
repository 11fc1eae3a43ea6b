"""On an NVIDIA GPU: caches that stay in its memory, steps that it replays, answers as on the processor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lorgnette.device.frame import Frame
from lorgnette.device.memory import HOST
from lorgnette.device.provider import CUDA, choose_provider, why_no_cuda
from lorgnette.device.session import OnnxSession
from lorgnette.export.assembly import Assembly, Plan, assemble
from lorgnette.export.precision import PRECISIONS
from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.decoder import Decoder
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.llm.sampling import SamplingSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(why_no_cuda()), reason=f"no GPU: {why_no_cuda()}"),
]


@pytest.fixture(scope="module", params=["fp16", "int4f16"])
def halved(tiny: Assembly, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    """The tiny model in half precision, and in fp32 beside it."""
    folder = tmp_path_factory.mktemp("halved")
    half, whole = PRECISIONS[request.param], PRECISIONS["fp32"]
    return assemble(tiny, folder, Plan(decoder=(half, whole), vision=(whole,)), "test", "test")


def open_decoder(bundle: ModelBundle, provider: str = CUDA) -> Decoder:
    session = OnnxSession(bundle.path("decoder_model_merged"), provider=provider, replays=True)
    return Decoder(session, bundle.decoder)


def replayed(decoder: Decoder) -> bool:
    return decoder._session.replays


def logits_of(decoder: Decoder, embeds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Logits [steps, vocabulary] behind 20 positions, one position at a time."""
    cache = decoder.new_cache()
    steps = [decoder.append(embeds[:20], cache)]
    steps += [decoder.append(row[None], cache) for row in embeds[20:]]
    return np.stack(steps)


def test_half_precision_takes_the_gpu_by_itself() -> None:
    assert choose_provider("auto", half=True) == CUDA
    assert choose_provider("auto", half=False) == "cpu"


def test_steps_replayed_or_not_or_by_copying_are_as_on_the_processor(halved: ModelBundle) -> None:
    embeds = np.random.default_rng(0).standard_normal((120, halved.decoder.hidden)).astype(np.float32)
    decoder = open_decoder(halved)
    assert decoder.in_place and replayed(decoder)
    assert decoder.new_cache().memory is not HOST
    expected = logits_of(open_decoder(halved, "cpu"), embeds)
    # The processor rounds what it multiplies 4-bit weights with to 8 bits, and a GPU does not.
    tolerance = (0.06 if halved.default_suffix["decoder_model_merged"] == "_q4f16" else 0.02) * np.abs(expected).max()
    # The 32nd step of one position and those behind it are replayed.
    assert np.abs(logits_of(decoder, embeds) - expected).max() < tolerance
    decoder.in_place = False
    assert np.abs(logits_of(decoder, embeds) - expected).max() < tolerance


def test_a_grown_and_a_copied_cache_go_on(halved: ModelBundle) -> None:
    decoder = open_decoder(halved)
    embeds = np.random.default_rng(1).standard_normal((60, halved.decoder.hidden)).astype(np.float32)
    whole = logits_of(decoder, embeds)[-1]
    original = decoder.new_cache()
    decoder.append(embeds[:59], original)
    copy = decoder.new_cache()
    copy.copy_from(original)
    decoder.append(embeds[:30], original)
    assert np.abs(decoder.append(embeds[59:], copy) - whole).max() < 0.02 * np.abs(whole).max()


def test_what_was_recorded_answers_as_what_was_not(halved: ModelBundle) -> None:
    endless = replace(halved, prompt=replace(halved.prompt, stop_ids=()))
    sampling = SamplingSettings(temperature=1.0, seed=4)  # the likeliest tokens soon repeat one another
    settings = EngineSettings(max_new_tokens=40, sampling=sampling, provider=CUDA)
    pictures = [Frame(np.random.default_rng(i).integers(0, 256, (90, 120, 3), dtype=np.uint8)) for i in range(2)]
    asked = [Prompt("what is that?", picture) for picture in (*pictures, *pictures)]
    lasting = OnnxEngine(endless, settings)
    first = [ids(lasting, prompt) for prompt in asked]
    assert [ids(OnnxEngine(endless, settings), prompt) for prompt in asked[:1]] == first[:1]
    assert first[2:] == first[:2]
    assert len(first[0]) == 40


def test_one_thread_looks_while_another_records(halved: ModelBundle) -> None:
    """CUDA lets nobody ask a GPU for memory while a thread records on it."""
    endless = replace(halved, prompt=replace(halved.prompt, stop_ids=()))
    sampling = SamplingSettings(temperature=1.0, seed=4)
    engine = OnnxEngine(endless, EngineSettings(max_new_tokens=40, sampling=sampling, provider=CUDA))
    pixels = np.random.default_rng(3).integers(0, 256, (40, 90, 120, 3), dtype=np.uint8)
    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(lambda: [engine.look(Frame(one)) for one in pixels])
        answers = [ids(engine, Prompt("what is that?")) for _ in range(3)]
        assert not any(look.cached for look in looks.result())
    assert [len(answer) for answer in answers] == [40] * 3


def ids(engine: OnnxEngine, prompt: Prompt) -> list[int]:
    return [token.id for token in engine.stream(prompt, CancelScope())]
