"""The render loop of combinations and of trials: one picture after the other, each fetched and saved while the next is
denoised.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError, DeviceLostError, PictureError
from darkroom.record.circumstances import Cost
from darkroom.record.embedded import EmbeddedRecord
from darkroom.render.attempts.turn import in_turn
from darkroom.render.attempts.ways_out import NONE, WaysOut
from darkroom.render.device.mode import Workload
from darkroom.render.job import Destination
from darkroom.render.picture import Queued, queue_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.writer import Writer, save
from darkroom.request.request import Request
from darkroom.store import Store


@dataclass(frozen=True)
class Task:
    """One picture to render, and where it goes."""

    request: Request
    to: Destination


@dataclass(frozen=True)
class Rendered:
    """A task whose picture is in the store."""

    task: Task
    record: EmbeddedRecord
    image_sha256: str
    cost: Cost


@dataclass(frozen=True)
class FoundInStore:
    """A task whose picture another process has put into the store since this one looked."""

    task: Task
    record: EmbeddedRecord


@dataclass(frozen=True)
class Unrendered:
    """A task that came to nothing."""

    task: Task
    error: DarkroomError


Outcome = Rendered | FoundInStore | Unrendered


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What all pictures of one pass through the loop have in common."""

    pipelines: Pipelines
    checkpoint: Checkpoint
    store: Store  # of the embeddings
    offload: str  # of mode.WISHES
    survived: tuple[type[Exception], ...]  # errors of one picture after which the others are rendered
    confirm: Callable[[], None] = lambda: None  # called after a base was loaded; raises if it is not what was planned
    ways_out: WaysOut = NONE
    note: Callable[[Task, Cost], None] = lambda task, cost: None  # hears of each picture before and after it is saved

    def render(self, tasks: Sequence[Task], report: Callable[[int], None]) -> list[Outcome]:
        """What came of each task, in the order in which they had their turn.

        `report` hears how many are done or with the device: before each, and at the end.
        StoreError where a picture cannot be written, DeviceLostError, which names all that the device had.
        """
        pictures = frozenset(Workload.of(task.request) for task in tasks)
        begun: list[Task] = []
        made: list[Future[Outcome] | Outcome] = []
        try:
            with Writer[Outcome]() as writer:
                for task, turn in in_turn(tasks, lambda task: task.to.stored, self.ways_out.while_waiting):
                    with ExitStack() as ending:
                        ending.callback(turn.close)
                        self.ways_out.at_picture(task.request)
                        report(len(made))
                        begun.append(task)
                        made.append(self._begin(task, pictures, writer, ending))
                report(len(tasks))
            return [each.result() if isinstance(each, Future) else each for each in made]
        except DeviceLostError as error:
            raise DeviceLostError(f"{error}; {_on_device(begun, made)}") from error

    def _begin(
        self, task: Task, pictures: frozenset[Workload], writer: Writer[Outcome], ending: ExitStack
    ) -> Future[Outcome] | Outcome:
        """One picture, looked for once more, else given to the device. `ending`: of its turn, once all is written."""
        if record := task.to.stored_record():
            return FoundInStore(task, record)
        self.pipelines.pace.begin()
        queued = self._queue(task, pictures)
        self.pipelines.pace.count()
        if isinstance(queued, Unrendered):
            return queued
        return writer.submit(partial(self._finish, task, queued, ending.pop_all()))

    def _queue(self, task: Task, pictures: frozenset[Workload]) -> Queued | Unrendered:
        """The picture, given to the device; once more with less on it if memory runs out.

        `pictures`: all that will be rendered, of which the largest decides where weights rest. What came to nothing
        before is not tried again: a retry of a job would find the same.
        """
        if why := self.pipelines.unmade.get(task.request):
            return Unrendered(task, PictureError(why))
        try:
            return self.pipelines.with_base(
                self.checkpoint,
                task.request,
                lambda loaded: queue_picture(self.store, task.request, loaded, self.ways_out.at_step),
                pictures=pictures,
                offload=self.offload,
                confirm=self.confirm,
            )
        except DeviceLostError:
            raise
        except self.survived as error:
            if not isinstance(error, DarkroomError):
                self.pipelines.let_go()  # the next picture's base must not be one that was left half changed
            return Unrendered(task, as_told(error))

    def _finish(self, task: Task, queued: Queued, ending: ExitStack) -> Outcome:
        """The picture fetched and its files written, on a thread of the writer's; then its turn ends."""
        with ending:
            try:
                made = queued.fetch()
            except PictureError as error:
                self.pipelines.unmade[task.request] = str(error)
                return Unrendered(task, as_told(error))
            self.note(task, made.cost)
            saved = save(task.to, made)
            cost = replace(made.cost, seconds_save=saved.seconds)
            self.note(task, cost)
            return Rendered(task, made.record, saved.image_sha256, cost)


def _on_device(tasks: Sequence[Task], made: Sequence[Future[Outcome] | Outcome]) -> str:
    """The pictures that were lost with it: one of them, or none, is why it failed. All of `made` has ended.

    `tasks`: those that were begun, of which `made` may lack the last.
    """
    ended = [(task, each) for task, each in zip(tasks, made, strict=False) if isinstance(each, Future)]
    lost = [task for task, each in ended if isinstance(each.exception(), DeviceLostError)]
    names = [task.request.title.image_name for task in (*lost, *tasks[len(made) : len(made) + 1])]
    return f"it had {', '.join(names)}, which need not be the reason"


def as_told(error: Exception) -> DarkroomError:
    """An error to keep, without the frames that hold on to tensors; a library's by its kind and its first line."""
    if not isinstance(error, DarkroomError):
        return PictureError(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
