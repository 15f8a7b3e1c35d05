"""The data of an experiment as Lightning takes them: ``trainer.fit(module, DataModule(experiment))``."""

from typing import cast

import lightning
import numpy as np
from torch.utils.data import DataLoader

from molgen.batch import Batch
from molgen.domain import Dataset
from molgen.experiment import Experiment
from molgen.train.checks import check_sizes
from molgen.train.resident import place
from molgen.train.stream import Stream, Validation, split_validation, training_buckets
from molgen.train.teacher import open_data


class DataModule(lightning.LightningDataModule):
    """Batches of the samples that an experiment trains on, and of those that it holds out.

    On a GPU the data lie in its memory where they fit.

    Args:
        experiment: with ``data.path``.

    Attributes:
        data: all samples of ``data.path``.
        chosen: numbers of those to train on.
        valid: samples with those that are held out, which may be the same.
        held_out: numbers of these.
        buckets: cut what is trained on into batches.

    Raises:
        InputError: a file is missing or damaged, a label is unknown, or there are molecules far above ``train.pair_budget``.
    """

    def __init__(self, experiment: Experiment):
        super().__init__()
        self.experiment = experiment
        self.data = open_data(experiment, experiment.data.path)
        self.chosen, self.valid, self.held_out = split_validation(experiment, self.data)
        check_sizes(experiment, np.concatenate([self.data.sizes[self.chosen], self.valid.sizes[self.held_out]]))
        self.buckets = training_buckets(self.data, self.chosen, experiment.train)
        self._placed: Dataset | None = None

    @property
    def _trainer(self) -> lightning.Trainer:
        return cast(lightning.Trainer, self.trainer)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches from the current step on; the step, the ranks and the device are those of the trainer."""
        trainer = self._trainer
        self._placed = place(self.data, trainer.strategy.root_device)

        def position() -> tuple[int, int, int]:
            return trainer.global_step, trainer.global_rank, trainer.world_size

        return DataLoader(Stream(self._placed, self.chosen, self.buckets, self.experiment.train.validate_every, position), batch_size=None)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """The same batches on every rank; none where nothing is held out."""
        if not len(self.held_out):
            return []
        shared = self.valid is self.data and self._placed is not None
        valid = cast(Dataset, self._placed) if shared else place(self.valid, self._trainer.strategy.root_device)
        return [DataLoader(Validation(valid, self.held_out, self.experiment.train.pair_budget), batch_size=None)]
