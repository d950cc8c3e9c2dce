"""Reads one file of conf/; whatever is wrong with it is a sentence that names the file and, where it can, the line."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from darkroom.errors import ConfigError, one_line
from darkroom.files import unquoted
from darkroom.files.regular_file import read_text
from darkroom.files.yaml_text import check_keys_and_values
from darkroom.plan.conf.schema import RATIO_KEYS

LITERAL = "${…} stands for a value of conf/, ${oc.env:HOME} for the environment's, \\${ in single quotes for itself"
_LIST_OF = {"prompts": "prompts", "lora": "loras"}  # the key that a list alone is meant for, by group


def load(file: Path) -> dict[str, Any]:
    """The keys and values of a file; ConfigError for what is no YAML of them."""
    text = read_text(file)
    check_keys_and_values(file, text)
    with as_config_errors(file):
        content = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
        faults = [*unquoted.anchored(text), *unquoted.odd_numbers(text, RATIO_KEYS)]  # another parser, which takes less
    for fault in faults:
        raise ConfigError(f"{file}: {fault}")
    if not isinstance(content, dict):
        key = _LIST_OF.get(file.parent.name)
        raise ConfigError(f"{file}: expected keys and values, got a list{f'; begin it with {key}:' if key else ''}")
    return {str(key): value for key, value in content.items()}


def load_with_defaults_list(file: Path) -> dict[str, Any]:
    """The same of a file that may have one."""
    content = load(file)
    if not isinstance(content.get("defaults", []), list):
        raise ConfigError(f"{file}: defaults: expected a list, got {content['defaults']!r}")
    return content


@contextmanager
def as_config_errors(file: Path) -> Iterator[None]:
    """What YAML, OmegaConf and Hydra raise within, as a ConfigError that names the file."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            raise ConfigError(f"{file}: {one_line(error)}") from error
        name = mark.name if Path(mark.name).is_file() else file
        problem = getattr(error, "problem", "not YAML")
        cure = unquoted.advice_on(error, Path(name))
        said = f"{problem}; {cure}" if cure else problem
        raise ConfigError(f"{name}: line {mark.line + 1}, column {mark.column + 1}: {said}") from error
    except MissingConfigException as error:
        raise ConfigError(f"{file}: there is no conf/{error.missing_cfg_file}.yaml") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: something in it refers to itself") from error
    except GrammarParseError as error:  # its own sentence is the parser's
        place = f"{file}: {error.full_key}" if error.full_key else f"{file}"
        raise ConfigError(f"{place}: holds a ${{ that cannot be read; {LITERAL}") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # ValueError: Hydra's for a defaults list
        raise ConfigError(f"{file}: {one_line(error)}") from error
