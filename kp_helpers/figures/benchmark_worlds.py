"""Worlds in the layouts of StableKeypoints' five sets, drawn by the figures world's own renderer.

People in motion as Tai-Chi, in a studio with four cameras as Human3.6M, upright and cut out as DeepFashion,
faces close up as CelebA, aligned and wild, and dogs as CUB, aligned and in species of 30 pictures. What
is written is what `data.benchmarks` reads.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from kp_helpers.figures.dogs import Dog
from kp_helpers.figures.export import WORLD, detection, whole
from kp_helpers.figures.landmarks import FACIAL, UPRIGHT, WHOLE, on_person
from kp_helpers.figures.motion import draw_motion
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import Person, Scene, draw_scene, draw_sequence
from kp_helpers.figures.shapes import Camera, look_at

SPECIES = ("brown", "black", "white", "orange", "gray", "yellow")
"""The dogs' colours, species 001 to 006; each has a build of its own, too."""
OF_A_SPECIES = 30
SUBJECTS = {"train": (1, 5, 6, 7, 8, 9), "test": (11,)}
ACTIONS = {"Walking": "walk", "Greeting": "wave", "Waiting": "stand", "Posing": "turn", "Directions": "throw"}
_FIRST, _STUDIO = 50_000_000, 3
"""The first of a world's scene seeds here, beyond all others; and a seed whose wall has no pictures on it."""


def export(folder: Path, train: int = 150, test: int = 50, seed: int = 0) -> dict:
    """Write all five into `folder`, `train` and `test` pictures each; returns the manifest.

    Deterministic in `seed`; a finished folder with the same settings is kept, as `export.export` does.
    """

    def write(aside: Path) -> dict:
        for number, (name, layout) in enumerate(LAYOUTS.items()):
            counts = {"train": train, "test": test}
            layout(aside / name, counts, seed * WORLD + _FIRST + number * 1_000_000)
        return {"layouts": list(LAYOUTS)}

    return whole(Path(folder), {"train": train, "test": test, "seed": seed}, write)


def _taichi(root: Path, counts: dict[str, int], first: int) -> None:
    for split, number, seed in _every(counts, first):
        scene = draw_scene(seed, (256, 256))
        scene = replace(scene, people=scene.people[:1])
        picture = render(scene)
        x, y, found = detection(scene, picture, 0)
        rows = np.where(found > 0, (x, y), -1).T.round(2).tolist()
        name = f"{number:05d}.png"
        _save(root / "eval_images" / "taichi-256" / split / name, picture.image)
        _append(
            root / "landmark" / f"taichi_{split}_gt.csv",
            ("image", "keypoint", "x", "y"),
            [(name, k, *row) for k, row in enumerate(rows)],
        )


