"""An animated PNG of a rollout, drawn by Pillow from body poses, without OpenGL and without a script.

Drawn larger than it is shown, so that the browser's scaling smooths the edges. The background is transparent and the
colours are legible on white and on black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from trpolab.lab.pictures.animation import FRAMES_PER_SECOND, LAST_FRAME_SECONDS, MOST_BYTES, encode
from trpolab.lab.pictures.game_poster import draw_game
from trpolab.lab.pictures.rollout import AnyRollout, CurveRollout, ScreenRollout
from trpolab.simulators.base import Scene

SIZES = ((912, 400), (672, 296), (480, 212))  # pixels; the first whose animation is small enough is taken
SHOWN = {"image/png": {"width": 480}}  # metadata of a display: at most so many of the pixels are to be seen
MOST_SECONDS = 8.0  # of the episode that are shown
# Four colours: nothing, what stands still, and the moving parts in alternation (boxes take the second one).
CLEAR, STILL, PART, PART_TOO = range(4)
COLOURS = ("#000000", "#8c8c8c", "#E69F00", "#C77F00")
BOX_COLOUR = "#2b83c4"
CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])


@dataclass(frozen=True)
class Shape:
    """A geom over all frames, in the picture's plane and in metres."""

    kind: str  # "line" (a capsule or a sphere) or "polygon"
    points: np.ndarray  # [F, P, 2]
    radius: float
    colour: int
    depth: float  # mean distance towards the viewer: what is far is drawn first


