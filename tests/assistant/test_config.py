"""Settings from defaults, a file and --set, and what is said about wrong ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lorgnette.assistant.config import Config, ConfigError, load_config


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LORGNETTE_CONFIG", raising=False)


def test_defaults_need_no_file() -> None:
    assert load_config() == Config()
    assert Config().thread_count >= 1


def test_settings_win_over_the_file_and_leave_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('threads = 3\n[engine]\nmax_new_tokens = 32\ntemperature = 1\n[speech]\nlanguage = "pt"\n')
    config = load_config(file, ["engine.max_new_tokens=16", "speech.voice=my-voice", "audio.input_device=2"])
    assert config.threads == config.thread_count == 3
    assert config.engine.max_new_tokens == 16
    assert config.engine.temperature == 1.0
    assert config.speech.language == "pt"
    assert config.speech.voice == "my-voice"
    assert config.audio.input_device == "2"
    assert config.camera == Config().camera


def test_the_platform_file_and_the_environment_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "config" / "lorgnette" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text("threads = 5\n")
    assert load_config().threads == 5
    other = tmp_path / "other.toml"
    other.write_text("threads = 6\n")
    monkeypatch.setenv("LORGNETTE_CONFIG", str(other))
    assert load_config().threads == 6


def test_the_tree_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().threads = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("setting", "key", "complaint"),
    [
        ("engine.tokens=3", "engine.tokens", "engine.max_new_tokens"),
        ("motor.x=3", "motor", "choose from threads, offline, engine"),
        ("engine=3", "engine", "is a section"),
        ("threads.x=3", "threads", "a whole number"),
        ("threads=two", "threads", "a whole number"),
        ("threads=true", "threads", "a whole number"),
        ("threads=1.5", "threads", "a whole number"),
        ("threads=-1", "threads", "between 0"),
        ("offline=1", "offline", "true or false"),
        ("engine.temperature=nan", "engine.temperature", "between 0.0 and 10.0"),
        ("engine.temperature=hot", "engine.temperature", "a number"),
        ("engine.variant=int3", "engine.variant", "quantized, fp32"),
        ("speech.language=[1]", "speech.language", "a text"),
        ("engine", "", "a.b=c"),
        (".=1", "", "a.b=c"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(setting: str, key: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, [setting])
    assert refusal.value.key == key
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("content", [b"threads = \n", b"\xff\xfe", b"[engine\n"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        load_config(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config file"):
        load_config(tmp_path / "nowhere.toml")
