"""An animated PNG of a rollout, drawn by Pillow from body poses, without OpenGL and without a script.

Drawn larger than it is shown, so that the browser's scaling smooths the edges. The background is transparent and the
colours are legible on white and on black.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from trpolab.lab.pictures.animation import FRAMES_PER_SECOND, LAST_FRAME_SECONDS, MOST_BYTES, encode
from trpolab.lab.pictures.game_poster import draw_game
from trpolab.lab.pictures.rollout import GameRollout, Rollout
from trpolab.simulators.base import Scene

SIZES = ((912, 400), (672, 296), (480, 212))  # pixels; the first whose animation is small enough is taken
MOST_SECONDS = 8.0  # of the episode that are shown
# Four colours: nothing, what stands still, and the moving parts in alternation (boxes take the second one).
CLEAR, STILL, PART, PART_TOO = range(4)
COLOURS = ("#000000", "#8c8c8c", "#E69F00", "#C77F00")
BOX_COLOUR = "#2b83c4"


@dataclass(frozen=True)
class Shape:
    """A geom over all frames, in the picture's plane and in metres."""

    kind: str  # "line" (a capsule or a sphere) or "polygon"
    points: np.ndarray  # [F, P, 2]
    radius: float
    colour: int
    depth: float  # mean distance towards the viewer: what is far is drawn first


