"""What a run of the tuner is, its steps, and a look at what its tokens find now."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from kp_helpers import attention, metrics
from kp_helpers.config import AppendedStage, Reading, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import Framed
from kp_helpers.reading import joint_map, over_views, queries, read_keypoints
from kp_helpers.stages import AppendedTokens, ReadoutCache, Run
from kp_helpers.store import digest
from kp_helpers.widgets.knobs import values_of

SHOWN = 5
"""Training pictures whose maps are looked at."""


@dataclass(eq=False)
class TunedRun:
    """What is known of a run. number: 0 for one that has no file, given to the tuner or not begun.

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

    hit: whether each test picture is hit; pictures: how many of them show the joint.
    """

    run: TunedRun
    step: int
    appended: Appended
    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    hit: list[bool]
    pictures: int


class Learner:
    """The appended stage of one joint for runs with any settings, one after the other.

    Arguments as for `evaluate.learn`. It looks at the first `SHOWN` training and at all test pictures.
    """

    def __init__(self, diffusion: Diffusion, base: torch.Tensor, train: Framed, test: Framed, joint: str):
        self.diffusion, self.base = diffusion, base.detach().to(diffusion.device)
        self.train, self.test, self.joint = train, test, joint
        self._views: tuple[Reading, ReadoutCache] | None = None
        self._stage: tuple[TunedRun, Run] | None = None
        self._looked_at: TestTime | None = None
        self._queries: dict[str, list[attention.Query]] = {}

    @property
    def about(self) -> dict:
        """What a run learns from, as JSON values."""
        parts = {"base": self.base.cpu(), "images": self.train.images.cpu()}
        parts["points"] = self.train.points(self.joint)
        return {"model": self.diffusion.fingerprint, "joint": self.joint, "learned_from": digest(parts)}

    def values_of(self, run: TunedRun) -> dict:
        """Where the knobs stand for a run."""
        return values_of(run.settings, run.test, self.diffusion, len(self.base))

    def step(self, run: TunedRun) -> None:
        """One step with the run's settings as they are now, of which the run takes note."""
        learning = self._run_of(run)
        next(iter(learning))
        run.state = learning.state()

    @torch.no_grad()
    def look(self, run: TunedRun) -> Seen:
        """The maps, points and hits of a run's tokens as they are now, of which the run takes note."""
        learning = self._run_of(run)
        appended = learning.stage.result(learning.tokens.detach().clone())
        if self._looked_at != run.test:
            self._looked_at = run.test
            self._queries.clear()
        train = self._maps_and_points(appended, self.train.images[:SHOWN], run.test)
        test = self._maps_and_points(appended, self.test.images, run.test)
        hit = self._hits(test[1])
        pictures = sum(sample.visible[self.joint] for sample in self.test.samples)
        if run.step:
            run.hits[run.step] = sum(hit), pictures
        return Seen(run, learning.step, appended, train, test, hit, pictures)

    def _run_of(self, run: TunedRun) -> Run:
        """The stage and Adam of a run: those at hand, or new ones that go on from its state."""
        if self._stage is None or self._stage[0] is not run or self._stage[1].settings != run.settings:
            stage = AppendedTokens(
                self.diffusion,
                self.base,
                self.train.images,
                self.train.points(self.joint),
                run.settings,
                others=self.train.others(self.joint),
                cache=self._cache_of(run.settings.reading),
            )
            self._stage = run, Run(stage, state=run.state)
        return self._stage[1]

    def _cache_of(self, reading: Reading) -> ReadoutCache:
        """What the U-Net said of the training views; of one reading only, so that memory stays bounded."""
        if self._views is None or self._views[0] != reading:
            self._views = reading, ReadoutCache(None, self.diffusion.device)
        return self._views[1]

    def _maps_and_points(
        self, appended: Appended, images: torch.Tensor, settings: TestTime
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `read_appended` and `read_keypoints` find on images (n, 3, H, W) in [0,1]."""

        def maps_of(latents: torch.Tensor, reading: Reading, mirrored: bool) -> torch.Tensor:
            asked = self._queries_of(latents, appended, reading)
            side = appended.mirrored if mirrored else appended
            return joint_map(self.diffusion, side, asked, reading.map_size)[:, None]

        fine = over_views(self.diffusion, images, settings, maps_of)[:, 0]
        maps = F.interpolate(fine[:, None], size=(settings.reading.map_size,) * 2, mode="nearest-exact")[:, 0]
        return maps.cpu(), read_keypoints(fine, settings).cpu()

    def _queries_of(
        self, latents: torch.Tensor, appended: Appended, reading: Reading
    ) -> list[attention.Query]:
        """`reading.queries`; in read-out mode the U-Net sees the base alone and is asked once a picture."""
        if appended.mode == "coupled":
            return queries(self.diffusion, latents, appended.conditioning, reading)
        key = f"{reading.timestep} {digest({'latents': latents.cpu()})}"
        if key not in self._queries:
            self._queries[key] = queries(self.diffusion, latents, self.base, reading)
        return self._queries[key]

    def _hits(self, points: torch.Tensor) -> list[bool]:
        """Which test pictures points (n, 2) in [0,1] hit; none that does not show the joint."""
        return [
            sample.visible[self.joint]
            and bool(metrics.within(point, sample.joints[self.joint], sample.frame_size))
            for sample, point in zip(self.test.samples, self.test.in_frames(points), strict=True)
        ]
