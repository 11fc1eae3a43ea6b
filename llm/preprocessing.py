"""From what a manifest says of pictures to what prepares them."""

from __future__ import annotations

from lorgnette.llm.bundle import BundleError
from lorgnette.llm.manifest import Preprocessing
from lorgnette.vision.preprocess import FILTERS, LAYOUTS, Preprocessor
from lorgnette.vision.tiles import TILINGS


def preprocessor(facts: Preprocessing, max_tiles: int = 0) -> Preprocessor:
    """For at most `max_tiles` tiles of a picture (0: as many as the manifest allows, and never more).

    Raises `BundleError` for a way of preparing that this version does not know.
    """
    known = (
        (facts.resize, facts.channels) == ("squash", "RGB")
        and facts.layout in LAYOUTS
        and facts.filter in FILTERS
        and facts.tiling in TILINGS
    )
    if not known:
        raise BundleError(f"the bundle wants pictures prepared in a way this version does not know: {facts}", "update")
    return Preprocessor(
        facts.width,
        facts.height,
        facts.mean,
        facts.std,
        facts.filter,
        facts.longest_edge,
        min(max_tiles or facts.max_tiles, facts.max_tiles),
        facts.tiling,
    )
