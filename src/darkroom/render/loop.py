"""The render loop of combinations and of trials: one picture after the other, each saved while the next is denoised."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError, PictureError
from darkroom.record import Cost, EmbeddedRecord
from darkroom.render.device.mode import Workload
from darkroom.render.job import Destination
from darkroom.render.picture import make_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.writer import Saved, Writer
from darkroom.request import Request
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
class Unrendered:
    """A task that came to nothing."""

    task: Task
    error: DarkroomError


@dataclass(frozen=True)
class _Saving:
    task: Task
    record: EmbeddedRecord
    cost: Cost  # but for seconds_save
    saved: Future[Saved]

    def rendered(self) -> Rendered:
        saved = self.saved.result()
        return Rendered(self.task, self.record, saved.image_sha256, replace(self.cost, seconds_save=saved.seconds))


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What all pictures of one pass through the loop have in common."""

    pipelines: Pipelines
    checkpoint: Checkpoint
    store: Store  # of the embeddings
    offload: str  # of mode.WISHES
    survived: tuple[type[Exception], ...]  # errors of one picture after which the others are rendered
    check: Callable[[], None] = lambda: None  # called after each denoising step; may raise to abandon it all

    def render(self, tasks: Sequence[Task], report: Callable[[int], None]) -> list[Rendered | Unrendered]:
        """What came of each task, in order. `report` hears how many are done: before each task, and at the end.

        StoreError where a picture cannot be written.
        """
        pictures = frozenset(Workload.of(task.request) for task in tasks)
        made: list[_Saving | Unrendered] = []
        with Writer() as writer:
            for done, task in enumerate(tasks):
                report(done)
                self.pipelines.pace.begin()
                made.append(self._attempt(task, pictures, writer))
                self.pipelines.pace.count()
            report(len(tasks))
        return [each.rendered() if isinstance(each, _Saving) else each for each in made]

    def _attempt(self, task: Task, pictures: frozenset[Workload], writer: Writer) -> _Saving | Unrendered:
        """`pictures`: all that will be rendered, of which the largest decides where weights rest."""
        # 1. The picture; once more with less on the device if memory runs out.
        try:
            made = self.pipelines.with_base(
                self.checkpoint,
                task.request,
                lambda loaded: make_picture(self.store, task.request, loaded, self.check),
                pictures=pictures,
                offload=self.offload,
            )
        except self.survived as error:
            if not isinstance(error, DarkroomError):
                self.pipelines.let_go()  # the next picture's base must not be one that was left half changed
            return Unrendered(task, as_told(error))
        # 2. The file, on the writer's thread
        return _Saving(task, made.record, made.cost, writer.save(task.to, made.pixels, made.latents, made.record))


def as_told(error: Exception) -> DarkroomError:
    """An error to keep, without the frames that hold on to tensors; a library's by its kind and its first line."""
    if not isinstance(error, DarkroomError):
        return PictureError(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
