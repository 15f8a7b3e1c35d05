"""The command group: help, error lines and exit statuses."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

import molgen
from molgen.cli import Commands, main
from molgen.cli.domains import kind_of_model
from molgen.diffusion.condition import Category, Scalar
from molgen.errors import InputError, RunError
from molgen.models import models_that_ship
from molgen.sample import load

NAMES = main.list_commands(click.Context(main))


def run(*words, code="from molgen.cli import main; main(prog_name='molgen')", **options):
    """Runs the command in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, **options)


def test_the_installed_script_is_main():
    (script,) = entry_points(group="console_scripts", name="molgen")
    assert script.load() is main


def test_help_and_version():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in NAMES)
    assert CliRunner().invoke(main, ["--version"]).output == f"molgen {molgen.__version__}\n"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: molgen {name}")
    parameters = main.get_command(click.Context(main), name).params
    assert all(option.help for option in parameters if isinstance(option, click.Option))


def test_help_loads_no_heavy_library():
    code = "import sys; from molgen.cli import main; main(standalone_mode=False); print(*sys.modules)"
    result = run("--help", code=code)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.splitlines()[-1].split())
    assert loaded.isdisjoint({"torch", "rdkit", "trimesh", "lightning", "e3nn", "numpy", "scipy", "pandas"})


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nonsense"], "molgen: error: No such command 'nonsense' (see molgen --help)"),
        (["info", "--nonsense"], "molgen: error: No such option '--nonsense' (see molgen info --help)"),
        (["--nonsense"], "molgen: error: No such option '--nonsense' (see molgen --help)"),
        (["info", "a", "b"], "molgen: error: Got unexpected extra argument (b) (see molgen info --help)"),
    ],
)
def test_wrong_usage_is_one_line(words, line):
    result = run(*words)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", line + "\n")


CHECK = "check the name, the permissions and the space on the disk"
ERRORS = [
    (InputError("data.sdf: record 3: no coordinates; add them"), "molgen: error: data.sdf: record 3: no coordinates; add them", 2),
    (ValueError("expected 3 axes, got 2"), "molgen: error: expected 3 axes, got 2", 2),
    (FileNotFoundError(2, "No such file or directory", "data.sdf"), f"molgen: error: data.sdf: No such file or directory; {CHECK}", 2),
    (OSError(28, "No space left on device", "out.sdf"), f"molgen: error: out.sdf: No space left on device; {CHECK}", 2),
    (OSError("short write"), "molgen: error: short write", 2),
    (InputError("a\nb.sdf: no such file"), "molgen: error: a b.sdf: no such file", 2),
    (
        UnicodeEncodeError("utf-8", "<title>Samples of caf\udce9.sdf: 3 records", 21, 22, "surrogates not allowed"),
        "molgen: error: caf\\udce9.sdf: is not UTF-8; rename the file or folder",
        2,
    ),
    (RunError("step 17: loss is not finite"), "molgen: error: step 17: loss is not finite", 1),
    (KeyboardInterrupt(), "molgen: interrupted", 130),
    (KeyboardInterrupt("out.sdf.partial keeps 3 records"), "molgen: interrupted: out.sdf.partial keeps 3 records", 130),
    (click.Abort(), "molgen: interrupted", 130),
    (click.BadParameter("must be positive."), "molgen: error: Invalid value: must be positive (see molgen fail --help)", 2),
]
DEFECTS = [
    (RuntimeError("mat1 and mat2\nshapes"), "RuntimeError: mat1 and mat2"),
    (ValueError("two\nlines"), "ValueError: two"),
    (AssertionError(), "AssertionError"),
]


def group_that_raises(error):
    @click.command()
    def fail():
        raise error

    return Commands("molgen", params=[click.Option(["--debug"], is_flag=True)], commands={"fail": fail})


@pytest.mark.parametrize(("error", "line", "status"), ERRORS)
def test_expected_errors_are_one_line(error, line, status):
    result = CliRunner().invoke(group_that_raises(error), ["fail"])
    assert (result.exit_code, result.output) == (status, line + "\n")


@pytest.mark.parametrize(("error", "what"), DEFECTS)
def test_defects_are_one_line_and_offer_the_traceback(error, what):
    result = CliRunner().invoke(group_that_raises(error), ["fail"])
    line = f"molgen: internal error: {what} (run with --debug for the traceback: molgen --debug COMMAND ...)\n"
    assert (result.exit_code, result.output) == (1, line)
    result = CliRunner().invoke(group_that_raises(error), ["--debug", "fail"])
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.output
    assert result.output.endswith(line)


def test_broken_pipe_is_quiet():
    code = "import click; from molgen.cli import Commands\n@click.command()\ndef fail():\n  for _ in range(100000): click.echo('x' * 80)\n"
    code += "Commands('molgen', commands={'fail': fail})(['fail'])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() != 0


