"""Fixtures for tests of checkpoints: see checkpoint_box.py."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from checkpoint_box import CONFIG, Hub, safetensors, serving


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a small model, which the environment names as the hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": safetensors({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}),
        "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
        "tokenizer.json": b"{}",
        "chat_template.jinja": b"{{ x }}",
        "merges.txt": b"a b\n",
        "LICENSE": b"free",
        "pytorch_model.bin": b"\x80\x02evil",
        "consolidated.safetensors": b"twice",
        "onnx/model.onnx": b"big",
        "onnx/config.json": b"{}",
        "training_args.bin": b"\x80",
        "photo.jpg": b"jpg",
    }
    with serving(Hub(files=files)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
