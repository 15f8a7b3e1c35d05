"""The order in which a U-Net visits its levels."""

import torch

from molgen.batch import mask_of
from molgen.geometry import center
from molgen.nn.point_unet import Level, PointUNet


def test_every_level_attends_as_often_on_the_way_down_as_on_the_way_up():
    config = PointUNet(scalars=8, vectors=4, coarse=1, neighbours=3, levels=(6, 4), layers=2, heads=2, context=8)
    network, visited = config.build(1, 0, 0, 0, 0), []
    names = {module: name for name, module in network.named_modules()}
    outer = network.levels
    watched = [outer.pool, *outer.attend, outer.inner.pool, *outer.inner.attend, outer.inner.spread, outer.spread]
    for module in watched:
        module.register_forward_hook(lambda module, given, out: visited.append(names[module]))
    mask = mask_of([9])
    x = center(torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0)), mask)
    level = torch.zeros(1)
    network(torch.stack([x, x], 2), x, level, torch.zeros(1, 9, 1), torch.zeros(1, 9, 9, 0), mask, level, torch.zeros(1, 0))
    inner = ["levels.inner.pool", "levels.inner.attend.0", "levels.inner.attend.1", "levels.inner.spread"]
    down, up = ["levels.attend.0", "levels.attend.1"], ["levels.attend.2", "levels.attend.3"]
    assert visited == ["levels.pool", *down, *inner, *up, "levels.spread"]
    assert isinstance(outer, Level)
    assert outer.inner.inner is None
