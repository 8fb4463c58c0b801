"""What five labels teach: hits of notebook 03's appended tokens, beside a ridge fit with the same labels."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from kp_helpers import config, embeddings, evaluate
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Found, Variant
from kp_helpers.figures.export import export
from kp_helpers.figures.one_person import JOINTS

WORLD = Path("build/figures")
OBJECTIVES = {"the paper's losses": "mse", "cross-entropy": "cross_entropy"}
"""Name in the table -> the appended stage's objective; the losses' weights are the same."""
_MEASURE = "within_square"


def taught(
    diffusion: Diffusion,
    world: Path = WORLD,
    joints: Sequence[str] = JOINTS[:3],
    levels: Sequence[int] = (100, 300),
    runs: int = 4,
    tested: int = 20,
    settings: config.Profile | None = None,
) -> dict[str, dict]:
    """Share of hits within 1/20 of the square by method and joint, and its 95 % interval: `taught` and
    `taught_intervals`.

    world: an exported figures world, made there if there is none. A run has random base tokens, labels and
    `tested` test pictures of its own. settings: those of notebook 03 unless given, read-out mode included.
    """
    if tested < 2:
        raise ValueError(f"taught: tested is {tested}, expected at least 2 pictures, for an interval")
    settings = settings or config.profile("quick")
    settings = settings.replace(protocol=settings.protocol.replace(test_images=tested))
    if not world.exists():
        export(world)
    sets = tuple(evaluate.data_set(world, split, joints) for split in ("train", "test"))
    found = []
    for joint, run in tqdm([(j, r) for r in range(runs) for j in joints], desc="taught", leave=False):
        found += _one_run(diffusion, sets, joint, settings, levels, run)
    measures = {_MEASURE: evaluate.ALL[_MEASURE]}
    shares, bounds = {}, {}
    for row in evaluate.report(evaluate.score(found), measures):
        shares.setdefault(row.method, {})[row.joint] = row.value / 100
        low, high = row.interval
        bounds.setdefault(row.method, {})[row.joint] = (low / 100, high / 100)
    return {"taught": shares, "taught_intervals": bounds}


def _one_run(
    diffusion: Diffusion,
    sets: tuple[Sequence[KeypointSample], Sequence[KeypointSample]],
    joint: str,
    settings: config.Profile,
    levels: Sequence[int],
    run: int,
) -> list[Found]:
    """Predictions of all methods; what depends on a noise level has it in its name."""
    base = embeddings.initialise(settings.base.tokens, diffusion.context_width, run).to(diffusion.device)
    variants = [
        Variant(at_level(name, level), appended={"objective": objective}, reading={"timestep": level})
        for level in levels
        for name, objective in OBJECTIVES.items()
    ]
    found = evaluate.sweep(diffusion, base, sets, joint, settings, variants, run)
    labels = settings.protocol.train_images
    for level in levels:
        read = settings.read_alike(timestep=level)
        references = evaluate.references(diffusion, base, sets, joint, read, [labels], run)
        ridge = [one for one in references if one.method == evaluate.ridge_name(labels)]
        found += [replace(one, method=at_level(one.method, level)) for one in ridge]
    return found


def at_level(method: str, timestep: int) -> str:
    """The method's name with the noise level that it reads at."""
    return f"{method}, t = {timestep}"
