"""The figures world on disk in 3DPW's own layout, with captions, masks and exact truth beside it."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from kp_helpers import store
from kp_helpers.data import manifest
from kp_helpers.figures.captions import describe, facing
from kp_helpers.figures.pictures import visible_pairs
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import Scene, Sequence, draw_sequence
from kp_helpers.figures.skeleton import INDEX, OFFSETS, forward_kinematics

LANDSCAPE, PORTRAIT = (480, 270), (270, 480)
"""A quarter of 3DPW's 1920 x 1080 and 1080 x 1920."""
SPLITS = {"train": 0.4, "validation": 0.2, "test": 0.4}
"""Share of the sequences in each split, as 24, 12 and 24 of 3DPW's 60."""
_RATE = 30.0
WORLD = 100_000_000
"""Scene seeds of one world, so many that none falls on the training or the held-out pictures'."""
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_COCO = (
    "nose",
    "neck",
    *(f"{side}_{name}" for limb in (_ARM, _LEG) for side in ("right", "left") for name in limb),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
"""COCO-18, the order of 3DPW's `poses2d`."""
FACE = {
    "nose": (0, 0.03, 0.145),
    "right_eye": (-0.045, 0.05, 0.135),
    "left_eye": (0.045, 0.05, 0.135),
    "right_ear": (-0.11, 0.04, 0.02),
    "left_ear": (0.11, 0.04, 0.02),
}


def export(folder: Path, sequences: int = 60, frames: int = 30, seed: int = 0, workers: int = 1) -> dict:
    """Write `sequences` of `frames` images each into `folder`; returns the manifest, which is written last.

    Deterministic in `seed`. The world is written aside and moved into place when it is whole; a finished one
    with the same settings is kept. FileExistsError where `folder` holds anything else, `store.HeldError`
    while another process writes it.
    """
    jobs = list(enumerate(_splits(sequences)))

    def write(aside: Path) -> dict:
        one = partial(_write_sequence, aside, frames, seed)
        with ProcessPoolExecutor(workers) as pool:
            names = list(tqdm(pool.map(one, jobs), total=len(jobs), desc="figures world", unit="sequence"))
        return {"sequences": names}

    return whole(folder, {"sequences": sequences, "frames": frames, "seed": seed}, write)


def whole(folder: Path, settings: dict, write: Callable[[Path], dict]) -> dict:
    """A folder that `write` fills, moved into place when it is whole; returns its manifest, as `export` does.

    write: gets the folder aside, and returns what the manifest says beside the settings.
    """
    folder = Path(folder)
    with store.held(folder.with_name(f".{folder.name}.lock")):
        done = _finished(folder, settings)
        if done:
            return done
        aside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        content = {"world": "figures", "settings": settings, **write(aside)}
        written = manifest.write(aside, content)
        os.rename(aside, folder)
        return written


def _finished(folder: Path, settings: dict) -> dict | None:
    """The manifest of a finished export with these settings; an error if the folder holds something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    path = folder / manifest.NAME
    if not path.is_file():
        raise FileExistsError(f"{folder}: exists and has no {path.name}, expected an empty or a new folder")
    written = json.loads(path.read_text())
    found = written.get("settings")
    if found != settings:
        raise FileExistsError(f"{path}: holds an export with {found}, expected {settings}")
    return written


def _splits(sequences: int) -> list[str]:
    """Split of every sequence, in 3DPW's shares; each split gets at least one of three or more."""
    edges = np.cumsum([round(share * sequences) for share in SPLITS.values()])
    edges[-1] = sequences
    return [list(SPLITS)[int(np.searchsorted(edges, number, side="right"))] for number in range(sequences)]


def _write_sequence(folder: Path, frames: int, seed: int, job: tuple[int, str]) -> str:
    number, split = job
    size = PORTRAIT if number % 3 == 2 else LANDSCAPE
    sequence = draw_sequence(seed * WORLD + number, size)
    name = f"{sequence.motions[0].kind}_{number:03d}"
    scenes = [sequence.scene(frame / _RATE) for frame in range(frames)]
    pictures = [render(scene) for scene in scenes]
    for frame, picture in enumerate(pictures):
        _write_picture(folder, name, frame, picture)
    record = _record(name, sequence, scenes, pictures)
    path = folder / "sequenceFiles" / split / f"{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(record, protocol=2))
    _write_truth(folder / "truth" / f"{name}.json", scenes, pictures)
    return name


def _write_picture(folder: Path, name: str, frame: int, picture: Picture) -> None:
    for kind, content, suffix in (("imageFiles", picture.image, "jpg"), ("masks", picture.segments, "png")):
        path = folder / kind / name / f"image_{frame:05d}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path, **({"quality": 95} if suffix == "jpg" else {}))


def _write_truth(path: Path, scenes: list[Scene], pictures: list[Picture]) -> None:
    """Caption, facing, masks' table and the exact joints of every frame, as JSON."""
    rows = []
    for scene, picture in zip(scenes, pictures, strict=True):
        rows.append(
            {
                "caption": describe(scene, 0, visible_pairs(picture)).text,
                "facing": [facing(scene, person) for person in scene.people],
                "segments": [vars(segment) for segment in picture.table],
                "joints": [labels.pixels.round(4).tolist() for labels in picture.people],
                "visible": [labels.visible.tolist() for labels in picture.people],
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))


def _record(name: str, sequence: Sequence, scenes: list[Scene], pictures: list[Picture]) -> dict:
    """What 3DPW's .pkl of a sequence holds, key for key; per-person lists where 3DPW has them."""
    people, frames = range(len(scenes[0].people)), len(scenes)
    dense = [sequence.scene(frame / (2 * _RATE)) for frame in range(2 * frames)]
    shape = [np.eye(1, 10)[0] * 10 * (person.scale - 1) for person in scenes[0].people]
    return {
        "sequence": name,
        "genders": ["fm"[person.seed % 2] for person in scenes[0].people],
        "poses": [_poses(scenes, person) for person in people],
        "trans": [_places(scenes, person) for person in people],
        "poses_60Hz": [_poses(dense, person) for person in people],
        "trans_60Hz": [_places(dense, person) for person in people],
        "img_frame_ids": np.arange(0, 2 * frames, 2),
        "betas": shape,
        "betas_clothed": shape,
        # A figure has no mesh: its bones at rest stand for the template, and there is no texture.
        "v_template_clothed": [OFFSETS * person.scale for person in scenes[0].people],
        "texture_maps": [[] for _ in people],
        "poses2d": [
            np.stack([detection(s, p, person) for s, p in zip(scenes, pictures, strict=True)])
            for person in people
        ],
        "jointPositions": [np.stack([p.people[person].world.ravel() for p in pictures]) for person in people],
        "cam_poses": np.stack([scene.camera.extrinsics for scene in scenes]),
        "cam_intrinsics": scenes[0].camera.intrinsics,
        "campose_valid": [np.ones(frames, np.int64) for _ in people],
    }


def _poses(scenes: list[Scene], person: int) -> np.ndarray:
    return np.stack([scene.people[person].pose.ravel() for scene in scenes])


def _places(scenes: list[Scene], person: int) -> np.ndarray:
    return np.stack([scene.people[person].place for scene in scenes])


def detection(scene: Scene, picture: Picture, number: int) -> np.ndarray:
    """(3, 18) rows x, y, confidence in COCO-18's order; all zero where fewer than six joints are found.

    The world knows the truth, so a found joint is where it is; the confidence is 0.9 where it is seen and
    0.3 where something hides it. What is outside the frame is not found.
    """
    person, labels = scene.people[number], picture.people[number]
    joints, rotations = forward_kinematics(person.pose, person.place, person.scale)
    head = INDEX["head"]
    rows = np.zeros((3, len(_COCO)))
    for column, name in enumerate(_COCO):
        if name in FACE:
            point = joints[head] + rotations[head] @ (np.array(FACE[name]) * person.scale)
            seen = bool(labels.visible[head])
        else:
            point, seen = joints[INDEX[name]], bool(labels.visible[INDEX[name]])
        pixel, depth = scene.camera.project(point)
        if depth > 0.2 and (pixel >= 0).all() and (pixel < scene.camera.size).all():
            rows[:, column] = (*pixel, 0.9 if seen else 0.3)
    return rows if (rows[2] > 0).sum() >= 6 else np.zeros_like(rows)
