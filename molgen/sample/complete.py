"""Completion: clouds that contain a given part.

The denoiser is made certain of the given part (:mod:`molgen.diffusion.inpaint`), and every sampler generates the rest around it. What
holds a part is for the domain to say: see :mod:`molgen.shapes.part`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch

from molgen.clouds import Clouds
from molgen.diffusion.noise import PerSampleNoise
from molgen.errors import InputError
from molgen.sample.doubts import relief
from molgen.sample.model import IMPATIENCE, Model, Vain
from molgen.sample.modes import undisturbed
from molgen.sample.parallel import LARGEST_WINDOW, Cores, wanted
from molgen.sample.request import Request, Tally
from molgen.shapes.given import check_points
from molgen.shapes.shape import Shape


def complete(model: Model, given: np.ndarray, num: int, request: Request, tally: Tally | None = None) -> Iterator[np.ndarray]:
    """``num`` clouds (n, 3), one by one, whose first k points are the given ones (k, 3), in the unit of the model.

    Sizes of the request say how many points a cloud has; steps, seed, properties and guidance are those of any sample. A cloud that fails
    the check is drawn anew, or handed out with ``keep_invalid``; the one handed out last is draw ``tally.drawn - 1``.

    Raises:
        InputError: if the request makes no sense, nothing is left to generate, the given points are not finite, mostly copies or do not fit
            the model's unit, or the model is not one of clouds.
        Vain: if ``IMPATIENCE`` draws in a row fail the check.
    """
    return undisturbed(_complete(model, given, num, request, tally if tally is not None else Tally()), model.device.type)


def _complete(model: Model, given: np.ndarray, num: int, request: Request, tally: Tally) -> Iterator[np.ndarray]:
    domain = model.domain
    if not isinstance(domain, Clouds):
        raise InputError(f"{model.checkpoint.name}: only clouds of points can be completed; use a model of shapes")
    model.warnings(request)
    request = model.settled(request)
    check_points(given)
    statistics, process = model.checkpoint.statistics, model.denoiser.process
    sampler = request.sampler or model.checkpoint.experiment.sampler
    smallest = min(request.sizes or statistics.sizes)
    if smallest <= len(given):
        raise InputError(f"{len(given)} points are given and {smallest} asked for: nothing is left to generate; ask for more points")
    if np.linalg.norm(given - given.mean(0), axis=-1).max() > 2:
        raise InputError("the given points span more than the unit sphere of the training shapes; scale them to the unit of the samples")
    known, missing, first, vain = torch.from_numpy(given).to(model.device), num, 0, Counter[str]()
    with Cores(model.device) as cores:

        @torch.no_grad()
        def make(draw: tuple[int, int]) -> np.ndarray:
            size, seed = draw
            like = domain.empty([size], statistics).to(model.device)
            part = domain.part(known, size, statistics)
            denoiser = part.guide(model.guided(request), process, like)
            condition, noise = model.condition(request, [seed]), PerSampleNoise([seed])
            for step in sampler.walk(denoiser, process, like, condition, noise, model.steps(request)):
                last = step.batch
                cores.go_on()
            return part.finish(last)

        while missing > 0:
            numbers = range(first, first + min(wanted(num, num - missing, first), LARGEST_WINDOW))
            first = numbers.stop
            for cloud in cores.map(make, list(zip(*model.plan(request, numbers), strict=True))):
                item = Shape(cloud - cloud.mean(0))
                reason = domain.check(item).reason
                tally.draw(reason)
                if reason and not request.keep_invalid:
                    vain[reason] += 1
                    if vain.total() >= IMPATIENCE:
                        raise Vain.after(vain, "failed the check", f"{relief(request, domain)}take more steps, or give another part")
                    continue
                vain.clear()
                tally.keep(item)
                missing -= 1
                yield cloud
                if missing == 0:
                    return