def draw_poster(rollout: AnyRollout) -> bytes:
    """An animated PNG of the first MOST_SECONDS that loops; its first frame is where the recording starts.

    Of screens: at their own size (`draw_game`). Curves stand still.
    """
    if isinstance(rollout, ScreenRollout):
        return draw_game(rollout).png
    if isinstance(rollout, CurveRollout):
        return draw_curves(rollout)
    gap = max(1, round(1 / (FRAMES_PER_SECOND * rollout.seconds_per_frame)))
    frames = np.arange(0, min(len(rollout.poses), round(MOST_SECONDS / rollout.seconds_per_frame) + 1), gap)
    poses = rollout.poses[frames].astype(np.float64)
    shapes, colours = shapes_of(rollout.scene, poses), palette(rollout.scene)
    some = sorted({0, len(poses) // 2, len(poses) - 1})
    for size in SIZES:
        artist = Artist(rollout.scene, poses, shapes, size)
        sample = encode([artist.draw(frame) for frame in some], [1] * len(some), colours, transparency=CLEAR)
        if len(sample) / len(some) * len(poses) <= MOST_BYTES:
            break
    images = [artist.draw(frame) for frame in range(len(poses))]
    durations = [round(gap * rollout.seconds_per_frame * 1000)] * (len(poses) - 1)
    return encode(images, [*durations, round(LAST_FRAME_SECONDS * 1000)], colours, transparency=CLEAR)


def draw_curves(rollout: CurveRollout) -> bytes:
    """A PNG of the curves, each between its own least and largest value, one above the other."""
    wide, high = SIZES[-1]
    image = Image.new("L", (wide, high), CLEAR)
    pen, row = ImageDraw.Draw(image), high / len(rollout.names)
    x = np.linspace(4, wide - 4, len(rollout.values))
    for place, (name, curve) in enumerate(zip(rollout.names, rollout.values.T, strict=True)):
        low, span = float(curve.min()), float(np.ptp(curve)) or 1.0
        y = (place + 0.9) * row - 0.8 * row * (curve - low) / span
        pen.line((4, (place + 1) * row - 1, wide - 4, (place + 1) * row - 1), fill=STILL)
        pen.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=PART, width=2)
        pen.text((8, place * row + 1), name, fill=STILL)
    colours = np.array([ImageColor.getrgb(colour) for colour in COLOURS], np.uint8)
    return encode([np.asarray(image)], [1000], colours, transparency=CLEAR)


def palette(scene: Scene) -> np.ndarray:
    """The four colours [4, 3] uint8; with moving boxes (a cart), these are blue and all other parts orange."""
    colours = (*COLOURS[:3], BOX_COLOUR) if has_boxes(scene) else COLOURS
    return np.array([ImageColor.getrgb(colour) for colour in colours], np.uint8)


def has_boxes(scene: Scene) -> bool:
    """Whether a moving part is a box."""
    return any(geom["type"] == "box" and geom["body"] != 0 for geom in scene.geoms)


class Artist:
    """Draws frames of one rollout at one size."""

    def __init__(self, scene: Scene, poses: np.ndarray, shapes: list[Shape], size: tuple[int, int]):
        self.scene, self.shapes, self.size, self.count = scene, shapes, size, len(poses)
        self.ground = ground_height(scene, shapes)
        self.scale, self.origin = aim(scene, poses, shapes, self.ground, size)
        self.pen_width = max(1, round(size[0] / 300))
        middle, down = np.array([size[0] / 2, size[1]]), np.array([1, -1])
        self.pixels = [((s.points - self.origin[:, None]) * self.scale * down + middle).tolist() for s in shapes]

    def draw(self, frame: int) -> np.ndarray:
        """A frame [H, W] uint8, values as in `palette`."""
        image = Image.new("L", self.size, CLEAR)
        pen = ImageDraw.Draw(image)
        self._draw_background(pen, *self.origin[frame].tolist())
        for shape, pixels in zip(self.shapes, self.pixels, strict=True):
            self._draw_shape(pen, shape, [tuple(point) for point in pixels[frame]])
        done = round(frame / max(self.count - 1, 1) * self.size[0])
        pen.rectangle((0, self.size[1] - self.pen_width, done, self.size[1]), fill=PART_TOO)
        return np.asarray(image)

    def _draw_shape(self, pen: Any, shape: Shape, points: list[tuple[float, ...]]) -> None:
        if shape.kind == "polygon":
            pen.polygon(points, fill=shape.colour)
            return
        radius = max(2.0, shape.radius * self.scale)
        if len(points) == 2:
            pen.line(points, fill=shape.colour, width=round(2 * radius))
        for x, y in points:  # round caps; a single point is a disc
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shape.colour)

    def _draw_background(self, pen: Any, middle: float, bottom: float) -> None:
        """Marks under a ground line, or crosses on a floor seen from above: they show that the camera moves."""
        (wide, high), scale, width = self.size, self.scale, self.pen_width
        step = mark_spacing(wide / scale)
        left = middle - wide / 2 / scale
        count = math.ceil(wide / scale / step) + 2
        across = [((math.floor(left / step) + k) * step - left) * scale for k in range(count)]
        if self.ground is not None:
            y = high - (self.ground - bottom) * scale
            pen.line((0, y, wide, y), fill=STILL, width=width)
            for x in across:
                pen.line((x, y + 2 * width, x - 4 * width, y + 7 * width), fill=STILL, width=max(1, width - 1))
        elif self.scene.view == "xy" and self.scene.follow is not None:
            lowest = math.floor(bottom / step)
            for row in range(math.ceil(high / scale / step) + 2):
                y = high - ((lowest + row) * step - bottom) * scale
                for x in across:
                    pen.line((x - 4, y, x + 4, y), fill=STILL)
                    pen.line((x, y - 4, x, y + 4), fill=STILL)


def shapes_of(scene: Scene, poses: np.ndarray) -> list[Shape]:
    """Every visible geom as lines and polygons, far ones first. `poses` [F, bodies, 7]."""
    # Seen from the side, along +y, what has a smaller y is nearer.
    plane, towards, sign = ([0, 1], 2, 1.0) if scene.view == "xy" else ([0, 2], 1, -1.0)
    boxes = has_boxes(scene)
    shapes = []
    for geom in scene.geoms:
        if geom["rgba"][3] == 0 or geom["type"] == "plane":
            continue
        corners, radius = _outline(geom, plane)
        world = place(corners, geom, poses[:, geom["body"]])  # [F, P, 3]
        box, depth = geom["type"] == "box", sign * float(world[:, :, towards].mean())
        colour = PART_TOO if box or (geom["body"] % 2 == 0 and not boxes) else PART
        if geom["body"] == 0:
            colour, depth = STILL, -math.inf
        shapes.append(Shape("polygon" if box else "line", world[:, :, plane], radius, colour, depth))
    return sorted(shapes, key=lambda shape: shape.depth)


