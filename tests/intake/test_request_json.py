"""A request of ai-toolkit-inference becomes an experiment that renders what the service would have."""

import base64
import http.server
import io
import json
import threading
from pathlib import Path

import pytest
from PIL import Image
from tests.examples.small_project import values
from tests.places import REPOSITORY

from darkroom.errors import ConfigError, DarkroomError
from darkroom.intake.control_pictures import decoded
from darkroom.intake.options import ImportOptions
from darkroom.intake.request_json import import_request
from darkroom.intake.service_request import MODELS
from darkroom.plan.load import load_experiment
from darkroom.request.parts import Lora


def _picture(image_format: str, colour: str = "red", size: tuple[int, int] = (80, 64)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, image_format)
    return file.getvalue()


RED, GREEN, BLUE = _picture("PNG", "red"), _picture("JPEG", "green"), _picture("WEBP", "blue")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _write(request: object, file: str = "request.json") -> Path:
    Path(file).write_text(json.dumps(request), encoding="utf-8")
    return Path(file)


def _errors(request: object, download: bool = False) -> list[str]:
    with pytest.raises(DarkroomError) as caught:
        import_request(_write(request), ImportOptions(), download=download)
    return [str(error) for error in getattr(caught.value, "errors", [caught.value])]


def _minimal(**more: object) -> dict[str, object]:
    return {"model": "flux2_klein_4b", "loras": [{"path": "sks.safetensors"}], "prompts": [{"prompt": "a cat"}], **more}


@pytest.fixture(autouse=True)
def _model_without_files(project):
    """The catalogue's model, from a repository that nobody asks."""
    text = (REPOSITORY / "conf/model/flux2_klein_4b.yaml").read_text()
    project.write("conf/model/flux2_klein_4b.yaml", text.replace("flux-2-klein-base-4b.safetensors", "null"))


def _requests(name: str = "request"):
    (combination,) = load_experiment(name, [Path("conf"), REPOSITORY / "conf"], ()).combinations
    return combination.requests


def test_half_a_character_is_no_text():
    assert _errors(_minimal(trigger_word="\ud800")) == [
        "request.json: '\\ud800' ends in half a character; expected the pair that makes one"
    ]


def test_a_name_that_is_too_long_for_a_file():
    (said,) = _errors(_minimal(loras=[{"path": "a" * 300}]))
    assert said.startswith("request.json: loras[0].path: there is no file 'aaa")


def test_the_smallest_request_has_the_defaults_of_the_service():
    assert import_request(_write(_minimal()), ImportOptions()) == [
        "conf/lora/request.yaml: written",
        "conf/prompts/request.yaml: written",
        "conf/experiment/request.yaml: written",
        "darkroom run request",
    ]
    assert {path: Path(f"conf/{path}/request.yaml").read_text().split("\n", 1)[1] for path in ("lora", "prompts")} == {
        "lora": "loras:\n  - {path: sks.safetensors}\n",
        "prompts": 'prompts:\n  - {prompt: "a cat"}\n',
    }
    assert Path("conf/experiment/request.yaml").read_text().splitlines()[1:] == [
        "# darkroom run request",
        "# The service rounds where the trainer does not. For its arithmetic: model: {lora_merge: merged_in_dtype}",
        "matrix:",
        "  model: [flux2_klein_4b]",
        "  lora: [request]",
        "  prompts: [request]",
    ]
    (request,) = _requests()
    assert values(request, "width", "height", "sample_steps", "guidance_scale") == (1024, 1024, 25, 4.0)
    assert values(request, "prompt", "neg", "seed", "network_multiplier") == ("a cat", "", 42, 1.0)


