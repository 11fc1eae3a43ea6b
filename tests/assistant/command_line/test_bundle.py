"""`lorgnette bundle`: a bundle goes to a hub and comes back the same, or one line says why not.

huggingface_hub talks to a real HTTP server, which speaks the hub's protocol (hub_box.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_box import HubBox, serving

from lorgnette.assistant.command_line.main import main
from lorgnette.llm.bundle import STAMP, ModelBundle

TINY = Path(__file__).parents[2] / "models" / "tiny_vlm"
REPO = "org/tiny"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubBox]:
    for name in ("HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with serving(HubBox()) as box:
        monkeypatch.setenv("HF_ENDPOINT", box.endpoint)
        monkeypatch.setenv("HF_TOKEN", box.token)
        # What HF_HUB_DISABLE_XET sets, which the library reads before any test begins: this hub has no Xet storage.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield box


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The tiny bundle with what a folder of somebody's has beside it."""
    folder = tmp_path / "mine"
    shutil.copytree(TINY, folder)
    ModelBundle.open(folder)
    (folder / ".lock").touch()
    (folder / "notes.txt").write_text("not for others")
    assert (folder / STAMP).exists()
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["bundle", *arguments]) == 2
    output = capsys.readouterr()
    lines = [line for line in output.err.splitlines() if line.startswith("lorgnette:")]
    assert len(lines) == 1 and output.out == "", output
    return lines[0]


