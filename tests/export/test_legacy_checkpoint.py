"""The checkpoint reader against files that PyTorch itself wrote, and against files that want more than tensors."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorgnette.device.errors import InputError
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint

torch = pytest.importorskip("torch")


def save(value: Any, path: Path) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def test_reads_what_pytorch_wrote(tmp_path: Path) -> None:
    table = torch.randn(5, 7)
    state = OrderedDict(table=table, transposed=table.t(), row=table[3], half=table.half(), count=torch.tensor([4]))
    found = read_legacy_checkpoint(save(state, tmp_path / "state.pth"))
    assert list(found) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value.numpy())


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def test_never_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="mkdir"):
        read_legacy_checkpoint(save({"weights": Evil()}, tmp_path / "evil.pth"))
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="mkdir"):
        read_legacy_checkpoint(tmp_path / "plain.pth")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("keep", [0, 40, 300, -8])
def test_refuses_a_file_that_is_cut_short(tmp_path: Path, keep: int) -> None:
    path = save({"table": torch.randn(30, 30)}, tmp_path / "state.pth")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError):
        read_legacy_checkpoint(path)
