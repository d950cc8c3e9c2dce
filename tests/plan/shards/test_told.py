"""What `darkroom plan --profile` says of a cluster's jobs."""

import pytest

from darkroom.errors import ConfigError
from darkroom.plan.shards.told import told

ASKS = "m: a job that renders asks for {} of a machine's memory, one that encodes for {}"


def memory(project, **resources):
    return told(project.load(), {"set-resources": resources}, 1)[-2]


def test_memory_that_the_profile_asks_for_goes_before_the_models(project):
    assert memory(project, shard={"minutes": 20}) == ASKS.format("54.4 GB", "14.5 GB")
    both = memory(project, shard={"minutes": 20, "mem_mb": 64000}, encode={"mem_mb": "16000 * attempt"})
    assert both == ASKS.format("64.0 GB", "16.0 GB")
    by_input = memory(project, shard={"images": 4, "mem_mb": "2 * input.size_mb"}, encode={"mem": "8GB"})
    assert by_input == ASKS.format("2 * input.size_mb MB", "8.0 GB")


def test_a_profile_may_list_resources_as_on_the_command_line(project):
    profile = {"set-resources": ["shard:minutes=5", "shard:mem_mb=64000", "encode:mem_mb=32000"]}
    assert told(project.load(), profile, 1)[-2] == ASKS.format("64.0 GB", "32.0 GB")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"shard": {"minutes": 20, "mem_mb": "x"}},
            "shard: mem_mb: expected a number of MB, or an expression such as ",
        ),
        (
            {"shard": {"minutes": 20, "mem_mb": "64000"}},
            "shard: mem_mb: expected a number of MB, or an expression such",
        ),
        ({"shard": 20}, "expected keys and values below each rule's name, or a list of RULE:RESOURCE=VALUE, got "),
        (["shard"], "expected keys and values below each rule's name, or a list of RULE:RESOURCE=VALUE, got "),
        (20, "expected keys and values below each rule's name, or a list of RULE:RESOURCE=VALUE, got 20"),
        ({"encode": {"mem_mb": 1}}, "expected set-resources: shard: in it; without, each combination is a job"),
    ],
)
def test_resources_that_say_nothing_are_refused(project, said, message):
    with pytest.raises(ConfigError) as caught:
        told(project.load(), {"set-resources": said}, 1)
    assert message in str(caught.value)
