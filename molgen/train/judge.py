"""How good a trained estimator is on the molecules that were held out."""

from pathlib import Path

import torch

from molgen.agreement import Agreement
from molgen.checkpoint import load_estimator
from molgen.diffusion.condition import SMALLEST_STD
from molgen.diffusion.estimation import RATIOS, estimate, read_clean
from molgen.experiment import Experiment
from molgen.train.stream import Validation, split_validation
from molgen.train.teacher import open_data


@torch.no_grad()
def judge(experiment: Experiment) -> dict[str, Agreement]:
    """What the estimator in ``train.out`` says about the validation data of its run, by name of the label; empty where there are none.

    Finished molecules are read, as :meth:`molgen.sample.Model.predict` does.
    """
    data = open_data(experiment, experiment.data.path)
    _, valid, held_out = split_validation(experiment, data)
    if not len(held_out):
        return {}
    told = load_estimator(Path(experiment.train.out), data.statistics)
    process = experiment.domain.process(data.statistics)
    found = {member.name: Agreement(member.unit, member.mean) for member in told.members.values()}
    batches = Validation(valid, held_out, experiment.train.pair_budget)
    for clean in map(batches.__getitem__, range(len(batches))):
        means, deviations = estimate(told.network, read_clean(process, clean), clean.mask, torch.full((len(clean),), RATIOS[0]))
        for k, member in told.members.items():
            std = max(member.std, SMALLEST_STD)
            columns = means[:, k] * std + member.mean, deviations[:, k] * std, clean.labels[member.name]
            for predicted, deviation, known in zip(*(column.tolist() for column in columns), strict=True):
                found[member.name].add(predicted, deviation, known)
    return found
