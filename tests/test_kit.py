"""The six verbs against the functions below them, on a model of Stable Diffusion's layout and on figures."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tiny_sd import FAMILIES, make
from PIL import Image

import kp_helpers as kit
from kp_helpers import attention, embeddings
from kp_helpers.config import TestTime, randomness
from kp_helpers.data import DataError
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import draw_scene
from kp_helpers.figures.skeleton import INDEX
from kp_helpers.notebook.kit.attend import fitted
from kp_helpers.notebook.kit.find import Found
from kp_helpers.predict import Reader


@pytest.fixture(scope="module")
def figures():
    return kit.load("figures", "cpu")


@pytest.fixture(scope="module")
def scenes() -> list:
    """Pictures of one person whose left foot is seen."""
    seeds, found = iter(range(3_000_000, 3_000_200)), []
    while len(found) < 8:
        picture = render(draw_scene(next(seeds)))
        if len(picture.people) == 1 and picture.people[0].visible[INDEX["left_foot"]]:
            found.append(picture)
    return found


@pytest.fixture(scope="module")
def feet(scenes) -> np.ndarray:
    return np.array([one.people[0].pixels[INDEX["left_foot"]] for one in scenes])


def test_the_verbs_are_imported_when_they_are_used():
    code = "import sys, kp_helpers as kit; print('torch' in sys.modules, 'teach' in dir(kit)); kit.no"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]
    assert "module 'kp_helpers' has no attribute 'no'" in done.stderr


def test_pictures_of_any_kind_are_the_same_picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tensor = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    kinds = [tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels, tensor]
    shots = kit.pictures(kinds)
    assert all(torch.allclose(one.image(), tensor, atol=1e-6) for one in shots) and len(shots) == 5
    assert shots[0].frame_size == (60, 40) and shots[:2].framed(32).images.shape == (2, 3, 32, 32)
    (tmp_path / "b.heic").touch()
    folder = kit.pictures(tmp_path)
    assert repr(folder) == "<1 pictures, no labels; left out: 1 pictures as .heic, which is not read>"
    assert folder.root == tmp_path and torch.allclose(folder[0].image(), tensor, atol=1e-6)
    with pytest.raises(TypeError, match=r"a picture is ndarray \(40, 60\), expected a path, a PIL image"):
        kit.pictures(pixels[..., 0])
    with pytest.raises(DataError, match="expected a folder of pictures beside labels"):
        kit.pictures([pixels], labels="x.csv")


def test_labels_of_a_folder_are_found_by_their_name(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    header = "image,person,keypoint,x,y,visible"
    (tmp_path / "labels.csv").write_text(f"{header}\na.png,0,nose,10,20,1\n")
    shots = kit.pictures(tmp_path)
    assert shots[0].joints["nose"] == (10, 20) and len(shots.labelled("nose")) == 1
    with pytest.raises(
        ValueError, match="no picture has a label of 'ear', found labels of nose: give `points`"
    ):
        shots.labelled("ear")
    with pytest.raises(ValueError, match=r"points have shape \(2, 2\), expected \(1, 2\)"):
        shots.labelled("ear", [(1, 2), (3, 4)])


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """A small model with the layout of Stable Diffusion 1.5, 2.1 or XL."""
    return kit.load(make(tmp_path_factory.mktemp("family") / request.param, family=request.param), "cpu")


@pytest.mark.parametrize(("height", "width"), [(128, 128), (90, 160), (300, 100)])
def test_a_context_gives_the_maps_of_the_papers_formulation(family, height, width):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    context = torch.randn(5, family.context_width, generator=torch.Generator().manual_seed(1))
    context.requires_grad_(True)
    found = kit.attend(family, image, context, timestep=10)
    shown = fitted(family, image)
    step = family.pixels_per_latent * 2 ** (len(family.unet.config.down_block_types) - 1)
    assert all(side % step == 0 for side in shown.shape[1:])
    assert shown.shape[1] * shown.shape[2] == pytest.approx(family.image_size**2, rel=0.5)
    noise = randomness.generator(0, "noise", 0)
    noised = family.add_noise(family.encode_image(shown[None]), 10, noise)
    size = tuple(2 * side for side in noised.shape[2:])
    expected = attention.attention_maps(family.unet, noised, 10, context, size=size)[0]
    assert torch.allclose(found.maps, expected, atol=1e-6) and found.maps.shape == (5, *size)
    found.maps[2].max().backward()
    assert context.grad.abs().sum() > 0


def test_words_are_found_that_are_asked_for_alone(figures, scenes):
    """A word alone would be given the whole picture; with rivals its maximum lies in its thing."""
    hits = []
    for picture in scenes:
        for word in ("hair", "shirt", "trousers", "shoes"):
            mask = picture.mask(word)
            if mask.sum() > 60:
                one = kit.attend(figures, picture.image, [word], timestep=100)[word]
                row, column = divmod(int(one.argmax()), one.shape[1])
                hits.append(mask[2 * row + 1, 2 * column + 1])
    assert np.mean(hits) > 0.75 and len(hits) > 20


def test_phrases_share_out_the_picture_and_are_shown(figures, scenes):
    found = kit.attend(figures, scenes[0].image, ["a red ball", "left arm"], timestep=100)
    assert repr(found) == "<maps 64 x 64 of a red ball, left arm; noise level 100>"
    assert found.names == ("a red ball", "left arm") and found.maps.shape == (2, 64, 64)
    assert ((found.maps >= 0) & (found.maps <= 1)).all() and len(found.show().axes) >= 3
    alone = kit.attend(figures, scenes[0].image, "left arm", timestep=100)
    assert alone.names == ("left arm",)
    with pytest.raises(ValueError, match="words is empty"):
        kit.attend(figures, scenes[0].image, [])


def test_five_labels_find_the_foot_in_other_pictures(figures, scenes, feet, tmp_path):
    shots = kit.pictures([one.image for one in scenes])
    foot = kit.teach(figures, shots[:5], "left foot", feet[:5])
    assert foot.base == "an empty caption", "what the best recipe needs"
    found = foot.find(shots[5:])
    assert repr(foot) == f"<left foot: a fit beside the base of {foot.base}, model figures>"
    assert repr(shots) == "<8 pictures, no labels>" and "left foot" in repr(found)
    off = np.hypot(*(found.table[["x", "y"]].to_numpy() - feet[5:]).T)
    assert np.median(off) < 0.1 * 128 and found.table["score"].between(0, 1).all()
    assert found.points()[1] == {"left foot": tuple(found.table.loc[1, ["x", "y"]])}
    assert len(found.show().axes) == 3
    saved = pd.read_csv(found.to_csv(tmp_path / "f.csv"))
    assert list(saved) == ["picture", "keypoint", "x", "y", "score"] and len(saved) == 3
    with pytest.raises(ValueError, match="of no folder, expected those of pictures"):
        found.to_coco(tmp_path / "f.json")
    both = kit.attend(figures, scenes[6].image, ["shoes", foot])
    assert both.names == ("shoes", "left foot") and both["left foot"].shape == (64, 64)
    kept = foot.save(tmp_path / "foot.safetensors")
    tensors, about = embeddings.load(kept, fingerprint=figures.fingerprint)
    assert torch.equal(tensors["appended"], foot.appended.tokens) and about["joint"] == "left foot"
    again = kit.find(kept, shots[5:], figures)
    numbers = ["x", "y", "score"]
    assert np.allclose(again.table[numbers], found.table[numbers]), "the file is the same keypoint"
    twin = kit.teach(figures, shots[:5], "the same", feet[:5])
    several = kit.find([kept, twin.save(tmp_path / "twin.safetensors")], shots[5:], figures)
    assert several.table["keypoint"].tolist() == ["left foot", "the same"] * 3
    for name in ("left foot", "the same"):
        own = several.table[several.table["keypoint"] == name]
        assert np.allclose(own[numbers], found.table[numbers]), "one pass for all is each one's own"
    assert len(several.maps(0).axes) == 3
    with pytest.raises(ValueError, match="foot.safetensors: model is None, expected the model"):
        kit.find(kept, shots)


def test_the_next_to_label_is_unsure_and_unlike_the_labelled_ones(tiny_sd):
    generator = torch.Generator().manual_seed(0)
    first, other = (torch.rand(3, 128, 128, generator=generator) for _ in range(2))
    shots = kit.pictures([first, first + 0.01, other, other, 1 - other])
    names = [shot.name for shot in shots]
    scores = [0.9, 0.1, 0.6, 0.4, 0.9]
    rows = [
        {"number": n, "picture": names[n], "keypoint": "nose", "x": 5.0, "y": 6.0, "score": scores[n]}
        for n in range(5)
    ]
    found = Found(shots, pd.DataFrame(rows), Reader(tiny_sd, ["nose"], TestTime(), []))
    assert found.doubtful()["number"].tolist() == [1, 3] and found.scores()[2] == {"nose": 0.6}
    assert found.next_to_label([0]) == 3, "1 is less sure, and all but the labelled one"
    assert found.next_to_label([0, 2]) == 4, "3 is one that is labelled, and 1 nearly so"
    texts = {path.get_paths()[0].vertices.shape for axis in found.show().axes for path in axis.collections}
    assert len(texts) == 2, "crosses and question marks"
    with pytest.raises(ValueError, match="0 of 5 pictures are labelled, expected some with a label"):
        found.next_to_label([])


def test_what_is_discovered_is_a_base_to_teach_on(tiny_sd, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for number in range(3):
        pixels = (255 * torch.rand(50, 70, 3, generator=generator)).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    shots = kit.pictures(tmp_path)
    free = kit.discover(tiny_sd, shots, 2, steps=2, tokens=30)
    assert free.base.shape == (30, tiny_sd.context_width) and len(free.tokens) == 2
    assert repr(free) == f"<2 keypoints among 30 tokens, model {tiny_sd.name}>"
    found = free.find(shots)
    assert found.table["keypoint"].unique().tolist() == ["keypoint 0", "keypoint 1"]
    assert found.table["x"].between(0, 70).all() and found.to_coco(tmp_path / "c.json").is_file()
    own = kit.teach(tiny_sd, shots, "thing", [(10, 10)] * 3, base=free, preset="paper", steps=2)
    assert own.base == "discovered" and torch.equal(own.appended.base, free.base)
    file = free.save(tmp_path / "base.safetensors")
    again = kit.teach(tiny_sd, shots, "thing", [(10, 10)] * 3, base=file, preset="paper", steps=1)
    assert again.base == str(file)
    alone = kit.teach(tiny_sd, shots, "thing", [(10, 10)] * 3, preset="paper", steps=1)
    assert alone.base == "100 random tokens", "the shipped base is of another model"
