"""The text of one molecule record in each format: how to split a file into records, read one and write one.

A splitter turns lines into pairs (text, complete). A reader turns text into a `Molecule`, or a short reason why it cannot.
A writer turns a `Molecule` into text.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from rdkit import Chem, rdBase

from molgen.molecules.metrics.elements import SYMBOLS
from molgen.molecules.molecule import Molecule
from molgen.molecules.text import IMPLICIT, MAX_LINES, NO_ATOMS, NOT_FINITE, UNKNOWN_ELEMENT
from molgen.molecules.values import as_value, known
from molgen.molecules.xyz import one_line, read_comment, read_xyz_record, split_xyz, write_xyz_record
from molgen.tags import Value

_CROSSED = re.compile(r"^([ \d]{6})(  2  )3\n", re.MULTILINE)
_CROSSED_V3000 = re.compile(r"^(M  V30 \d+ 2 \d+ \d+) CFG=2\n", re.MULTILINE)
"""Double bonds that RDKit writes as neither cis nor trans where it was not told."""
_COUNTS = re.compile(r"V[23]000\s*$")
HEADER = 4
"""Lines of a MOL block up to the counts of its atoms and bonds, which end in its version."""
_TAG = re.compile(r"^>[^<]*<(.*)>")
FLAT = "no 3D coordinates"
"""Why a flat drawing, or a graph without coordinates, is no molecule."""
UNREADABLE = ("V3000 record that RDKit cannot parse", "counts line that is not two numbers", "atom or bond lines that RDKit cannot parse")
"""Further reasons why a record is no molecule."""


def split_sdf(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Splits SDF text at its `$$$$` lines, and where one MOL block follows another, as in MOL files that were joined.

    A record at the end without `$$$$` is not complete, for nothing can be written behind it.
    """
    record: list[str] = []
    closed = False  # behind `M  END`
    for line in lines:
        if len(record) <= MAX_LINES:
            record.append(line)
        if line.startswith("$$$$"):
            yield "".join(record), True
            record, closed = [], False
        elif line.startswith("M  END"):
            closed = True
        elif closed and len(record) > HEADER and _COUNTS.search(line) and _ends_block(record[-HEADER - 1]):
            yield "".join(record[:-HEADER]), True
            record, closed = record[-HEADER:], False
    if any(line.strip() for line in record):
        yield "".join(record), False


def _ends_block(line: str) -> bool:
    """Whether a MOL block may begin behind a line: `M  END`, or an empty one, as behind tags. One inside a tag follows its name."""
    return not line.strip() or line.startswith("M  END")


def is_whole(text: str) -> bool:
    """Whether an SDF record ends where one may: with `$$$$`, with nothing behind `M  END`, or with an empty line behind its last tag."""
    filled = text.rstrip()
    last = filled[filled.rfind("\n") + 1 :]
    return last.startswith(("$$$$", "M  END")) or text.count("\n", len(filled)) > 1


