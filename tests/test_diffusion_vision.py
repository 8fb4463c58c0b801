import shutil

import numpy as np
import pytest
import torch
from helpers import tiny_vision
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel

from kp_helpers.diffusion import model_folder, vision
from kp_helpers.diffusion.model_folder import ModelError
from kp_helpers.figures.model import load_clip
from kp_helpers.figures.training.clip import to_pixels


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return tiny_vision.make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def detector_folder(tmp_path_factory):
    return tiny_vision.make_detector(tmp_path_factory.mktemp("yolos"))


def _images(count, size, seed=0):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_shipped_clip_embeds_as_it_was_trained():
    pictures = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    found = vision.load_clip("figures").embed(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    clip, _ = load_clip()
    with torch.no_grad():
        wanted = clip.get_image_features(pixel_values=to_pixels(pictures)).pooler_output
    assert torch.allclose(found, torch.nn.functional.normalize(wanted, dim=-1), atol=1e-6)


def test_a_folder_embeds_as_transformers_own_processor_does(clip_folder):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = vision.load_clip(clip_folder).embed(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)
    scale = {"image_mean": tiny_vision.MEAN, "image_std": tiny_vision.STD}
    processor = CLIPImageProcessorPil(**scale, do_resize=False, do_center_crop=False)
    pixels = processor(Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        wanted = CLIPModel.from_pretrained(clip_folder).eval().get_image_features(pixel_values=pixels)
    assert torch.allclose(found[0], torch.nn.functional.normalize(wanted.pooler_output[0], dim=0), atol=1e-5)


def test_the_gradient_of_the_picture_against_a_difference(clip_folder):
    clip, images = vision.load_clip(clip_folder), _images(1, 40).requires_grad_(True)
    along = torch.randn(12, generator=torch.Generator().manual_seed(1))
    (clip.embed(images)[0] @ along).backward()
    step = 2e-3 * images.grad / images.grad.norm()
    with torch.no_grad():
        up, down = (clip.embed(images + sign * step)[0] @ along for sign in (1, -1))
    assert float(up - down) == pytest.approx(2 * 2e-3 * float(images.grad.norm()), rel=0.02)
    assert not any(weight.requires_grad for weight in clip.network.parameters())


def test_boxes_are_those_of_the_networks_own_numbers(detector_folder):
    detector, image = vision.load_detector(detector_folder), _images(1, 50)[0]
    found = detector.boxes(image, least=0.0)
    with torch.no_grad():
        out = detector.network(pixel_values=detector.pixels(image[None]))
    sure = out.logits[0].softmax(-1)[:, :-1].amax(-1)
    x, y, width, height = out.pred_boxes[0, int(sure.argmax())].tolist()
    assert found.shape == (7, 4) and detector.pixels.size == 32
    wanted = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    assert found[0].tolist() == pytest.approx(wanted, abs=1e-6)
    middle = float(sure.sort().values[3:5].mean())
    assert len(detector.boxes(image, least=middle)) == 3 and len(detector.boxes(image, least=1.0)) == 0


def test_the_window_is_as_large_as_the_smallest_box_that_holds_the_point():
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.2, 0.2, 0.5, 0.6], [0.6, 0.6, 0.65, 0.65]])
    assert vision.window_side(boxes, torch.tensor([0.3, 0.3]), 0.1) == pytest.approx(0.4)
    assert vision.window_side(boxes, torch.tensor([0.9, 0.3]), 0.1) == pytest.approx(1.0)
    assert vision.window_side(boxes[1:], torch.tensor([0.9, 0.3]), 0.1) == 0.1
    assert vision.window_side(torch.zeros(0, 4), torch.tensor([0.3, 0.3]), 0.1) == 0.1


def _renamed(folder):
    (folder / "model.safetensors").rename(folder / "model.bin")


def _written(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (_renamed, r"model.safetensors: missing, found only model.bin, a pickle"),
        (_written("modeling.py", ""), r"modeling.py: the model folder brings code"),
        (_written("config.json", '{"auto_map": {}}'), r"config.json: 'auto_map' asks for code"),
        (
            _written("preprocessor_config.json", '{"image_mean": 0.5}'),
            r"image_mean is 0.5, expected three",
        ),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), r"preprocessor_config.json: missing"),
    ],
)
def test_a_faulty_folder_is_refused(clip_folder, tmp_path, fault, sentence):
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    fault(folder)
    with pytest.raises(ModelError, match=sentence):
        vision.load_clip(folder)


def test_a_missing_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ModelError, match="no such folder, expected a YOLOS folder of transformers or a hub"):
        vision.load_detector(tmp_path / "none")


def test_a_hub_id_gives_its_commit_and_fetches_these_files_only(clip_folder, tmp_path, monkeypatch):
    folder, asked = shutil.copytree(clip_folder, tmp_path / "0a1b2c"), {}
    monkeypatch.setattr(
        model_folder, "snapshot_download", lambda repo, **more: asked.update(more, repo=repo) or str(folder)
    )
    assert vision.load_clip("owner/clip@main").revision == "0a1b2c"
    files = ["model.safetensors", "config.json", "preprocessor_config.json"]
    assert asked == {"repo": "owner/clip", "revision": "main", "allow_patterns": files}
