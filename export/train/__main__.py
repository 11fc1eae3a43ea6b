"""Train the embedded model's connector and LoRA on photographs with captions, questions or labels.

    python -m lorgnette.export.train --data flickr8k.tar visual7w.tar grocery.tar --gguf smollm2.gguf \\
        --encoder lite2.pth --out run/

Needs the `export` extra (PyTorch). `lorgnette models pull` fetches the two base weights. Interrupted, it goes on from
the last checkpoint in `--out`; finished, `--out` holds `adapter.safetensors`, `log.jsonl` and `curves.svg`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from lorgnette.device.errors import InputError
from lorgnette.export.encoder_graph import channels
from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.legacy_checkpoint import read_legacy_checkpoint
from lorgnette.export.train.alignment import align
from lorgnette.export.train.connector import Connector
from lorgnette.export.train.courses import Library
from lorgnette.export.train.encoder import Encoder
from lorgnette.export.train.language_model import LanguageModel
from lorgnette.export.train.naming import Namer
from lorgnette.export.train.recipe import Recipe
from lorgnette.export.train.trainer import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lorgnette.export.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or tars with index.jsonl")
    parser.add_argument("--gguf", type=Path, required=True, help="the language model (SmolLM2-135M-Instruct, GGUF)")
    parser.add_argument("--encoder", type=Path, required=True, help="the image encoder (EfficientNet-Lite2 checkpoint)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and result")
    parser.add_argument("--recipe", type=Path, help="a TOML file (default: the recipe of the shipped weights)")
    parser.add_argument("--start", type=Path, help="an adapter.safetensors to go on from, instead of aligning")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    try:
        train(args)
    except InputError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def train(args: argparse.Namespace) -> None:
    recipe = Recipe.read(args.recipe) if args.recipe else Recipe()
    torch.set_num_threads(args.threads)
    torch.manual_seed(recipe.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")

    device = torch.device(args.device)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    language, seen = read_gguf(args.gguf), read_legacy_checkpoint(args.encoder)
    encoder = Encoder(seen).to(device)
    library = Library(args.data, recipe)
    courses, dev = library.courses(language.tokenizer, Namer(seen)), library.dev()
    model = LanguageModel(language.weights.tensors, recipe.dropout)
    connector = Connector(model.embedding.shape[1], channels(seen))
    trainer = Trainer(model, encoder, connector, language.tokenizer, courses, dev, recipe, args.out, device=device)
    if trainer.resume():
        print(f"going on from step {trainer.step}")
    elif args.start:
        trainer.start_from(load_file(args.start))
    else:
        steps, embedding = recipe.align_steps, model.embedding
        loss = align(encoder, connector, courses[0], language.tokenizer, embedding, steps=steps, seed=recipe.seed)
        print(f"aligned: loss {loss:.2f}")
        trainer.save()
    trainer.prepare()
    trainer.run()


if __name__ == "__main__":
    main()
