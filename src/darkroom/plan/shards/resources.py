"""What a profile's `set-resources` ask of each rule's jobs, read as Snakemake itself reads them."""

from collections.abc import Mapping
from typing import Any

from darkroom.display import sized
from darkroom.errors import ConfigError

_KEY = "--profile: set-resources"


def read_resources(said: Any) -> Mapping[str, Any]:
    """Snakemake's Resources by rule, of both forms: keys and values, and a list of RULE:RESOURCE=VALUE.

    ConfigError for what is neither.
    """
    from snakemake.cli import parse_set_resources
    from snakemake.exceptions import WorkflowError

    try:
        entries = _entries(said) if isinstance(said, Mapping) else [said] if isinstance(said, str) else [*(said or ())]
        resources: Mapping[str, Any] = parse_set_resources(entries)
    except (ValueError, AttributeError, TypeError, WorkflowError) as error:
        forms = "keys and values below each rule's name, or a list of RULE:RESOURCE=VALUE"
        raise ConfigError(f"{_KEY}: expected {forms}, got {said!r}") from error
    return resources


def asked_memory(rule: str, resources: Mapping[str, Any]) -> str | None:
    """Of a machine, for a rule's first attempt; None where the profile leaves it to the rule.

    An expression that only a job can tell, by its input, is said as it is written. ConfigError for what is no number.
    """
    from snakemake.exceptions import ResourceConversionError, WorkflowError

    if "mem_mb" not in resources.get(rule, ()):
        return None
    memory = resources[rule]["mem_mb"]
    known = {"input": None, "attempt": 1, "threads": 1, "rulename": rule, "async_run": None}
    try:
        first = (memory.evaluate(None, **known) if memory.is_evaluable() else memory).value
    except ResourceConversionError as error:
        expected = "a number of MB, or an expression such as 16000 * attempt"
        raise ConfigError(f"{_KEY}: {rule}: mem_mb: expected {expected}, got {memory.raw!r}") from error
    except WorkflowError:
        first = None
    return sized(first * 10**6) if isinstance(first, int) else f"{memory.raw} MB"


def _entries(said: Mapping[str, Any]) -> list[str]:
    return [f"{rule}:{name}={_quoted(value)}" for rule in said for name, value in said[rule].items()]


def _quoted(value: Any) -> Any:
    """A number that is written as a text stays one, as in Snakemake's own reading of a profile."""
    return repr(value) if isinstance(value, str) and value.strip().isdecimal() else value
