"""Threads and processes of a program that samples in some of them."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from molgen.sample import Request, load
from molgen.sample.parallel import TASKS, Cores

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def three_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def elsewhere(work):
    """What a thread finds that is new to torch."""
    with ThreadPoolExecutor(1) as new:
        return new.submit(work).result()


def test_other_threads_keep_their_cores_and_new_ones_get_as_many_as_ever():
    with Cores(CPU) as cores:
        assert set(cores.map(lambda _: torch.get_num_threads(), range(9))) == {1}
        assert elsewhere(torch.get_num_threads) == 3
        assert torch.get_num_threads() == 3
    assert elsewhere(torch.get_num_threads) == 3
    assert torch.get_num_threads() == 3


def test_a_thread_with_cores_of_its_own_changes_those_of_no_other():
    def own():
        torch.set_num_threads(2)
        torch.get_num_threads()
        with Cores(CPU) as cores:
            return cores.count, torch.get_num_threads(), elsewhere(torch.get_num_threads)

    assert elsewhere(own) == (2, 2, 2)  # torch itself takes the last number that was set for new threads
    assert torch.get_num_threads() == 3


def test_pools_that_start_at_once_leave_new_threads_their_cores():
    def start(_):
        with Cores(CPU) as cores:
            return {*cores.map(lambda _: torch.get_num_threads(), range(3))}

    with ThreadPoolExecutor(8) as many:
        assert [*many.map(start, range(40))] == [{1}] * 40
    assert elsewhere(torch.get_num_threads) == 3


def test_an_abandoned_stream_leaves_threads_as_they_are_wherever_it_ends():
    stream = load("qm9_small", "cpu").stream(4, Request(steps=2, keep_invalid=True))
    next(stream)

    def close():
        torch.set_num_threads(2)
        stream.close()
        return torch.get_num_threads()

    assert elsewhere(close) == 2
    assert torch.get_num_threads() == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_a_forked_process_predicts_after_its_parent():
    """In a process of its own, which has few threads."""
    code = """
import multiprocessing, torch, molgen
torch.set_num_threads(2)
model = molgen.load("qm9_small", "cpu")
molecules = model.sample(8, steps=4, keep_invalid=True)
told = model.predict(molecules)
def again(_):
    return model.predict(molecules)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map_async(again, [0]).get(60) == [told]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not TASKS.exists(), reason="the system does not list threads")
def test_threads_are_gone_when_their_context_is_left():
    """Not only for Python: a process forked while they end would hang."""

    def work(size):
        found.append(threading.get_native_id())
        return torch.ones(size, size) @ torch.ones(size, size)

    for _ in range(50):
        found: list[int] = []
        with Cores(CPU) as cores:
            assert all((product == 64).all() for product in cores.map(work, [64] * 6))
        assert not [thread for thread in found if (TASKS / str(thread)).exists()]


def test_a_process_that_is_forked_while_threads_start_can_start_its_own():
    script = (
        "import os, signal, torch\nfrom molgen.sample.parallel import ONE_AT_A_TIME, Cores\ntorch.set_num_threads(2)\n"
        "with ONE_AT_A_TIME[0]:\n    child = os.fork()\n    if not child:\n        signal.alarm(30)\n"
        "        with Cores(torch.device('cpu')) as cores:\n            assert [*cores.map(abs, [-1, -2])] == [1, 2]\n        os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
