"""Filters against molecules whose properties are known, and the screen for hazardous substances against real and notorious ones."""

import gzip
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from molgen.errors import InputError
from molgen.known import Known, fingerprint
from molgen.molecules.export import read_molecules
from molgen.molecules.filters import CATALOGUES, Filters, hazard, hazards
from molgen.molecules.measure import COUNTS, MEASURED, USUAL, XTB, Target, keep_best, measure, with_measured
from molgen.molecules.molecule import Molecule
from molgen.molecules.wishes import Rule
from molgen.ranges import Range

SAMPLE = Path(__file__).parents[3] / "data/qm9_sample/qm9_sample.sdf.gz"
LIGANDS = Path(__file__).parents[3] / "data/ligands_sample/neutral.sdf.gz"

PEPTOID = "CC(=O)" + "N(C)CC(=O)" * 6 + "N(C)C"  # hexamer of sarcosine
SUCROSE = "OCC1OC(OC2(CO)OC(CO)C(O)C2O)C(O)C(O)C1O"  # 8 donors, 11 acceptors, tpsa 190


def built(smiles, **properties):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    molecule = Molecule.from_rdkit(mol)
    return Molecule(molecule.atomic_numbers, molecule.positions, molecule.charges, molecule.bonds, properties)


@pytest.fixture(scope="module")
def qm9():
    return list(read_molecules(SAMPLE))


@pytest.mark.parametrize(
    ("text", "low", "high"), [("0..3", 0, 3), ("-1.5..2e1", -1.5, 20), ("..4", -math.inf, 4), ("4..", 4, math.inf), ("2..2", 2, 2)]
)
def test_ranges_are_read_and_include_their_ends(text, low, high):
    found = Range.parse(text)
    assert found == (low, high)
    assert str(Range.parse(str(found))) == str(found)
    for end in (low, high):
        assert end in found or math.isinf(end)
    assert math.nan not in found


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [("0..3", "5..", False), ("0..3", "3..", True), ("..1", "2..", False), ("..", "1..1", True), ("0..9", "4..5", True)],
)
def test_ranges_overlap_where_a_number_is_in_both(one, other, meet):
    one, other = (Range.parse(text) if text != ".." else Range(-math.inf, math.inf) for text in (one, other))
    assert one.overlaps(other) is other.overlaps(one) is meet


@pytest.mark.parametrize("text", ["", "..", "4", "a..b", "nan..1", "1..nan", "inf..", "..-inf", "1..2..3"])
def test_bad_ranges(text):
    with pytest.raises(InputError, match="expected a range such as"):
        Range.parse(text)
    with pytest.raises(InputError, match=r"did you mean 3\.\.5"):
        Range.parse("5..3")


