"""ODISE's parts against their equations, written out here a second time, and against true masks."""

import math

import numpy as np
import pytest
import torch

from kp_helpers import diffusion
from kp_helpers.figures.panoptic import CLASSES, panoptic_pictures
from kp_helpers.figures.pictures import HELD_OUT_SEED
from kp_helpers.open_vocabulary import classes, classify, features, merge
from kp_helpers.open_vocabulary.head import Head, LabelLoss, Masks, grounding_loss, targets

CHANNELS = [16, 192, 144, 224]


@pytest.fixture(scope="module")
def frozen():
    return features.freeze(diffusion.load("figures"))


@pytest.fixture(scope="module")
def pictures():
    return panoptic_pictures(HELD_OUT_SEED, 6)


def test_each_class_is_hidden_once_and_skin_never():
    every = [name for split in classes.SPLITS for name in classes.hidden(CLASSES, split)]
    assert sorted([*every, "skin"]) == sorted(CLASSES)
    foreign = tuple("abcdefg")
    assert sorted("".join(name for s in classes.SPLITS for name in classes.hidden(foreign, s))) == list(
        foreign
    )
    assert not set(classes.hidden(foreign, 1)) & set(classes.seen(foreign, 1))


def test_the_pyramid_is_one_pass_and_leaves_no_hook(frozen, pictures):
    images = features.as_images([row.image for row in pictures.rows[:2]])
    with torch.no_grad():
        maps = features.pyramid(frozen, images)
        again = features.pyramid(frozen, images)
    assert [tuple(one.shape[1:]) for one in maps] == [
        (count, side, side) for count, side in zip(CHANNELS, (64, 32, 16, 8), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(maps, again, strict=True))
    modules = [*frozen.model.unet.modules(), *frozen.model.vae.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def test_the_captioner_begins_as_the_empty_caption_and_takes_a_gradient(frozen, pictures):
    images = features.as_images([pictures.rows[0].image])
    captioner = features.ImplicitCaptioner.of(frozen)
    spoken = captioner(frozen.empty, frozen.clip.embed(images))
    maps = features.pyramid(frozen, images, *spoken)
    with torch.no_grad():
        plain = features.pyramid(frozen, images)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(maps, plain, strict=True))
    maps[1].square().mean().backward()
    assert captioner.strength.grad.abs().sum() > 0
    assert captioner.time_strength.grad.abs().sum() > 0


def test_grounding_loss_is_equations_7_and_8():
    torch.manual_seed(0)
    z = torch.randn(3, 5, 4)
    nouns = [torch.randn(count, 4) for count in (2, 3, 1)]
    tau = 0.1

    def fit(picture: int, caption: int) -> float:
        total = 0.0
        for one in z[picture]:
            products = [float(torch.cosine_similarity(one, noun, dim=0)) for noun in nouns[caption]]
            powers = [math.exp(product / tau) for product in products]
            total += sum(p * s for p, s in zip(powers, products, strict=True)) / sum(powers)
        return total / len(nouns[caption])

    table = np.array([[fit(n, m) for m in range(3)] for n in range(3)])
    rows = -np.log(np.exp(table).diagonal() / np.exp(table).sum(axis=1)).mean()
    columns = -np.log(np.exp(table).diagonal() / np.exp(table).sum(axis=0)).mean()
    assert float(grounding_loss(z, nouns, 1 / tau)) == pytest.approx((rows + columns) / 2, rel=1e-5)


def test_class_logits_are_cosines_over_a_temperature():
    torch.manual_seed(0)
    head = Head(CHANNELS, 8)
    z, text = torch.randn(1, 2, 8), torch.randn(3, 8)
    logits = head.class_logits(z, text).detach()
    assert logits.shape == (1, 2, 4)
    assert float(logits[0, 1, 2]) == pytest.approx(
        float(torch.cosine_similarity(z[0, 1], text[2], dim=0)) / 0.07
    )


def test_a_wrong_class_costs_what_the_logits_say(pictures):
    torch.manual_seed(0)
    head = Head(CHANNELS, len(CLASSES))
    text = torch.eye(len(CLASSES))
    with torch.no_grad():
        head.null.copy_(-torch.ones(len(CLASSES)))
        head.sharpness.fill_(math.log(50))
    masks, labels = targets(pictures.rows[0], CLASSES)
    perfect = Masks((60 * masks - 30)[None], text[labels][None])
    wrong = Masks((60 * masks - 30)[None], text[(labels + 1) % len(CLASSES)][None])
    loss = LabelLoss(head, text)
    best, worse = (float(loss([one, one], [masks], [labels]).detach()) for one in (perfect, wrong))
    assert best < 3  # edges, where masks are sampled between pixels
    assert worse - best == pytest.approx(2 * 2 * 50, rel=0.05)  # two layers, weight 2, a gap of 50


def test_the_geometric_mean_by_hand():
    parts = {"a": torch.tensor([[0.8, 0.2]]), "b": torch.tensor([[0.5, 0.5]])}
    mean = classify.geometric_mean(parts, {"a": (0.5, 0.5), "b": (0.5, 0.5)}, torch.tensor([False, True]))
    products = np.sqrt([0.4, 0.1])
    assert mean[0].tolist() == pytest.approx((products / products.sum()).tolist(), rel=1e-5)
    only_unseen = classify.geometric_mean(parts, {"a": (0.0, 1.0)}, torch.tensor([False, True]))
    assert only_unseen[0].tolist() == pytest.approx([1 / 1.2, 0.2 / 1.2], rel=1e-5)


def test_the_merge_by_hand():
    masks = torch.zeros(4, 2, 10)
    masks[0, :, :4] = 0.9  # sky
    masks[1, :, 4:8] = 0.9  # a ball
    masks[2, :, 8:] = 0.9  # sky again: one segment with the first
    masks[3, :, 3:8] = 0.6  # loses all but nothing of its own
    scores = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.2, 0.8]])
    segments, labels = merge.panoptic(masks, scores, torch.ones(4), ("sky", "ball"), frozenset({"ball"}))
    assert labels == ("sky", "ball")
    assert segments.tolist() == [[1, 1, 1, 1, 2, 2, 2, 2, 1, 1]] * 2
    unsure = torch.tensor([1.0, 0.1, 1.0, 1.0])
    segments, labels = merge.panoptic(masks, scores, unsure, ("sky", "ball"), frozenset({"ball"}))
    assert (segments[:, 4:8] == labels.index("ball") + 1).all()


