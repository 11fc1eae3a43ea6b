"""One file from a model hub, resumed where an earlier try stopped.

`hf_hub_download` gives every process its own temporary file, so it cannot resume what a killed one left. We use the
layer under it: its headers (with the person's token), retries and Range requests, but our own file name. It lies in
`device` because both the weights store and the exporter fetch files, and neither may import the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lorgnette.device.errors import LorgnetteError

Report = Callable[[int], None]
"""Takes the bytes done so far."""


class DownloadError(LorgnetteError):
    """A file could not be fetched. `__cause__` is what the hub library raised."""


def resume_download(url: str, half: Path, size: int, report: Report) -> None:
    """Append to `half` what it lacks of the `size` bytes at `url`, and sync it; the caller checks the content.

    What has come in stays in `half` on failure. Raises `DownloadError`, or OSError as the disk gives it.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    if half.exists() and half.stat().st_size > size:
        half.unlink()
    try:
        with half.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=stream.tell(),
                headers=build_hf_headers(),
                expected_size=size,
                tqdm_class=_bar_class(report),
            )
            stream.flush()
            os.fsync(stream.fileno())
    except (HfHubHTTPError, HTTPError, ValueError) as error:
        raise DownloadError(first_line(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        # The hub library's own complaints (another length than listed, its offline switch) have no number.
        raise DownloadError(first_line(error)) from error


def first_line(error: BaseException) -> str:
    """What `error` says, in one line."""
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
