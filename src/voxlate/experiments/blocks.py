"""Residual blocks of the networks of an experiment, read from the graph of what their modules compute."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional as F

from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.experiments.networks import input_of, network_of
from voxlate.reporting.figures.residual_block import Operation, ResidualBlock

_SUMS = (operator.add, torch.add)
_FUNCTIONS = {F.relu: ("activation", "ReLU"), F.leaky_relu: ("activation", "leaky ReLU")}


def residual_block_of(recipe: Recipe, part: str) -> ResidualBlock:
    """Returns the operations of a residual block of a recipe's generator.

    Args:
        recipe: of a network of voxlate.
        part: name of the block in the code of the network, such as `encoder.layer2.0`.

    Raises:
        UsageError: `EXPERIMENT` when there is no such part, or when it is no sum of two paths.
        UsageError, ModelInvalid: as `generator_of`.
    """
    network = network_of(recipe)
    found = [module for name, module in network.named_modules() if name == part or name.endswith(f".{part}")]
    if not part or len(found) != 1:
        raise UsageError("EXPERIMENT", f"the network {recipe.model.name} has no part {part!r}; name one of its blocks")
    taken: list[Tensor] = []
    found[0].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    with torch.no_grad():
        network(input_of(recipe))
    return read_block(found[0], taken[0], name=part)


def read_block(block: nn.Module, x: Tensor, *, name: str) -> ResidualBlock:
    """Returns the operations of a module that adds two paths from its input.

    Args:
        block: without branches that depend on values.
        x: an input, (1, C, ...), of the meta device.
        name: of the block, for the message.

    Raises:
        UsageError: `EXPERIMENT` when it has not one sum of two paths.
    """
    graph = fx.symbolic_trace(block)
    ShapeProp(graph).propagate(x)
    sums = [node for node in graph.graph.nodes if node.op == "call_function" and node.target in _SUMS]
    if len(sums) != 1:
        raise UsageError("EXPERIMENT", f"{name} has {len(sums)} sums; name a residual block, which has one")
    paths = sorted((list(_chain(node)) for node in sums[0].all_input_nodes), key=len, reverse=True)
    if len(paths) != 2:
        raise UsageError("EXPERIMENT", f"{name} does not add two paths; name a residual block")
    longer, shorter = paths
    shared = [node for node in longer if node in shorter]
    after = [node for node in graph.graph.nodes if node.op != "output" and sums[0] in _chain(node)][1:]
    parts = [
        _operations(graph, nodes)
        for nodes in (
            shared,
            [node for node in longer if node not in shared],
            [node for node in shorter if node not in shared],
            after,
        )
    ]
    return ResidualBlock(x.shape[1], *parts)


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """Yields the nodes that lead to a node and the node itself, from the input on; of a sum, its first path."""
    before = node.all_input_nodes
    if before:
        yield from _chain(before[0])
    yield node


def _operations(graph: fx.GraphModule, nodes: Sequence[fx.Node]) -> tuple[Operation, ...]:
    return tuple(
        Operation(*_kind_and_text(graph, node), channels=node.meta["tensor_meta"].shape[1])
        for node in nodes
        if node.op != "placeholder"
    )


def _kind_and_text(graph: fx.GraphModule, node: fx.Node) -> tuple[str, str]:
    if node.op == "call_module":
        return _of_module(graph.get_submodule(str(node.target)))
    if node.target is F.interpolate:
        factor, mode = node.kwargs.get("scale_factor"), node.kwargs.get("mode", "nearest")
        return "other", f"upsampling{f' × {factor}' if factor else ''}\n({mode})"
    known = _FUNCTIONS.get(node.target) if callable(node.target) else None
    return known or ("other", getattr(node.target, "__name__", str(node.target)))


def _of_module(module: nn.Module) -> tuple[str, str]:
    name = type(module).__name__
    if isinstance(module, nn.modules.conv._ConvNd):
        sizes = module.kernel_size
        kernel = f"{sizes[0]}³" if len(sizes) == 3 and len(set(sizes)) == 1 else " × ".join(map(str, sizes))
        kind = "transposed conv" if "Transpose" in name else "conv"
        stride = f", stride {module.stride[0]}" if max(module.stride) > 1 else ""
        return "convolution", f"{kernel} {kind}{stride}"
    for part, text in (("BatchNorm", "batch norm"), ("InstanceNorm", "instance norm")):
        if name.startswith(part):
            return "normalisation", text
    return ("activation", name) if "LU" in name or name == "Sigmoid" else ("other", name)
