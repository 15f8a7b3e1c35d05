"""How good a trained estimator is on the molecules that were held out."""

from pathlib import Path

import torch

from molgen.agreement import Agreement
from molgen.checkpoint import load_estimator
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
    for clean in Validation(valid, held_out, experiment.train.pair_budget):
        for name, columns in told.tell(process, clean).items():
            for predicted, deviation, known in zip(*(column.tolist() for column in (*columns, clean.labels[name])), strict=True):
                found[name].add(predicted, deviation, known)
    return found
