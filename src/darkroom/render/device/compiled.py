"""The repeated blocks of a transformer, compiled by torch: once for all blocks of a kind, and again for each shape.

What is compiled is kept in a folder (TORCHINDUCTOR_CACHE_DIR, else in the user's cache), where later runs find it.
Compiled code rounds otherwise than its parts do, so that no picture made with it is compared with others.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch
import torch._dynamo.config
import torch._inductor.config
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError

from darkroom.errors import ConfigError

INDUCTOR = "inductor"
_SHAPES = 256  # of pictures and texts, each with code of its own; beyond torch's limit of 8 it would refuse
_COMPILERS = ("g++", "clang++", "c++")
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
_CURE = "leave it out with model.compiled_blocks: false"


def compile_blocks(transformer: torch.nn.Module, device: torch.device, backend: str = INDUCTOR) -> None:
    """Have the blocks that a diffusers model repeats run compiled from now on, in place.

    Each is compiled when it first computes, for `device`. ConfigError where nothing can be compiled. Only what is
    inside a block is compiled: what brings its weights to a device hangs outside. Weights may change, branches beside
    layers may not (AdapterStack). `backend`: of torch, "eager" for code that is traced and computes as it did.
    """
    if backend == INDUCTOR and (why := why_not_compiled(device)):
        raise ConfigError(f"compiled_blocks: {why}; {_CURE}")
    _fix_compiler()
    kinds: list[str] = getattr(transformer, "_repeated_blocks")  # noqa: B009  (what diffusers itself goes by)
    for block in (module for module in transformer.modules() if type(module).__name__ in kinds):
        block.forward = _compiled(block.forward, backend)


def why_not_compiled(device: torch.device) -> str | None:
    """A clause on what torch lacks to compile for this device; None where it is there."""
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "torch compiles for a GPU by Triton, which is missing"
    wanted = (os.environ["CXX"],) if "CXX" in os.environ else _COMPILERS
    found = any(shutil.which(name) for name in wanted)
    return None if found else f"torch needs a C++ compiler, and there is none here (looked for {', '.join(wanted)})"


def _compiled(forward: Callable[..., Any], backend: str) -> Callable[..., Any]:
    # One shape a compilation: code for all shapes would round by the one that came first.
    compiled = torch.compile(forward, fullgraph=True, dynamic=False, backend=backend)

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return compiled(*args, **kwargs)
        except (TorchDynamoException, InductorError) as error:
            said = " ".join(str(error).split("\n")[:2]).strip()
            raise ConfigError(f"compiled_blocks: torch cannot compile the blocks here ({said}); {_CURE}") from error

    return run


def _fix_compiler() -> None:
    """What torch would choose by itself: kernels by what it measures, a folder that does not last, processes."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = _SHAPES
    torch._dynamo.config.skip_nnmodule_hook_guards = False  # a training adapter is cancelled by hooks
    torch._inductor.config.deterministic = True  # no kernel is chosen by its time, so that a picture is the same twice
    torch._inductor.config.compile_threads = 1  # in this process: no other ones that would have to end with it
    if _FOLDER not in os.environ and (folder := _lasting_folder()):
        os.environ[_FOLDER] = str(folder)


def _lasting_folder() -> Path | None:
    """The user's cache, a folder for each kind of processor: code for one need not run on another.

    None where it cannot be written: then torch keeps its code where temporary files are.
    """
    said = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(said) if Path(said).is_absolute() else Path("~/.cache").expanduser()
    folder = cache / "darkroom" / "compiled" / torch.backends.cpu.get_cpu_capability()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder
