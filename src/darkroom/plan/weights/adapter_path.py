"""Which file the `path` of a LoRA means: a file, the one file of a folder, or a file of the hub.

A run fetches what the hub's cache lacks; a dry run does not, and says what to type.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from darkroom.display import named
from darkroom.errors import AdapterError, CheckpointError, WeightFileError
from darkroom.files.regular_file import from_home
from darkroom.lora_files.file import ENDINGS, read_lora
from darkroom.lora_files.training.file_name import read_name
from darkroom.plan.conf.hub_reference import Reference, read_reference
from darkroom.plan.weights.hub import cached_file, download_command

Fetch = Callable[[str, str | None, str], Path]  # (repository, revision, file) → where it lies then; CheckpointError

_LISTED = 8  # files of a folder that a message names
_HUB_PAGE = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/]+/[^/]+)/(?:blob|resolve|raw)/([^/?]+)/([^?#]+)"
)


def file_of(path: str, fetch: Fetch | None = None) -> str:
    """The file that a path in conf/ means, itself where it is one; AdapterError with what to write or type instead.

    A path of nothing is given back, for whoever opens it to say so. `fetch`: of a file of the hub that is not in its
    cache; None where nothing is to be downloaded.
    """
    if "://" in path:
        raise AdapterError(f"{path}: is an address, and files are read here; {_instead_of(path)}")
    here = from_home(path)
    if here.is_file():
        return path if here == Path(path) else str(here)
    if here.is_dir():
        return str(_only_file(path, here))
    reference = read_reference(path)
    if reference is None or Path(reference.repo.partition("/")[0]).is_dir():
        if cure := _cure(path, here):
            raise AdapterError(f"{path}: no such file; {cure}")
        return path
    return _on_hub(path, reference, fetch)


def _cure(path: str, here: Path) -> str | None:
    """What to write for a path that leads nowhere, as it is written or by what lies there; None where nothing tells."""
    if drive := re.match(r"([A-Za-z]):[\\/]", path):
        rest = path[3:].replace("\\", "/")
        return f"it is a path of Windows; in WSL2 it is /mnt/{drive[1].lower()}/{rest}"
    if "\\" in path:
        return f"folders are separated by /: {path.replace(chr(92), '/')}"
    if variable := re.search(r"\$\{?(\w+)\}?|%(\w+)%", path):
        return f"a variable of the environment is written ${{oc.env:{variable[1] or variable[2]}}}"
    try:
        names = [file.name for file in here.parent.iterdir() if file.suffix.lower() in ENDINGS]
    except OSError:
        return None
    if here.is_symlink() or any(normalize("NFC", name) == normalize("NFC", here.name) for name in names):
        return None  # whoever opens it says why
    wanted = here.name.strip(" '\"").lower()
    alike = [name for name in names if wanted in (name.lower(), Path(name).stem.lower())]
    near = alike or [name for name in names if get_close_matches(here.stem, [Path(name).stem], cutoff=0.8)]
    return f"did you mean {str(here.parent / near[0])!r}?" if near else None


def _instead_of(address: str) -> str:
    if address.startswith("file://"):
        return f"write {unquote(address.removeprefix('file://'))}"
    page = _HUB_PAGE.match(address)
    if page is None:
        return "download the file and write its path"
    repo, revision, file = page.groups()
    return f"write {repo}/{file}{'' if revision == 'main' else f'@{revision}'}"


def _only_file(path: str, folder: Path) -> Path:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
    if len(files) == 1:
        return files[0]
    if not files:
        found = named(sorted(file.name for file in folder.iterdir()), _LISTED) or "nothing"
        raise AdapterError(f"{path}: expected a LoRA file or a folder with one .safetensors file in it, got {found}")
    listed = named([f"{file.name}{_step(file)}" for file in files], _LISTED)
    raise AdapterError(
        f"{path}: expected one .safetensors file in this folder, got {len(files)}: {listed}; write the one that you "
        f"mean, such as {Path(path) / files[-1].name}, or `folder: {path}` in place of `loras` for all of them"
    )


def _step(file: Path) -> str:
    """What its header or its name says of its training, in parentheses."""
    try:
        step = read_lora(file).step
    except (WeightFileError, OSError):
        return " (not whole)"
    named_so = read_name(file.name)
    step = named_so.step if step is None and named_so else step
    return "" if step is None else f" (step {step})"


def _on_hub(path: str, reference: Reference, fetch: Fetch | None) -> str:
    repo, file = reference.repo, reference.file
    if file is None:
        said = "no such file or folder; of a repository of the hub, name the file as well"
        raise AdapterError(f"{path}: {said}: {_page(reference)}")
    found = cached_file(repo, reference.revision, file)
    if found is not None:
        return found
    if fetch is None:
        command = download_command(repo, reference.revision, [file])
        raise AdapterError(f"{path}: {_not_here_yet(reference)}; to check it before that: {command}")
    try:
        fetched = fetch(repo, reference.revision, file)
    except CheckpointError as error:
        raise AdapterError(f"{path}: {error}") from error
    if not fetched.is_file():
        raise AdapterError(f"{path}: {repo} has no file {file}; it has these: {_page(reference)}")
    return str(fetched)


def _not_here_yet(reference: Reference) -> str:
    """A path without a revision may be one of this machine's, typed wrong or not there yet."""
    if reference.revision:
        return "no such file here, nor in the hub's cache; a run downloads it from the hub"
    folder = reference.repo.partition("/")[0]
    return (
        f"no such file here (there is no folder {folder}), nor in the hub's cache; if it is organisation/name/file of "
        "the hub, a run downloads it"
    )


def _page(reference: Reference) -> str:
    return f"https://huggingface.co/{reference.repo}/tree/{reference.revision or 'main'}"
