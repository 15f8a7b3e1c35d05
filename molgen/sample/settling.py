"""What a request means for a model: whether it makes sense there, by which names, and what is usual where it says nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from molgen.checkpoint import Checkpoint
from molgen.diffusion.rounding import multiplies_bfloat16
from molgen.domain import Domain, require
from molgen.errors import InputError, nearest
from molgen.sample.request import Request

USUAL_CANDIDATES = 4
"""Walks towards a request from which the nearest is taken."""


def check_request(request: Any) -> None:
    """Refuses what is no request, or makes no sense for any model.

    Raises:
        InputError: naming the argument and what was expected.
    """
    if not isinstance(request, Request):
        raise InputError(f"request: expected molgen.Request(properties={{...}}), got {request!r}")
    request.check()


def settle(checkpoint: Checkpoint, request: Request, device: torch.device) -> tuple[Request, list[str]]:
    """The request with names, candidates, guidance, steps and precision as walked, and a line for everything that is strange about it.

    Args:
        checkpoint: of the model.
        request: as it was made.
        device: that walks; bf16 becomes fp32 where it would be slower.

    Raises:
        InputError: for a property that the model was not trained with, numbers that make no sense, constraints that cannot be met, and
            several candidates that cannot be compared.
    """
    check_request(request)
    domain, statistics, known = checkpoint.experiment.domain, checkpoint.statistics, checkpoint.members
    if min(request.sizes, default=1) < 1:
        raise InputError(f"expected a size of at least 1 {domain.node}, got {min(request.sizes)}")
    if max(request.sizes, default=1) > domain.most_nodes:
        raise InputError(f"sizes: expected at most {domain.most_nodes} {domain.node}s, got {max(request.sizes)}")
    require(getattr(request.filters, "items", domain.items), domain, checkpoint.name, f"filters: {type(request.filters).__name__}")
    if request.constraint is not None:
        request.constraint.sizes(statistics, [*request.sizes])
    lines, request = [], request.named(known)
    for name, value in request.properties.items():
        if name not in known:
            raise InputError(f"{checkpoint.name}: {unknown(name, [*known])}")
        lines += [known[name].doubt(end) for end in (value if isinstance(value, tuple) else (value,))]
    told = checkpoint.foretold
    strange = [name for name in request.properties if name not in told and not domain.measures([name])]
    comparable = bool(request.properties) and not strange
    if request.walks > 1 and not comparable:
        names = ", ".join(strange)
        why = f"{names} cannot be measured on what is made, nor told by an estimator" if names else "no property is asked for"
        raise InputError(f"candidates: {request.candidates} of a draw cannot be compared, as {why}; expected 1")
    candidates = request.candidates or (USUAL_CANDIDATES if comparable else 1)
    usual = 1.0 if candidates > 1 else domain.guidance
    guidance = usual if request.guidance is None else request.guidance
    steps = domain.steps if request.steps is None else request.steps
    lines.append(domain.doubt([*request.sizes], statistics))
    if request.constraint is not None:
        lines.append(request.constraint.doubt())
    if request.properties and guidance == 0:
        lines.append(f"guidance=0 takes no notice of what is asked for; {domain.items} are as without it, 1 is the plain conditional model")
    lines += domain.extremes(guidance if request.properties else None, steps)
    precision = request.precision
    if precision == "bf16" and not multiplies_bfloat16(device):
        precision = "fp32"
        lines.append("precision=bf16 is many times slower than fp32 here, as this processor has no instructions for it; computed in fp32")
    return replace(request, candidates=candidates, guidance=guidance, steps=steps, precision=precision), [line for line in lines if line]


def unknown(name: str, known: Sequence[str]) -> str:
    """What is wrong with a property of this name, and what may be meant."""
    close = " or ".join(nearest(name, known))
    instead = f"did you mean {close}?" if close else f"it was trained with {', '.join(known) or 'none'}"
    return f"unknown property {name!r}; {instead}"


def relief(request: Request, domain: Domain) -> str:
    """Advice to lower the guidance where it is above the usual one, to be followed by others; "" elsewhere."""
    if not request.properties or request.guidance is None or request.guidance <= domain.guidance:
        return ""
    return f"lower the guidance of {request.guidance:g} (usual is {domain.guidance:g}), "
