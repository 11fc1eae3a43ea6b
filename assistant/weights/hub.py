"""Weights from a Hugging Face repository at a commit, through huggingface_hub.

`hf_hub_download` gives every process its own temporary file, so it cannot resume what a killed one left. We use the
layer under it: its addresses, headers (with the person's token), retries and Range requests, but our own file name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lorgnette.assistant.weights.catalogue import HubSource, WeightFile, WeightsError
from lorgnette.assistant.weights.digest import is_whole
from lorgnette.assistant.weights.progress import PullProgress, Report


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
        if half.exists() and half.stat().st_size > file.size:
            half.unlink()
        with progress.transfer(f"{source.repo} {source.names[file.path]}", file.size) as report:
            _download(source, file, half, endpoint, report)
        if not is_whole(half, file):
            half.unlink()
            raise WeightsError(f"{file.path} from {source.origin} does not have the listed size and SHA-256")
        (target / file.path).parent.mkdir(parents=True, exist_ok=True)
        half.replace(target / file.path)


def _download(source: HubSource, file: WeightFile, half: Path, endpoint: str, report: Report) -> None:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    url = hf_hub_url(
        source.repo, source.names[file.path], revision=source.revision, endpoint=endpoint.rstrip("/") or None
    )
    try:
        with half.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=stream.tell(),
                headers=build_hf_headers(),
                expected_size=file.size,
                tqdm_class=_bar_class(report),
            )
            stream.flush()
            os.fsync(stream.fileno())
    except (HfHubHTTPError, HTTPError) as error:
        raise WeightsError(f"{source.origin} could not be fetched: {_first_line(error)}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # The hub library's own complaints (another length than listed, its offline switch) have no number.
        raise WeightsError(f"{source.origin} could not be fetched: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _bar_class(report: Report) -> Any:
    """huggingface_hub talks to a tqdm class: this one passes the bytes on and draws nothing."""
    from tqdm import tqdm

    class _Bar(tqdm):  # type: ignore[type-arg,misc,unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"disable": True}))
            self._done = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            report(self._done)
            return None

    return _Bar
