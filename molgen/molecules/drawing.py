"""Two-dimensional structure drawings as SVG."""

from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from molgen.molecules.convert import refused
from molgen.molecules.molecule import Molecule


def draw(molecule: Molecule, width: int = 220, height: int = 160) -> str:
    """Draws the structure of a molecule, of a broken one as far as its bonds tell.

    Args:
        molecule: with bonds; stereo is taken from its geometry where RDKit accepts it.
        width: pixels.
        height: pixels.

    Returns:
        An `<svg>` element without fonts or outside references, "" if RDKit cannot draw the molecule.
    """
    with rdBase.BlockLogs():
        try:
            mol = rdMolDraw2D.PrepareMolForDrawing(_flat(Chem.RemoveHs(molecule.to_rdkit(sanitize=True))), addChiralHs=False)
        except (ValueError, RuntimeError):
            mol = _flat(refused(molecule))
        try:
            canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
            options: Any = canvas.drawOptions()
            options.clearBackground = False
            options.padding = 0.08
            options.prepareMolsBeforeDrawing = False
            options.fixedBondLength = 22
            canvas.DrawMolecule(mol)
            canvas.FinishDrawing()
        except (ValueError, RuntimeError):
            return ""
    text = canvas.GetDrawingText()
    return text[text.index("<svg") :]


def _flat(mol: Chem.Mol) -> Chem.Mol:
    """The molecule with coordinates for drawing instead of its own."""
    mol.RemoveAllConformers()
    rdDepictor.Compute2DCoords(mol)
    return mol
