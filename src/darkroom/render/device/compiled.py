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
from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit, TorchDynamoException
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from darkroom.errors import ConfigError
from darkroom.render.device.environment import processor_digest
from darkroom.render.device.lost import ran_out_of_memory

INDUCTOR = "inductor"
SHAPES = 256  # of pictures and texts, each with code of its own in memory, before that is begun anew
_CPP_COMPILERS, _C_COMPILERS = ("g++",), ("gcc", "clang")  # those that torch and Triton look for
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
_CURE = "leave it out with model.compiled_blocks: false"

_Backend = Callable[[torch.fx.GraphModule, list[torch.Tensor]], Callable[..., Any]]


def check_compiler(device: torch.device) -> None:
    """ConfigError where nothing can be compiled for this device: before a model is read for it."""
    if why := why_not_compiled(device):
        raise ConfigError(f"compiled_blocks: {why}; {_CURE}")


def compile_blocks(transformer: torch.nn.Module, backend: str | _Backend = INDUCTOR, shapes: int = SHAPES) -> None:
    """Have the blocks that a diffusers model repeats run compiled from now on, in place.

    Each is compiled when it first computes, where it computes. Only what is inside a block is compiled: what brings
    its weights to a device hangs outside. Weights may change, branches beside layers may not (AdapterStack).
    `backend`: of torch, "eager" for code that is traced and computes as it did. `shapes`: for how many code is kept
    in memory, of all models together.
    """
    _fix_compiler(shapes)
    kinds: list[str] = getattr(transformer, "_repeated_blocks")  # noqa: B009  (what diffusers itself goes by)
    for block in (module for module in transformer.modules() if type(module).__name__ in kinds):
        block.forward = _compiled(block.forward, backend)


def why_not_compiled(device: torch.device) -> str | None:
    """A clause on what torch lacks to compile for this device; None where it is there."""
    if device.type == "cuda":
        if not importlib.util.find_spec("triton"):
            return "torch compiles for a GPU by Triton, which is missing"
        return _missing("Triton needs a C compiler", "CC", _C_COMPILERS)
    return _missing("torch needs a C++ compiler", "CXX", _CPP_COMPILERS)


def _missing(need: str, variable: str, usual: tuple[str, ...]) -> str | None:
    wanted = (os.environ[variable],) if variable in os.environ else usual
    found = any(shutil.which(name) for name in wanted)
    return None if found else f"{need}, and there is none here (looked for {', '.join(wanted)})"


def _compiled(forward: Callable[..., Any], backend: str | _Backend) -> Callable[..., Any]:
    # One shape a compilation: code for all shapes would round by the one that came first.
    compiled = torch.compile(forward, fullgraph=True, dynamic=False, backend=backend)

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return _within_limit(compiled, *args, **kwargs)
        except TorchDynamoException as error:
            if isinstance(error, BackendCompilerFailed) and ran_out_of_memory(error.inner_exception):
                raise error.inner_exception from error  # another memory mode may leave enough
            raise ConfigError(
                f"compiled_blocks: torch cannot compile the blocks here ({_said(error)}); {_CURE}"
            ) from error

    return run


def _said(error: TorchDynamoException) -> str:
    """The compiler's own first fault, of many lines; torch's first two where it did not come to that."""
    lines = str(error).split("\n")
    faults = [line.strip() for line in lines if "error: " in line]
    return faults[0] if faults else " ".join(lines[:2]).strip()


def _within_limit(compiled: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What it computes; beyond SHAPES all that is compiled is let go, of every model, and found in its folder again."""
    try:
        return compiled(*args, **kwargs)
    except FailOnRecompileLimitHit:
        torch._dynamo.reset()
        return compiled(*args, **kwargs)


def _fix_compiler(shapes: int) -> None:
    """What torch would choose by itself: kernels by what it measures, a folder that does not last, processes."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = shapes
    torch._dynamo.config.skip_nnmodule_hook_guards = False  # a training adapter is cancelled by hooks
    torch._inductor.config.deterministic = True  # no kernel is chosen by its time, so that a picture is the same twice
    torch._inductor.config.compile_threads = 1  # in this process: no other ones that would have to end with it
    by_torch = default_cache_dir()  # where temporary files are; torch sets it when it is imported
    if os.environ.get(_FOLDER, by_torch) == by_torch and (folder := _lasting_folder()):
        os.environ[_FOLDER] = str(folder)


def _lasting_folder() -> Path | None:
    """The user's cache, a folder for each kind of processor: homes are shared, and what one runs another may not.

    None where it cannot be written: then torch keeps its code where temporary files are.
    """
    said = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(said) if Path(said).is_absolute() else Path("~/.cache").expanduser()
    folder = cache / "darkroom" / "compiled" / f"{torch.backends.cpu.get_cpu_capability()}-{processor_digest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder
