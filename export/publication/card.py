"""The model card of a bundle: what its manifest and its report say, as the hub's README.md.

The front matter is described in the hub's documentation of model cards. No figure is in it that the report lacks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lorgnette.export.checkpoint.repository import named_repository
from lorgnette.export.precision import PRECISIONS
from lorgnette.llm.bundle import ModelBundle

CARD = "README.md"

# The hub's own words for licences that models commonly have; it refuses a card with a word it does not know.
_LICENCES = (
    *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "unlicense", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
    *("gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0"),
    *("openrail", "bigscience-openrail-m", "creativeml-openrail-m", "bigcode-openrail-m"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma"),
)
_MARKS = {True: "met", False: "**missed**", None: "not measured"}

Report = Mapping[str, Any]


def make_card(bundle: ModelBundle, report: Report | None, repo: str) -> str:
    """The card of `bundle` as it is to lie in `repo` ("org/name"). `report` is its report.json; None for none."""
    base = _base_model(bundle)
    made_of = f"`{base}`" if base else _cell(bundle.name)
    sees = "pictures and text" if bundle.preprocessing else "text"
    device = f" for the device profile `{bundle.profile}`" if bundle.profile else ""
    parts = [
        _front_matter(bundle, base),
        f"# {_cell(bundle.name)} in ONNX\n",
        f"{made_of} as ONNX sessions{device}, exported with lorgnette. It takes {sees} and answers in text.\n",
        _files(bundle),
        _figures(report),
        _usage(bundle, repo),
        _sources(bundle),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(bundle: ModelBundle, base: str) -> str:
    lines = _licence_lines(bundle)
    # By this the hub explains how to load a model: it knows transformers.js, not lorgnette.
    lines.append(f"library_name: {'transformers.js' if _has_config(bundle) else 'lorgnette'}")
    lines.append(f"pipeline_tag: {_task(bundle)}")
    if base:
        lines.append(f"base_model: {base}")
        lines.append("base_model_relation: quantized")
    tags = ["onnx", "lorgnette", *([f"lorgnette-{_slug(bundle.profile)}"] if bundle.profile else [])]
    lines += ["tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join(["---", *lines, "---\n"])


def _licence_lines(bundle: ModelBundle) -> list[str]:
    """The licence that all parts have; several, or one that the hub does not know, are "other" with a name."""
    said = list(dict.fromkeys(part.licence.lower() for part in bundle.parts))
    if len(said) == 1 and said[0] in _LICENCES:
        return [f"license: {said[0]}"]
    stated = [licence for licence in said if not licence.startswith("not stated")]
    if not stated:
        return []
    return ["license: other", f"license_name: {_slug('-and-'.join(stated))[:60].rstrip('-')}"]


def _base_model(bundle: ModelBundle) -> str:
    """The repository that the bundle was made of; "" where it was made of a folder, whose name is nobody's business."""
    source = bundle.provenance.get("source", "")
    return source if bundle.provenance.get("revision") and named_repository(source) else ""


def _task(bundle: ModelBundle) -> str:
    return "image-text-to-text" if bundle.preprocessing else "text-generation"


def _has_config(bundle: ModelBundle) -> bool:
    return any(file.name == "config.json" for file in bundle.files)


def _files(bundle: ModelBundle) -> str:
    names = {one.suffix: one.name for one in PRECISIONS.values()}
    defaults = {bundle.path(role, suffix).name for role, suffix in bundle.default_suffix.items()}
    rows = []
    for file in bundle.files:
        session = file.name.endswith((".onnx", ".onnx_data"))
        precision = names.get(file.suffix, file.suffix) if session else ""
        run = " (run unless another is asked for)" if file.name.rsplit("/", 1)[-1] in defaults and session else ""
        rows.append((f"`{file.name}`", f"{precision}{run}", f"{file.size / 1e6:.1f}"))
    return "## Files\n\n" + _table(("file", "precision", "MB"), rows)


