"""Games recorded, drawn and shown: what the emulator showed is what a person sees."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("ale_py", reason='needs games: pip install "trpolab[atari]"')

from tests.lab.fakes import FakeSession
from trpolab.lab.lab import Lab
from trpolab.lab.pictures.animation import LAST_FRAME_SECONDS, MOST_BYTES
from trpolab.lab.pictures.captions import caption
from trpolab.lab.pictures.game_poster import MOST_SECONDS, draw_game
from trpolab.lab.pictures.poster import draw_poster
from trpolab.lab.pictures.rollout import NOISE, ScreenRollout, record
from trpolab.policies import Policy, make_policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.simulators import find_task, make
from trpolab.simulators.atari.games import JOYSTICK
from trpolab.training.config import resolve


def untrained(task: str) -> Policy:
    about = find_task(task)
    return make_policy(about.observation_space, about.action_space, resolve(about).policy, np.random.default_rng(0))


def played(task: str = "ALE/Breakout-v5", **asked: Any) -> ScreenRollout:
    rollout = record(untrained(task), make(task, 1), **asked)
    assert isinstance(rollout, ScreenRollout)
    return rollout


def decoded(png: bytes) -> Iterator[tuple[np.ndarray, int]]:
    """Frames [H, W, 3] of an animation and the milliseconds that each stays."""
    image = Image.open(io.BytesIO(png))
    assert image.info["loop"] == 0
    for number in range(image.n_frames):
        image.seek(number)
        yield np.array(image.convert("RGB")), round(image.info["duration"])


def test_a_recording_is_what_an_emulator_driven_by_hand_shows() -> None:
    from ale_py import ALEInterface, roms

    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(str(roms.get_rom_path("breakout")))
    emulator.reset_game()
    emulator.act(0)

    policy, simulator = untrained("ALE/Breakout-v5"), make("ALE/Breakout-v5", 1)
    rollout = record(policy, simulator, seed=5, max_steps=120)
    shown = rollout.palette[rollout.screens]
    np.testing.assert_array_equal(shown[0], emulator.getScreenRGB())
    noise = policy.distribution.noise(Streams(5).generator(0, Purpose.DRAWING, NOISE), (120, 1))
    frames = [emulator.getScreenGrayscale()] * 4
    for decision, reward in enumerate(rollout.rewards):
        seen = np.stack([frame[1:209].reshape(52, 4, 40, 4).mean(axis=(1, 3)) for frame in frames[-4:]])
        u = policy.evaluate(policy.features(np.floor(seen + 0.5).astype(np.uint8)[None])).numpy()
        action = policy.distribution.sample_from(u, noise[decision])[0]
        assert reward == sum(emulator.act(int(JOYSTICK[tuple(action)])) for _ in range(4))
        frames.append(emulator.getScreenGrayscale())
        np.testing.assert_array_equal(shown[decision + 1], emulator.getScreenRGB())
    assert len(rollout.rewards) == 120 or rollout.terminated
    assert len(np.unique(rollout.screens, axis=0)) > 50  # it does move


def test_a_seed_decides_the_recording_and_the_last_one_leaves_no_trace() -> None:
    policy, simulator = untrained("ALE/Pong-v5"), make("ALE/Pong-v5", 1)
    first, again, other = (record(policy, simulator, seed=seed, max_steps=80) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.screens, again.screens)
    np.testing.assert_array_equal(first.palette[first.screens], again.palette[again.screens])
    np.testing.assert_array_equal(first.rewards, again.rewards)
    assert not np.array_equal(first.screens, other.screens)


def test_what_is_skipped_is_played_but_not_recorded() -> None:
    whole, end = played(max_steps=90), played(skip=60, max_steps=30)
    np.testing.assert_array_equal(end.screens, whole.screens[60:])
    np.testing.assert_array_equal(end.rewards, whole.rewards[60:])
    assert whole.seconds == pytest.approx(90 * 4 / 60) and end.total == whole.rewards[60:].sum()
    with pytest.raises(ValueError, match="skip = 5000: the episode of seed 0 is over after"):
        played(skip=5000, max_steps=1)
    with pytest.raises(ValueError, match="skip = -1"):
        played(skip=-1)


def test_skipping_in_a_task_with_bodies() -> None:
    about = find_task("CartPole-v1")
    policy = make_policy(about.observation_space, about.action_space, resolve(about).policy, np.random.default_rng(0))
    policy = policy.replace(normalizer=None)
    whole, end = (record(policy, make("CartPole-v1", 1), skip=skip) for skip in (0, 4))
    assert len(end.rewards) == len(whole.rewards) - 4
    np.testing.assert_array_equal(end.poses[-1], whole.poses[-1])


def test_recording_leaves_torch_its_threads() -> None:
    before = torch.get_num_threads()
    played(max_steps=2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("task", ["ALE/Pong-v5", "ALE/Seaquest-v5"])
def test_the_animation_shows_the_screens_that_were_recorded(task: str) -> None:
    rollout = played(task, max_steps=60)
    assert rollout.seconds_per_frame == pytest.approx(4 / 60)
    at, last = 0, len(rollout.screens) - 1
    for frame, milliseconds in decoded(draw_poster(rollout)):  # equal frames in succession are stored as one
        if at + (count := max(1, round(milliseconds / 67))) > last:
            count, milliseconds = last + 1 - at, milliseconds - round(1000 * LAST_FRAME_SECONDS)
        for screen in rollout.screens[at : at + count]:
            np.testing.assert_array_equal(frame, rollout.palette[screen])
        at += count
    assert at == last + 1 and milliseconds % 67 == 0


def noise(decisions: int, rows: int) -> ScreenRollout:
    """Screens of which so many rows hardly compress."""
    screens = np.zeros((decisions + 1, 210, 160), np.uint8)
    screens[:, :rows] = np.random.default_rng(0).integers(0, 128, (decisions + 1, rows, 160))
    return ScreenRollout(screens, np.zeros((256, 3), np.uint8), np.zeros(decisions), 4 / 60, False, aspect=4 / 3)


def test_an_animation_stays_small_and_tells_how_much_it_shows() -> None:
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for rows, seconds, gap in ((2, 20.0, 1), (6, 20.0, 2), (210, None, 2)):
        rollout = noise(450, rows)
        poster = draw_game(ScreenRollout(**{**vars(rollout), "palette": palette}))
        assert len(poster.png) <= MOST_BYTES
        assert poster.seconds == pytest.approx(seconds) if seconds else 0.2 < poster.seconds < 2
        stays = [milliseconds for _, milliseconds in decoded(poster.png)]
        assert stays[0] == round(gap * 1000 * 4 / 60)
        assert sum(stays) / 1000 == pytest.approx(poster.seconds + LAST_FRAME_SECONDS, rel=0.01)
    assert MOST_SECONDS == 20.0


def test_the_caption_tells_the_score() -> None:
    long = noise(450, 0)
    long.rewards[::50] = -1
    assert caption(long) == "sampled actions · score −9 after 30 s"
    whole = ScreenRollout(**{**vars(noise(90, 0)), "terminated": True})
    assert caption(whole) == "sampled actions · score 0, game over after 6 s"


class GameLab(Lab):
    """A lab of a game whose sessions learn nothing."""

    def _new_session(self, source: Any, settings: dict[str, Any], resume: Any = None) -> Any:
        session = FakeSession("ALE/Breakout-v5", settings)
        session.source = source
        return session


@pytest.fixture
def lab() -> Iterator[GameLab]:
    made = GameLab("ALE/Breakout-v5", out=None)
    yield made
    made.close()


def test_the_lab_shows_the_game(lab: GameLab) -> None:
    lab.run(block=True, iterations=2)
    rollout = record(lab.policy, make("ALE/Breakout-v5", 1))
    player = lab.view.rollout.player
    player.stroke()
    np.testing.assert_array_equal(player.rollouts[0].screens, rollout.screens)
    assert player.caption == f"iteration 2 · {caption(rollout)}" and player.poster() == draw_poster(rollout)


def test_after_a_reset_the_lab_shows_the_game_as_it_is_now_set(lab: GameLab) -> None:
    lab.run(block=True, iterations=1)
    card = lab.view.rollout
    card.player.stroke()
    before = card.player.rollouts[0].screens
    lab._source = "ALE/Pong-v5"
    lab.reset()
    lab.run(block=True, iterations=1)
    card.player.stroke()
    assert not np.array_equal(card.player.rollouts[0].screens, before)
    assert np.array_equal(card.player.rollouts[0].screens, record(lab.policy, make("ALE/Pong-v5", 1)).screens)
