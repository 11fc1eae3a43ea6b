"""Weights from a Hugging Face repository at a commit, through huggingface_hub."""

from __future__ import annotations

from pathlib import Path

from lorgnette.assistant.weights.catalogue import HubSource, WeightFile, WeightsError
from lorgnette.assistant.weights.digest import is_whole
from lorgnette.assistant.weights.progress import PullProgress, Report
from lorgnette.device.download import DownloadError, resume_download


def fetch_from_hub(source: HubSource, target: Path, scratch: Path, endpoint: str, progress: PullProgress) -> None:
    """Makes every file of `source` whole in `target`; a half-fetched file stays in `scratch` and is resumed.

    `endpoint` is the hub's address ("" for huggingface_hub's own, or HF_ENDPOINT). Raises WeightsError, or OSError as
    the disk gives it.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    for file in source.files:
        if is_whole(target / file.path, file):
            continue
        half = scratch / f"{file.sha256}.incomplete"
        with progress.transfer(f"{source.repo} {source.names[file.path]}", file.size) as report:
            _download(source, file, half, endpoint, report)
        if not is_whole(half, file):
            half.unlink()
            raise WeightsError(f"{file.path} from {source.origin} does not have the listed size and SHA-256")
        (target / file.path).parent.mkdir(parents=True, exist_ok=True)
        half.replace(target / file.path)


def _download(source: HubSource, file: WeightFile, half: Path, endpoint: str, report: Report) -> None:
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(
        source.repo, source.names[file.path], revision=source.revision, endpoint=endpoint.rstrip("/") or None
    )
    try:
        resume_download(url, half, file.size, report)
    except DownloadError as error:
        raise WeightsError(f"{source.origin} could not be fetched: {error.message}") from error