# ethanol: 46.07 g/mol, no ring, one donor; benzene: logP 1.69 (Crippen), one ring
@pytest.mark.parametrize(
    ("where", "smiles", "passes"),
    [
        ("mw<46.07", "CCO", True),
        ("mw<46.06", "CCO", False),
        ("mw>46", "CCO", True),
        ("mw=40..45", "CCO", False),
        ("rings=0", "CCO", True),
        ("rings=1", "CCO", False),
        ("rings==0", "CCO", True),
        ("46<=mw<=47", "CCO", True),
        ("46 < MW < 47", "CCO", True),
        ("46.5<=mw<=47", "CCO", False),
        ("aromatic_rings=1", "C1CCCCC1c1ccccc1", True),
        ("aromatic_rings>=2", "C1CCCCC1c1ccccc1", False),
        ("stereocentres=1", "CC(O)CC", True),
        ("stereocentres=0", "CC(O)C", True),
        ("stereocentres=2", "C[C@H](O)C(O)[C@H](C)O", True),  # the middle is none where the ends are alike
        ("stereocentres=3", "C[C@H](O)[C@H](O)[C@@H](C)O", True),
        ("logp=1.6..1.8", "c1ccccc1", True),
        ("donors>=1", "c1ccccc1", False),
        ("sa<=2", "CCO", True),
        ("sa<=2", "C1C2CC3CC1C23", False),
        ("lipinski", "c1ccccc1", True),
        ("lipinski", SUCROSE, False),
        ("nhoh_count=8", SUCROSE, True),
        ("no_count=11", SUCROSE, True),
        ("lipinski", PEPTOID, False),  # 14 nitrogen and oxygen atoms and 513 g/mol; RDKit's acceptors would be 7
        ("veber", "CCO", True),
        ("veber", SUCROSE, False),
        ("rule_of_three", "CCCCCCCCCCCC", False),
        ("lipinski", "CCCCCCCCCCCCCCCCCCCCCCCC", True),  # logP alone misses: one miss is allowed
        ("lipinski", "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC", False),  # logP and weight miss
        ("veber", "CCCCCCCCCCCCCCCC", False),
        ("rule_of_three", "c1ccccc1O", True),
        ("gap_xtb=0..30", "C", True),
        ("gap_xtb=0..1", "C", False),
    ],
)
def test_rules(where, smiles, passes):
    reason = Filters(where=[where]).start()(built(smiles))
    assert reason == ("" if passes else f"not {Rule.parse(where).text}")
    assert Rule.parse(Rule.parse(where).text) == Rule.parse(where)


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"where": ["mw"]}, r"where mw: expected NAME=A\.\.B, NAME<B, NAME>A or one of lipinski"),
        ({"where": ["350>=mw>=250"]}, r"where 350>=mw>=250: expected NAME=A\.\.B"),
        (
            {"where": ["weight<5"]},
            r"unknown property 'weight'; did you mean mw<5\? Choose from logp, qed",
        ),
        ({"where": ["lopg<5"]}, r"unknown property 'lopg'; did you mean logp<5\? Choose from"),
        ({"where": ["colour<5"]}, r"unknown property 'colour'; choose from logp, .*, or predicted_NAME, which needs an estimator of it$"),
        ({"where": ["similarity>=0.4"]}, "^where similarity>=0.4: similar to what"),
        ({"has": "c1ccc"}, "^has c1ccc: c1ccc is no SMARTS pattern"),
        ({"has": ["C", "house.smarts"]}, r"^has house\.smarts: a file of patterns is for lacks; "),
        ({"lacks": ["C("]}, r"^lacks C\(: C\( is no SMARTS pattern"),
        ({"lacks": "nofile.smarts"}, r"^lacks nofile\.smarts: cannot be read \(No such file"),
        ({"where": ["mw<x"]}, "where mw<x: expected a range"),
        ({"where": ["logp=3..1"]}, r"did you mean 1\.\.3"),
        ({"where": ["logp=1.5"]}, r"where logp=1\.5: logp is a real number: write logp=1\.4\.\.1\.6$"),
        ({"where": ["LogP = -1"]}, r"logp is a real number: write logp=-1\.1\.\.-0\.9$"),
        ({"where": ["mw=180"]}, r"mw is a real number: write mw=171\.\.189$"),
        ({"where": ["predicted_pIC50=7"]}, r"predicted_pIC50 is a real number: write predicted_pIC50=6\.65\.\.7\.35$"),
        ({"where": ["rings=1.5"]}, r"rings is a whole number: write rings=1\.\.2$"),
        ({"where": ["logp=0..3", "LOGP=5.."]}, r"^where logp=0\.\.3 and where logp=5\.\.: no logp is in both ranges; leave one of"),
        ({"where": ["rings=1", "mw<300", "rings=2"]}, "^where rings=1 and where rings=2: no rings is in both"),
        ({"where": ["tpsa>140.5", "veber"]}, r"^where tpsa>140\.5 and where veber: no tpsa is in both ranges"),
        ({"where": ["predicted_a<1", "predicted_a>2"]}, "no predicted_a is in both ranges"),
        ({"where": "mw<"}, "where mw<: expected NAME="),
        ({"alerts": ["brank"]}, "^alerts brank: unknown catalogue; choose from all, brenk"),
    ],
)
def test_bad_filters_are_told_at_once(filters, words):
    with pytest.raises(InputError, match=words) as caught:
        Filters(**filters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["where", "alerts", "has", "lacks", "novel", "similar_to"])
