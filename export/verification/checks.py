"""What has to hold for any decoder, whatever its weights: computing in pieces, and taking up a prefix again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorgnette.export.verification.subject import Case, Subject


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """`chunked` is the greatest difference between the logits of a prompt computed in pieces and at once, `reused` that
    between a prompt behind a prefix that was computed before, rewound or copied, and behind a fresh one."""

    chunked: float
    reused: float


def check_cache(subject: Subject, case: Case) -> CacheFigures:
    """Run the prompt of `case` whole, in two pieces, and twice behind the same prefix."""
    rows = subject.rows(case, [])
    cut = max(1, len(rows) - 4)
    decoder = subject.decoder
    whole = decoder.append(rows, decoder.new_cache(len(rows)))
    cache = decoder.new_cache(len(rows))
    decoder.append(rows[:cut], cache)
    kept = decoder.new_cache(len(rows))
    kept.copy_from(cache)
    pieces = decoder.append(rows[cut:], cache)
    decoder.append(rows[:1], cache)  # something else, that is forgotten again
    cache.rewind(cut)
    rewound = decoder.append(rows[cut:], cache)
    copied = decoder.append(rows[cut:], kept)
    reused = max(float(np.abs(one - pieces).max()) for one in (rewound, copied))
    return CacheFigures(float(np.abs(pieces - whole).max()), reused)
