"""How fast a run is, told once in its first minute: molecules a second, floating-point operations a second, share of the card's peak.

Operations of matrix products are counted in the first steps of a run, forwards and backwards, as they are run (a fused multiply-add is
two); element-wise work is not counted. The time is the median of the steps after that, which neither compiling nor a pause moves; runs
with graphs (:mod:`molgen.train.graphs`) are timed for longer, until most steps are replays.
"""

import statistics
import time
from collections.abc import Mapping, Sized
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

PEAKS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H200 NVL": 835.0,
    "H100": 989.0,
    "H200": 989.0,
    "A100": 312.0,
}
"""Dense bf16 peak by what a card's name contains, TFLOP/s, from the makers' data sheets; the first that fits counts."""

COUNTED = 16
"""Steps whose operations are counted: half of them have a second pass for self-conditioning."""
TIMED = 20
"""Steps that are timed at least."""


def peak(card: str) -> float | None:
    """Dense bf16 peak of a card by its name, TFLOP/s; None for one that is not known."""
    return next((value for name, value in PEAKS.items() if name in card), None)


def describe(items: str, rate: float, operations: float, card: str) -> str:
    """The line.

    Args:
        items: what the run trains on, plural.
        rate: items a second.
        operations: floating-point operations a second on one device; 0 where none were counted.
        card: name of the device, "" for a CPU.
    """
    words = [f"speed: {rate:,.0f} {items}/s" if rate >= 100 else f"speed: {rate:.3g} {items}/s"]
    if not operations:
        return words[0]
    words.append(f"{operations / 1e12:.3g} TFLOP/s")
    best = peak(card)
    if best is not None:
        words.append(f"{100 * operations / 1e12 / best:.1f} % of the bf16 peak of {card} ({best:.0f} TFLOP/s)")
    return ", ".join(words)


class Operations(TorchDispatchMode):
    """Counts the operations of matrix products within it, by the formulas of torch.

    ``torch.utils.flop_counter.FlopCounterMode`` takes operators apart and keeps account of modules as well: a step under it takes four to
    six times as long as one that is not counted, one under this twice as long, and has the same bits as without.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


class Speed(Callback):
    """Prints the line after `COUNTED` and `TIMED` steps and `seconds` of timing, or where the run ends before."""

    def __init__(self, items: str, seconds: float = 5.0) -> None:
        self.items, self.seconds = items, seconds
        self.operations: list[int] = []
        self.times: list[float] = []
        self.sizes: list[int] = []
        self.told = False
        self._counter: Operations | None = None
        self._began: float | None = None

    def on_train_batch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Sized, batch_idx: int) -> None:
        if trainer.global_step < COUNTED:
            torch.compiler.set_stance("force_eager")  # under a counter compiled layers would be given up for good
            self._counter = Operations()
            self._counter.__enter__()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Sized, batch_idx: int
    ) -> None:
        if self._counter is not None:
            self._stop()
        elif not self.told and self._began is not None:
            self.times.append(time.perf_counter() - self._began)  # from the end of the step before: making the batch counts
            self.sizes.append(len(batch))
            if len(self.times) >= TIMED and sum(self.times) >= self.seconds:
                self.tell(trainer)
        self._began = time.perf_counter()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.times and not self.told:
            self.tell(trainer)

    def on_exception(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException) -> None:
        if self._counter is not None:
            self._stop()

    def tell(self, trainer: lightning.Trainer) -> None:
        """Prints the line, on the first of several processes."""
        self.told = True
        if trainer.is_global_zero:
            step = statistics.median(self.times)
            device = trainer.strategy.root_device
            card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
            rate = trainer.world_size * statistics.mean(self.sizes) / step
            print(describe(self.items, rate, statistics.mean(self.operations or [0]) / step, card), flush=True)

    def _stop(self) -> None:
        assert self._counter is not None
        self._counter.__exit__(None, None, None)
        torch.compiler.set_stance("default")
        self.operations.append(self._counter.total)
        self._counter = None
