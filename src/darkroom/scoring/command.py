"""The line of a scorer's command as a program and its arguments, or what is wrong with it."""

import shlex

from darkroom.errors import ConfigError

MANIFEST, TABLE = "{manifest}", "{table}"


def words_of(where: str, command: str) -> list[str]:
    """The command as a shell splits it; ConfigError where it is none."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    if not words or not words[0]:
        raise ConfigError(f"{where}: expected a program and its arguments, got nothing")
    if "\0" in command:
        raise ConfigError(f"{where}: no argument of a program can have a zero byte in it")
    if missing := [name for name in (MANIFEST, TABLE) if not any(name in word for word in words)]:
        raise ConfigError(f"{where}: {' and '.join(missing)} should be in it: what it reads, and what it writes")
    return words
