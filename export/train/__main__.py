"""Train the embedded model's connector and LoRA on photographs with captions.

    python -m lorgnette.export.train --data flickr8k.tar --gguf smollm2.gguf --encoder lite2.pth --out run/

Needs the `export` extra (PyTorch). `lorgnette models pull` fetches the two base weights. Interrupted, it goes on from
the last checkpoint in `--out`; finished, `--out` holds `adapter.safetensors` and `log.jsonl`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import torch

from lorgnette.export.gguf_checkpoint import read_gguf
from lorgnette.export.train.alignment import align
from lorgnette.export.train.connector import Connector
from lorgnette.export.train.features import EncodedSplit, encode_photos
from lorgnette.export.train.language_model import LanguageModel
from lorgnette.export.train.trainer import Recipe, Trainer
from lorgnette.llm.evaluation.dataset import PhotoSet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lorgnette.export.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder or tar with index.jsonl")
    parser.add_argument("--gguf", type=Path, required=True, help="the language model (SmolLM2-135M-Instruct, GGUF)")
    parser.add_argument("--encoder", type=Path, required=True, help="the image encoder (EfficientNet-Lite2 checkpoint)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and result")
    parser.add_argument("--threads", type=int, default=2)
    for field in dataclasses.fields(Recipe):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default, help=f"default {field.default}")
    args = parser.parse_args()
    recipe = Recipe(**{field.name: getattr(args, field.name) for field in dataclasses.fields(Recipe)})
    torch.set_num_threads(args.threads)
    torch.manual_seed(recipe.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")

    photos = PhotoSet(args.data)
    features = encode_photos(photos, args.encoder, args.out / "features.npy", args.threads)
    language = read_gguf(args.gguf)
    model = LanguageModel(language.weights.tensors)
    connector = Connector(model.embedding.shape[1])
    train, dev = (EncodedSplit.of(photos, features, split) for split in ("train", "dev"))
    trainer = Trainer(model, connector, language.tokenizer, train, dev, recipe, args.out)
    if not trainer.resume():
        loss = align(connector, train, language.tokenizer, model.embedding, steps=recipe.align_steps, seed=recipe.seed)
        print(f"aligned: loss {loss:.2f}")
        trainer.save()
    trainer.prepare()
    trainer.run()


if __name__ == "__main__":
    main()