def _figures(report: Report | None) -> str:
    if report is None:
        return ""
    speed, machine = report["speed"], report["machine"]
    text = "## Measured\n\n"
    text += f"When it was exported, on {_cell(machine)}; `report.html` shows pictures and tokens side by side.\n\n"
    text += _table(
        ("figure", "value"),
        [
            ("first token", f"{speed['first_token_s']:.2f} s"),
            ("tokens a second", f"{speed['tokens_per_s']:.0f}"),
            ("memory at most", f"{speed['memory_mb']:.0f} MB"),
        ],
    )
    if report["comparisons"]:
        rows = [
            (one["model"], one["reference"], f"{100 * one['agreement']:.1f} %", f"{one['mean_kl']:.2g}")
            for one in report["comparisons"]
        ]
        text += "\n" + _table(("model", "against", "same tokens", "mean KL divergence (nats)"), rows)
    rows = [(bar["name"], bar["wanted"], bar["measured"], _MARKS[bar["met"]]) for bar in report["bars"]]
    return text + "\n" + _table(("bar", "wanted", "measured", ""), rows)


def _usage(bundle: ModelBundle, repo: str) -> str:
    folder = repo.rsplit("/", 1)[-1]
    text = f"## Use\n\nWith lorgnette:\n\n```sh\npip install lorgnette\nlorgnette bundle pull {repo} --out {folder}\n"
    if bundle.preprocessing:
        text += f'lorgnette ask photo.jpg --text "What is on the table?" --set engine.bundle={folder}\n```\n'
    else:
        text += f"```\n\n```python\n{_PYTHON.replace('FOLDER', folder)}```\n"
    if _has_config(bundle):
        template = _SEEING if bundle.preprocessing else _TALKING
        text += f"\nWith transformers.js:\n\n```js\n{template.replace('REPOSITORY', repo)}```\n"
    return text


_PYTHON = """\
from pathlib import Path

from lorgnette.llm.bundle import ModelBundle
from lorgnette.llm.cancel import CancelScope
from lorgnette.llm.engine import Prompt
from lorgnette.llm.onnx_engine import EngineSettings, OnnxEngine

engine = OnnxEngine(ModelBundle.open(Path("FOLDER")), EngineSettings())
for token in engine.stream(Prompt("What is the capital of France?"), CancelScope()):
    print(token.text, end="", flush=True)
"""
_TALKING = """\
import { pipeline } from "@huggingface/transformers";

const generator = await pipeline("text-generation", "REPOSITORY");
const messages = [{ role: "user", content: "What is the capital of France?" }];
const output = await generator(messages, { max_new_tokens: 64 });
console.log(output[0].generated_text.at(-1).content);
"""
_SEEING = """\
import { AutoModelForImageTextToText, AutoProcessor, load_image } from "@huggingface/transformers";

const processor = await AutoProcessor.from_pretrained("REPOSITORY");
const model = await AutoModelForImageTextToText.from_pretrained("REPOSITORY");
const content = [{ type: "image" }, { type: "text", text: "What is on the table?" }];
const prompt = processor.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
const inputs = await processor(prompt, [await load_image("photo.jpg")]);
const ids = await model.generate({ ...inputs, max_new_tokens: 64 });
const answer = ids.slice(null, [inputs.input_ids.dims.at(-1), null]);
console.log(processor.batch_decode(answer, { skip_special_tokens: true })[0]);
"""


def _sources(bundle: ModelBundle) -> str:
    rows = [(_public(part.name), part.licence, f"`{part.sha256[:16]}`") for part in bundle.parts]
    return "## Made of\n\n" + _table(("weights", "licence", "SHA-256 begins"), rows)


def _public(name: str) -> str:
    """A part's name; of a folder of somebody's machine only the last part."""
    return name.rstrip("/").rsplit("/", 1)[-1] if name.startswith(("/", "~", ".")) else name


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(one) for one in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text from somebody's files where Markdown would take it for markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
