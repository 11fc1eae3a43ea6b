"""Profiles: ours are whole, and a person's own has its mistakes named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorgnette.device.errors import InputError
from lorgnette.export.profile import FOLDER, profile_names, read_profile


@pytest.mark.parametrize("name", ["browser", "cpu", "cuda", "exact", "pi5", "webgpu"])
def test_ours(name: str) -> None:
    profile = read_profile(name)
    assert profile.name == name and profile.summary and profile.plan().profile == name
    assert name in profile_names()


@pytest.mark.parametrize("name", ["browser", "webgpu"])
def test_a_browser_gives_each_session_its_own_file(name: str) -> None:
    assert not read_profile(name).plan().share_table


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[budget]", "[budgets]"), "budgets is not known"),
        (("memory_mb = 4000", ""), "budget.memory_mb is missing"),
        (('vision = ["int8"]', 'vision = ["int9"]'), "vision 'int9' is no precision"),
        (('vision = ["int8"]', "vision = 8"), "vision must be a list"),
        (("cores = 2", 'cores = "two"'), "device.cores must be int"),
        (('decoder = ["int8"]', 'decoder = ["int8"]\ntable_bits = 3'), "table_bits must be 4 or 8"),
        (("summary =", "summary"), "cannot read the profile"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = tmp_path / "mine.toml"
    text = (FOLDER / "cpu.toml").read_text()
    assert change[0] in text
    path.write_text(text)
    assert read_profile(str(path)).name == "mine"
    path.write_text(text.replace(*change))
    with pytest.raises(InputError, match=complaint):
        read_profile(str(path))


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(InputError, match="no profile 'gpu'") as refusal:
        read_profile("gpu")
    assert "cuda" in refusal.value.hint
