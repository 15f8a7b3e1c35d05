"""Compiled layers: the numbers of plain ones, few programs whatever the sizes, one line where the compiler fails.

The programs are those that `torch.compile` records; a backend that runs them as they are stands for code generation, which needs minutes.
All of it in a process of its own, because the types that tests check at every call would be recorded too.
"""

import json

import plain
import pytest

SETUP = """
import copy, json, warnings
warnings.simplefilter("ignore")
import torch
from molgen.errors import InputError
from molgen.nn.equivariant import EquivariantTransformer
from molgen.train.compile import compile_errors, compile_layers

def inputs(samples, atoms):
    generator = torch.Generator().manual_seed(samples)
    positions = torch.randn(samples, atoms, 2, 3, generator=generator)
    mask = torch.arange(atoms)[None] < torch.randint(atoms // 2, atoms + 1, (samples, 1), generator=generator)
    pairs = torch.randn(samples, atoms, atoms, 4, generator=generator)
    return {
        "positions": positions * mask[..., None, None],
        "estimate": positions[:, :, 0] * mask.unsqueeze(-1),
        "gain": torch.rand(samples, generator=generator),
        "nodes": torch.randn(samples, atoms, 5, generator=generator),
        "pairs": pairs + pairs.transpose(1, 2),
        "mask": mask,
        "level": torch.rand(samples, generator=generator),
        "condition": torch.randn(samples, 3, generator=generator),
    }

def answer(network, given):
    out = network(**given)
    network.zero_grad()
    sum(value.square().mean() for value in out).backward()
    return [*out, *(parameter.grad for parameter in network.parameters())]

torch.manual_seed(0)
plain = EquivariantTransformer(scalars=8, vectors=8, pairs=8, layers=3, radial=4, context=8).build(5, 4, 5, 4, 3)
for parameter in plain.parameters():  # layers that start at zero would hide a difference
    torch.nn.init.normal_(parameter, std=0.2)
network = copy.deepcopy(plain)
"""

NUMBERS = """
programs, gaps = [], []

def record(program, example):
    programs.append(program)
    return program

compile_layers(network, record, fixed=FIXED)
for samples, atoms in ((4, 7), (3, 9), (11, 5), (2, 13)):
    given = inputs(samples, atoms)
    for found, expected in zip(answer(network, given), answer(plain, given), strict=True):
        gaps.append(((found - expected).abs().max() / expected.abs().max().clamp(min=1e-3)).item())
same = list(network.state_dict()) == list(plain.state_dict())
print(json.dumps({"programs": len(programs), "gap": max(gaps), "compared": len(gaps), "same names": same}))
"""

FAILURE = """
def broken(program, example):
    raise RuntimeError("no C++ compiler found\\nset CXX")

compile_layers(network, broken)
try:
    with compile_errors():
        network(**inputs(2, 3))
except InputError as error:
    print(json.dumps(str(error)))
"""

COUNTING = """
from types import SimpleNamespace

from molgen.train.speed import Speed

programs = []
def record(program, example):
    programs.append(program)
    return program

compile_layers(network, record)
speed, batch = Speed("molecules"), [0]
speed.on_train_batch_start(SimpleNamespace(global_step=0), None, batch, 0)
network(**inputs(2, 3))
before = len(programs)
speed.on_train_batch_end(None, None, None, batch, 0)
network(**inputs(2, 3))
print(json.dumps([speed.operations[0] > 0, before, len(programs) > 0]))
"""


def printed(code: str):
    done = plain.python(SETUP + code)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_compiled_layers_are_plain_layers_in_two_programs_for_all_sizes():
    found = printed(NUMBERS.replace("FIXED", "False"))
    # the first layer, whose displacement is a leaf, and every later one
    assert (found["programs"], found["same names"]) == (2, True)
    assert found["compared"] > 4 * 60
    assert found["gap"] == pytest.approx(0, abs=1e-5)


def test_layers_compiled_for_fixed_shapes_have_one_program_for_each():
    found = printed(NUMBERS.replace("FIXED", "True"))
    assert found["programs"] == 4
    assert found["gap"] == pytest.approx(0, abs=1e-5)


def test_a_compiler_that_fails_is_one_line():
    line = printed(FAILURE)
    reason = "RuntimeError: no C++ compiler found"
    assert line == f"train.compile=true: the layers cannot be compiled on this machine ({reason}); leave train.compile out"


def test_counting_operations_leaves_compiling_to_later_steps():
    # a layer first called under a counter would be given up by the compiler for good
    assert printed(COUNTING) == [True, 0, True]
