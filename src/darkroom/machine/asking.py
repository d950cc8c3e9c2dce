"""What a person says where things lie: on the command line, or asked one thing after the other."""

from collections.abc import Callable
from dataclasses import fields, replace

from darkroom.errors import ConfigError, Reading, value_of
from darkroom.machine.locations import Locations
from darkroom.machine.usual_places import ai_toolkit, comfyui_models, hf_home

_CHECKS = {"comfyui": comfyui_models, "ai_toolkit": ai_toolkit, "hf_home": hf_home}
_QUESTIONS = {
    "comfyui": "ComfyUI's folder",
    "ai_toolkit": "ai-toolkit's folder",
    "hf_home": "The hub's cache (HF_HOME), where it is not the usual one",
}


def checked(told: Locations) -> Locations:
    """Folders as they are written down; all that are not what they should be together. "" stays, for none."""
    return value_of(_checked(told))


def agreed_locations(known: Locations, told: Locations, ask: Callable[[str], str]) -> Locations:
    """Each is asked, but for those that were told: Enter takes what is known, - is none, a wrong one is asked again."""
    for name, question in _QUESTIONS.items():
        if getattr(told, name) is None:
            known = replace(known, **{name: _asked(name, question, getattr(known, name), ask)})
    return known


def _asked(name: str, question: str, known: str | None, ask: Callable[[str], str]) -> str | None:
    while True:
        said = ask(f"{question} [{known or 'none'}]{', - for none' if known else ''}: ").strip()
        if not said:
            return known
        if said == "-":
            return None
        try:
            return _CHECKS[name](said)
        except ConfigError as error:
            print(error)


def _checked(told: Locations) -> Reading[Locations]:
    folders = {}
    for each in fields(Locations):
        said = getattr(told, each.name)
        try:
            folders[each.name] = _CHECKS[each.name](said) if said else said
        except ConfigError as error:
            yield ConfigError(f"--{each.name.replace('_', '-')}: {error}")
    return Locations(**folders)