def test_there_and_back(hub: HubBox, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "push", str(bundle), REPO, "--json"]) == 0
    pushed = json.loads(capsys.readouterr().out)
    names = {file.name for file in ModelBundle.open(bundle).files} | {"manifest.json"}
    assert {file["name"] for file in pushed["files"]} == names | {"README.md"}
    assert set(hub.files(REPO)) == names | {"README.md", ".gitattributes"}
    assert hub.repositories[REPO].lfs == {name for name in names if name.endswith((".onnx", ".onnx_data"))}
    assert pushed["commit"] == hub.repositories[REPO].branches["main"] and pushed["commit"] in pushed["url"]

    out = tmp_path / "back"
    assert main(["bundle", "pull", REPO, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["commit"] == pushed["commit"]
    ModelBundle.open(out, verify=True)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == names | {STAMP}
    assert all((out / name).read_bytes() == (bundle / name).read_bytes() for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".back.lock", "back", "mine"]

    before = len(hub.requests)
    assert main(["bundle", "pull", REPO, "--out", str(out)]) == 0
    assert [request.rpartition("/")[2] for request in hub.requests[before:]] == ["tiny", "manifest.json"]
    before = len(hub.requests)
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    assert not [request for request in hub.requests[before:] if request.startswith("PUT") or "/commit/" in request]


def test_the_card_says_what_manifest_and_report_say(hub: HubBox, bundle: Path) -> None:
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    card = hub.files(REPO)["README.md"].decode()
    assert card.startswith("---\nlicense: ") and "\npipeline_tag: image-text-to-text\n" in card
    assert f"lorgnette bundle pull {REPO} --out tiny" in card
    assert "| `onnx/decoder_model_merged_quantized.onnx_data` | int8 |" in card
    assert "## Measured" not in card and "transformers.js" not in card  # it has neither report nor config.json
    (bundle / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    assert hub.files(REPO)["README.md"].endswith(b"# Mine\n")


def test_branches(hub: HubBox, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "push", str(bundle), REPO, "--revision", "small/er", "--private"]) == 0
    assert hub.repositories[REPO].private
    assert set(hub.files(REPO)) == {".gitattributes"} and "manifest.json" in hub.files(REPO, "small/er")
    assert main(["bundle", "pull", f"{REPO}@small/er", "--out", str(tmp_path / "back")]) == 0
    assert "holds no bundle" in refused(capsys, "pull", REPO, "--out", str(tmp_path / "other"))
    assert "no revision none" in refused(capsys, "pull", f"{REPO}@none", "--out", str(tmp_path / "other"))
    hub.repositories[REPO].private = False
    assert "is public" in refused(capsys, "push", str(bundle), REPO, "--private")


def test_what_else_is_there_is_left_and_told(
    hub: HubBox, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    hub.files(REPO)["LICENSE"] = b"free"
    (bundle / "README.md").write_text("# Mine\n")
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    assert "left in org/tiny, not of this bundle: LICENSE" in capsys.readouterr().err
    assert main(["bundle", "pull", REPO, "--out", str(tmp_path / "back")]) == 0
    assert not (tmp_path / "back" / "LICENSE").exists()


def test_a_dry_run_uses_no_network(bundle: Path, capsys: pytest.CaptureFixture[str], hub: HubBox) -> None:
    assert main(["bundle", "push", str(bundle), REPO, "--dry-run", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "onnx/vision_encoder.onnx" in out and "pipeline_tag" in out and "notes.txt" not in out
    made_of = {"source": "/home/me/model", "command": "lorgnette export /home/me/model --out ~/out"}
    replace(ModelBundle.open(bundle), provenance=made_of).write_manifest()
    assert main(["bundle", "push", str(bundle), REPO, "--dry-run", "--json"]) == 0
    output = capsys.readouterr()
    assert "name /home/me/model, ~/out\n" in output.err and "/home/me" not in json.loads(output.out)["card"]
    assert json.loads(output.out)["card"].startswith("---\n")
    assert hub.requests == [] and hub.repositories == {}


def test_pushes_that_are_refused(hub: HubBox, bundle: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "--offline" in refused(capsys, "push", str(bundle), REPO, "--offline")
    assert "--offline" in refused(capsys, "pull", REPO, "--out", str(tmp_path / "back"), "--offline")
    assert "org/name" in refused(capsys, "push", str(bundle), "tiny")
    assert "--revision" in refused(capsys, "push", str(bundle), f"{REPO}@main")
    assert "no bundle at" in refused(capsys, "push", str(tmp_path / "none"), REPO)
    assert hub.requests == []
    assert "HF_TOKEN" in refused(capsys, "push", str(bundle), "others/tiny")
    hub.token = "hf_new"
    assert "HF_TOKEN" in refused(capsys, "push", str(bundle), REPO)
    hub.token = "hf_right"
    (bundle / "README.md").write_text("---\nlicense: home-made\n---\n# Mine\n")
    assert '"license" must be one of' in refused(capsys, "push", str(bundle), REPO)
    (bundle / "README.md").unlink()
    damaged = bundle / "onnx" / "embed_tokens.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    before = len(hub.requests)
    assert "does not have the hash" in refused(capsys, "push", str(bundle), REPO)
    assert len(hub.requests) == before


def test_no_token(hub: HubBox, bundle: Path, tmp_path: Path) -> None:
    """In a process of its own, whose home has no saved login."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"} | {"HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "lorgnette.assistant.command_line.main", "bundle", "push", str(bundle), REPO]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "lorgnette: there is no token for the hub (set HF_TOKEN to one that may write)\n"
    assert hub.requests == []


def test_a_cut_upload_goes_on(hub: HubBox, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.cut = "/commit/"
    assert "broke off" in refused(capsys, "push", str(bundle), REPO)
    sent = [request for request in hub.requests if request.startswith("PUT")]
    assert sent and set(hub.files(REPO)) == {".gitattributes"}
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    assert [request for request in hub.requests if request.startswith("PUT")] == sent


def test_a_cut_download_goes_on(
    hub: HubBox, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    out, data = tmp_path / "back", "onnx/decoder_model_merged.onnx_data"
    hub.cut, hub.cut_after = data, 1000
    assert main(["bundle", "pull", REPO, "--out", str(out)]) == 0  # the library itself goes on
    shutil.rmtree(out)
    hub.files(REPO)[data] += b"more"  # and this it takes for a broken connection
    assert "does not have the hash" in refused(capsys, "pull", REPO, "--out", str(out))
    hub.files(REPO)[data] = hub.files(REPO)[data][:-4]
    assert main(["bundle", "pull", REPO, "--out", str(out)]) == 0
    ModelBundle.open(out, verify=True)

    # A pull that was killed: one file whole, another half there.
    work = tmp_path / ".next.pull"
    (work / "new" / "onnx").mkdir(parents=True)
    whole = next(file for file in ModelBundle.open(bundle).files if file.role == "vision_encoder")
    half = next(file for file in ModelBundle.open(bundle).files if file.name == data)
    shutil.copy(bundle / whole.name, work / "new" / whole.name)
    (work / "new" / "stale.onnx").touch()
    (work / f"{half.sha256}.incomplete").write_bytes((bundle / data).read_bytes()[:777])
    before = len(hub.requests)
    assert main(["bundle", "pull", REPO, "--out", str(tmp_path / "next")]) == 0
    assert not [request for request in hub.requests[before:] if request.endswith(whole.name)]
    ModelBundle.open(tmp_path / "next", verify=True)
    assert not work.exists() and not (tmp_path / "next" / "stale.onnx").exists()


def test_pulls_that_are_refused(hub: HubBox, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, data = str(tmp_path / "back"), "onnx/embed_tokens.onnx_data"
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    assert "no repository org/none" in refused(capsys, "pull", "org/none", "--out", out)
    assert "org/name" in refused(capsys, "pull", "none", "--out", out)

    files = hub.files(REPO)
    kept = dict(files)
    files[data] = bytes(len(files[data]))  # of the right size
    assert f"{data} of org/tiny at" in refused(capsys, "pull", REPO, "--out", out)
    hub.repositories[REPO].lfs.clear()  # now the listing does not tell
    assert "does not have the hash" in refused(capsys, "pull", REPO, "--out", out)
    del files[data]
    assert f"lacks {data}" in refused(capsys, "pull", REPO, "--out", out)
    files |= kept

    manifest = json.loads(kept["manifest.json"])
    for change, reason in (
        ({"spec": 99}, "spec 99"),
        ({"name": 1}, "manifest.name"),
        ({"files": [manifest["files"][0] | {"name": "../evil"}]}, "outside itself"),
        ({"files": [manifest["files"][0] | {"sha256": "../evil"}]}, "no hash"),
    ):
        files["manifest.json"] = json.dumps(manifest | change).encode()
        assert reason in refused(capsys, "pull", REPO, "--out", out)
    files |= kept
    assert not (tmp_path / "back").exists()

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("precious")
    assert "is no bundle" in refused(capsys, "pull", REPO, "--out", str(tmp_path / "photos"))
    hub.readers_need_it, hub.token = True, "hf_new"
    assert "HF_TOKEN" in refused(capsys, "pull", REPO, "--out", out)


def test_another_bundle_is_replaced_whole(hub: HubBox, bundle: Path, tmp_path: Path) -> None:
    assert main(["bundle", "push", str(bundle), REPO]) == 0
    out = Path(shutil.copytree(bundle, tmp_path / "back"))
    replace(ModelBundle.open(out), name="older").write_manifest()
    assert main(["bundle", "pull", REPO, "--out", str(out)]) == 0
    assert ModelBundle.open(out).name == ModelBundle.open(bundle).name and not (out / "notes.txt").exists()
