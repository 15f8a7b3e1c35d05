"""Numbers of samples by hashing: their laws, and that nothing ties them together."""

import torch
from scipy import stats

from molgen.diffusion.noise import PerSampleNoise, scramble


def test_scrambling_is_splitmix64():
    # the first outputs of SplitMix64 from the state 0 are the hashes of 1, 2, 3 times the golden ratio
    golden = torch.tensor([1, 2, 3]) * -0x61C8864680B583EB
    assert [value % 2**64 for value in scramble(golden).tolist()] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_numbers_have_their_laws_and_no_correlation():
    mask, noise = torch.ones(40, 12, dtype=torch.bool), PerSampleNoise(range(40))
    normal = torch.stack([noise.normal(mask, 3, torch.float64) for _ in range(30)])  # draw, sample, node, axis
    uniform = torch.stack([noise.uniform(mask, pairs=False) for _ in range(100)]).double()
    pairs = torch.stack([noise.uniform(mask, pairs=True) for _ in range(30)]).double()
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    i, j = torch.triu_indices(12, 12, 1)
    assert torch.equal(pairs, pairs.transpose(2, 3))
    assert stats.kstest(pairs[:, :, i, j].flatten().numpy(), "uniform").pvalue > 1e-3
    for values in (normal, stats.norm.ppf(uniform.clamp(1e-9)), stats.norm.ppf(pairs[:, :, i, j].clamp(1e-9))):
        values = torch.as_tensor(values)
        for axis in range(values.dim()):
            before, after = values.narrow(axis, 0, values.shape[axis] - 1), values.narrow(axis, 1, values.shape[axis] - 1)
            assert abs((before * after).mean()) < 4.5 / before.numel() ** 0.5, axis
