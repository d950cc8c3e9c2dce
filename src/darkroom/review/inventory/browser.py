"""`darkroom open`: a page in the browser, or its address where no browser of this machine is before the user's eyes."""

import os
import platform
import webbrowser
from collections.abc import Mapping
from pathlib import Path


def open_page(page: Path) -> str:
    """Open it; the sentence that says so, or why not, with what to open instead."""
    path = page.resolve()
    if hindrance := no_browser(os.environ, platform.release()):
        return f"{address(path, os.environ)}\n{hindrance}, so open this address yourself"
    try:
        is_open = webbrowser.open(path.as_uri())
    except webbrowser.Error:
        is_open = False
    return f"{page}: opened in the browser" if is_open else f"{path.as_uri()}\nno browser was found: open it yourself"


def no_browser(environment: Mapping[str, str], release: str) -> str | None:
    """Why a browser started here would not be seen; None where it would. `release`: of the kernel.

    >>> no_browser({"DISPLAY": ":0", "SSH_CONNECTION": "10.0.0.1 …"}, "6.8.0")
    'this is a session over ssh'
    """
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return "this is a session over ssh"
    if "microsoft" in release.lower():
        return "this is WSL, and the browser is in Windows"
    if not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return "there is no display here"
    return None


def address(path: Path, environment: Mapping[str, str]) -> str:
    """Of an absolute path, as a browser takes it; from WSL, as Windows' browser takes it.

    >>> address(Path("/home/me/report.html"), {"WSL_DISTRO_NAME": "Ubuntu"})
    'file://wsl.localhost/Ubuntu/home/me/report.html'
    """
    distribution = environment.get("WSL_DISTRO_NAME")
    return path.as_uri().replace("file://", f"file://wsl.localhost/{distribution}" if distribution else "file://", 1)