def test_members_may_come_from_a_generator(name):
    members = {"where": ["mw<60"], "alerts": ["pains"], "has": ["C"], "lacks": ["N"], "novel": ["CCO"], "similar_to": ["CCO"]}[name]
    streamed = Filters(**{name: (member for member in members)})
    assert streamed == Filters(**{name: members})
    assert streamed.describe() == Filters(**{name: members}).describe()
    assert hash(streamed) == hash(Filters(**{name: members}))


def test_unique_and_novel_look_at_the_graph_alone(qm9):
    screen = Filters(unique=True).start()
    turned = Molecule(qm9[0].atomic_numbers, -qm9[0].positions, qm9[0].charges, qm9[0].bonds)
    assert [screen(qm9[0]), screen(turned), screen(qm9[1])] == ["", "not unique", ""]
    again = Filters(unique=True).start(seen=screen.seen)  # a resumed run
    assert [again(qm9[1]), again(qm9[2])] == ["not unique", ""]


def test_what_failed_the_check_is_not_compared(qm9):
    failed = [Molecule(m.atomic_numbers, m.positions, m.charges, m.bonds, {"passed": False}) for m in (qm9[0], qm9[0])]
    screen = Filters(unique=True).start()
    assert [screen(failed[0]), screen(failed[1]), screen(qm9[0]), screen(qm9[0])] == ["", "", "", "not unique"]


def test_what_is_ruled_out_does_not_count_as_seen():
    screen = Filters(unique=True, where=["mw<20"]).start()
    assert [screen(built("CCO")), screen(built("CCO")), screen(built("C")), screen(built("C"))] == [
        "not mw<20",
        "not mw<20",
        "",
        "not unique",
    ]


def test_alerts_are_those_of_the_catalogue():
    screen = Filters(alerts=["brenk", "pains"]).start()
    assert screen(built("CC=O")) == "brenk alert"  # an aldehyde
    assert screen(built("O=C1NC(=S)SC1=Cc1ccccc1")) == "brenk alert"
    assert screen(built("CC(=O)NC")) == ""
    assert set(CATALOGUES) >= {"brenk", "pains", "nih", "zinc"}


@pytest.mark.parametrize("name", CATALOGUES)
def test_every_catalogue_rules_out(name):
    """None passes thioaldehydes, Michael acceptors, azo groups and phenothiazine; all pass water."""
    screen = Filters(alerts=[name]).start()
    suspect = ("O=CC(=S)N=NC(=O)C=C", "O=C1NC(=S)SC1=Cc1ccccc1", "CC(=O)C=Cc1ccc(N=Nc2ccccc2)c(O)c1O", "c1ccc2c(c1)Sc1ccccc1N2")
    assert {f"{name} alert"} <= {screen(built(smiles)) for smiles in suspect}
    assert screen(built("O")) == ""