STOPPED = """
import pathlib, time, click
from molgen.cli import Commands
from molgen.files import atomic_path

@click.command()
@click.argument("path")
def write(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        time.sleep(60)

Commands("molgen", commands={"write": write})()
"""


@pytest.mark.parametrize(("name", "nohup"), [("SIGINT", False), ("SIGTERM", False), ("SIGHUP", False), ("SIGTERM", True)])
def test_a_stopped_command_cleans_up(tmp_path, name, nohup):
    words = [sys.executable, "-c", STOPPED, "write", str(tmp_path / "out.sdf")]
    options = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL), "text": True}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        assert process.stdout.readline() == "ready\n"
        if nohup:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            assert process.poll() is None
        process.send_signal(getattr(signal, name))
        assert process.stderr.read().strip() == "molgen: interrupted"
        assert process.wait() == 130
    assert os.listdir(tmp_path) == []


def test_what_the_terminal_cannot_show_is_no_error():
    code = "import click; from molgen.cli import Commands\n@click.command()\ndef show(): click.echo('5 \\u00c5 of caf\\udce9.sdf')\n"
    code += "Commands('molgen', commands={'show': show})(['show'])"
    for encoding, shown in (("cp1251", b"5 ? of caf?.sdf\n"), ("utf-8", "5 \u00c5 of caf?.sdf\n".encode())):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


SWALLOWED = """
import os, signal, itertools, time, click
from molgen.cli import Commands
from molgen.cli.stopping import until_stopped

class Hook:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass  # the signal arrives here, and nothing can leave a destructor

@click.command()
def count():
    for number in until_stopped(itertools.count()):
        if number == 5:
            Hook()
            print("went on", flush=True)
        assert number < 10

Commands("molgen", commands={"count": count})()
"""


