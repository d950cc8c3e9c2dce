"""What a run on a cluster takes: jobs, hours of GPUs, and what decides how long it is."""

from darkroom.names import Names
from darkroom.plan.shards.outlook import outlook
from darkroom.planned import Shard


def shards(count, seconds, members=1):
    names = Names("m", "none", "p")
    return [Shard("m", f"{number:03d}", (names,) * members, 10, seconds) for number in range(count)]


def test_jobs_run_beside_one_another():
    found = outlook(shards(8, 1170.0, members=10), 4)
    assert (found.in_all, found.longest, found.wall) == (8 * 1200, 1200, 2 * 1200)
    assert found.lines() == [
        "8 jobs to render, each loads a base model; 1 to encode",
        "2 h 40 min of GPUs; 40 min 0 s with 4 at once, beside the queue",
        "what decides: the GPUs; the process that began the run works for 2 s of it",
    ]


def test_more_gpus_than_jobs_wait_for_the_longest():
    assert outlook(shards(2, 1170.0), 4).bottleneck.startswith("the longest job, 20 min 0 s")


def test_many_short_combinations_wait_for_the_process_that_began_the_run():
    assert outlook(shards(8, 10.0, members=1000), 8).bottleneck == (
        "the process that began the run: it fetches for 4 min 0 s"
    )


def test_more_jobs_than_anybody_has_are_as_many_as_there_are():
    assert outlook(shards(2, 1170.0), 10**21).wall == 1200
