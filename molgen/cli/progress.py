"""Progress bars on standard error, silent where that is a file or a pipe; what they wrap ends when somebody asks the command to stop."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from molgen.cli.stopping import stop_if_asked, until_stopped

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Thing = TypeVar("Thing")


@contextmanager
def bar(num: int, done: int) -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """A bar over ``num`` samples of which ``done`` are there; yields what hands further ones on and advances the bar by each."""
    with _progress("sample", elapsed=False) as progress:
        task = progress.add_task("sample", total=num, completed=done)

        def counted(items: Iterable[Any]) -> Iterator[Any]:
            for item in until_stopped(items):
                progress.advance(task)
                yield item

        yield counted


def track(items: Iterable[Thing], label: str, total: int | None) -> Iterator[Thing]:
    """Shows how far an iterable is."""
    with _progress(label, elapsed=True) as progress:
        for item in progress.track(items, total=total, description=label):
            stop_if_asked()
            yield item


def _progress(label: str, elapsed: bool) -> "Progress":
    """A bar with a label, numbers and times."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

    return _shown(label, BarColumn(), MofNCompleteColumn(), *([TimeElapsedColumn()] if elapsed else []), TimeRemainingColumn())


def progress_bar(items: str) -> "Progress":
    """A bar of what is prepared, whose task counts ``items`` kept."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    kept = TextColumn(f"{{task.fields[kept]}} {items}")
    return _shown("prepare", BarColumn(), TaskProgressColumn(), kept, TimeRemainingColumn())


def _shown(*columns: "str | ProgressColumn") -> "Progress":
    """A bar of these columns on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def shown(bar: "Progress") -> "Callable[[int, int, int], None]":
    """What advances the bar: called with what is done, its total and the number of records kept; ends a command that shall stop."""
    task = bar.add_task("", total=None, kept=0)

    def advance(done: int, size: int, kept: int) -> None:
        stop_if_asked()
        bar.update(task, completed=done, total=size, kept=kept)

    return advance