def split_smiles(lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """One record a line."""
    for line in lines:
        if line.strip():
            yield line, line.endswith("\n")


def read_sdf_record(text: str) -> Molecule | str:
    """Reads a V2000 or V3000 record as it stands; aromatic bonds are given their Kekulé form, missing hydrogens are not added."""
    mol = parse_sdf_record(text)
    return mol if isinstance(mol, str) else sdf_molecule(mol, text)


def parse_sdf_record(text: str) -> Chem.Mol | str:
    """What RDKit reads of a V2000 or V3000 record, not sanitised, or the reason why that is no molecule in three dimensions."""
    mol = _parsed(text)
    return mol if isinstance(mol, str) else _unusual_bond(mol) or mol


def _parsed(text: str) -> Chem.Mol | str:
    """As :func:`parse_sdf_record`, with bonds of any type."""
    if "\nM  END" not in text:
        return "record without M  END (cut off?)"
    if not is_whole(text):
        return "record that ends inside a tag (cut off?)"
    with rdBase.BlockLogs():
        try:
            mol = Chem.MolFromMolBlock(text, sanitize=False, removeHs=False, strictParsing=False)
        except (ValueError, RuntimeError):
            mol = None
        return why_unreadable(text) if mol is None else _unusable(mol) or mol


def sdf_molecule(mol: Chem.Mol, text: str) -> Molecule | str:
    """The molecule of a record that is parsed (:func:`parse_sdf_record`), with its title and tags, or the reason why there is none."""
    from molgen.molecules.convert import from_rdkit

    if _lacks_hydrogens(mol):
        return IMPLICIT
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    with rdBase.BlockLogs():
        try:
            molecule = from_rdkit(mol)
        except (ValueError, RuntimeError) as error:
            aromatic = any(bond.GetBondType() == Chem.BondType.AROMATIC for bond in mol.GetBonds())
            return "aromatic bonds without a Kekulé form" if aromatic else str(error).splitlines()[0]
    return replace(molecule, properties=_title_and_tags(text))


def read_atoms(text: str) -> Molecule | None:
    """The atoms of an SDF record whose bonds alone are why it is no molecule, of unusual types for instance, without these bonds."""
    mol = _parsed(text)
    if isinstance(mol, str) or _lacks_hydrogens(mol):
        return None
    return atoms_of(mol, _title_and_tags(text))


def _lacks_hydrogens(mol: Chem.Mol) -> bool:
    """Whether valences in a parsed record tell of hydrogens that are no atoms."""
    return any(atom.GetNumExplicitHs() for atom in mol.GetAtoms())


def atoms_of(mol: Chem.Mol, properties: dict[str, Value]) -> Molecule:
    """The atoms of a parsed record, without its bonds."""
    numbers, charges = np.array([(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in mol.GetAtoms()], np.int64).T
    return Molecule(numbers, mol.GetConformer().GetPositions(), charges, np.zeros((0, 3), np.int64), properties)


def _title_and_tags(text: str) -> dict[str, Value]:
    """Properties of an SDF record."""
    lines = text.splitlines()
    title: dict[str, Value] = {"title": lines[0].strip()} if lines[0].strip() else {}
    return title | read_tags(lines)


def write_sdf_record(molecule: Molecule) -> str:
    """Writes a V2000 record (V3000 above 999 atoms or bonds) with the properties as SD tags."""
    mol = molecule.to_rdkit()
    mol.UpdatePropertyCache(strict=False)
    if _has_centres(molecule):
        mol.SetIntProp("_MolFileChiralFlag", 1)  # this enantiomer, not the racemate
    block = Chem.MolToMolBlock(mol, includeStereo=False, kekulize=False)
    block = _CROSSED.sub(r"\g<1>\g<2>0\n", _CROSSED_V3000.sub(r"\1\n", block))  # cis or trans is what the coordinates say
    properties = known(molecule.properties)
    title = one_line(properties.get("title", ""))
    parts = [f" {title}" if _ends(title) else title, block[block.index("\n") :]]
    for name, value in properties.items():
        if name != "title":
            parts.append(f">  <{one_line(name)}>\n{_lines(value)}\n\n")
    return "".join(parts) + "$$$$\n"


def read_tags(lines: list[str]) -> dict[str, Value]:
    """SD tags of a record's lines; see :func:`as_value` for which become numbers."""
    return {name: as_value(text) for name, text in data_fields(lines).items()}


def data_fields(lines: list[str]) -> dict[str, str]:
    """Texts of the SD tags behind the MOL block of a record's lines by name; one of several lines keeps its line breaks."""
    fields: dict[str, str] = {}
    name: str | None = None
    start = next((number for number, line in enumerate(lines) if line.startswith("M  END")), 0)
    for line in lines[start:]:
        if match := _TAG.match(line):
            name = match[1]
            fields[name] = ""
        elif name is not None and line.strip() and not line.startswith("$$$$"):
            fields[name] = f"{fields[name]}\n{line}" if fields[name] else line
        else:
            name = None
    return fields


def write_smiles_record(molecule: Molecule) -> str:
    """Writes the canonical SMILES (with stereo from the geometry where RDKit sanitises) and the title."""
    return f"{molecule.to_smiles()} {one_line(known(molecule.properties).get('title', ''))}".strip() + "\n"


TETRAHEDRAL = (5, 6, 7, 14, 15, 16)
"""Elements whose atoms with four neighbours are never planar, as those of xenon or platinum are."""


def is_flat(mol: Chem.Mol) -> bool:
    """Whether a molecule with a conformer, sanitised or not, is a drawing.

    It lies in the plane z = 0, and is not said to be 3D or has a tetrahedral atom, with four neighbours, hydrogens that are no atoms among
    them: a molecule may lie there, but such an atom cannot.
    """
    conformer = mol.GetConformer()
    if mol.GetNumAtoms() == 1 or conformer.GetPositions()[:, 2].any():
        return False
    if not conformer.Is3D():
        return True
    mol = Chem.Mol(mol)
    mol.UpdatePropertyCache(strict=False)
    return any(atom.GetTotalDegree() > 3 and atom.GetAtomicNum() in TETRAHEDRAL for atom in mol.GetAtoms())


def _unusable(mol: Chem.Mol) -> str:
    """Reason why the atoms of a parsed record are not those of a molecule in three dimensions, or ""."""
    if mol.GetNumAtoms() == 0:
        return NO_ATOMS
    if mol.GetNumConformers() == 0 or is_flat(mol):
        return FLAT
    positions = mol.GetConformer().GetPositions()
    if not np.isfinite(positions).all():
        return NOT_FINITE
    if mol.GetNumAtoms() > 1 and not np.ptp(positions, axis=0).any():
        return "all atoms in one place"
    return UNKNOWN_ELEMENT if any(atom.GetAtomicNum() == 0 for atom in mol.GetAtoms()) else ""


def _unusual_bond(mol: Chem.Mol) -> str:
    """The type of a bond of a parsed record that molecules here do not have, as a reason, or ""."""
    known = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC)
    odd = next((bond.GetBondType() for bond in mol.GetBonds() if bond.GetBondType() not in known), None)
    return f"bond of type {odd.name.lower()}" if odd is not None else ""


def why_unreadable(text: str) -> str:
    """A guess why RDKit could not parse an SDF record, as far as the atoms of V2000 tell."""
    v3000, no_counts, no_rows = UNREADABLE
    lines = text.split("\n")
    counts = lines[3] if len(lines) > 3 else ""
    if "V3000" in counts:
        return v3000
    if not counts[:6].strip().replace(" ", "").isdigit():
        return no_counts
    try:
        atoms = [line.split() for line in lines[4 : 4 + int(counts[:3])]]
        if not all(math.isfinite(float(value)) for atom in atoms for value in atom[:3]):
            return NOT_FINITE
        return no_rows if {atom[3] for atom in atoms} <= {*SYMBOLS[1:], "D", "T"} else UNKNOWN_ELEMENT
    except (IndexError, ValueError):
        return no_rows


def _lines(value: Value) -> str:
    """The value as lines of an SD tag, none of them blank; one that would end the tag or the record is moved by a blank."""
    lines = [line.rstrip() for line in str(value).splitlines() if line.strip()]
    return "\n".join(f" {line}" if _ends(line) else line for line in lines)


def _ends(line: str) -> bool:
    """Whether a line behind a tag's value is that of another tag, or ends the record."""
    return line.startswith("$$$$") or _TAG.match(line) is not None


def _has_centres(molecule: Molecule) -> bool:
    """Whether the geometry has stereocentres, as far as RDKit accepts the molecule."""
    with rdBase.BlockLogs():
        try:
            mol = molecule.to_rdkit(sanitize=True)
        except (ValueError, RuntimeError):
            return False
    return any(atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in mol.GetAtoms())


SPLITTERS: dict[str, Callable[[Iterable[str]], Iterator[tuple[str, bool]]]] = {"sdf": split_sdf, "xyz": split_xyz, "smi": split_smiles}
READERS: dict[str, Callable[[str], Molecule | str]] = {"sdf": read_sdf_record, "xyz": read_xyz_record}
TAGS: dict[str, Callable[[list[str]], dict[str, Value]]] = {"sdf": read_tags, "xyz": read_comment}
WRITERS: dict[str, Callable[[Molecule], str]] = {"sdf": write_sdf_record, "xyz": write_xyz_record, "smi": write_smiles_record}
