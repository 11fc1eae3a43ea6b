"""What one training run does: a TOML file of numbers, and how much of which data set every batch shows."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lorgnette.device.errors import InputError

PRECISIONS = ("int8", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The same recipe on the same data gives the same batches.

    `mixture` are the shares of the photographs by course: data sets by name, and "naming", "reading", "abstention" and
    "pairs". A run aligns the connector with words, trains `steps` on right answers, then `self_critical_steps` on
    captions of its own. The last `encoder_stages` of the image encoder's seven learn too; the early ones cost most and
    gain least. `precision` is that of the frozen products: "" takes what suits the machine, int8 on a CPU, bf16 on a
    GPU.
    """

    steps: int = 1850
    self_critical_steps: int = 0  # hundreds, of large batches: fewer do harm
    align_steps: int = 400
    batch: int = 8
    length: int = 232
    lora_rate: float = 5e-4
    connector_rate: float = 1e-3
    encoder_rate: float = 1e-4
    encoder_stages: int = 4
    dropout: float = 0.1  # of what each half of a layer adds
    workers: int = 0  # processes that make batches ahead
    examined: int = 64  # dev photographs of the early figures
    self_critical_rate: float = 0.2  # of the rates above
    captions: int = 5  # of a photograph, each time it is shown; fewer leave more room for short questions
    short_answer_weight: float = 2.0  # of a yes, a colour, a number, a verb: one token among the many of captions
    choice_weight: float = 0.06
    samples: int = 5
    reward_scale: float = 2.0  # a CIDEr-D of 0.5 more than its fellows weighs a caption like one that people wrote
    presence_per_object: int = 1200
    seed: int = 1
    precision: str = ""
    mixture: Mapping[str, int] = field(
        default_factory=lambda: {"flickr8k": 26, "naming": 8, "grocery": 2, "reading": 2, "abstention": 1}
    )

    def __post_init__(self) -> None:
        if self.precision not in ("", *PRECISIONS):
            raise InputError(f"precision {self.precision!r} is not known", f"choose from {', '.join(PRECISIONS)}")
        if not self.mixture or any(type(share) is not int or share < 1 for share in self.mixture.values()):
            raise InputError("the mixture needs a whole number for every course", "as in [mixture] flickr8k = 9")

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """The recipe in a TOML file; what it does not name keeps its default. Raises InputError."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the recipe {path}: {error}", "give a TOML file") from error
        fields = {one.name: one for one in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in fields:
                raise InputError(f"{path}: there is no {name!r} in a recipe", f"choose from {', '.join(fields)}")
            wanted = fields[name].type
            if str(wanted) in ("int", "float", "str") and type(value).__name__ not in (wanted, "int"):
                raise InputError(f"{path}: {name} must be {wanted}, not {value!r}", "")
        return cls(**values)
