"""What a run of the tuner is, its steps, a look at what its tokens find now, and what is kept of it."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F

from kp_helpers import embeddings, metrics, stages, store
from kp_helpers.config import AppendedStage, Reading, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import Framed
from kp_helpers.reading import read_appended, read_keypoints
from kp_helpers.results.run_folder import write_json
from kp_helpers.stages import AppendedTokens, ReadoutCache, Run, states
from kp_helpers.store import digest, key_of
from kp_helpers.widgets.knobs import values_of

SHOWN = 5
"""Training pictures whose maps are looked at."""


@dataclass(eq=False)
class TunedRun:
    """What is known of a run. number: from 1, 0 for one that was given to the tuner or is not begun.

    state: `Run.state()` after the last step, None before the first. hits: step -> (hits, pictures) of every
    look. changes: (step, name -> value) of the settings that were changed on the way.
    """

    number: int
    settings: AppendedStage
    test: TestTime
    state: dict | None = None
    hits: dict[int, tuple[int, int]] = field(default_factory=dict)
    changes: list[tuple[int, dict]] = field(default_factory=list)

    @property
    def step(self) -> int:
        return self.state["step"] if self.state else 0

    @property
    def records(self) -> list:
        """A `StepRecord` a step."""
        return self.state["records"] if self.state else []

    @property
    def finished(self) -> bool:
        return self.step >= self.settings.steps

    def change(self, settings: AppendedStage) -> None:
        """Go on with other settings; the state is said to belong to them, as it does from here."""
        before, after = self.settings.model_dump(mode="json"), settings.model_dump(mode="json")
        changed = {name: value for name, value in after.items() if value != before[name]}
        if changed and self.step:
            self.changes.append((self.step, changed))
        self.settings = settings
        if self.state:
            self.state = {**self.state, "settings": settings.model_dump_json()}


@dataclass(frozen=True, eq=False)
class Seen:
    """What a look saw of a run after a step: maps (n, S, S), S = map_size, and points (n, 2) as (x, y) in
    [0,1] on training and test pictures.

    hit: whether each test picture is hit, None for one that does not show the joint.
    """

    run: TunedRun
    step: int
    appended: Appended
    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    hit: list[bool | None]

    @property
    def hits(self) -> tuple[int, int]:
        """How many test pictures are hit, of those that show the joint."""
        known = [own for own in self.hit if own is not None]
        return sum(known), len(known)


class Learner:
    """The appended stage of one joint for runs with any settings, one after the other.

    Arguments as for `evaluate.learn`. It looks at the first `SHOWN` training and at all test pictures.
    key: what runs learn from, as 16 digits.
    """

    def __init__(self, diffusion: Diffusion, base: torch.Tensor, train: Framed, test: Framed, joint: str):
        self.diffusion, self.base = diffusion, base.detach().to(diffusion.device)
        self.train, self.test, self.joint = train, test, joint
        self._views: tuple[Reading, ReadoutCache] | None = None
        self._stage: tuple[TunedRun, Run] | None = None
        parts = {"base": base.detach().cpu(), "images": train.images.cpu(), "points": train.points(joint)}
        self.key = key_of(model=diffusion.fingerprint, joint=joint, learned_from=digest(parts))[:16]

    def values_of(self, run: TunedRun) -> dict:
        """Where the knobs stand for a run."""
        return values_of(run.settings, run.test, self.diffusion, len(self.base))

    def step(self, run: TunedRun) -> None:
        """One step with the run's settings as they are now, of which the run takes note."""
        learning = self._run_of(run)
        next(iter(learning))
        run.state = learning.state()

    def look(self, run: TunedRun) -> Seen:
        """The maps, points and hits of a run's tokens as they are now, of which the run takes note."""
        learning = self._run_of(run)
        appended = learning.stage.result(learning.tokens.detach().clone())
        train = self._maps_and_points(appended, self.train, run.test, SHOWN)
        test = self._maps_and_points(appended, self.test, run.test)
        seen = Seen(run, learning.step, appended, train, test, self._hit(test[1]))
        if run.step:
            run.hits[run.step] = seen.hits
        return seen

    def _run_of(self, run: TunedRun) -> Run:
        """The stage and Adam of a run: those at hand, or new ones that go on from its state."""
        if self._stage is None or self._stage[0] is not run or self._stage[1].settings != run.settings:
            stage = AppendedTokens(
                self.diffusion,
                self.base,
                self.train.images,
                self.train.points(self.joint),
                run.settings,
                cache=self._cache_of(run.settings.reading),
                inside=self.train.inside,
            )
            self._stage = run, Run(stage, state=run.state)
        return self._stage[1]

    def _cache_of(self, reading: Reading) -> ReadoutCache:
        """What the U-Net said of the training views; of one reading only, so that memory stays bounded."""
        if self._views is None or self._views[0] != reading:
            self._views = reading, ReadoutCache(None, self.diffusion.device)
        return self._views[1]

    def _maps_and_points(
        self, appended: Appended, pictures: Framed, settings: TestTime, count: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What a test finds on the first pictures: maps (n, S, S), S = map_size, and points (n, 2)."""
        fine = read_appended(self.diffusion, appended, pictures.images[:count], settings)
        inside = None if pictures.inside is None else pictures.inside[:count]
        maps = F.interpolate(fine[:, None], size=(settings.reading.map_size,) * 2, mode="nearest-exact")[:, 0]
        return maps.cpu(), read_keypoints(fine, settings, inside).cpu()

    def _hit(self, points: torch.Tensor) -> list[bool | None]:
        """Whether points (n, 2) in [0,1] hit the test pictures, None where the joint does not show."""
        hit = []
        for sample, point in zip(self.test.samples, self.test.in_frames(points), strict=True):
            near = metrics.within(point, sample.joints[self.joint], sample.frame_size)
            hit.append(bool(near) if sample.visible[self.joint] else None)
        return hit


class TunerFolder:
    """A folder with the newest run of each model, joint and set of pictures, and `saved/` beside them."""

    def __init__(self, folder: str | Path, learner: Learner):
        self.learner, self.saved = learner, Path(folder) / "saved"
        self.file = Path(folder) / f"{learner.key}.safetensors"

    def newest(self) -> tuple[TunedRun | None, str]:
        """The run that was kept, or a sentence that says why it cannot be read."""
        if not self.file.exists():
            return None, ""
        try:
            tensors, facts = store.load(self.file)
            run = TunedRun(
                facts["number"],
                AppendedStage(**json.loads(facts["settings"])),
                TestTime(**facts["test"]),
                states.unpacked(tensors, facts),
                {step: tuple(found) for step, *found in facts["hits"]},
                facts["changes"],
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            return None, f"{self.file}: damaged or no run of the tuner ({reason}); the next run replaces it"
        return run, "" if run.finished else "the last run is not at its end: Last run shows it, then Resume"

    def keep(self, run: TunedRun) -> None:
        """Write a run with at least one step as it stands."""
        tensors, facts = states.packed(run.state)
        facts["hits"] = [(step, *found) for step, found in run.hits.items()]
        facts |= {"number": run.number, "test": run.test.model_dump(mode="json"), "changes": run.changes}
        store.save(self.file, tensors, facts)

    def save_config(self, run: TunedRun, command: str) -> Path:
        """Write a run's settings, what was changed on its way, and its command as JSON."""
        content = {
            "joint": self.learner.joint,
            "settings": {"appended": run.settings.model_dump(), "test": run.test.model_dump()},
            "step": run.step,
            "command": command,
            "model": self.learner.diffusion.name,
            "model_hash": self.learner.diffusion.fingerprint,
            "changes": [{"step": step, "settings": changed} for step, changed in run.changes],
        }
        path = self._new(run, ".json")
        write_json(path, content)
        return path

    def save_embedding(self, seen: Seen) -> Path:
        """Write the base and the appended tokens as notebook 03 does, with what was changed on the way."""
        about = stages.metadata(self.learner.diffusion, seen.run.settings)
        about |= {"joint": self.learner.joint, "best": seen.appended.best}
        about |= {"step": seen.step, "changes": seen.run.changes}
        return embeddings.save(self._new(seen.run, ".safetensors"), seen.appended.tensors(), about)

    def _new(self, run: TunedRun, suffix: str) -> Path:
        return self.saved / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_step_{run.step:04d}{suffix}"
