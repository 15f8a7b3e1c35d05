"""What is strange about the strength and the steps of a request, and what helps where all draws fail."""

from molgen.clouds import Clouds
from molgen.domain import Domain
from molgen.sample.request import Request

STRONGEST = 6.0
"""Guidance up to which most shapes pass: of mugs of the weights `shapes` (usual 1) all at 5, two thirds at 6, one in sixteen at 7. Of
molecules of `qm9_small` asked for a logP of 1.5 (usual 2) 30 of 32 pass at 6, 22 at 8 and 21 at 12, which takes no warning."""
FEWEST_STEPS = 3
"""Of clouds: one or two leave a ball of a thirtieth or a sixth of the size of a shape."""


def doubts(request: Request, domain: Domain) -> list[str]:
    """A line for guidance that does nothing or too much, and one for steps that are too few for a cloud."""
    lines, guidance = [], request.guidance
    if request.properties and guidance == 0:
        lines.append(f"guidance=0 takes no notice of what is asked for; {domain.items} are as without it, 1 is the plain conditional model")
    if request.properties and guidance is not None and guidance > STRONGEST and isinstance(domain, Clouds):
        lines.append(f"guidance={guidance:g} is far above the usual {domain.guidance:g}: {domain.items} fail the check above {STRONGEST:g}")
    if isinstance(domain, Clouds) and request.steps is not None and request.steps < FEWEST_STEPS:
        lines.append(f"steps={request.steps}: {domain.items} of so few steps shrink to a small ball; usual are {domain.steps}")
    return lines


def relief(request: Request, domain: Domain) -> str:
    """Advice to lower the guidance where it is above the usual one, to be followed by others; "" elsewhere."""
    if not request.properties or request.guidance is None or request.guidance <= domain.guidance:
        return ""
    return f"lower the guidance of {request.guidance:g} (usual is {domain.guidance:g}), "
