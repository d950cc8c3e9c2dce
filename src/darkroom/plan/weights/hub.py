"""Fetches files of the Hugging Face hub into its own cache, or says why not and what to type.

HF_HUB_OFFLINE, HF_TOKEN and HF_HOME (where the cache lies) are respected by huggingface_hub itself.
"""

import errno
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from darkroom.errors import CheckpointError
from darkroom.files.regular_file import from_home

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)  # a folder that is another's, or none
_PATIENCE = 3.0  # seconds


def look_in(hf_home: str) -> None:
    """Let this process and its jobs look there, unless the environment's HF_HOME says where; before the first look."""
    os.environ.setdefault("HF_HOME", str(from_home(hf_home)))


def fetch(repo: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder of a repository's snapshot, with the files in it that match; its name is the commit's.

    Patterns are fnmatch's: `*` goes across `/`. Without a network, what the cache has is taken for the whole: what
    main is there or, where it does not say, as in a cache that was copied or fetched at a commit, its only snapshot.
    """
    import httpx2  # what huggingface_hub speaks with
    from huggingface_hub import snapshot_download  # 0.15 s, and most checkpoints are local by now
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns)))
    except (HFValidationError, httpx2.HTTPError, OSError) as error:
        only = _only_snapshot(repo, revision) if isinstance(error, LocalEntryNotFoundError) else None
        if only:
            return only
        sentence = _sentence(repo, revision or "main", download_command(repo, revision, patterns), error)
        raise CheckpointError(sentence) from error


def cached_file(repo: str, revision: str | None, file: str) -> str | None:
    """Where a file of a repository lies in the hub's cache; None where it does not, and no network is asked."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    only = _only_snapshot(repo, revision)
    try:
        found = try_to_load_from_cache(repo, file, revision=only.name if only else revision)
    except HFValidationError:
        return None
    return found if isinstance(found, str) else None


def hub_cache() -> Path:
    """The folder that files of the hub are kept in."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def cached_snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of what the hub's cache has of a repository at a revision, whole or not; no network is asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return _only_snapshot(repo, revision)


def cached_snapshots(repo: str) -> list[Path]:
    """The folders of all that the hub's cache has of a repository, whole or not, each named by its commit."""
    folder = _cache_of(repo) / "snapshots"
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _only_snapshot(repo: str, revision: str | None) -> Path | None:
    """What main is taken to be in a cache that does not say it and has one snapshot."""
    snapshots = cached_snapshots(repo)
    is_named = revision is not None or (_cache_of(repo) / "refs" / "main").is_file()
    return snapshots[0] if len(snapshots) == 1 and not is_named else None


def _cache_of(repo: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return hub_cache() / repo_folder_name(repo_id=repo, repo_type="model")


@dataclass(frozen=True)
class Described:
    """What the hub says of a repository. `size`: bytes of the files that were asked for."""

    size: int
    is_gated: bool


def described(repo: str, revision: str | None, patterns: Sequence[str]) -> Described | None:
    """Of the files that match; None where the hub does not say within 3 seconds."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=_PATIENCE)
    except (HFValidationError, httpx2.HTTPError, OSError):
        return None
    files = [file for file in info.siblings or () if any(fnmatch(file.rfilename, each) for each in patterns)]
    return Described(sum(file.size or 0 for file in files), bool(info.gated))


def download_command(repo: str, revision: str | None, patterns: Sequence[str]) -> str:
    """What a person types to have the same files in the cache."""
    wild = any("*" in pattern for pattern in patterns)
    files = [word for pattern in patterns for word in (("--include", pattern) if wild else (pattern,))]
    return shlex.join(["hf", "download", repo, *files, *(["--revision", revision] if revision else [])])


def _sentence(repo: str, revision: str, command: str, error: Exception) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        page = f"https://huggingface.co/{repo}"
        return f"{repo} is gated: accept its licence at {page} with your account, then set HF_TOKEN to its token"
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo} is nothing here and no repository that the hub shows you; if it is private, set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision}: expected a branch, a tag or a commit of 40 hex digits"
    if isinstance(error, LocalEntryNotFoundError):
        offline = isinstance(error.__cause__, OfflineModeIsEnabled)
        cause = "HF_HUB_OFFLINE is set" if offline else type(error.__cause__ or error).__name__
        return (
            f"{repo} at {revision} is neither here nor whole in the hub's cache, and the hub cannot be reached "
            f"({cause}); download it while online: {command}"
        )
    if isinstance(error, HfHubHTTPError):
        return f"{repo}: the hub refuses to give it (HTTP status {error.response.status_code}); try: {command}"
    if isinstance(error, HFValidationError):
        return f"{repo}: neither here nor a name that a repository of the hub can have"
    if isinstance(error, OSError) and error.errno in _NOT_OURS:
        why = f"cannot be written ({error.strerror}); set HF_HOME to another folder"
        return f"{repo}: the hub's cache, {hub_cache()}, {why}"
    reason = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
    return f"{repo}: the download was cut off ({' '.join(reason.split())}); finished files are kept: {command}"
