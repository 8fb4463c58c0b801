"""Labels of other tools, by the library sleap-io, the extra `formats`: SLEAP's .slp and DeepLabCut's CSV.

Positions are taken as they stand, in raw pixels of the pictures. Neither format has a person's box.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from kp_helpers.data.errors import DataError
from kp_helpers.data.images import check_images, refuse_all
from kp_helpers.data.labels import Labels, labels_of
from kp_helpers.data.sample import KeypointSample, Point
from kp_helpers.store import replace_file

INSTALL = "python -m pip install 'keypoint-kit[formats]'"
PREDICTED = "predicted people beside labelled ones"


def is_other(path: Path) -> bool:
    """Whether a file of labels is SLEAP's, or a table of DeepLabCut's, whose first column is its scorer."""
    if path.suffix.lower() == ".csv" and path.is_file():
        with path.open("rb") as file:
            return file.read(7) == b"scorer,"
    return path.suffix.lower() == ".slp"


def read_other(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
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


def edges_of(path: Path) -> list[tuple[str, str]]:
    """The limbs of a file's skeletons as pairs of names."""
    return [tuple(edge) for skeleton in _loaded(path).skeletons for edge in skeleton.edge_names]


def write_slp(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
    edges: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write predicted points (name -> (x, y) in pixels of the frame) as SLEAP's labels.

    scores: of each point by its name, 1 where left out; a person's is their mean. edges: limbs as pairs of
    names, of which those between points that are there are written. DataError for pictures that an EXIF tag
    turns, since SLEAP does not.
    """
    sleap = _library()
    labels = _raw(samples, points, root)
    names = list(dict.fromkeys(name for own in labels for name in own.points))
    limbs = [edge for edge in edges if set(edge) <= set(names)]
    skeleton = sleap.Skeleton(list(names), edges=limbs)  # it turns the list's names into nodes
    pictures = list(dict.fromkeys(own.image for own in labels))
    video = sleap.Video.from_filename([str(Path(root) / name) for name in pictures])
    people: dict[str, list] = {name: [] for name in pictures}
    for number, own in enumerate(labels):
        told = scores[number] if scores else dict.fromkeys(names, 1.0)
        places = np.array([own.points.get(name, (np.nan, np.nan)) for name in names], float)
        sure = np.array([told.get(name, 0.0) for name in names])
        person = {"point_scores": sure, "score": float(np.mean(list(told.values()))), "skeleton": skeleton}
        people[own.image].append(sleap.PredictedInstance.from_numpy(places, **person))
    frames = [
        sleap.LabeledFrame(video=video, frame_idx=number, instances=people[name])
        for number, name in enumerate(pictures)
    ]
    content = sleap.Labels(frames, videos=[video], skeletons=[skeleton])
    return replace_file(path, lambda partial: sleap.save_file(content, str(partial), embed=False))


def write_deeplabcut(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
) -> Path:
    """Write points of one person a picture as DeepLabCut's CSV; scores: of each point, its likelihood."""
    labels = _raw(samples, points, root)
    if len({own.image for own in labels}) < len(labels):
        raise DataError(f"{path}: several people in a picture, expected one for DeepLabCut's CSV")
    rows = {}
    for number, own in enumerate(labels):
        rows[own.image] = {}
        for name, (x, y) in own.points.items():
            values = {"x": x, "y": y} | ({"likelihood": scores[number][name]} if scores else {})
            rows[own.image] |= {("keypoint-kit", name, what): value for what, value in values.items()}
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


def _picture(path: Path, frame, root: Path) -> str:
    """The picture of a frame, as its path within `root`."""
    files = frame.video.filename
    if isinstance(files, str):
        raise DataError(f"{path}: labels frames of the video {Path(files).name}, expected pictures")
    parts = PurePosixPath(files[frame.frame_idx].replace("\\", "/")).parts
    for first in range(len(parts)):
        name = PurePosixPath(*parts[first:])
        if not name.is_absolute() and ".." not in name.parts and (root / name).is_file():
            return name.as_posix()
    raise DataError(f"{path}: labels {files[frame.frame_idx]}, which is not within {root}")


def _raw(samples: Sequence[KeypointSample], points: Sequence[Mapping[str, Point]], root) -> list[Labels]:
    refuse_all(check_images(dict.fromkeys(Path(one.image_path) for one in samples))[1])
    return labels_of(samples, points, root)