NOTORIOUS = {
    "organophosphorus nerve agents": ["CP(=O)(F)OC(C)C", "CCOP(=O)(C#N)N(C)C", "CCOP(=O)(OCC)SCCN(CC)CC"],
    "carbamate nerve agents": ["CN(C)C(=O)Oc1cccnc1C[N+](C)(C)CCCC"],
    "sulfur and nitrogen mustards": ["ClCCSCCCl", "CN(CCCl)CCCl"],
    "organoarsenic vesicants": ["ClC=C[As](Cl)Cl"],
    "choking, blood and incapacitating agents": ["O=C(Cl)Cl", "N#CCl", "C#N", "ClC(Cl)(Cl)[N+](=O)[O-]"],
    "explosives": [
        "Cc1c([N+](=O)[O-])cc([N+](=O)[O-])cc1[N+](=O)[O-]",
        "O=[N+]([O-])OCC(O[N+](=O)[O-])CO[N+](=O)[O-]",
        "CC1(C)OOC(C)(C)OO1",
        "CC([N+](=O)[O-])[N+](=O)[O-]",
        "N=[N+]=[N-]",
        "Cn1nnnn1",
    ],
    "small-molecule toxins": [
        "NC(=O)OCC1N=C(N)N2CCC(O)(O)C23N=C(N)NC13",
        "OCC1(C2C3C(N=C(N)NC34C(C1OC(C4O)(O2)O)O)O)O",
        "CC1=CC2C(CC1)(C)C3(C)CC(O)C(O2)C34CO4",
        "COc1c2c3c(c(=O)oc2c2c(c1)OC1OC=CC21)C(=O)CC3",
    ],
    "acute poisons": ["OC(=O)CF", "CN=C=O", "CC(C)C12COP(=O)(OC1)OC2", "C1N2CN3CN(S2(=O)=O)CN1S3(=O)=O"],
    "synthetic opioids": ["CCC(=O)N(c1ccccc1)C1CCN(CCc2ccccc2)CC1", "CCN(CC)CCn1c(Cc2ccc(OCC)cc2)nc2c1ccc(c2)[N+](=O)[O-]"],
}
HARMLESS = ["CC#N", "COP(=O)(OC)OC", "C[N+](=O)[O-]", "CCSCC", "ClCCCl", "CC(=O)Cl", "CCN=[N+]=[N-]", "N#CCC#N", "CCOOCC", "OCCN(CCO)CCO"]
HARMLESS += [
    "CN(C)C(=O)Oc1ccc[n+](C)c1",
    "NC(=N)NC(=N)N",
    "OC(=O)C(F)(F)F",
    "OC(=O)CCF",
    "CCN=C=O",
    "c1nnn[nH]1",
    "C1CO1",
    "O=c1ccc2ccccc2o1",
]
HARMLESS += ["CCOC(=O)C=[N+]=[N-]", "CCN(CC)CCn1cnc2ccccc12", "Nc1ncnc2[nH]cnc12", "CCOP(=S)(OCC)SCCS"]


def test_every_class_of_hazards_is_recognised_and_its_harmless_neighbours_are_not():
    assert set(NOTORIOUS) == {entry.name for entry in hazards()}
    assert all(entry.source and all(means for _, _, means in entry.patterns) for entry in hazards())
    for name, members in NOTORIOUS.items():
        assert {hazard(Chem.MolFromSmiles(smiles)) for smiles in members} == {name}
    assert {hazard(Chem.MolFromSmiles(smiles)) for smiles in HARMLESS} == {""}


def test_flagged_molecules_are_withheld_unless_asked_for():
    phosgene = built("O=C(Cl)Cl")
    assert Filters().start()(phosgene) == "flagged: choking, blood and incapacitating agents"
    assert Filters(include_flagged=True).start()(phosgene) == ""


def test_a_hazard_is_seen_in_a_molecule_that_rdkit_refuses():
    broken = built("O=C(Cl)Cl.C")
    bonds = np.concatenate([broken.bonds, [[0, 4, 1]]])  # a second bond on the oxygen and a fifth on the carbon
    refused = Molecule(broken.atomic_numbers, broken.positions, broken.charges, bonds)
    with pytest.raises(Chem.MolSanitizeException):
        refused.to_rdkit(sanitize=True)
    assert Filters(where=["mw<500"]).start()(refused).startswith("flagged")


def test_a_hazard_with_an_aromatic_ring_is_seen_in_a_molecule_that_rdkit_refuses():
    for smiles in NOTORIOUS["synthetic opioids"]:
        whole = built(smiles)
        bonds = whole.bonds.copy()
        bonds[np.flatnonzero(whole.atomic_numbers[bonds[:, 1]] == 1)[0], 2] = 2  # a hydrogen with two bonds
        refused = Molecule(whole.atomic_numbers, whole.positions, whole.charges, bonds)
        with pytest.raises(Chem.MolSanitizeException):
            refused.to_rdkit(sanitize=True)
        assert [Filters().start()(molecule) for molecule in (whole, refused)] == ["flagged: synthetic opioids"] * 2