def test_the_frozen_parts_know_true_masks(frozen, pictures):
    keys = classify.word_keys(frozen, CLASSES)
    text = classify.clip_text(frozen, CLASSES)
    right = {"clip": [], "words": []}
    for row in pictures.rows:
        image, masks = features.as_images([row.image])[0], torch.from_numpy(row.masks())
        parts = {"clip": classify.by_crops(frozen, image, masks, text)}
        parts["words"] = classify.by_words(frozen, image, masks, keys)
        for name, found in parts.items():
            assert found.sum(dim=1).tolist() == pytest.approx([1] * len(masks), abs=1e-4)
            right[name] += [CLASSES[n] == label for n, label in zip(found.argmax(1), row.labels, strict=True)]
    assert np.mean(right["words"]) > 0.6
    assert np.mean(right["clip"]) > 0.3  # chance is 1 in 18


def test_words_are_attention_logits(frozen, pictures):
    from kp_helpers import attention

    image = features.as_images([pictures.rows[0].image])
    whole = torch.ones(1, 128, 128, dtype=torch.bool)
    noun = "ball"
    keys = classify.word_keys(frozen, (noun, "dog"), ("a {}",))
    found = classify.by_words(frozen, image[0], whole, keys)
    noised = frozen.noised(frozen.model.encode_image(image))
    asked = attention.queries(frozen.model.unet, noised, 0, frozen.empty)
    total = torch.zeros(2)
    for number, name in enumerate((noun, "dog")):
        token = frozen.model.encode_text([f"a {name}"])[0, 2]
        for query in asked:
            keys = (
                frozen.model.unet.get_submodule(query.layer)
                .to_k(token)
                .unflatten(-1, (query.values.shape[1], -1))
            )
            total[number] += (query.values[0] * keys[..., None, None]).sum(dim=1).mean()
    assert found[0].tolist() == pytest.approx(total.softmax(dim=0).tolist(), abs=1e-4)
