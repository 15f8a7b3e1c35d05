"""Classes along a walk: what a second look at the end of a step changes."""

import torch

from molgen.diffusion.categorical import Discrete, Uniform
from molgen.diffusion.space import Categorical


def test_a_correction_is_the_mean_of_the_probabilities_at_both_ends():
    process, when = Discrete(Uniform(), Categorical(3), torch.ones(3) / 3), torch.tensor([0.5])
    start, end = torch.tensor([[0.8, 0.2, 0.0]]), torch.tensor([[0.1, 0.3, 0.6]])
    # logits are known up to a constant, which is another one at either end
    found = process.correct((start.log() + 2.0).unsqueeze(1), (end.log() - 1.0).unsqueeze(1), when, when)
    torch.testing.assert_close(found.exp(), torch.tensor([[[0.45, 0.25, 0.3]]]))
