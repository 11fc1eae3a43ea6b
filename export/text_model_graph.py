"""`model`: a language model as one session, for clients that open a model of text alone that way (transformers.js,
Optimum).

Inputs are `input_ids` i64 [B, S] and those of `decoder_model_merged` but for `inputs_embeds`; outputs are that one's.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import compose

from lorgnette.export.graph_builder import GraphBuilder, write_graph


def write_text_model(embedding: Path, decoder: Path, path: Path) -> None:
    """Join the graphs at `embedding` (`embed_tokens`) and `decoder`, which are in the folder of `path`.

    Tensors in data files stay where they are: this costs some hundred kilobytes.
    """
    rows, blocks = (onnx.load(one, load_external_data=False) for one in (embedding, decoder))
    rows = compose.add_prefix(rows, "embed_tokens.", rename_inputs=False, rename_outputs=False)
    graph = GraphBuilder("model")
    for part in (rows.graph, blocks.graph):
        graph.adopt(list(part.node), list(part.initializer))
    made = {one.name for one in rows.graph.output}
    inputs = [*rows.graph.input, *(one for one in blocks.graph.input if one.name not in made)]
    write_graph(graph.model(inputs, list(blocks.graph.output)), path)