def _human36m(root: Path, counts: dict[str, int], first: int) -> None:
    for split, number, seed in _every(counts, first):
        rng, subjects = np.random.default_rng(seed), SUBJECTS[split]
        action = list(ACTIONS)[number % len(ACTIONS)]
        camera = number // len(ACTIONS) % 4
        yaw = np.radians(45 + 90 * camera)
        target = np.array([0, 0.9, 0])
        eye = target + 3.4 * np.array([np.sin(yaw), 0.15, np.cos(yaw)])
        subject = subjects[number // (4 * len(ACTIONS)) % len(subjects)]
        person = _person(rng, first + subject, ACTIONS[action], float(rng.uniform(-180, 180)))
        scene = _still(look_at(eye, target, 192, (128, 128)), person, _STUDIO)
        picture = render(scene)
        place, name = root / f"S{subject}", f"{action}_1_camera{camera}"
        _save(place / "WithBackground" / name / f"{number}.jpg", picture.image)
        _save(place / "BackgroudMask" / name / f"{number}.png", picture.mask("person").astype(np.uint8))
        points = _places(scene, WHOLE)[:, ::-1] / 128  # (row, column)
        _save_mat(place / "Landmarks" / name / f"{number}.mat", "keypoints_2d", points)


def _deepfashion(root: Path, counts: dict[str, int], first: int) -> None:
    points = {split: [] for split in counts}
    for split, number, seed in _every(counts, first):
        rng = np.random.default_rng(seed)
        person = _person(rng, seed, str(rng.choice(["stand", "walk", "turn"])), float(rng.uniform(-30, 30)))
        target = np.array([rng.uniform(-0.1, 0.1), 0.88 + rng.uniform(-0.05, 0.05), 0])
        scene = _still(look_at(target + (0, 0.1, 3.6), target, 430, (256, 256)), person, seed)
        picture = render(scene)
        name = f"{split}/{number:05d}.jpg"
        _save(root / "img" / name, np.where(picture.mask("person")[..., None], picture.image, 255))
        points[split].append({"keypoints": _places(scene, UPRIGHT).round(2).tolist()})
        _append(root / f"data_{split}.csv", ("", "image"), [(number, name)])
    for split, rows in points.items():
        (root / f"data_{split}.json").write_text(json.dumps(rows))


def _celeba(root: Path, counts: dict[str, int], first: int) -> None:
    aligned, wild, boxes = [], [], []
    for number, (split, _, seed) in enumerate(_every(counts, first), 1):
        rng, name = np.random.default_rng(seed), f"{number:06d}"
        person = _person(rng, seed, str(rng.choice(["stand", "wave"])), float(rng.uniform(-30, 30)))
        middle = on_person(person, [("head", (0, 0.05, 0.13))])[0]
        close = _still(_portrait(middle, 420, (178, 218)), person, seed)
        aside = middle + (rng.uniform(-0.1, 0.1), rng.uniform(-0.05, 0.05), 0)
        far = _still(_portrait(aside, float(rng.uniform(380, 460)), (256, 192)), person, seed)
        _save(root / "Img" / "img_align_celeba_png" / f"{name}.png", render(close).image)
        _save(root / "Img" / "img_celeba" / f"{name}.jpg", render(far).image)
        aligned.append((f"{name}.jpg", *_places(close, FACIAL).round(2).ravel()))
        wild.append((f"{name}.jpg", *_places(far, FACIAL).round(2).ravel()))
        corners = [far.camera.project(middle + (x, y, 0))[0] for x, y in ((-0.18, 0.2), (0.18, -0.16))]
        boxes.append((f"{name}.jpg", *corners[0].round(), *(corners[1] - corners[0]).round()))
        file = {"train": "training", "test": "testing"}[split]
        _append(root / "MAFL" / f"{file}.txt", None, [(f"{name}.jpg",)])
    tables = {"landmarks_align_celeba": aligned, "landmarks_celeba": wild, "bbox_celeba": boxes}
    for kind, rows in tables.items():
        path = root / "Anno" / f"list_{kind}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([str(len(rows)), kind, *(" ".join(map(str, row)) for row in rows)]) + "\n")


def _cub(root: Path, counts: dict[str, int], first: int) -> None:
    close = {split: [] for split in counts}
    for split, number, seed in _every(counts, first):
        picture = _dog(seed, number % len(SPECIES), (128, 128), aligned=True)
        close[split].append((picture.image, picture.dogs[0].pixels / 128, picture.dogs[0].visible))
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "cub.h5", "w") as file:
        for split, rows in close.items():
            images, points, visible = (np.stack(column) for column in zip(*rows, strict=True))
            file[f"{split}_img"] = images.transpose(0, 3, 1, 2)
            file[f"{split}_kp"] = points[..., ::-1].astype(np.float32)  # (row, column)
            file[f"{split}_vis"] = visible.astype(np.uint8)
    folder = root / "CUB_200_2011"
    each = {split: len(SPECIES) * min(OF_A_SPECIES, count) for split, count in counts.items()}
    birds = {split: np.zeros(count, [(key, object) for key in _BIRD]) for split, count in each.items()}
    for split, number, seed in _every(each, first + 100_000):
        species = number % len(SPECIES)
        picture = _dog(seed, species, (200, 150), aligned=False)
        dog = np.isin(picture.segments, [row.number for row in picture.table if row.label == "dog"])
        rows, columns = np.flatnonzero(dog.any(1)), np.flatnonzero(dog.any(0))
        corners = (columns[0] + 1, rows[0] + 1, columns[-1] + 1, rows[-1] + 1)  # counted from 1
        name = f"{species + 1:03d}.{SPECIES[species].title()}_dog/{split}_{number:05d}.jpg"
        _save(folder / "images" / name, picture.image)
        labels = picture.dogs[0]
        parts = np.stack([*(labels.pixels.T + 1), labels.visible])
        box = dict(zip(("x1", "y1", "x2", "y2"), map(float, corners), strict=True))
        birds[split][number] = (name, box, parts, dog.astype(np.uint8))
    for split, rows in birds.items():
        _save_mat(folder / "cachedir" / "cub" / "data" / f"{split}_cub_cleaned.mat", "images", rows)


