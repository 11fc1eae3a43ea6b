"""The embedded model's bundle, ready to run: found in the cache, or built there from the catalogue's weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lorgnette.assistant.config import Config
from lorgnette.assistant.weights.store import WeightStore
from lorgnette.llm.bundle import BundleError, ModelBundle

_VARIANTS = {"quantized": "int8", "fp32": "fp32"}


def ready_bundle(
    config: Config, store: WeightStore, progress: Callable[[str, float], None] = lambda stage, done: None
) -> ModelBundle:
    """The bundle that `config.engine` asks for: its own folder if it names one, else the embedded model's.

    Fetches weights and builds when needed (about 20 s), telling `progress` the stage and how much is done (0 to 1).
    Raises `BundleError`, `WeightsError` or `WeightsFormatError`.
    """
    if config.engine.bundle:
        return ModelBundle.open(Path(config.engine.bundle).expanduser())
    # Only now, because most questions find everything in place.
    from lorgnette.export.sources import Sources, fingerprint, is_current

    precision = _VARIANTS[config.engine.variant]
    sources = Sources(store.path("smollm2-135m-instruct"), store.path("efficientnet-lite2"), shipped_adapter())
    folder = store.root / "bundles" / f"embedded-{precision}"
    made_of = fingerprint(sources, (precision,), folder.with_suffix(".sources.json"))
    if is_current(folder, made_of.inputs):
        return ModelBundle.open(folder)
    from lorgnette.export.embedded import build

    return build(sources.gguf, sources.encoder, sources.adapter, folder, progress, precisions=(precision,))


def shipped_adapter() -> Path:
    """The trained connector and low-rank updates that come with the program. Raises `BundleError` if they do not."""
    import lorgnette.export

    path = Path(str(lorgnette.export.__file__)).parent / "weights" / "adapter.safetensors"
    if not path.is_file():
        raise BundleError(f"{path} is missing", "install lorgnette again, or give another file with --adapter")
    return path
