"""MTPSL's mappings layer by layer, one map [c, h, w] at a time."""

import torch
from torch.nn import functional

#: The stride of the input layers, and the layers of each stage, which ends with a pool (SegNet's
#: encoder, a light one).
STAGES = {"segnet": (1, (2, 2, 3, 3, 3)), "light": (2, (1, 1, 1, 1))}


def wide(vector):
    return vector[:, None, None]


def normalised(layer, maps, together, stride=1, padding=1):
    """A convolution, and batch norm of each map by itself, or of all `together`."""
    maps = [
        functional.conv2d(x[None], layer.convolution.weight, stride=stride, padding=padding)[0]
        for x in maps
    ]
    found = []
    for group in [maps] if together else [[x] for x in maps]:
        found += functional.batch_norm(
            torch.stack(group), None, None, layer.weight, layer.bias, training=True
        )
    return found


def conditioned(layer, maps, conditions):
    if layer.scale is None:
        return maps
    return [
        wide(a @ layer.scale) * x + wide(a @ layer.shift)
        for x, a in zip(maps, conditions, strict=True)
    ]


def own_layers(kind, mapping, task, maps, together):
    """A task's input layer and what its maps have before the first condition."""
    layer = mapping.inputs[task].layer
    if kind == "resnet18":
        maps = normalised(layer, maps, together, stride=2, padding=3)
        return [functional.max_pool2d(x.relu()[None], 3, 2, 1)[0] for x in maps]
    maps = normalised(layer, maps, together, stride=STAGES[kind][0])
    return normalised(mapping.first, [x.relu() for x in maps], together)


def body(kind, mapping, maps, conditions, together, stride, rectify):
    """The joint maps, at this stride."""
    if kind == "resnet18":
        return resnet_blocks(
            mapping, maps, conditions=conditions, together=together, stride=stride, rectify=rectify
        )
    (own, counts), rest = (
        STAGES[kind],
        [part for part in mapping.rest if hasattr(part, "convolution")],
    )
    layers, done, side = [mapping.first, *rest], 0, own
    assert len(layers) == sum(counts)
    for count in counts:
        for _ in range(count):
            maps = normalised(layers[done], maps, together) if done else maps
            maps, done = conditioned(layers[done], maps, conditions), done + 1
            maps = [x.relu() for x in maps] if rectify or done < len(layers) else maps
        if side < stride:
            maps, side = [functional.max_pool2d(x[None], 2)[0] for x in maps], 2 * side
    return maps


def resnet_blocks(mapping, maps, conditions, together, stride, rectify):
    side = 4
    assert len(mapping.rest) == 8
    for i, block in enumerate(mapping.rest):
        halve = i in (2, 4, 6) and side < stride
        step, side = (2, 2 * side) if halve else (1, side)
        inner = [
            x.relu()
            for x in conditioned(
                block.first, normalised(block.first, maps, together, step), conditions
            )
        ]
        inner = conditioned(block.second, normalised(block.second, inner, together), conditions)
        passed = (
            maps
            if i in (0, 1, 3, 5, 7)
            else normalised(block.shortcut, maps, together, step, padding=0)
        )
        maps = [a + b for a, b in zip(inner, passed, strict=True)]
        maps = [x.relu() for x in maps] if rectify or i < 7 else maps
    return maps
