// Recordings as Python packed them (trpolab/lab/pictures/packed.py), ready to be drawn.
import { floats } from "./channel.js";

export function decode({ panels }, buffers) {
  return Promise.all(panels.map((about) => decodePanel(about, (at) => (at == null ? null : buffers[about.first + at]))));
}

async function decodePanel(about, bytes) {
  const numbers = (at) => (at == null ? null : floats(bytes(at)));
  const panel = { ...about, rewards: numbers(about.rewards), actions: numbers(about.actions), kl: numbers(about.kl) };
  if (about.kind === "bodies") panel.poses = numbers(about.poses);
  if (about.kind === "curves") panel.values = numbers(about.values);
  if (about.kind === "screens") {
    panel.screens = undone(await inflated(bytes(about.screens)), about.width * about.height);
    panel.colours = coloured(bytes(about.palette));
  }
  if (about.ghosts) panel.ghosts = { ...about.ghosts, poses: numbers(about.ghosts.poses) };
  panel.last = Math.max(about.frames, about.ghosts?.frames ?? 0) - 1;
  panel.duration = Math.max(panel.last, 1) * about.secondsPerFrame;
  return panel;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Each screen came as the bits in which it differs from the one before.
function undone(screens, size) {
  for (let at = size; at < screens.length; at++) screens[at] ^= screens[at - size];
  return screens;
}

// Red, green and blue of 256 numbers as the pixels of an ImageData.
function coloured(bytes) {
  const colours = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    colours[n] = (255 << 24) | (bytes.getUint8(3 * n + 2) << 16) | (bytes.getUint8(3 * n + 1) << 8) | bytes.getUint8(3 * n);
  }
  return colours;
}

// The step that a frame shows; the last frame may come earlier than after `every` steps.
export function stepOf(panel, frame) {
  return Math.min(Math.round(frame) * panel.every, panel.steps);
}
