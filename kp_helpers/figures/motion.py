"""Smooth motions as functions of time: a pose for any second, drawn from a few numbers."""

from dataclasses import dataclass

import numpy as np

from kp_helpers.figures.skeleton import INDEX, forward_kinematics, to_rotation_vectors

MOTIONS = ("walk", "run", "kick", "wave", "sit", "throw", "turn", "stand")
SEAT_HEIGHT = 0.46
"""Metres: the pelvis of a sitting person is a little above this."""
_SOLE = 0.05
"""Metres between the lowest foot joint and the ground."""


@dataclass(frozen=True)
class Motion:
    """One person's motion: `kind` of MOTIONS, `heading` in degrees (0 faces +z), and what makes it own.

    `sway` (24, 3, 3) holds for every joint angle the amplitude in degrees, the frequency in Hz and the
    phase of a slow wave that is added, so that no two people move alike.
    """

    kind: str
    heading: float
    side: str
    speed: float
    amplitude: float
    phase: float
    scale: float
    sway: np.ndarray

    def at(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Pose (24, 3) as axis-angle and pelvis (3,) in metres, feet on the ground, near the origin."""
        angles = np.zeros((24, 3))
        _MAKERS[self.kind](self, angles, 2 * np.pi * (self.speed * seconds) + self.phase)
        amplitude, frequency, phase = np.moveaxis(self.sway, -1, 0)
        angles += amplitude * np.sin(2 * np.pi * frequency * seconds + phase)
        angles[0, 1] += self.heading
        pose = to_rotation_vectors(_wrapped(angles))
        joints, _ = forward_kinematics(pose, np.zeros(3), self.scale)
        return pose, np.array([0.0, _SOLE - joints[:, 1].min(), 0.0])


def draw_motion(rng: np.random.Generator, kind: str, heading: float) -> Motion:
    """A motion of `kind` whose own numbers come from `rng`."""
    sway = np.stack(
        [rng.uniform(0, 5, (24, 3)), rng.uniform(0.15, 0.6, (24, 3)), rng.uniform(0, 2 * np.pi, (24, 3))], -1
    )
    sway[0, :, 0] *= 0.4
    return Motion(
        kind=kind,
        heading=heading,
        side=str(rng.choice(["left", "right"])),
        speed=float(rng.uniform(0.7, 1.2)) * (1.6 if kind == "run" else 1.0),
        amplitude=float(rng.uniform(0.75, 1.2)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        scale=float(rng.uniform(0.93, 1.07)),
        sway=sway,
    )


def _wrapped(angles: np.ndarray) -> np.ndarray:
    """The root's turn brought back into -180..180 degrees, since limits are cut there."""
    angles[0, 1] = (angles[0, 1] + 180) % 360 - 180
    return angles


def _arm(angles, side, swing, abduct, bend):
    """Arm from hanging: forward swing, sideways lift and elbow bend, in degrees."""
    sign = 1 if side == "left" else -1
    angles[INDEX[f"{side}_shoulder"]] = (-swing, 0, -sign * (90 - abduct))
    angles[INDEX[f"{side}_elbow"]] = (0, -sign * bend, 0)


def _leg(angles, side, lift, bend, spread=4.0):
    """Leg: forward lift of the thigh, bend of the knee, sideways spread, in degrees."""
    sign = 1 if side == "left" else -1
    angles[INDEX[f"{side}_hip"]] = (-lift, 0, sign * spread)
    angles[INDEX[f"{side}_knee"]] = (bend, 0, 0)


def _other(side: str) -> str:
    return "right" if side == "left" else "left"


def _bend_spine(angles, forward, twist=0.0):
    for name in ("spine1", "spine2", "spine3"):
        angles[INDEX[name]] = (forward / 3, twist / 3, 0)


def _stride(motion, angles, phase, lift, bend, swing, elbow, lean):
    """Walking and running: legs and arms in opposite phase."""
    for side, offset in (("left", 0.0), ("right", np.pi)):
        wave = np.sin(phase + offset)
        back = max(0.0, np.sin(phase + offset - 2.0))
        _leg(angles, side, motion.amplitude * lift * wave + 5, 6 + motion.amplitude * bend * back)
        _arm(angles, side, -motion.amplitude * swing * wave, 8, elbow + 0.3 * elbow * wave)
    _bend_spine(angles, lean, 8 * np.sin(phase))


def _walk(motion, angles, phase):
    _stride(motion, angles, phase, lift=28, bend=45, swing=28, elbow=25, lean=4)


def _run(motion, angles, phase):
    _stride(motion, angles, phase, lift=48, bend=90, swing=45, elbow=85, lean=14)


def _stand(motion, angles, phase):
    for side, offset in (("left", 0.0), ("right", 2.0)):
        _leg(angles, side, 2, 4, spread=4 + 5 * motion.amplitude)
        _arm(angles, side, 12 * np.sin(0.5 * phase + offset), 12 * motion.amplitude, 20)


def _kick(motion, angles, phase):
    _stand(motion, angles, phase)
    swing = np.sin(phase)
    _leg(angles, motion.side, motion.amplitude * (32 + 45 * swing), 35 - 30 * swing)
    _leg(angles, _other(motion.side), -4, 12)
    _arm(angles, _other(motion.side), 30 * swing + 15, 45, 30)
    _arm(angles, motion.side, -30 * swing, 40, 30)
    _bend_spine(angles, -6 * swing)


def _wave(motion, angles, phase):
    _stand(motion, angles, phase)
    _arm(angles, motion.side, 10, 120 + 25 * motion.amplitude, 45 + 30 * np.sin(2 * phase))


def _sit(motion, angles, phase):
    for side in ("left", "right"):
        _leg(angles, side, 86, 84 + 6 * np.sin(0.5 * phase), spread=8)
        _arm(angles, side, 35 + 10 * np.sin(0.5 * phase), 12, 40 * motion.amplitude)
    _bend_spine(angles, 8)


def _throw(motion, angles, phase):
    _stand(motion, angles, phase)
    wind = np.sin(phase)
    _arm(angles, motion.side, 60 + 70 * wind, 75, 60 - 40 * wind)
    _arm(angles, _other(motion.side), 40 - 25 * wind, 25, 30)
    _leg(angles, _other(motion.side), 22, 15)
    _leg(angles, motion.side, -14, 12)
    _bend_spine(angles, 8 * wind, (20 if motion.side == "left" else -20) * -wind)


def _turn(motion, angles, phase):
    _stand(motion, angles, phase)
    angles[0, 1] = np.degrees(phase * 0.5)
    for side, offset in (("left", 0.0), ("right", np.pi)):
        _leg(angles, side, 12 + 14 * np.sin(2 * phase + offset), 25)
        _arm(angles, side, 0, 35 * motion.amplitude, 25)


_MAKERS = {
    "walk": _walk,
    "run": _run,
    "kick": _kick,
    "wave": _wave,
    "sit": _sit,
    "throw": _throw,
    "turn": _turn,
    "stand": _stand,
}
