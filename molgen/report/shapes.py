"""The page of an evaluation of shapes: tables, and a gallery of turning clouds, each beside its nearest reference."""

import base64
import json

import numpy as np

from molgen.evaluate.shapes import ShapeEvaluation
from molgen.report.page import asset, document, section, tables

DRAWN = 900  # points of a cloud in the gallery


def shape_page(evaluation: ShapeEvaluation, gallery: int) -> str:
    """HTML of an evaluation.

    Args:
        evaluation: to show.
        gallery: how many samples to show.
    """
    samples = evaluation.samples
    sections = section("Figures", tables(evaluation.groups, [samples], evaluation.real))
    settings = evaluation.settings
    facts = [
        f"{samples.records:,} samples against {samples.records:,} held-out shapes of {evaluation.reference.name}",
        f"{settings.points:,} points",
        f"seed {settings.seed}",
        f"scored in {samples.seconds:.0f} s",
    ]
    number = min(gallery, len(evaluation.nearest))
    entries = []
    for k in range(number):
        nearest, distance = evaluation.nearest[k]
        sample, reference = evaluation.shown.items[k], evaluation.reference.items[nearest]
        entries.append(
            {
                "name": sample.name,
                "near": reference.name,
                "distance": float(f"{1e3 * distance:.4g}"),
                "cloud": _packed(sample.cloud),
                "reference": _packed(reference.cloud),
            }
        )
    up = evaluation.reference.up or evaluation.shown.up or "z"
    content = json.dumps({"up": up, "shapes": entries}, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    sections += asset("shapes.html").replace("{{shown}}", f"{number} of {samples.records:,} samples")
    sections += f'<script type="application/json" id="shapes">{content}</script><script>{asset("shapes.js")}</script>'
    return document(f"Evaluation of {samples.name}", facts, samples.notes, sections, intervals=True)


def _packed(cloud: np.ndarray) -> str:
    """Coordinates as signed bytes of the largest radius, base64."""
    some = cloud[:DRAWN] - (cloud.max(0) + cloud.min(0)) / 2
    reach = np.linalg.norm(some, axis=1).max()
    return base64.b64encode(np.rint(127 * some / reach).astype(np.int8).tobytes()).decode()
