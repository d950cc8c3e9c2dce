"""An ai-toolkit job → the files of an experiment that renders its previews again, and the list of those previews.

    job = plan_job(Path("output/my_job"), options, copies=Copies())   # reads; raises everything that is wrong at once
    print(*job.write(options), sep="\n")

Reads headers and digests; renders and compares nothing.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.display import from_here, named
from darkroom.errors import ConfigError, Reading, raise_together, value_of
from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.checkpoints import TrainedLoras, trained_loras
from darkroom.intake.aitk.conf_files import ConfWriter, pick_files, refuse_built_in_names
from darkroom.intake.aitk.config import JobConfig, config_file, job_roots, links_out, read_job, training_folder
from darkroom.intake.aitk.control_images import unused_images, with_images
from darkroom.intake.aitk.matrix import LoraValues, left_out, lora_values, matrix, rendered
from darkroom.intake.aitk.model import TrainedModel, sampler_reasons, trained_model
from darkroom.intake.aitk.passed_over import passed_over
from darkroom.intake.aitk.placing import Placed, Placing
from darkroom.intake.aitk.previews import Previewer, PromptOption
from darkroom.intake.aitk.prompts import sample_sheet, with_texts_of
from darkroom.intake.aitk.samples import SampleFile, are_copied, sample_files, sample_sets
from darkroom.intake.aitk.section import process_faults
from darkroom.intake.imported_job import ImportedJob, outdated, stale, with_accepted
from darkroom.intake.options import ImportOptions
from darkroom.intake.roots import Roots
from darkroom.intake.versions import JobVersions, Rules
from darkroom.plan.conf.owned_files import CONF, ConfFile, import_name
from darkroom.previews import Preview, previews_file

_FIRST = "first_sample"
_COPIED = (
    "the files' times are those of a copy, as the samples' names say others: whether the configuration or a checkpoint "
    "was written after a picture cannot be seen any more (rsync -t, cp -p and tar keep times)"
)


def import_job(path: Path, options: ImportOptions, *, copies: Copies, config_unchanged: bool = False) -> list[str]:
    """Write the files of an experiment that renders the job's previews again, and their list; lines on what was done.

    As `plan_job`.
    """
    return plan_job(path, options, copies=copies, config_unchanged=config_unchanged).write(options)


def plan_job(path: Path, options: ImportOptions, *, copies: Copies, config_unchanged: bool = False) -> ImportedJob:
    """Everything that importing will write; ConfigError, or Problems with all that is wrong, before anything is.

    `config_unchanged`: the configuration is the one that all pictures were made with.
    """
    try:
        file, folder = config_file(path), path if path.is_dir() else None
        roots = job_roots(folder or file.parent, options.roots)
        if folder:  # a file that was typed may be a link to anywhere
            raise_together(links_out([file], roots))
        return _Import(read_job(file, folder), options.name, copies, roots, config_unchanged).planned()
    except OSError as error:
        said = f"{error.filename or path}: {error.strerror or error}"
        raise ConfigError(f"{said}; is it readable, and the training at rest?") from error


class _Import:
    """One job on its way."""

    def __init__(self, job: JobConfig, name: str | None, copies: Copies, roots: Roots, config_unchanged: bool) -> None:
        self._job, self._copies, self._roots = job, copies, roots
        self._config_unchanged = config_unchanged
        self._notes = list(job.notes)
        self._folder = job.folder or self._training_folder()
        self._name = import_name(name, job.name, f"{job.file}: config.name")
        self._writer = ConfWriter(self._name, str(from_here(job.folder or job.file)), str(copies))

    def planned(self) -> ImportedJob:
        # 1. What the configuration says
        model = value_of(self._model())
        assert model
        options = value_of(self._prompt_options(model))
        # 2. What the trainer left, and how its version computed
        found, samples = value_of(self._left(model))
        trainers = {lora.step: lora.trainer for lora in found.loras}
        made_at = {sample.step: sample.made_at for sample in samples}
        versions = JobVersions(model.arch, self._job.process.content, trainers, made_at)
        model = value_of(self._model(versions.newest))
        assert model
        self._notes += [*passed_over(self._job.process, model.arch, model.rules.architecture.ignored), *versions.told()]
        has_times = not are_copied(samples)
        if not has_times:
            self._notes.append(_COPIED)
        # 3. Which picture is a preview of what
        previewer = Previewer(self._name, model, versions)
        placed = self._placing(model, options, found, has_times).placed(sample_sets(samples))
        values = lora_values(self._name, self._job.name, self._folder, found.loras)
        rows = [row for one in placed for row in self._rows(one, previewer, values)]
        combinations = rendered(options, values.usable, rows)
        if rows:
            rows += list(previewer.lacking(options, values.usable, combinations, rows))
        self._notes += _unseen(model, options, found, rows)
        # 4. The files
        files = self._files(model, options, values, combinations, left_out(values, combinations, rows))
        trigger_word = self._job.process.text("trigger_word")
        picked = pick_files(self._writer, options[0], trigger_word, values)
        refuse_built_in_names([*files, *picked])
        names = [option.name for option in options]
        by = f", trained by {versions}" if found.loras else ""
        rows.sort(key=lambda row: (row.step or 0, names.index(row.prompts), row.index, row.made_at or ""))
        return ImportedJob(
            name=self._name,
            heading=f"ai-toolkit job {self._job.name} ({model.arch}) in {self._writer.source}{by}",
            files=tuple(files),
            written_once=tuple(picked),
            outdated=tuple(outdated(self._name, files, self._writer.source)),
            previews=with_accepted(rows, previews_file(self._name)) if rows else (),
            notes=tuple(self._notes),
        )

    def _placing(
        self, model: TrainedModel, options: Sequence[PromptOption], found: TrainedLoras, has_times: bool
    ) -> Placing:
        return Placing(
            model=model,
            main=options[0],
            first=options[1] if len(options) > 1 else None,
            has_baseline=not self._job.process.section("train").flag("skip_first_sample"),
            loras=found.loras,
            configured=None if self._config_unchanged else self._job.modified,
            has_times=has_times,
            config_name=self._job.file.name,
        )

    def _rows(self, placed: Placed, previewer: Previewer, values: LoraValues) -> Iterator[Preview]:
        lora_name = values.name(placed.samples.step)
        return previewer.rows(placed.option, lora_name, placed.lora, placed.samples.files, placed.reasons)

    def _model(self, rules: Rules | None = None) -> Reading[TrainedModel | None]:
        yield from process_faults(self._job.process)
        return (yield from trained_model(self._job.process, self._copies, self._roots, rules))

    def _prompt_options(self, model: TrainedModel) -> Reading[list[PromptOption]]:
        """The set of `sample`, then that of `first_sample` if there is one."""
        process = self._job.process
        trigger_word = process.text("trigger_word")
        train = process.section("train")
        sample = sample_sheet(process.section("sample"), trigger_word)
        sections = [("sample", self._name, sample)]
        if _FIRST in process:
            first = sample_sheet(process.section(_FIRST), trigger_word)
            if train.flag("unload_text_encoder") or train.flag("cache_text_embeddings"):
                first = with_texts_of(first, sample)
            sections.append((_FIRST, f"{self._name}_first", first))
        made = []
        for key, name, sheet in sections:
            section = process.section(key)
            self._notes += [*sheet.ignored, *unused_images(sheet, model.family, section.where)]
            with_files = yield from with_images(sheet, model.family, self._roots, section.where)
            made.append(PromptOption(name, with_files, tuple(sampler_reasons(model.arch, section))))
        reasons = [f"prompt {index}: {why}" for option in made for index, why in option.sheet.left_out.items()]
        if reasons and not any(option.sheet.prompts for option in made):
            said = "; ".join(reasons)
            yield ConfigError(f"{self._job.file}: sample: no prompt of the job can be rendered: {said}")
        return made

    def _left(self, model: TrainedModel) -> Reading[tuple[TrainedLoras, list[SampleFile]]]:
        """What the trainer left: checkpoints and samples."""
        return (yield from self._loras(model)), (yield from self._samples())

    def _loras(self, model: TrainedModel) -> Reading[TrainedLoras]:
        if self._folder is None:
            return TrainedLoras((), ())
        steps = self._job.process.section("train").whole_number("steps")
        yield from links_out([self._folder, *self._folder.glob("*.safetensors")], self._roots)
        found = trained_loras(self._folder, self._job.name, steps, model.family, model.base_version)
        self._notes += found.notes
        return found

    def _samples(self) -> Reading[list[SampleFile]]:
        if self._job.folder is None:
            self._notes.append("a configuration alone: no previews; a job folder has them in samples/")
            return []
        folder = self._job.folder / "samples"
        files, others = sample_files(folder)
        yield from links_out([folder, *(file.path for file in files)], self._roots)
        if others:
            names = named([other.name for other in others])
            self._notes.append(f"{from_here(folder)}: no samples by their names: {names}")
        if not files and "sample" in self._job.process:
            self._notes.append(f"{from_here(folder)}: holds no samples")
        return files

    def _files(
        self,
        model: TrainedModel,
        options: Sequence[PromptOption],
        values: LoraValues,
        combinations: Sequence[tuple[str, str]],
        idle: Sequence[str],
    ) -> list[ConfFile]:
        """`idle`: values of the job's folder that are not rendered."""
        writer, trigger_word = self._writer, self._job.process.text("trigger_word")
        comments = [f"As trained: {said}" for said in model.rules.followed]
        comments += [f"Not as trained: {reason}" for reason in model.reasons]
        written = [option for option in options if option.sheet.prompts]
        files = [writer.model(model.content_for((written or options)[0].sheet), comments)]
        if values.folder:
            files.append(writer.folder(str(from_here(values.folder)), values.pattern, trigger_word))
        if not written:  # then its checkpoints are what a job is imported for, each by its name
            files += [
                writer.lora(name, str(from_here(lora.path)), trigger_word) for name, lora in values.usable.items()
            ]
        files += [writer.prompts(option, trigger_word) for option in written]
        self._notes += stale(self._name, files, writer.source)
        command = f"darkroom {'regress' if self._job.folder and written else 'run'} {self._name}"
        usable = [name for name in idle if name in values.usable]
        comments = [command, *([f"Without previews, and not rendered: {', '.join(usable)}"] if usable else [])]
        comments += [f"Cannot be applied, and is not rendered: {lora.fault}" for lora in values.loras if lora.fault]
        if not written:
            comments.append(f"It renders the prompts of conf/prompts/{self._name}.yaml, which the job has none for")
            self._notes += self._wanted(trigger_word, command)
        axes, exclude = matrix(combinations, options[0], values, idle)
        return [*files, writer.experiment(axes, exclude, comments)]

    def _wanted(self, trigger_word: str | None, command: str) -> Iterator[str]:
        """The sentence on what a job without samples lacks, until somebody has written it."""
        file = CONF / "prompts" / f"{self._name}.yaml"
        if not file.exists():
            example = f'prompts: ["{"[trigger] " if trigger_word else ""}a photo, outdoors"]'
            said = "prompts are wanted, as the job asks for no samples"
            yield f"{said}: write them in {file}, such as {example}, then {command}"

    def _training_folder(self) -> Path | None:
        try:
            return training_folder(self._job.process, self._job.name, self._roots)
        except ConfigError as error:
            self._notes.append(f"its checkpoints are not looked for: {error}")
            return None


def _unseen(
    model: TrainedModel, options: Sequence[PromptOption], found: TrainedLoras, rows: Sequence[Preview]
) -> Iterator[str]:
    """What cannot be reproduced or rendered, where no preview's reason says so."""
    if not rows:
        yield from (f"not as trained: {reason}" for reason in model.reasons)
        for option in options:
            yield from (f"left out: prompt {index}: {why}" for index, why in option.sheet.left_out.items())
    steps = {row.step for row in rows}
    yield from (f"cannot be applied: {lora.fault}" for lora in found.loras if lora.fault and lora.step not in steps)