@dataclass(frozen=True)
class Camera:
    """Metres to pixels, frame by frame."""

    scale: float
    size: tuple[int, int]
    origin: np.ndarray  # [F, 2] metres at the picture's lower middle

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Points [F, P, 2] in metres as pixels, y downwards."""
        moved = (points - self.origin[:, None]) * self.scale
        moved[:, :, 0] += self.size[0] / 2
        moved[:, :, 1] = self.size[1] - moved[:, :, 1]
        return moved


def draw_poster(rollout: Rollout | GameRollout) -> bytes:
    """An animated PNG of the first MOST_SECONDS that loops; its first frame is where the recording starts.

    Of a game: its screens at the console's 160 x 210 pixels (`draw_game`).
    """
    if isinstance(rollout, GameRollout):
        return draw_game(rollout).png
    frames = pick_frames(rollout)
    scene, poses = rollout.scene, rollout.poses[frames].astype(np.float64)
    shapes = shapes_of(scene, poses)
    size = next((size for size in SIZES if _expected_bytes(scene, poses, shapes, size) <= MOST_BYTES), SIZES[-1])
    images = Artist(scene, poses, shapes, size).draw(range(len(frames)))
    durations = [round(gap * rollout.seconds_per_frame * 1000) for gap in np.diff(frames)]
    return encode(images, [*durations, round(LAST_FRAME_SECONDS * 1000)], palette(scene), transparency=CLEAR)


def pick_frames(rollout: Rollout) -> np.ndarray:
    """Indices of the frames that are shown: evenly spaced, from the start."""
    gap = max(1, round(1 / (FRAMES_PER_SECOND * rollout.seconds_per_frame)))
    return np.arange(0, min(len(rollout.poses), round(MOST_SECONDS / rollout.seconds_per_frame) + 1), gap)


def palette(scene: Scene) -> np.ndarray:
    """The four colours [4, 3] uint8; with moving boxes (a cart), these are blue and all other parts orange."""
    colours = (*COLOURS[:3], BOX_COLOUR) if has_boxes(scene) else COLOURS
    return np.array([ImageColor.getrgb(colour) for colour in colours], np.uint8)


def has_boxes(scene: Scene) -> bool:
    """Whether a moving part is a box."""
    return any(geom["type"] == "box" and geom["body"] != 0 for geom in scene.geoms)


def _expected_bytes(scene: Scene, poses: np.ndarray, shapes: list[Shape], size: tuple[int, int]) -> float:
    """From three frames."""
    some = sorted({0, len(poses) // 2, len(poses) - 1})
    drawn = Artist(scene, poses, shapes, size).draw(some)
    return len(encode(drawn, [1] * len(some), palette(scene), transparency=CLEAR)) / len(some) * len(poses)


class Artist:
    """Draws frames of one rollout at one size."""

    def __init__(self, scene: Scene, poses: np.ndarray, shapes: list[Shape], size: tuple[int, int]):
        self.scene, self.size = scene, size
        self.ground = ground_height(scene, shapes)
        self.camera = aim(scene, poses, shapes, self.ground, size)
        self.strokes = [(shape, self.camera.pixels(shape.points).tolist()) for shape in shapes]
        self.pen_width = max(1, round(size[0] / 300))
        self.count = len(poses)

    def draw(self, frames: Iterable[int]) -> list[np.ndarray]:
        """Frames [H, W] uint8, values as in `palette`."""
        return [self._frame(frame) for frame in frames]

    def _frame(self, frame: int) -> np.ndarray:
        image = Image.new("L", self.size, CLEAR)
        pen = ImageDraw.Draw(image)
        self._draw_background(pen, self.camera.origin[frame].tolist())
        self._draw_shapes(pen, frame)
        done = round(frame / max(self.count - 1, 1) * self.size[0])
        pen.rectangle((0, self.size[1] - self.pen_width, done, self.size[1]), fill=PART_TOO)
        return np.asarray(image)

    def _draw_shapes(self, pen: Any, frame: int) -> None:
        for shape, pixels in self.strokes:
            points = [tuple(point) for point in pixels[frame]]
            if shape.kind == "polygon":
                pen.polygon(points, fill=shape.colour)
                continue
            radius = max(2.0, shape.radius * self.camera.scale)
            if len(points) == 2:
                pen.line(points, fill=shape.colour, width=round(2 * radius))
            for x, y in points:  # round caps; a single point is a disc
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape.colour)

    def _draw_background(self, pen: Any, origin: list[float]) -> None:
        """Marks under a ground line, or crosses on a floor seen from above: they show that the camera moves."""
        (wide, high), scale, width = self.size, self.camera.scale, self.pen_width
        step = mark_spacing(wide / scale)
        left = origin[0] - wide / 2 / scale
        count = math.ceil(wide / scale / step) + 2
        across = [((math.floor(left / step) + k) * step - left) * scale for k in range(count)]
        if self.ground is not None:
            y = high - (self.ground - origin[1]) * scale
            pen.line((0, y, wide, y), fill=STILL, width=width)
            for x in across:
                pen.line((x, y + 2 * width, x - 4 * width, y + 7 * width), fill=STILL, width=max(1, width - 1))
        elif self.scene.view == "xy" and self.scene.follow is not None:
            lowest = math.floor(origin[1] / step)
            for row in range(math.ceil(high / scale / step) + 2):
                y = high - ((lowest + row) * step - origin[1]) * scale
                for x in across:
                    pen.line((x - 4, y, x + 4, y), fill=STILL)
                    pen.line((x, y - 4, x, y + 4), fill=STILL)


def shapes_of(scene: Scene, poses: np.ndarray) -> list[Shape]:
    """Every visible geom as lines and polygons, far ones first. `poses` [F, bodies, 7]."""
    across, up, towards = (0, 1, 2) if scene.view == "xy" else (0, 2, 1)
    sign = 1.0 if scene.view == "xy" else -1.0  # seen along +y, what has a smaller y is nearer
    boxes = has_boxes(scene)
    shapes = []
    for geom in scene.geoms:
        if geom["rgba"][3] == 0 or geom["type"] == "plane":
            continue
        corners, radius = _outline(geom, scene.view)
        world = place(corners, geom, poses[:, geom["body"]])  # [F, P, 3]
        box = geom["type"] == "box"
        colour = STILL if geom["body"] == 0 else PART_TOO if box or (geom["body"] % 2 == 0 and not boxes) else PART
        shapes.append(
            Shape(
                "polygon" if box else "line",
                world[:, :, [across, up]],
                radius,
                colour,
                -math.inf if geom["body"] == 0 else sign * float(world[:, :, towards].mean()),
            )
        )
    return sorted(shapes, key=lambda shape: shape.depth)


def _outline(geom: dict[str, Any], view: str) -> tuple[np.ndarray, float]:
    """Points [P, 3] of a geom in its own frame, and the radius of the pen."""
    size, kind = geom["size"], geom["type"]
    if kind in ("capsule", "cylinder"):
        return np.array([[0, 0, -size[1]], [0, 0, size[1]]], float), size[0]
    if kind == "box":
        a, b = size[0], size[1] if view == "xy" else size[2]
        flat = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
        corners = np.zeros((4, 3))
        corners[:, [0, 1] if view == "xy" else [0, 2]] = flat
        return corners, 0.0
    return np.zeros((1, 3)), size[0]


def place(points: np.ndarray, geom: dict[str, Any], pose: np.ndarray) -> np.ndarray:
    """Points [P, 3] of a geom's frame in the world, [F, P, 3], for its body's poses [F, 7]."""
    in_body = rotate(np.array(geom["quat"], float)[None], points)[0] + np.array(geom["pos"])
    world: np.ndarray = rotate(pose[:, 3:], in_body) + pose[:, None, :3]
    return world


def rotate(quaternions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """v + 2w (u x v) + 2 u x (u x v) for unit quaternions (w, u) [F, 4] and points [P, 3]: [F, P, 3]."""
    w, u = quaternions[:, None, :1], quaternions[:, None, 1:]
    once = np.cross(u, points[None])
    turned: np.ndarray = points[None] + 2 * w * once + 2 * np.cross(u, once)
    return turned


def ground_height(scene: Scene, shapes: list[Shape]) -> float | None:
    """Where the ground line runs, if the picture shows a plane from the side and it is not far below everything."""
    planes = [float(geom["pos"][2]) for geom in scene.geoms if geom["type"] == "plane"]
    heights = [shape.points[:, :, 1] for shape in shapes]
    if not planes or scene.view != "xz" or not heights:
        return None
    low, high = min(float(h.min()) for h in heights), max(float(h.max()) for h in heights)
    return planes[0] if low - planes[0] < high - low else None


def aim(scene: Scene, poses: np.ndarray, shapes: list[Shape], ground: float | None, size: tuple[int, int]) -> Camera:
    """A camera that keeps the followed body in the middle and everything that moves in the picture."""
    count = len(poses)
    moving = [shape for shape in shapes if shape.colour != STILL] or shapes
    centre = np.zeros((count, 2))
    if scene.follow is not None:
        axes = [0, 1] if scene.view == "xy" else [0]
        centre[:, : len(axes)] = _smooth(poses[:, scene.follow][:, axes])
    relative = [(shape.points - centre[:, None], shape.radius) for shape in moving]
    low = np.min([(points.min(axis=(0, 1)) - radius) for points, radius in relative], axis=0)
    high = np.max([(points.max(axis=(0, 1)) + radius) for points, radius in relative], axis=0)
    if ground is not None:
        low[1] = ground
    fixed = [shape for shape in shapes if shape.colour == STILL]
    if scene.follow is None:  # a track or walls belong in the picture
        for shape in fixed:
            low = np.minimum(low, shape.points.min(axis=(0, 1)) - shape.radius)
            high = np.maximum(high, shape.points.max(axis=(0, 1)) + shape.radius)
    margin = 0.08 * (high[1] - low[1])
    floor = 0.16 * (high[1] - low[1])  # below the ground line, or the lowest part
    height = high[1] - low[1] + margin + floor
    reach = max(abs(low[0]), abs(high[0])) * 2 if scene.follow is not None else high[0] - low[0]
    scale = min(size[1] / height, size[0] / (1.08 * reach))
    spare = size[1] / scale - height  # a wide scene leaves room above and below
    bottom = low[1] - floor - (0 if ground is not None else spare / 2)
    middle = 0.0 if scene.follow is not None else (low[0] + high[0]) / 2
    return Camera(scale, size, centre + np.array([middle, bottom]))


def _smooth(path: np.ndarray, reach: int = 7) -> np.ndarray:
    """Moving mean of a path [F, A], its ends extended by their own values, so that the camera does not shake."""
    reach = min(reach, len(path) - 1)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd") if reach else path
    kernel = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)


def mark_spacing(width: float) -> float:
    """A round distance in metres, about a twelfth of the picture's width."""
    base = 10.0 ** math.floor(math.log10(width / 12))
    return next(base * factor for factor in (1, 2, 5, 10) if base * factor >= width / 12)
