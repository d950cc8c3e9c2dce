"""The lines that client and worker send each other, and what is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.errors import WorkerError
from darkroom.render.job import Help, Job
from darkroom.render.progress import Progress
from darkroom.render.worker.message import LONGEST, Done, Failed, Lost, Message, Prewarm, Stop, decode, encode

JOB = Job(
    directory=Path("/home/anna"),
    requests=Path("results/demo/requests/demo/none/cats.json"),
    checkpoint=Path("results/demo/checkpoints/demo.json"),
    records=Path("results/demo/records/demo/none/cats.parquet"),
    results=Path("results"),
    store=Path("results/store"),
    offload="block",
    latency=60.0,
)
JOB_LINE = (
    b'{"job": {"directory": "/home/anna", "requests": "results/demo/requests/demo/none/cats.json", '
    b'"checkpoint": "results/demo/checkpoints/demo.json", "records": "results/demo/records/demo/none/cats.parquet", '
    b'"results": "results", "store": "results/store", "offload": "block", "latency": 60.0}}\n'
)
PROGRESS_LINE = (
    b'{"progress": {"experiment": "demo", "combination": "demo / none / cats", "done": 3, "total": 40, '
    b'"seconds_per_image": null}}\n'
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (JOB, JOB_LINE),
        (Help(**vars(JOB)), JOB_LINE.replace(b'{"job"', b'{"help"')),
        (Prewarm("flux2"), b'{"prewarm": {"family": "flux2"}}\n'),
        (Progress("demo", "demo / none / cats", 3, 40, None), PROGRESS_LINE),
        (
            Failed("a caf\u00e9\nis closed", again=True),
            b'{"failed": {"text": "a caf\\u00e9\\nis closed", "again": true}}\n',
        ),
        (Lost("the GPU failed"), b'{"lost": {"text": "the GPU failed"}}\n'),
        (Stop(), b'{"stop": {}}\n'),
        (Done(), b'{"done": {}}\n'),
    ],
)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Message, line: bytes) -> None:
    assert encode(message) == line
    assert decode(line) == message


def test_a_file_name_that_is_no_utf_8_arrives() -> None:
    job = replace(JOB, requests=Path("caf\udce9.json"))  # Python's form of the byte E9
    assert decode(encode(job)) == job


def test_an_error_of_any_length_fits_into_a_message() -> None:
    line = encode(Failed("\U0001f408" * 10**6))
    assert len(line) < LONGEST
    failed = decode(line)
    assert isinstance(failed, Failed)
    assert failed.text.endswith("\U0001f408 … (the worker's log has all of it)")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\n", r"expected a line of JSON, got b'\\n': Expecting value"),
        (b"GET / HTTP/1.1\r\n", r"expected a line of JSON, got b'GET / HTTP/1\.1\\r\\n': Expecting value"),
        (b'{"done": \xff}', "expected a line of JSON, .* 'utf-8' codec can't decode byte 0xff"),
        (b"[" * 100_000, r"expected a line of JSON, got b'\[{58}…: maximum recursion depth"),
        (b"1" * 5_000, "expected a line of JSON, got b'1{58}…: Exceeds the limit"),
        (
            b"[]",
            r"expected .* one of job, help, sheetjob, encodejob, prewarm, begin, .*, stopped, done, got b'\[\]'",
        ),
        (b"{}", r"expected a mapping with one of job, .*, got b'\{\}'"),
        (b'{"shutdown": {}}', r"""expected a mapping with one of job, .*, got b'\{"shutdown": \{\}\}'"""),
        (b'{"done": {}, "failed": {}}', "expected a mapping with one of job, "),
        (b'{"done": null}', "done: expected a mapping of nothing, got "),
        (b'{"done": {"really": true}}', "done: expected a mapping of nothing, got "),
        (b'{"prewarm": {}}', "prewarm: expected a mapping of family, got "),
        (b'{"prewarm": {"family": ["flux2"]}}', r"prewarm\.family: expected str, got \['flux2'\]"),
        (b'{"failed": {"text": "a", "again": 1}}', r"failed\.again: expected bool, got 1"),
        (PROGRESS_LINE.replace(b"null", b'"0.3"'), r"progress\.seconds_per_image: expected float or null, got '0\.3'"),
        (PROGRESS_LINE.replace(b"3,", b"true,"), r"progress\.done: expected int, got True"),
        (
            JOB_LINE.replace(b', "offload": "block"', b""),
            "job: expected a mapping of directory, .*, latency, got ",
        ),
        (JOB_LINE.replace(b'"/home/anna"', b"null"), r"job\.directory: expected Path, got None"),
        (JOB_LINE.replace(b'"/home/anna"', b'""'), r"job\.directory: expected Path, got ''"),
        (JOB_LINE.replace(b"/home/anna", b"/home\\u0000"), r"job\.directory: expected Path, got '/home\\x00'"),
        (JOB_LINE.replace(b"/home/anna", b"/home\\ud83d"), r"job\.directory: expected Path, got '/home\\ud83d'"),
    ],
)
def test_what_is_no_message_is_refused_with_what_was_got(line: bytes, said: str) -> None:
    with pytest.raises(WorkerError, match=f"^message: {said}"):
        decode(line)
