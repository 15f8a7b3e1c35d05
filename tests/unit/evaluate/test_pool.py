"""Worker processes: order, hangs, crashes, bounded memory."""

import multiprocessing
import os
import sys
import time

import pytest

from molgen.errors import RunError
from molgen.evaluate.pool import CHUNK, ENOUGH, Lost, run

WORK = """
import os, time

def work(item):
    if item is None:
        return None
    if item == "hang":
        time.sleep(600)
    if item == "die":
        os._exit(3)
    if isinstance(item, float):
        time.sleep(item)
    return item, os.environ["OMP_NUM_THREADS"]

def who(item):
    time.sleep(item or 0)
    return os.getpid()

def never(item):
    os._exit(1)
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """A module that worker processes can import as well."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "work_of_test_pool.py").write_text(WORK)
    sys.path.insert(0, str(folder))
    import work_of_test_pool

    yield work_of_test_pool
    sys.path.remove(str(folder))
    del sys.modules["work_of_test_pool"]


def test_results_come_in_order_and_a_hang_or_crash_costs_one_item(functions):
    items = list(range(70))
    items[3], items[30], items[31] = "hang", "die", "hang"
    items[0] = 0.3
    started = time.monotonic()
    results = list(run(functions.work, items, workers=2, timeout=1.0))
    assert time.monotonic() - started < 30
    assert len(results) == len(items)
    assert results[3] == results[31] == Lost("timed out after 1 s")
    assert results[30] == Lost("worker process died")
    assert all(result == (item, "1") for item, result in zip(items, results, strict=True) if item not in ("hang", "die"))


def many(first, drawn):
    """A hundred thousand items, of which the first is given; those that are drawn are listed."""
    for item in (first, *range(1, 100_000)):
        drawn.append(item)
        yield item


def test_items_are_drawn_as_needed(functions):
    drawn = []
    results = run(functions.work, many(0, drawn), workers=1, timeout=10.0)
    assert next(results) == (0, "1")
    assert len(drawn) < 1000
    results.close()


def test_others_wait_for_the_slowest_item_rather_than_fill_the_memory(functions):
    drawn = []
    results = run(functions.work, many(2.0, drawn), workers=2, timeout=60.0)
    assert next(results) == (2.0, "1")
    assert len(drawn) < 2 * (ENOUGH + 20 * CHUNK) + 10 * CHUNK
    results.close()


def test_the_time_limit_is_that_of_one_item(functions):
    items = [0.15] * CHUNK  # three seconds together
    assert list(run(functions.work, items, workers=1, timeout=1.5)) == [(0.15, "1")] * CHUNK


def test_little_work_starts_one_worker(functions):
    assert len(set(run(functions.who, [0.0] * 50, workers=8, timeout=10.0))) == 1
    assert list(run(functions.who, [], workers=8, timeout=10.0)) == []


def test_much_work_starts_as_many_workers_as_it_is_worth(functions):
    results = run(functions.who, [0.0] * (3 * ENOUGH), workers=8, timeout=10.0)
    first = next(results)
    assert len(multiprocessing.active_children()) == 3
    assert len(list(results)) == 3 * ENOUGH - 1
    assert first != os.getpid()


def test_few_items_that_take_long_get_more_workers(functions):
    results = run(functions.who, [0.1] * (ENOUGH - 1), workers=2, timeout=10.0)
    found = [next(results) for _ in range(CHUNK)]
    assert len(set(found)) == 1
    assert any(worker != found[0] for worker in results)
    results.close()


def test_workers_that_cannot_start_are_an_error(functions):
    with pytest.raises(RunError, match="before they can start"):
        list(run(functions.never, [1, 2], workers=1, timeout=1.0))


def test_without_workers_everything_happens_here():
    assert list(run(lambda item: item + 1, [1, 2], workers=0, timeout=1.0)) == [2, 3]
    assert list(run(lambda item: item, [], workers=0, timeout=1.0)) == []