def _outline(geom: dict[str, Any], plane: list[int]) -> tuple[np.ndarray, float]:
    """Points [P, 3] of a geom in its own frame, and the radius of the pen."""
    size = geom["size"]
    if geom["type"] in ("capsule", "cylinder"):
        return np.array([[0, 0, -size[1]], [0, 0, size[1]]], float), size[0]
    if geom["type"] == "box":
        corners = np.zeros((4, 3))
        corners[:, plane] = CORNERS * np.array(size)[plane]
        return corners, 0.0
    return np.zeros((1, 3)), size[0]


def place(points: np.ndarray, geom: dict[str, Any], pose: np.ndarray) -> np.ndarray:
    """Points [P, 3] of a geom's frame in the world, [F, P, 3], for its body's poses [F, 7]."""
    in_body = rotate(np.array(geom["quat"], float)[None], points)[0] + np.array(geom["pos"])
    return rotate(pose[:, 3:], in_body) + pose[:, None, :3]


def rotate(quaternions: np.ndarray, points: np.ndarray) -> np.ndarray:
    """v + 2w (u x v) + 2 u x (u x v) for unit quaternions (w, u) [F, 4] and points [P, 3]: [F, P, 3]."""
    w, u = quaternions[:, None, :1], quaternions[:, None, 1:]
    once = np.cross(u, points[None])
    return points[None] + 2 * w * once + 2 * np.cross(u, once)


def ground_height(scene: Scene, shapes: list[Shape]) -> float | None:
    """Where the ground line runs, if the picture shows a plane from the side and it is not far below everything."""
    planes = [float(geom["pos"][2]) for geom in scene.geoms if geom["type"] == "plane"]
    if not planes or scene.view != "xz" or not shapes:
        return None
    heights = np.concatenate([shape.points[:, :, 1].ravel() for shape in shapes])
    return planes[0] if heights.min() - planes[0] < np.ptp(heights) else None


def aim(
    scene: Scene, poses: np.ndarray, shapes: list[Shape], ground: float | None, size: tuple[int, int]
) -> tuple[float, np.ndarray]:
    """Pixels a metre, and the place [F, 2] in metres that each frame shows at its lower middle.

    The followed body stays in the middle, and what moves in the picture. Where none is followed, a track or walls
    belong in the picture too.
    """
    follows = scene.follow is not None
    centre = np.zeros((len(poses), 2))
    if follows:
        axes = [0, 1] if scene.view == "xy" else [0]
        centre[:, : len(axes)] = _smooth(poses[:, scene.follow][:, axes])
    shown = [shape for shape in shapes if shape.colour != STILL or not follows] or shapes
    around = [(shape.points - centre[:, None], shape.radius) for shape in shown]
    low = np.min([points.min(axis=(0, 1)) - radius for points, radius in around], axis=0)
    high = np.max([points.max(axis=(0, 1)) + radius for points, radius in around], axis=0)
    if ground is not None:
        low[1] = ground
    margin, floor = 0.08 * (high[1] - low[1]), 0.16 * (high[1] - low[1])  # above the highest, below the lowest part
    height = high[1] - low[1] + margin + floor
    reach = max(abs(low[0]), abs(high[0])) * 2 if follows else high[0] - low[0]
    scale = float(min(size[1] / height, size[0] / (1.08 * reach)))
    spare = size[1] / scale - height  # a wide scene leaves room above and below
    bottom = low[1] - floor - (0 if ground is not None else spare / 2)
    middle = 0.0 if follows else (low[0] + high[0]) / 2
    return scale, centre + np.array([middle, bottom])


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