def test_real_molecules_are_hardly_ever_flagged(qm9, shared):
    screen = Filters().start()
    assert [screen(molecule) for molecule in (*qm9, *read_molecules(LIGANDS))] == [""] * (len(qm9) + 50)
    with gzip.open(shared / "qm9/valid.sdf.gz") as file:
        flagged = [Chem.MolToSmiles(mol) for mol in Chem.ForwardSDMolSupplier(file) if hazard(mol)]
    assert len(flagged) == 3  # of 4,000
    assert all("n1nnnn1" in smiles for smiles in flagged)  # pentazoles indeed


def test_approved_drugs_that_are_flagged_are_the_documented_ones(shared):
    lines = (shared / "ligands/approved_drugs.smi").read_text().splitlines()
    flags = [hazard(mol) for line in lines if (mol := Chem.MolFromSmiles(line.split()[0]))]
    assert sorted(flag for flag in flags if flag).count("sulfur and nitrogen mustards") == 5
    assert sum(map(bool, flags)) == 8


def test_descriptions_are_equal_for_equal_filters_only():
    a, b = Filters(where=["mw<500", "qed > 0.5"]), Filters(where=["qed>0.5", "mw<500"])
    assert a.describe() == b.describe() == "mw<500; qed>0.5"
    assert Filters().describe() == ""
    assert Filters(unique=True, novel="train", alerts=["PAINS"]).describe() == "no pains alert; novel against train; unique"


def test_many_known_molecules_are_told_by_their_number_and_a_digest(qm9):
    chains = ["C" * n for n in range(1, 8)]
    line = Filters(novel=chains).describe()
    assert re.fullmatch(r"novel against 7 molecules \(digest [0-9a-f]{8}\)", line)
    written = ["CC[2H]", "C(C)(C)", *chains[:1], *reversed(chains[3:]), "CC", built("CCC")]  # ethane and propane in several ways
    assert Filters(novel=written).describe() == line
    assert Filters(novel=[*chains[:-1], "CO"]).describe() != line
    assert Filters(novel=[*chains, "train.smi", "training"]).describe() == f"{line}; novel against train.smi; novel against training"
    assert Filters(novel=chains[:5]).describe() == "novel against " + "; novel against ".join(chains[:5])
    assert Filters(novel=built("OCC")).describe() == "novel against CCO"


def test_molecules_themselves_are_known_ones(qm9):
    acid = built("CC(=O)O")
    screen = Filters(novel=[built("CC(=O)[O-]"), *qm9[:6]]).start()
    assert [screen(acid), screen(qm9[5]), screen(qm9[6])] == ["not novel", "not novel", ""]
    turned = replace(qm9[0], positions=-qm9[0].positions)
    assert Filters(novel=qm9[0]).start()(turned) == "not novel"
    refused = replace(acid, bonds=np.concatenate([acid.bonds, [[0, 2, 3]]]))
    with pytest.raises(InputError, match=r"^novel: RDKit refuses Molecule\(C2H4O2, 8 atoms\); mend it, or leave it out$"):
        Filters(novel=[refused]).start()


BUILT = """
from rdkit import Chem

import molgen

for arguments in ({"where": {"mw": 160}}, {"unique": "yes"}, {"include_flagged": 1}):
    try:
        molgen.Filters(**arguments)
    except molgen.InputError as error:
        print(error)
try:
    molgen.Filters().start()(Chem.MolFromSmiles("CCO"))
except molgen.InputError as error:
    print(error)
"""


def test_what_filters_cannot_use_is_refused_at_once():
    done = plain.python(BUILT)
    assert done.stdout.splitlines() == [
        "where: expected ranges and rules such as 'mw<160', got {'mw': 160}",
        "unique: expected True or False, got 'yes'",
        "include_flagged: expected True or False, got 1",
        "expected a molgen.Molecule, got a Mol; Molecule.from_rdkit takes one of RDKit",
    ], done.stderr