WHOLE = {
    "model": "flux2_klein_4b",
    "loras": [{"path": "sub/my.safetensors", "transformer": None, "network_multiplier": 0.8}],
    "trigger_word": "sks",
    "hf_token": "hf_topsecret",
    "kv_cache": True,
    "match_target_res": None,
    "webhook": "https://example.org/topsecret",
    "prompts": [
        {
            "prompt": '[trigger] ${x} said "yes"\n🐈',
            "neg": "blurry",
            "width": 520,
            "height": "768",
            "seed": 7.0,
            "sample_steps": 4,
            "guidance_scale": "3.5",
            "sampler": "flowmatch",
            "num_frames": 1,
            "fps": 24,
            "resolution": "Default",
        },
        {"prompt": "[trigger] b", "trigger_word": "tok", "seed": -1, "ctrl_img": "", "sample_step": 3},
        {"prompt": "1e3", "trigger_word": "", "sampler": "ddpm", "fps": 1},
    ],
}


def test_every_field_of_the_schema(project):
    project.write_weights("models/sub/my.safetensors")
    said = import_request(_write(WHOLE), ImportOptions(name="mine", roots=(Path("models"),)))
    assert said == [
        "conf/lora/mine.yaml: written",
        "conf/prompts/mine.yaml: written",
        "conf/experiment/mine.yaml: written",
        "request.json: hf_token: not taken over, and written nowhere: set HF_TOKEN in the environment",
        "request.json: kv_cache: not taken over: for Krea 2",
        "request.json: webhook: unknown to the service, and ignored; known: kv_cache, loras, match_target_res, model, "
        "prompts, trigger_word",
        "request.json: prompts[0].sampler and 1 more: not taken over: without effect there as well",
        "request.json: prompts[0].num_frames: not taken over: for videos",
        "request.json: prompts[0].fps and 1 more: not taken over: for videos",
        "request.json: prompts[0].resolution: not taken over: for LTX-2.3",
        "request.json: prompts[1].sample_step: unknown to the service, and ignored; did you mean 'sample_steps'? "
        "known: ctrl_img, ctrl_img_1, ctrl_img_2, ctrl_img_3, fps, guidance_scale, height, neg, num_frames, prompt, "
        "resolution, sample_steps, sampler, seed, trigger_word, width",
        "darkroom run mine",
    ]
    assert not any("topsecret" in path.read_text() for path in Path("conf").rglob("*.yaml"))
    first, second, third = _requests("mine")
    assert first.text.prompt == 'sks ${x} said "yes"\n🐈'
    assert values(first, "width", "height", "width_requested", "neg", "seed") == (512, 768, 520, "blurry", 7)
    assert (first.sampling.sample_steps, first.sampling.guidance_scale) == (4, 3.5)
    assert first.adapters.loras == (Lora("models/sub/my.safetensors", 0.8),)
    assert (second.text.prompt, second.asked.trigger_word) == ("tok b", "tok")
    assert second.sampling.seed not in (-1, 43)
    assert '  - {prompt: "[trigger] b", seed: -1, trigger_word: tok}\n' in Path("conf/prompts/mine.yaml").read_text()
    assert "# seed -1: drawn once for this set" in Path("conf/prompts/mine.yaml").read_text()
    assert values(third, "prompt", "trigger_word", "seed") == ("1e3", "sks", 44)


def test_importing_twice_changes_nothing():
    request = _minimal(prompts=[{"prompt": "a", "ctrl_img": _base64(RED)}])
    import_request(_write(request), ImportOptions())
    before = _written()
    said = import_request(_write(request), ImportOptions())
    assert [line.split(": ")[1] for line in said[:-1]] == ["as it is"] * 4
    assert _written() == before


