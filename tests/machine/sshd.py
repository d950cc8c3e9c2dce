"""Another machine for tests: this one, behind an sshd of its own on loopback."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.machine.waiting import wait_for


@contextmanager
def sshd(folder: Path, *options: str) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the command that reaches a shell behind it, with this process's PYTHONPATH; `options`: of ssh."""
    daemon = shutil.which("sshd")
    if daemon is None or os.getuid() != 0:
        pytest.skip("no sshd that this user may start")
    port = _free_port()
    key = folder / f"key{port}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    own = ["StrictModes=no", "PidFile=none", f"HostKey={key}", f"AuthorizedKeysFile={key}.pub", "UsePAM=no"]
    Path("/run/sshd").mkdir(exist_ok=True)
    listening = ["-D", "-e", "-f", "/dev/null", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
    known = ["-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={key}.known", "-oBatchMode=yes", "-F", "none"]
    ssh = ["ssh", "-i", str(key), "-p", str(port), *known, *options, f"{getpass.getuser()}@127.0.0.1"]
    ssh += ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}"]
    with (
        (folder / f"sshd{port}.log").open("wb") as log,
        subprocess.Popen([daemon, *listening, *(f"-o{option}" for option in own)], stderr=log) as process,
    ):
        try:
            wait_for(lambda: subprocess.run([*ssh, "true"], capture_output=True).returncode == 0, "the sshd", process)
            yield port, ssh
        finally:
            # With its sessions: one whose connection is dropped stays for hours.
            for each in [process, *psutil.Process(process.pid).children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