def test_errors_name_what_the_caller_calls_the_arguments():
    names = {"where": "--where", "has": "--with", "lacks": "--without", "alerts": "--alerts"}
    for arguments, words in (
        ({"where": "mw"}, "--where mw: expected NAME=A..B"),
        ({"has": "C("}, "--with C(: C( is no SMARTS pattern"),
        ({"has": "a.smarts"}, "--with a.smarts: a file of patterns is for --without;"),
        ({"lacks": "C("}, "--without C(: C( is"),
        ({"alerts": "x"}, "--alerts x: unknown catalogue"),
        ({"where": ["mw<2", "mw>3"]}, "--where mw<2 and --where mw>3: no mw"),
    ):
        with pytest.raises(InputError) as caught:
            Filters(**arguments, names=names)
        assert str(caught.value).startswith(words)
    with pytest.raises(InputError, match=r"^where predicted_x>1: the model has no estimator of x; train one and load it with"):
        Filters(where="predicted_x>1").start()
    with pytest.raises(InputError, match=r"^--where predicted_x>1: the model has no estimator of x; train one and give it by --estimator$"):
        Filters(where="predicted_x>1", names=names).start()
    assert Filters(unique=True, names=names) == Filters(unique=True)


def test_measured_labels_are_those_of_the_data(qm9):
    for molecule in qm9[:3]:
        found = measure(molecule, ["gap_xtb", "dipole_xtb", "heavy"])
        assert found["gap_xtb"] == pytest.approx(molecule.properties["gap_xtb"], abs=2e-2)
        assert found["dipole_xtb"] == pytest.approx(molecule.properties["dipole_xtb"], abs=2e-2)
        assert found["heavy"] == (molecule.atomic_numbers > 1).sum()


@pytest.mark.parametrize(("text", "key"), [("logp=1", lambda x: abs(x - 1)), ("qed=max", lambda x: -x), ("sa=min", lambda x: x)])
def test_the_best_are_the_best(qm9, text, key):
    target = Target.parse(text)
    best = keep_best(iter(qm9[:60]), target, 7)
    values = [measure(molecule, [target.name])[target.name] for molecule in qm9[:60]]
    assert [molecule.properties[f"measured_{target.name}"] for molecule in best] == sorted(values, key=key)[:7]
    assert best[0].properties["gap_xtb"] == qm9[int(np.argmin([key(value) for value in values]))].properties["gap_xtb"]


def test_of_equals_the_earlier_ones_are_the_best():
    helium = [Molecule(np.array([2]), np.zeros((1, 3)), np.zeros(1, int), np.zeros((0, 3), int), {"n": n}) for n in range(5)]
    nan = math.nan  # of what cannot be scored
    for values, kept in (([1, 1, 1, 1, 1], [0, 1, 2]), ([0, 1, 0, 1, 0], [1, 3, 0]), ([nan, 0, nan, 1, nan], [3, 1])):
        found = keep_best(helium, lambda molecule, values=values: values[molecule.properties["n"]], 3)
        assert [molecule.properties["n"] for molecule in found] == kept


@pytest.mark.parametrize("text", ["logp", "logp=", "logp=x", "colour=3", "=3"])
def test_bad_targets(text):
    with pytest.raises(InputError, match="target"):
        Target.parse(text)


def test_an_unknown_target_may_be_a_predicted_one():
    computed = ", ".join(MEASURED)
    for text, hint in (("pIC50=max", "choose"), ("homo=max", "did you mean homo_xtb=max? Choose")):
        name = text.partition("=")[0]
        with pytest.raises(InputError) as caught:
            Target.parse(text)
        hint += f" from {computed}, similarity, or predicted_NAME, which needs an estimator of it"
        assert str(caught.value) == f"target {text}: unknown property {name!r}; {hint}"


