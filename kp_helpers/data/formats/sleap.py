"""Labels of other tools, by the library sleap-io, the extra `formats`: SLEAP's .slp and DeepLabCut's CSV.

Positions are taken as they stand, in raw pixels of the pictures. Neither format has a person's box.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kp_helpers.data.errors import DataError
from kp_helpers.data.formats.files import picture
from kp_helpers.data.labels import Labels, TakenOver
from kp_helpers.store import replace_file

INSTALL = "python -m pip install 'keypoint-kit[formats]'"
PREDICTED = "predicted people beside labelled ones"


def read(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """Names of all keypoints, the labels in the file's order and what was left out, as `coco.read_coco`.

    root: the folder of pictures, in which those of the file are looked for by the longest end of their paths
    that is there, as other machines write other beginnings. People that a tool predicted count only in a
    file without labelled ones.
    """
    content = _loaded(path)
    names = tuple(node.name for skeleton in content.skeletons for node in skeleton.nodes)
    by_hand = any(frame.user_instances for frame in content)
    found, left_out = [], Counter()
    for frame in content:
        people = frame.user_instances if by_hand else frame.predicted_instances
        left_out[PREDICTED] += len(frame.instances) - len(people)
        for number, person in enumerate(people):
            places = map(tuple, person.numpy().tolist())
            points = dict(zip(person.skeleton.node_names, places, strict=True))
            found.append(Labels(_picture(path, frame, root), number, points))
    return tuple(dict.fromkeys(names)), found, dict(+left_out)


def taken(path: Path, root: Path) -> TakenOver:
    """The limbs of a file's skeletons, and what it calls each picture."""
    content = _loaded(path)
    limbs = [tuple(edge) for skeleton in content.skeletons for edge in skeleton.edge_names]
    return TakenOver(limbs, {_picture(path, frame, root): _address(path, frame) for frame in content})


def write(path: Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """Write predicted people as SLEAP's labels; a point without a score has 1."""
    sleap = _library()
    names = list(dict.fromkeys(name for own in people for name in own.points))
    skeleton = sleap.Skeleton(
        list(names), edges=taken.limbs_of(names)
    )  # it turns the list's names into nodes
    pictures = list(dict.fromkeys(own.image for own in people))
    video = sleap.Video.from_filename([taken.address(name) for name in pictures])
    instances: dict[str, list] = {name: [] for name in pictures}
    for own in people:
        places = np.array([own.placed.get(name, (np.nan, np.nan)) for name in names], float)
        sure = np.array([own.scores.get(name, float(not own.scores)) for name in names])
        about = {"point_scores": sure, "score": own.score, "skeleton": skeleton}
        instances[own.image].append(sleap.PredictedInstance.from_numpy(places, **about))
    frames = [
        sleap.LabeledFrame(video=video, frame_idx=number, instances=instances[name])
        for number, name in enumerate(pictures)
    ]
    content = sleap.Labels(frames, videos=[video], skeletons=[skeleton])
    return replace_file(path, lambda partial: sleap.save_file(content, str(partial), embed=False))


def write_deeplabcut(path: Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """Write points of one person a picture as DeepLabCut's CSV; a score is its point's likelihood."""
    if len({own.image for own in people}) < len(people):
        raise DataError(f"{path}: several people in a picture, expected one for DeepLabCut's CSV")
    rows = {}
    for own in people:
        row = rows[taken.address(own.image)] = {}
        for name, (x, y) in own.points.items():
            values = {"x": x, "y": y} | ({"likelihood": own.scores[name]} if own.scores else {})
            row |= {("keypoint-kit", name, what): value for what, value in values.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns, names=["scorer", "bodyparts", "coords"])
    return replace_file(path, table.to_csv)


def _library():
    try:
        import sleap_io
    except ImportError as error:
        raise DataError(f"labels of SLEAP and DeepLabCut want sleap-io ({error}): {INSTALL}") from None
    return sleap_io


def _loaded(path: Path):
    sleap = _library()
    if not path.is_file():
        raise DataError(f"{path}: no such file of labels")
    options = {"open_videos": False} if path.suffix.lower() == ".slp" else {}
    try:
        return sleap.load_file(str(path), **options)
    except Exception as error:  # whatever its readers raise on a damaged file
        told = f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(f"{path}: sleap-io cannot read it ({told})") from None


def _address(path: Path, frame) -> str:
    """What the file calls the picture of a frame."""
    files = frame.video.filename
    if isinstance(files, str):
        raise DataError(f"{path}: labels frames of the video {Path(files).name}, expected pictures")
    return files[frame.frame_idx]


def _picture(path: Path, frame, root: Path) -> str:
    """The picture of a frame, as its path within `root`."""
    return picture(path, _address(path, frame), root)
