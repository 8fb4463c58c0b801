"""Keypoints of a folder of pictures with a saved embedding: `python -m kp_helpers.predict --help`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers import diffusion as diffusion_module
from kp_helpers import embeddings, evaluate
from kp_helpers.config import Protocol, Reading, TestTime
from kp_helpers.data import DataError, ImageFolder, KeypointSample, write_coco, write_table
from kp_helpers.data.sample import Point
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.geometry import FRAMINGS
from kp_helpers.reading import read_appended, read_keypoints, read_maps

WRITERS = {".csv": write_table, ".json": write_coco}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (OSError, ValueError, MemoryError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def predict(
    diffusion: Diffusion,
    embedding: Path,
    samples: Sequence[KeypointSample],
    views: int,
    protocol: Protocol,
) -> list[dict[str, Point]]:
    """Of each sample its keypoints, name -> (x, y) in pixels of the frame.

    embedding: a file of notebook 03, with the one joint that its tokens were appended for, or of notebook 02,
    with `keypoint_0` and so on. The noise level, layers and map size are those it was learned with. views: 1
    reads the plain picture, more average that many random views of it. protocol: its framing is used.
    """
    reader = opened(diffusion, embedding, views=views)
    found = []
    for sample in tqdm(samples, desc="pictures", unit="picture"):
        framed = evaluate.framed([sample], diffusion.image_size, protocol)
        maps, (square,) = reader.maps(framed.images), framed.squares
        points = read_keypoints(maps, reader.settings, square.inside(sample.frame_size))
        places = (tuple(square.to_frame(point).tolist()) for point in points.cpu().double())
        found.append(dict(zip(reader.names, places, strict=True)))
    return found


@dataclass(frozen=True)
class Reader:
    """What finds K keypoints on pictures. names: of each; settings: how their maps are read.

    learned: what was appended for one joint, or a base (N, D) with `tokens`, the K of it that are keypoints.
    """

    diffusion: Diffusion
    names: list[str]
    settings: TestTime
    learned: Appended | torch.Tensor
    tokens: torch.Tensor | None = None

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (K, S', S') of a picture (1, 3, S, S) in [0,1]."""
        if isinstance(self.learned, Appended):
            return read_appended(self.diffusion, self.learned, images, self.settings)
        return read_maps(self.diffusion, self.learned, images, self.settings, self.tokens)[0]


def opened(diffusion: Diffusion, path: Path, views: int = 1) -> Reader:
    """The keypoints of a saved embedding. views: as for `predict`."""
    width, fingerprint = diffusion.context_width, diffusion.fingerprint
    tensors, about = embeddings.load(path, fingerprint=fingerprint, width=width)
    learned = about["settings"]
    _check_readable(path, tensors, learned)
    read = {name: value for name, value in learned["reading"].items() if name in Reading.model_fields}
    reading = Reading(**{**read, "timestep": about["timestep"], "layers": about["layers"]})
    fit = learned.get("readout") == "linear"
    encode = "once" if views > 1 else "views"  # points move less by it than by other noise (encode_once)
    settings = TestTime(views=views, mirror=fit, encode=encode, reading=reading)  # a fit knows mirror images
    if "appended" in tensors:
        how = {"readout": learned["readout"], "mode": learned["mode"], "best": about.get("best")}
        how["rivals"] = tensors["rivals"] if fit else None
        appended = Appended(tensors["base"], tensors["appended"], **how)
        return Reader(diffusion, [about["joint"]], settings, appended)
    if "selected_tokens" not in tensors:
        raise embeddings.EmbeddingError(
            f"{path}: holds {', '.join(sorted(tensors))}, expected appended or selected_tokens beside base"
        )
    tokens, base = tensors["selected_tokens"], tensors["base"].to(diffusion.device)
    names = [f"keypoint_{number}" for number in range(len(tokens))]
    return Reader(diffusion, names, settings, base, tokens)


def _check_readable(path: Path, tensors: dict, learned: dict) -> None:
    """An EmbeddingError for a file of an earlier version whose maps would not be those that were learned.

    Its rivals were tokens and took part in a softmax over tokens; that over pixels never had a use for them.
    """
    readout, temperature = learned.get("readout"), learned["reading"].get("temperature", 1)
    found = ""
    if temperature != 1:
        found = f"learned at temperature {temperature:g}, expected 1"
    elif "rivals" in tensors and readout not in ("linear", "spatial"):
        found = f"holds rivals of tokens with readout {readout!r}, expected them for 'linear' alone"
    if found:
        raise embeddings.EmbeddingError(f"{path}: {found}; learn the keypoint again")


def _run(options) -> None:
    if options.out.suffix not in WRITERS:
        raise ValueError(f"{options.out}: ends in {options.out.suffix!r}, expected .csv or .json (COCO)")
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out} is there already; --overwrite replaces it")
    try:
        samples = ImageFolder(options.images, options.labels, skip_damaged=options.skip_damaged)
    except DataError as error:
        if options.skip_damaged or "problems with the images" not in str(error):
            raise
        raise DataError(f"{error}\n--skip-damaged leaves damaged pictures out and counts them") from None
    diffusion = diffusion_module.load(options.model, options.device, options.dtype)
    protocol = Protocol(framing=options.framing, jitter=0.0)
    points = predict(diffusion, options.embedding, samples, options.views, protocol)
    WRITERS[options.out.suffix](options.out, samples, points, options.images)
    left_out = ", ".join(f"{count} {reason}" for reason, count in samples.left_out.items() if count)
    print(f"{options.out}: {len(samples)} pictures" + (f"; left out: {left_out}" if left_out else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.predict", description=__doc__)
    parser.add_argument("embedding", type=Path, metavar="EMBEDDING", help="embedding.safetensors of a run")
    parser.add_argument("images", type=Path, metavar="FOLDER", help="pictures, in folders below it too")
    parser.add_argument("out", type=Path, metavar="OUT", help="a .csv, or .json in COCO's layout")
    parser.add_argument(
        "--model", default="figures", help="folder, file or hub id it was learned on (figures)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
    parser.add_argument("--dtype", default="float32", help="of the weights, or bfloat16, float16 (float32)")
    parser.add_argument("--views", type=int, default=1, help="random views to average, 1: the picture (1)")
    parser.add_argument("--framing", choices=FRAMINGS, default="letterbox", help="what is seen (letterbox)")
    parser.add_argument("--labels", type=Path, help="COCO .json or .csv with the people's boxes, for person")
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave damaged pictures out and count them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