@pytest.mark.parametrize("name", ["molwt", "MolWt", "mol_weight", "weight"])
def test_other_usual_names_of_properties_are_suggested(name):
    with pytest.raises(InputError, match=r"did you mean mw<300\? "):
        Filters(where=f"{name}<300")
    assert {*USUAL.values()} <= {*MEASURED, "similarity"}
    assert not {*USUAL} & {*MEASURED}


def test_what_is_predicted_is_a_number_and_no_word_or_truth():
    tags = {"predicted_a": 2, "predicted_b": True, "predicted_c": "3"}
    helium = Molecule(np.array([2]), np.zeros((1, 3)), np.zeros(1, int), np.zeros((0, 3), int), tags)
    found = measure(helium, [*tags, "predicted_d"])
    assert found.pop("predicted_a") == 2.0
    assert all(math.isnan(value) for value in found.values())


def test_what_rules_measured_stays_with_the_molecule():
    mol, names = built("CC(=O)Nc1ccc(O)cc1"), ["logp", "rotatable", "tpsa"]
    expected = {f"measured_{name}": pytest.approx(value, rel=1e-7) for name, value in measure(mol, names).items()}
    assert Filters(where=["logp>0", "veber"]).start()(mol) == ""
    assert mol.properties == expected
    more = with_measured(mol, ["mw", "logp"])
    assert list(more.properties) == [*mol.properties, "measured_mw"]
    assert more.properties["measured_mw"] == pytest.approx(151.165, abs=1e-3)
    assert with_measured(built("CF"), ["homo_b3lyp", "heavy"]).properties == {"measured_heavy": 2}  # has no HOMO by that network


def test_a_single_text_is_a_list_of_one_and_files_are_there():
    for name, text in (("where", "mw<160"), ("alerts", "brenk"), ("novel", "a.smi")):
        assert Filters(**{name: text}) == Filters(**{name: (text,)})
    screen = Filters(where="mw<45", alerts="brenk").start()
    assert [screen(built(smiles)) for smiles in ("CCO", "CC=O", "CC")] == ["not mw<45", "brenk alert", ""]
    with pytest.raises(InputError, match=r"nofile\.smi: no such file, prepared data set or model"):
        Filters(novel="nofile.smi").start()


def test_names_are_found_in_any_case_and_ranges_that_overlap_are_taken():
    screen = Filters(where=["MW<46.06"]).start()
    assert screen(built("CCO")) == "not mw<46.06"
    assert Filters(where=["Mw<500", "LogP>0"]).describe() == Filters(where=["mw<500", "logp>0"]).describe()
    assert Target.parse("LogP=max") == Target("logp", math.inf)
    assert not Filters(where=["logp=0..3", "logp=3..5", "lipinski", "mw>600"]).start().filters.unique  # lipinski allows a miss


def test_what_is_counted_are_whole_numbers_and_nothing_else_is():
    mol = built("CC(=O)Nc1ccc(O)cc1CN")
    values = measure(mol, [name for name in MEASURED if name not in (*XTB, "homo_b3lyp")])
    assert {name for name, value in values.items() if value.is_integer()} == COUNTS
    assert all(Filters(where=f"{name}={values[name]:.0f}").start()(mol) == "" for name in COUNTS)


def test_known_molecules_without_bonds_are_those_of_their_geometry():
    ethanol = Molecule.from_smiles("CCO")
    bare = replace(ethanol, bonds=ethanol.bonds[:0])
    assert Filters(novel=[bare]).start()(ethanol) == "not novel"
    assert Filters(where=["similarity>=0.9"], similar_to=[bare]).start()(ethanol) == ""


def test_many_known_molecules_are_one_set():
    found = [Molecule.from_smiles("C" * n) for n in range(1, 9)]
    screen = Filters(novel=[*found, "training"]).start(trained=Known.of([fingerprint("CO")]))
    assert len(screen.known) == 1
    assert [screen(molecule) for molecule in (*found, Molecule.from_smiles("CO"), Molecule.from_smiles("CN"))] == ["not novel"] * 9 + [""]
