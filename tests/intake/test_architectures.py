"""The importers' table of architectures against conf/model and the families."""

import yaml
from tests.places import REPOSITORY

from darkroom.intake.architectures import ARCHITECTURES
from darkroom.lora_files.families import NAMINGS
from darkroom.plan.conf.families import FAMILIES

FAMILY_OF = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))["family"]
    for file in (REPOSITORY / "conf/model").glob("*.yaml")
}


def test_every_model_in_conf_is_an_architecture_or_distilled_of_one() -> None:
    distilled = {each.distilled for each in ARCHITECTURES.values()} - {None}
    assert FAMILY_OF.keys() - {"demo"} == ARCHITECTURES.keys() | distilled


def test_every_family_has_architectures_and_a_naming_of_adapters() -> None:
    assert {FAMILY_OF[name] for name in ARCHITECTURES} == FAMILIES.keys() == NAMINGS.keys()


def test_an_architectures_base_is_one_of_its_family_and_every_known_base_has_one() -> None:
    for name, naming in NAMINGS.items():
        bases = [each.base for arch, each in ARCHITECTURES.items() if FAMILY_OF[arch] == name]
        assert sorted(base.name for base in bases) == sorted(base.name for base in naming.bases)


def test_a_base_is_known_by_the_repositories_that_conf_names() -> None:
    for name, each in ARCHITECTURES.items():
        options = [option for option in (name, each.distilled) if option]
        files = [(REPOSITORY / f"conf/model/{option}.yaml").read_text(encoding="utf-8") for option in options]
        assert [yaml.safe_load(text)["checkpoint"]["repo"] for text in files] == list(each.base.repos)