def _written() -> dict[Path, tuple[int, int]]:
    """When each file was last written, and its number: reading may change a time of access, and does."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in Path("conf").rglob("*") if path.is_file()}


def test_everything_wrong_is_said_at_once():
    request = {
        "model": "sdxl",
        "loras": [{"path": "a", "network_multiplier": 3}, "b"],
        "prompts": [{"prompt": "a", "seed": -2}, {"width": 32, "fps": 0, "resolution": "Low"}, {"prompt": None}],
        "kv_cache": "often",
    }
    assert _errors(request) == [
        "request.json: model: 'sdxl' is not one of: flux2, flux2_klein_4b, flux2_klein_9b, flux, flex1, flex2, zimage, "
        "zimage_deturbo, zimage_turbo, flux2_klein_4b_distilled, flux2_klein_9b_distilled",
        "request.json: loras[0].network_multiplier: 3 is out of range: -2 to 2",
        "request.json: loras[1]: expected keys and values, got 'b'",
        "request.json: prompts[0].seed: -2 is out of range: -1 to 9223372036854775807",
        "request.json: prompts[1].width: 32 is out of range: 64 to 4096",
        "request.json: prompts[1].fps: 0 is out of range: 1 to 120",
        "request.json: prompts[1].resolution: 'Low' is not one of: Default, High",
        "request.json: prompts[1]: prompt is missing",
        "request.json: prompts[2].prompt: expected text, got None",
        "request.json: kv_cache: expected true or false, got 'often'",
    ]
    assert _errors({"model": "flux2", "loras": [], "prompts": []}) == [
        "request.json: prompts: expected one prompt at least"
    ]
    assert _errors([1]) == ["request.json: expected an object with model, loras and prompts"]
    assert not Path("conf/experiment/request.yaml").exists()


def test_lora_files_that_are_not_there():
    loras = [{"path": "x.safetensors"}, {"path": "../y.safetensors"}, {"path": "https://example.org/z.safetensors"}]
    missing, outside, url = _errors(_minimal(loras=loras))
    assert missing.startswith("request.json: loras[0].path: there is no file 'x.safetensors' in .; --root names")
    assert outside.startswith("request.json: loras[1].path: '../y.safetensors' lies outside .; if you trust this")
    assert url.startswith("request.json: loras[2].path: 'https://example.org/z.safetensors': download the file")
    said = import_request(_write(_minimal(loras=loras[:1])), ImportOptions(dry_run=True))
    assert said[0] == "conf/lora/request.yaml: would be written"
    assert said[3] == missing
    assert not Path("conf/lora/request.yaml").exists()


def test_without_a_lora_the_trigger_word_is_the_sets():
    said = import_request(
        _write(_minimal(loras=[], trigger_word="sks", prompts=[{"prompt": "[trigger]"}])), ImportOptions()
    )
    assert "request.json: loras: the service wants exactly one file; here the base model is rendered" in said
    (request,) = _requests()
    assert (request.text.prompt, request.title.lora, request.adapters.loras) == ("sks", "none", ())


def test_control_images_as_the_service_shows_them():
    prompts = [
        {"prompt": "a", "ctrl_img": _base64(RED)},
        {"prompt": "b", "ctrl_img": "not looked at", "ctrl_img_3": "data:image/jpeg;base64," + _base64(GREEN)},
        {"prompt": "c", "ctrl_img_1": _base64(BLUE), "ctrl_img_2": None, "ctrl_img_3": _base64(RED)},
    ]
    said = import_request(_write(_minimal(prompts=prompts)), ImportOptions())
    assert "request.json: prompts[1].ctrl_img: not taken over: the service shows ctrl_img_3 in its place" in said
    folder = "conf/prompts/request_files"
    assert [[image.path for image in request.sampling.ctrl_images] for request in _requests()] == [
        [f"{folder}/0_ctrl_img.png"],
        [f"{folder}/1_ctrl_img.jpg"],
        [f"{folder}/2_ctrl_img_1.webp", f"{folder}/2_ctrl_img_2.png"],
    ]
    assert Path(f"{folder}/1_ctrl_img.jpg").read_bytes() == GREEN
    assert Path(f"{folder}/2_ctrl_img_2.png").read_bytes() == RED


def test_a_model_that_sees_no_image_there():
    request = _minimal(model="flex2", prompts=[{"prompt": "a", "ctrl_img": _base64(RED)}])
    said = import_request(_write(request), ImportOptions())
    assert "request.json: prompts[0].ctrl_img: not taken over: the service shows flex2 no picture" in said
    assert 'prompts:\n  - {prompt: "a"}\n' in Path("conf/prompts/request.yaml").read_text()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pictures/cat.png", "expected base64 or a URL, got 'pictures/cat.png' ("),
        (_base64(b"%PDF-1.4"), "expected a PNG, JPEG or WEBP picture, got a file that begins with b'%PDF-1.4'"),
        (_base64(_picture("GIF")), "expected a PNG, JPEG or WEBP picture, got a file that begins with b'GIF"),
        (_base64(RED[:-30]), "cut off: expected "),
        (_base64(GREEN[:-30]), "cut off or damaged: no end of image among its "),
        (_base64(_picture("PNG", size=(8001, 8001))), "8001x8001 is 64 megapixels; at most 64 are read"),
        ("https://example.org/a.png", "'https://example.org/a.png' is downloaded with --download only"),
    ],
)
def test_what_is_no_control_image(source, message):
    (error,) = _errors(_minimal(prompts=[{"prompt": "a"}, {"prompt": "b", "ctrl_img_2": source}]))
    assert error.startswith(f"request.json: prompts[1].ctrl_img_2: {message}")
    assert not Path("conf/prompts/request_files").exists()


def test_a_picture_of_more_than_32_mb_is_not_decoded():
    with pytest.raises(ConfigError, match=r"^here: larger than 32 MB$"):
        decoded("A" * 46_000_000, "here")


def test_a_picture_that_is_somebodys_own_stays():
    request = _minimal(prompts=[{"prompt": "a", "ctrl_img": _base64(RED)}])
    picture = Path("conf/prompts/request_files/0_ctrl_img.png")
    picture.parent.mkdir(parents=True)
    picture.write_bytes(BLUE)
    assert _errors(request)[0].startswith(f"{picture}: edited since it was imported, or not imported at all")
    assert import_request(_write(request), ImportOptions(force=True))[3] == f"{picture}: overwritten"
    assert picture.read_bytes() == RED


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/red.png")
            self.end_headers()
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            found = {"/red.png": RED, "/page": b"<html></html>", "/endless": bytes(33 * 2**20)}.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_images_of_urls_are_downloaded_when_asked_for(server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    request = _minimal(prompts=[{"prompt": "a", "ctrl_img_1": f"{server}/red.png", "ctrl_img_2": f"{server}/moved"}])
    said = import_request(_write(request), ImportOptions(), download=True)
    assert said[3] == "conf/prompts/request_files/0_ctrl_img_1.png: written"
    assert Path("conf/prompts/request_files/0_ctrl_img_2.png").read_bytes() == RED

    prompts = [{"prompt": "a", "ctrl_img": f"{server}/{page}"} for page in ("lacking", "page", "elsewhere", "endless")]
    lacking, page, elsewhere, endless = _errors(_minimal(prompts=prompts), download=True)
    assert lacking.startswith(
        f"request.json: prompts[0].ctrl_img: '{server}/lacking': cannot be downloaded: Client error"
    )
    assert page.startswith("request.json: prompts[1].ctrl_img: expected a PNG, JPEG or WEBP picture, got a file that ")
    assert "prompts[2].ctrl_img" in elsewhere
    assert "cannot be downloaded: Request URL has an unsupported protocol" in elsewhere
    assert endless == f"request.json: prompts[3].ctrl_img: '{server}/endless': larger than 32 MB"


def test_the_models_are_those_of_the_catalogue():
    page = (REPOSITORY / "docs/models.md").read_text()
    assert all(f"| `{model}` |" in page for model in MODELS)
    assert all((REPOSITORY / f"conf/model/{model}.yaml").is_file() for model in MODELS)