_BIRD = ("rel_path", "bbox", "parts", "mask")
LAYOUTS: dict[str, Callable[[Path, dict[str, int], int], None]] = {
    "taichi": _taichi,
    "human36m": _human36m,
    "deepfashion": _deepfashion,
    "celeba": _celeba,
    "cub": _cub,
}
"""Folder -> what writes it."""


def _every(counts: dict[str, int], first: int) -> Iterator[tuple[str, int, int]]:
    """Split, number in it and scene seed of every picture."""
    for far, (split, count) in enumerate(counts.items()):
        yield from ((split, number, first + 500_000 * far + 1000 + number) for number in range(count))


def _person(rng: np.random.Generator, seed: int, kind: str, heading: float) -> Person:
    """A person with the clothes of a seed in a motion of one kind, at some time."""
    person = draw_sequence(seed).still.people[0]
    motion = replace(draw_motion(rng, kind, heading), scale=person.scale)
    pose, place = motion.at(float(rng.uniform(0, 4)))
    return replace(person, pose=pose, place=place)


def _still(camera: Camera, person: Person, seed: int) -> Scene:
    """The person alone, before a wall."""
    return Scene(camera, (person,), (), "road", "wall", "gray", (1.0, 0.0), seed)


def _portrait(target: np.ndarray, pixels: float, size: tuple[int, int]) -> Camera:
    """A camera before a face, `pixels` to a metre."""
    return look_at(target + (0, 0, 3.0), target, 3.0 * pixels, size)


def _places(scene: Scene, places) -> np.ndarray:
    """The same in pixels (K, 2), of the only person."""
    return scene.camera.project(on_person(scene.people[0], places))[0]


def _dog(seed: int, species: int, size: tuple[int, int], *, aligned: bool) -> Picture:
    """A dog of a species: in the middle and looking to the right, or anywhere and looking either way."""
    rng = np.random.default_rng(seed)
    heading = float(rng.uniform(-40, 40)) + (0 if aligned else 180 * int(rng.integers(2)))
    turns = rng.uniform(-1, 1, 5) * (20, 40, 1, 0.15, 0.04)
    build = 0.9 + 0.05 * species + float(turns[4])
    dog = Dog(SPECIES[species], heading, *map(float, turns[:4]), build, 1.0, (0.0, 0.0), seed)
    target = np.array([0.0, 0.48, 0.0])
    pixels = 0.56 * min(size)  # to a metre; a dog is 1.4 metres long
    aside = 0.15 if aligned else 0.4
    target += (rng.uniform(-aside, aside), rng.uniform(-0.1, 0.5 * aside), 0)
    pixels *= float(rng.uniform(0.75, 1.0))
    camera = look_at(target + (0, 0.5, 5.0), target, 5.0 * pixels, size)
    ground = str(rng.choice(["grass", "sand", "road"]))
    backdrop = str(rng.choice(["sky", "wall"]))
    return render(Scene(camera, (), (), ground, backdrop, "gray", (1.0, 0.0), seed, (dog,)))


def _save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def _save_mat(path: Path, name: str, value: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: value})
    with path.open("r+b") as file:  # its header holds the time, and equal worlds are equal files
        file.write(b"MATLAB 5.0 MAT-file".ljust(116))


def _append(path: Path, header: tuple | None, rows: list[tuple]) -> None:
    """Add rows to a CSV file; a new one begins with the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([header] if new and header else [])
        table.writerows(rows)
