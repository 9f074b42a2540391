"""Where a command shows progress: bars on a terminal, lines elsewhere, nothing for --json. Always stderr."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from gateway.cli.progress import JobProgress
from gateway.cli.uploads import Took


class Screen(Protocol):
    """Transfers and one job, as a person watches them."""

    def start(self, what: str, size: int) -> Took:
        """A new transfer of so many bytes."""
        ...

    def show(self, job: JobProgress) -> None:
        """The job as it is now."""
        ...

    def say(self, text: str) -> None:
        """One line that stays."""
        ...

    def drawing(self) -> AbstractContextManager[object]:
        """Bars are drawn for as long as the block lasts."""
        ...


class Silent:
    """Nothing at all."""

    def start(self, what: str, size: int) -> Took:
        """Count nothing."""
        return lambda _: None

    def show(self, job: JobProgress) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def drawing(self) -> AbstractContextManager[object]:
        """Draw nothing."""
        return nullcontext()


class Lines(Silent):
    """A line for every change that matters: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""

    def show(self, job: JobProgress) -> None:
        """One line when state, position or reason changed."""
        if job.milestone != self._last:
            self._last = job.milestone
            self.say(job.milestone)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars:
    """Live bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = self._bars()
        self._job: TaskID | None = None

    def drawing(self) -> AbstractContextManager[object]:
        """Bars that go away at the end of the block."""
        self._progress, self._job = self._bars(), None
        return self._progress

    def start(self, what: str, size: int) -> Took:
        """A bar in bytes."""
        task = self._progress.add_task(escape(what), total=size)
        return lambda count: self._progress.advance(task, count)

    def show(self, job: JobProgress) -> None:
        """A bar that pulses while the job waits."""
        if self._job is None:
            self._job = self._progress.add_task("", total=None, is_job=True)
        done = job.fraction
        total = None if done is None else 1.0
        self._progress.update(self._job, description=escape(job.line), completed=done or 0.0, total=total)

    def say(self, text: str) -> None:
        """One line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _bars(self) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), _Amount(), TimeElapsedColumn())
        return Progress(*columns, console=self._console, transient=True)


class _Amount(DownloadColumn):
    """Bytes for transfers, per cent for the job."""

    def render(self, task: Task) -> Text:
        if not task.fields.get("is_job"):
            return super().render(task)
        return Text("" if task.total is None else f"{task.completed:.0%}")


def screen(*, silent: bool) -> Screen:
    """What fits where stderr goes."""
    if silent:
        return Silent()
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines(console)