def test_a_stop_that_a_destructor_swallows_is_not_lost():
    done = subprocess.run([sys.executable, "-c", SWALLOWED, "count"], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "went on\n"
    assert "Exception ignored" in done.stderr
    assert done.stderr.endswith("molgen: interrupted\n")
    assert done.returncode == 130


SEARCHING = """
import itertools, click
from rdkit import Chem
from molgen.cli import Commands
from molgen.cli.stopping import until_stopped

molecule, pattern = Chem.MolFromSmiles("CC(C)(C)c1ccc(O)cc1CCN" * 6), Chem.MolFromSmarts("[#6]~[#6]~[#6]~[#6]~[#7]~[#6]~[#9]")

@click.command()
def search():
    for number in until_stopped(itertools.count()):
        molecule.HasSubstructMatch(pattern)
        if number == 100:
            print("ready", flush=True)

Commands("molgen", commands={"search": search})()
"""


@pytest.mark.parametrize("pause", [0.0, 0.3, 0.6])
def test_a_stop_during_a_substructure_search_is_not_lost(pause):
    with subprocess.Popen(
        [sys.executable, "-c", SEARCHING, "search"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        if pause:  # as by Ctrl-Z, and fg after a while
            process.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            process.send_signal(signal.SIGCONT)
            time.sleep(pause)
        process.send_signal(signal.SIGINT)
        try:
            _, error = process.communicate(timeout=20)
        finally:
            process.kill()
        assert error == "molgen: interrupted\n"  # and no word of a search cut short
        assert process.returncode == 130


def test_info_of_the_installation():
    result = CliRunner().invoke(main, ["info"])
    assert result.exit_code == 0, result.output
    for name in ("molgen", "python", "torch", "device", "rdkit", "model"):
        assert f"\n{name}" in f"\n{result.output}"


STATISTICS = {
    "version": 1,
    "domain": "molecule",
    "num_molecules": 3,
    "num_atoms": 16,
    "elements": [1, 6, 17],
    "charges": [-1, 0, 1],
    "hydrogens": True,
    "sizes": {"5": 2, "6": 1},
    "atom_marginal": [0.75, 0.1875, 0.0625],
    "charge_marginal": [0.0, 1.0, 0.0],
    "bond_marginal": [0.6, 0.4, 0.0, 0.0],
    "coordinate_std": 0.9,
    "labels": [{"name": "homo", "unit": "eV", "count": 3, "mean": -6.5, "std": 0.25, "min": -7, "max": -6, "by_size": {}}],
}


def test_info_of_models_tells_what_can_be_asked_for():
    for name in models_that_ship():
        result = CliRunner().invoke(main, ["info", name])
        assert result.exit_code == 0, result.output
        rows = {row: value.strip() for row, value in (line.split(":", 1) for line in result.output.splitlines())}
        model = load(name, "cpu")
        told = {row.removeprefix("property ") for row in rows if row.startswith("property ")}
        assert told == {member.name for member in model.properties if isinstance(member, Scalar)}
        for member in model.properties:
            if isinstance(member, Scalar):
                low, _, high, *unit = rows[f"property {member.name}"].split()
                assert (float(low), float(high)) == pytest.approx((member.low, member.high), rel=1e-3)
                assert unit == [member.unit] * bool(member.unit)
            elif isinstance(member, Category):
                assert rows["classes"] == ", ".join(member.classes)
        if model.domain.items == "molecules":
            sizes = model.checkpoint.statistics.sizes
            assert rows["atoms"] == f"{min(sizes)} to {max(sizes)} a molecule"


def test_info_of_a_data_set(tmp_path):
    (tmp_path / "statistics.json").write_text(json.dumps(STATISTICS))
    (tmp_path / "positions.npy").write_bytes(b"not read")
    (tmp_path / "card.yaml").write_text("source: methane.sdf\nrejected:\n  no hydrogens: 2\n")
    result = CliRunner().invoke(main, ["info", str(tmp_path)])
    assert result.exit_code == 0, result.output
    rows = dict(line.split(":", 1) for line in result.output.splitlines())
    assert {name: value.strip() for name, value in rows.items()} == {
        "data set": str(tmp_path),
        "domain": "molecule",
        "molecules": "3",
        "atoms": "16, 5 to 6 a molecule, median 5",
        "elements": "H 75 %, C 18.8 %, Cl 6.25 %",
        "charges": "-1 0 %, +0 100 %, +1 0 %",
        "bonds": "none 60 %, single 40 %, double 0 %, triple 0 %",
        "coordinates": "standard deviation 0.900 Å",
        "label homo": "3 known, mean -6.5, standard deviation 0.25, -7 to -6 eV",
        "source": "methane.sdf",
        "rejected.no hydrogens": "2",
    }


def test_info_of_a_data_set_of_shapes(tmp_path):
    made = f"prepare procedural --out {tmp_path}/mugs --num 8 --points 64 --kind mug,bowl --split 0.5,0.5"
    assert CliRunner().invoke(main, made.split()).exit_code == 0
    result = CliRunner().invoke(main, ["info", str(tmp_path / "mugs")])
    assert result.exit_code == 0, result.output
    assert result.output.count("4 of 64 points") == 2
    assert "classes:         bowl " in result.output


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "has neither statistics.json, card.yaml nor config.yaml"),
        ({"statistics.json": "{", "positions.npy": ""}, "statistics.json: cannot be read"),
        ({"statistics.json": "{}", "positions.npy": ""}, "statistics.json: not the statistics of a prepared data set (KeyError 'domain')"),
        ({"statistics.json": "[1]", "positions.npy": ""}, "statistics.json: expected a mapping, found list"),
        ({"card.yaml": "a: !!python/object/apply:os.system ['touch pwned']"}, "card.yaml: cannot be read"),
        ({"config.yaml": "a: [1"}, "config.yaml: cannot be read"),
    ],
)
def test_info_of_bad_folders(tmp_path, monkeypatch, files, line):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    result = CliRunner().invoke(main, ["info", "folder"])
    assert result.exit_code == 2
    assert result.output.startswith("molgen: error: folder")
    assert line in result.output.replace("line 1: ", "")
    assert result.output.count("\n") == 1
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_of_its_name_changes_nothing_about_a_model_that_ships(tmp_path, monkeypatch):
    """Of a model without weights, as it is when its training has just begun."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qm9").mkdir()
    (tmp_path / "qm9" / "config.yaml").write_text("fields: {kind: shape}")
    assert kind_of_model("qm9") == "molecule"
    assert kind_of_model("./qm9") == "shape"
    assert kind_of_model("nothing") == ""
    line = "--complete makes no sense for molecules, and qm9 is a model of them"
    assert line in CliRunner().invoke(main, ["sample", "qm9", "--complete", "a.npz", "--out", "a"]).output
    line = "--class is for shapes; give the MODEL first, such as `molgen sample shapes ...`"
    assert line in CliRunner().invoke(main, ["sample", "--class", "chair", "--out", "a"], prog_name="molgen").output


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_info_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.sdf")
    (tmp_path / "stdin").symlink_to("a.sdf")
    for name in ("a.sdf", "stdin"):
        result = CliRunner().invoke(main, ["info", str(tmp_path / name)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == f"molgen: error: {tmp_path / name}: is no regular file; give the name of a file\n"


def test_info_of_nothing(tmp_path):
    result = run("info", tmp_path / "nothing")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"molgen: error: {tmp_path / 'nothing'}: neither a file nor a folder nor a model that ships")
