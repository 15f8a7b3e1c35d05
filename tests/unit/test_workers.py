"""Worker processes of a command that is killed, or interrupted more than once."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

COMMAND = """
import pathlib, time
import click
from molgen.cli import Commands
from molgen.workers import in_order

def work(number):
    pathlib.Path(f"{number}.begun").touch()
    time.sleep(SECONDS)

@click.command()
def slow():
    list(in_order(work, range(9), 2))

if __name__ == "__main__":
    Commands("molgen", commands={"slow": slow})()
"""


@pytest.fixture
def slow(tmp_path):
    """Begins a command with two workers, each of whose chunks takes so many seconds, and waits until both work."""
    begun = []

    def begin(seconds):
        (tmp_path / "command.py").write_text(COMMAND.replace("SECONDS", str(seconds)))
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        process = subprocess.Popen([sys.executable, "command.py", "slow"], cwd=tmp_path, **options)
        begun.append(process)
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.begun"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return process

    yield begin
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_workers_end_when_their_main_process_is_killed(slow):
    process = slow(600)
    process.kill()
    process.communicate(timeout=20)  # raises while anybody has standard output open, which the workers share
    assert process.returncode == -signal.SIGKILL


def test_a_second_interruption_ends_the_command_at_once(slow):
    process = slow(30)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.7)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert error.splitlines()[0] == "molgen: interrupted"
    assert "Traceback" not in error
