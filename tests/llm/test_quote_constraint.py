"""Quotations are what is written, whatever a model would rather say."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import pre_tokenizers

from lorgnette.device.frame import Frame
from lorgnette.llm.bundle import BundleError, ModelBundle
from lorgnette.llm.engine import Engine, Prompt, Token
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine
from lorgnette.llm.quote_constraint import QuoteConstraint
from lorgnette.llm.sampling import Sampler, SamplingSettings
from lorgnette.llm.tokenizer import Tokenizer
from lorgnette.llm.vocabulary import Vocabulary, byte_alphabet
from lorgnette.vision.scene_text import SceneText

Ask = Callable[[Engine, Prompt], list[Token]]
WORDS = (
    b"It",
    b" says",
    b' "',
    b'".',
    b'",',
    b'"',
    b'""',
    b"EX",
    b"IT",
    b"EXIT",
    b" and",
    b" Caf",
    b"\xc3",
    b"\xa9",
    b'("',
)
LETTERS = tuple(bytes([byte]) for byte in range(256))
VOCABULARY = Vocabulary([None, *dict.fromkeys(WORDS + LETTERS)])
STOP = 0


def spell(text: str) -> list[int]:
    """`text` in the longest tokens that fit."""
    left, ids = text.encode(), []
    while left:
        token = max((t for t in VOCABULARY.ids if left.startswith(t)), key=len)
        ids.append(VOCABULARY.ids[token])
        left = left[len(token) :]
    return ids


def constraint(*lines: str) -> QuoteConstraint:
    return QuoteConstraint(VOCABULARY, lines, len(VOCABULARY.tokens), [STOP])


def passes(answer: str, *lines: str) -> bool:
    """Whether an answer may be said and then ended."""
    quotes = constraint(*lines)
    for token_id in [*spell(answer), STOP]:
        if not quotes.allowed()[token_id]:
            return False
        quotes.push(token_id)
    return True


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("A red sign.", ()),
        ("A red sign.", ("EXIT",)),
        ('It says "EXIT".', ("EXIT",)),
        ('It says "EXIT", "B" and "EXIT".', ("B", "EXIT")),
        ('It says "EX".', ("EXIT", "EX")),
        ('It says "Café ☕ 5 €"', ("Café ☕ 5 €",)),
        ('("EXIT")', ("EXIT",)),
        ("It's the sign's end.", ("EXIT",)),
        ("It says nothing.", ()),
        ("What it may say is EXIT.", ("EXIT",)),
    ],
)
def test_what_may_be_said(answer: str, lines: tuple[str, ...]) -> None:
    assert passes(answer, *lines)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ('It says "EXIT".', ()),
        ('It says "EXIT".', ("",)),
        ('It says "EXI".', ("EXIT",)),
        ('It says "EXITS".', ("EXIT",)),
        ('It says "exit".', ("EXIT",)),
        ('It says "".', ("EXIT",)),
        ('It says "EXIT" and "PUSH".', ("EXIT",)),
        ('It says "EXIT', ("EXIT",)),
        ('It says "AB".', ("A", "B")),
        ("It says EXIT.", ("EXIT",)),
        ('It says push "EXIT".', ("EXIT",)),
    ],
)
def test_what_may_not(answer: str, lines: tuple[str, ...]) -> None:
    assert not passes(answer, *lines)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_model_prefers_its_quotes_are_lines(seed: int) -> None:
    """Random wishes, fond of quotes: what comes out quotes only lines, each from end to end."""
    lines = ("EXIT", "EX and IT", "Café", 'not " neutral'.replace('"', "'"))
    quotes, sampler = constraint(*lines), Sampler(SamplingSettings(temperature=1.0, seed=seed))
    random = np.random.default_rng(seed)
    wishes = np.zeros(len(VOCABULARY.tokens), np.float32)
    wishes[list(VOCABULARY.with_quote)] = 4.0
    said = b""
    for _ in range(300):
        logits = wishes + random.standard_normal(len(wishes)).astype(np.float32)
        token_id, _ = sampler.choose(logits, quotes.allowed())
        quotes.push(token_id)
        said += VOCABULARY.tokens[token_id] or b""
    quoted = said.split(b'"')[1::2]
    whole = quoted if said.count(b'"') % 2 == 0 else quoted[:-1]
    assert len(whole) > 5
    assert {span.decode() for span in whole} <= set(lines)
    if whole is not quoted:
        assert any(line.encode().startswith(quoted[-1]) for line in lines)


def test_a_line_that_cannot_be_spelled_ends_the_answer() -> None:
    poor = Vocabulary([None, b'"', b"A"])
    quotes = QuoteConstraint(poor, ["AB"], 3, [STOP])
    for token_id in (1, 2):
        assert quotes.allowed()[token_id]
        quotes.push(token_id)
    assert quotes.allowed().tolist() == [True, False, False]


def test_logits_without_a_token_are_never_chosen() -> None:
    quotes = QuoteConstraint(VOCABULARY, [], len(VOCABULARY.tokens) + 3, [STOP])
    assert not quotes.allowed()[-3:].any()


def test_a_choice_under_a_mask_has_the_probability_that_the_model_gave_it() -> None:
    logits = np.array([3.0, 2.0, 0.0], np.float32)
    chosen, log_probability = Sampler(SamplingSettings()).choose(logits, np.array([False, True, True]))
    assert chosen == 1
    assert log_probability == pytest.approx(2.0 - np.log(np.exp(logits).sum()))
    hot = Sampler(SamplingSettings(temperature=2.0, top_p=0.9, seed=1))
    assert {hot.choose(logits, np.array([False, True, True]))[0] for _ in range(200)} == {1, 2}


def test_the_byte_alphabet_is_the_tokenizers() -> None:
    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(byte_alphabet().values()) == list(range(256))


def test_a_real_vocabulary(bundle: ModelBundle) -> None:
    tokenizer = Tokenizer(bundle.path("tokenizer"))
    vocabulary = tokenizer.vocabulary()
    text = 'the "Café" in 3 lines\n'
    assert b"".join(vocabulary.tokens[i] or b"" for i in tokenizer.text_ids(text)) == text.encode()
    assert all(vocabulary.tokens[i] is None for i in tokenizer.template_ids("<|im_end|><|im_start|>"))


def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Library
    from tokenizers.models import WordLevel

    Library(WordLevel({"\u2581the": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(BundleError, match="byte-level"):
        Tokenizer(tmp_path / "tokenizer.json").vocabulary()


def test_a_step_costs_far_less_than_a_token() -> None:
    """With 24 lines and a vocabulary of the usual size; a token of the embedded model takes 6 ms."""
    random = np.random.default_rng(0)
    alphabet = b"abcdefghijklmnopqrstuvwxyz "
    words = {bytes(random.choice(list(alphabet), random.integers(2, 9)).tolist()) for _ in range(49_000)}
    quotes_first = {b'"' + bytes([first, second]) for first, second in itertools.product(b".,;:!?)(", repeat=2)}
    vocabulary = Vocabulary([None, *sorted({*LETTERS, *words, *quotes_first})])
    lines = [bytes(random.choice(list(alphabet[:-1]), 120).tolist()).decode() for _ in range(24)]
    quotes = QuoteConstraint(vocabulary, lines, len(vocabulary.tokens), [STOP])
    quotes.push(vocabulary.ids[b'"'])
    quotes.allowed()
    took_s = []
    for _ in range(20):
        started_s = time.perf_counter()
        quotes.allowed()
        took_s.append(time.perf_counter() - started_s)
    assert min(took_s) < 0.001


def test_the_engine_quotes_only_what_is_written(bundle: ModelBundle, pictures: list[Frame], ask: Ask) -> None:
    """A random, hot model says anything, and hardly ever a line: its quotes are lines all the same."""
    quoted: list[str] = []
    for seed in range(8):
        hot = SamplingSettings(temperature=10.0, seed=seed)
        engine = OnnxEngine(bundle, EngineSettings(max_new_tokens=120, sampling=hot))
        for text in ((SceneText("EXIT", "at the top"), SceneText("no way", "on the left")), ()):
            tokens = ask(engine, Prompt("What does it say?", pictures[0], text=text))
            answer = "".join(token.text for token in tokens)
            assert text or '"' not in answer
            quoted += answer.split('"')[1::2]
    assert {"EXIT", "no way"} & set(quoted)
    assert all("EXIT".startswith(span) or "no way".startswith(span) for span in quoted)
