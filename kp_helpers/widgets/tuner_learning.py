"""What a tuner's run does: a step of the appended stage, and a look at what its tokens find now."""

from dataclasses import dataclass

import torch

from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import Framed
from kp_helpers.stages import AppendedTokens, ReadoutCache, Run
from kp_helpers.store import digest
from kp_helpers.widgets.knobs import values_of
from kp_helpers.widgets.tuned_run import TunedRun
from kp_helpers.widgets.watching import Sight, Watcher, hits

SHOWN = 5
"""Training pictures whose maps are looked at."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a look saw: whose tokens after which step, and for each test picture whether it is hit."""

    run: TunedRun
    step: int
    appended: Appended
    train: Sight
    test: Sight
    hit: list[bool]
    hits: int
    pictures: int


class Learner:
    """The appended stage of one joint for runs with any settings, one after the other.

    Arguments as for `evaluate.learn`. It looks at the first `SHOWN` training and at all test pictures.
    """

    def __init__(self, diffusion: Diffusion, base: torch.Tensor, train: Framed, test: Framed, joint: str):
        self.diffusion, self.base = diffusion, base.detach().to(diffusion.device)
        self.train, self.test, self.joint = train, test, joint
        self._watch_train = Watcher(diffusion, self.base, train.images[:SHOWN])
        self._watch_test = Watcher(diffusion, self.base, test.images)
        self._cache: tuple[object, ReadoutCache] | None = None
        self._at_hand: tuple[TunedRun, Run] | None = None

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

    def look(self, run: TunedRun, quick: bool = False) -> Seen:
        """The maps, points and hits of a run's tokens as they are now, of which the run takes note.

        quick: points are read to a quarter of the map's pixel only, which is soon done.
        """
        learning, settings = self._run_of(run), run.test
        if quick:
            size = min(settings.read_size, 4 * settings.reading.map_size)
            settings = settings.replace(read_size=size)
        appended = learning.stage.result(learning.tokens.detach().clone())
        train, test = (watch.look(appended, settings) for watch in (self._watch_train, self._watch_test))
        hit, count, pictures = hits(self.test, test.points, self.joint)
        if run.step:
            run.note_hits(count, pictures)
        return Seen(run, learning.step, appended, train, test, hit, count, pictures)

    def _run_of(self, run: TunedRun) -> Run:
        """The stage and Adam of a run: those at hand, or new ones that go on from its state."""
        if self._at_hand is None or self._at_hand[0] is not run or self._at_hand[1].settings != run.settings:
            stage = AppendedTokens(
                self.diffusion,
                self.base,
                self.train.images,
                self.train.points(self.joint),
                run.settings,
                cache=self._cache_of(run.settings.reading),
            )
            self._at_hand = run, Run(stage, state=run.state)
        return self._at_hand[1]

    def _cache_of(self, reading) -> ReadoutCache:
        """What the U-Net said of the training views; of one reading only, so that memory stays bounded."""
        if self._cache is None or self._cache[0] != reading:
            self._cache = reading, ReadoutCache(None, self.diffusion.device)
        return self._cache[1]
