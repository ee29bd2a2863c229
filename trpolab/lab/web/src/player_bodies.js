// Bodies drawn from their poses: by WebGL where the page has it, else, and where all is flat, by lines and polygons.
import {
  BoxGeometry, BufferAttribute, BufferGeometry, CapsuleGeometry, Color, CylinderGeometry, DirectionalLight, Group,
  HemisphereLight, LineBasicMaterial, LineSegments, Mesh, MeshLambertMaterial, PerspectiveCamera, Quaternion, Scene,
  SphereGeometry, Vector3, WebGLRenderer,
} from "./three.js";

const PART = "#E69F00", PART_TOO = "#C77F00", BOX = "#2b83c4", STILL = "#8c8c8c";
const WORSE = new Color("#0072B2"), MIDDLE = new Color("#9a9a9a"), BETTER = new Color("#E69F00");
const FIELD = 35; // degrees, of the camera's view
const SMOOTH = 8; // frames to either side, over which the camera's way is averaged
const GRID = 24; // lines of the floor to a side

const SLOW = 25, TRIES = 20; // milliseconds that this many frames of WebGL take on average where lines are better

// One WebGL context for all players of the page: browsers keep about 16, and drop the oldest. Where it is none of a
// graphics card, lines take a hundredth of the time.
const shared = { asked: false, renderer: null, frames: 0, spent: 0 };

function renderer() {
  if (!shared.asked) {
    shared.asked = true;
    try {
      if (!hasGraphicsCard()) throw new Error("lines are faster");
      shared.renderer = new WebGLRenderer({ antialias: true, alpha: true, failIfMajorPerformanceCaveat: true });
      shared.renderer.setScissorTest(true);
      shared.renderer.domElement.addEventListener("webglcontextlost", (event) => {
        event.preventDefault();
        shared.lost = true;
      });
      shared.renderer.domElement.addEventListener("webglcontextrestored", () => (shared.lost = false));
    } catch {
      shared.renderer = null;
    }
  }
  return shared.lost ? null : shared.renderer;
}

// Some browsers draw WebGL by the processor without saying so when they are asked.
function hasGraphicsCard() {
  const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  if (!gl) return false;
  const named = gl.getExtension("WEBGL_debug_renderer_info");
  const name = named ? gl.getParameter(named.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

function timed(draw) {
  const began = performance.now();
  draw();
  shared.spent += performance.now() - began;
  if (++shared.frames === TRIES) {
    if (shared.spent > SLOW * TRIES) shared.lost = true;
    shared.frames = shared.spent = 0;
  }
}

// Poses of B bodies at a frame, which may lie between two: [B * 7] position and quaternion (w first).
function posesAt(all, bodies, frame, last, into) {
  const size = bodies * 7;
  const at = Math.max(0, Math.min(frame, last)), low = Math.floor(at), part = at - low;
  const a = low * size, b = Math.min(low + 1, last) * size;
  for (let n = 0; n < bodies; n++) {
    const k = n * 7;
    let dot = 0;
    for (let i = 3; i < 7; i++) dot += all[a + k + i] * all[b + k + i];
    const sign = dot < 0 ? -1 : 1;
    for (let i = 0; i < 7; i++) into[k + i] = (1 - part) * all[a + k + i] + part * (i < 3 ? 1 : sign) * all[b + k + i];
    const norm = Math.hypot(into[k + 3], into[k + 4], into[k + 5], into[k + 6]) || 1;
    for (let i = 3; i < 7; i++) into[k + i] /= norm;
  }
  return into;
}

function colourOf(geom, boxes) {
  if (geom.body === 0) return STILL;
  if (boxes) return geom.type === "box" ? BOX : PART;
  return geom.type === "box" || geom.body % 2 === 0 ? PART_TOO : PART;
}

// A colour for each branch by its Q̂: orange is better, blue worse.
function colourOfQ(q, all) {
  const low = Math.min(...all), high = Math.max(...all);
  const place = high > low ? (q - low) / (high - low) : 0.5;
  return place < 0.5 ? WORSE.clone().lerp(MIDDLE, 2 * place) : MIDDLE.clone().lerp(BETTER, 2 * place - 1);
}

// How far it reaches around its outline.
function radiusOf({ type, size }) {
  if (type === "box") return 0;
  return type === "ellipsoid" ? Math.max(...size) : size[0];
}

export class Bodies {
  constructor(panel) {
    this.panel = panel;
    this.geoms = panel.geoms.filter(({ rgba, type }) => rgba[3] > 0 && type !== "plane" && type !== "mesh");
    this.floor = panel.geoms.find(({ type, body }) => type === "plane" && body === 0);
    const boxes = this.geoms.some(({ type, body }) => type === "box" && body !== 0);
    this.looks = this.geoms.map((geom) => ({ geom, colour: colourOf(geom, boxes) }));
    this.poses = new Float32Array(panel.bodies * 7);
    this.camera = new PerspectiveCamera(FIELD, 1, 0.05, 500);
    this.camera.up.set(0, 0, 1);
    this.ghosts = (panel.ghosts?.q ?? []).map((q, n, all) => {
      const size = panel.ghosts.frames * panel.bodies * 7;
      const poses = panel.ghosts.poses.subarray(n * size, (n + 1) * size);
      return { poses, colour: `#${colourOfQ(q, all).getHexString()}`, at: new Float32Array(panel.bodies * 7) };
    });
    this._look();
  }

  // How far things reach, and the way that the camera goes.
  _look() {
    const { panel } = this, size = panel.bodies * 7, at = this.poses;
    this.low = [Infinity, Infinity, Infinity];
    this.high = [-Infinity, -Infinity, -Infinity];
    const follow = panel.follow;
    const measure = (poses, frames) => {
      for (let n = 0; n < 24; n++) {
        posesAt(poses, panel.bodies, Math.round((n / 23) * (frames - 1)), frames - 1, at);
        for (const { geom } of this.looks) {
          if (geom.body === 0 && follow != null) continue;
          const r = radiusOf(geom), base = follow == null ? [0, 0, 0] : [at[follow * 7], at[follow * 7 + 1], 0];
          for (const corner of cornersOf(geom, at)) {
            for (let i = 0; i < 3; i++) {
              this.low[i] = Math.min(this.low[i], corner[i] - base[i] - r);
              this.high[i] = Math.max(this.high[i], corner[i] - base[i] + r);
            }
          }
        }
      }
    };
    measure(panel.poses, panel.frames);
    for (const ghost of this.ghosts) measure(ghost.poses, panel.ghosts.frames);
    if (!Number.isFinite(this.low[0])) [this.low, this.high] = [[-1, -1, -1], [1, 1, 1]];
    if (this.floor && this.low[2] - this.floor.pos[2] < this.high[2] - this.low[2]) this.low[2] = this.floor.pos[2];
    this.reach = Math.hypot(...this.high.map((high, i) => high - this.low[i])) / 2;
    this.size = Math.max(0.85 * this.reach, 0.6 * (this.high[2] - this.low[2]));
    this.centre = this.low.map((low, i) => (low + this.high[i]) / 2);
    this.way = new Float32Array(panel.frames * 2);
    if (follow == null) return;
    for (let frame = 0; frame < panel.frames; frame++) {
      const reach = Math.min(SMOOTH, frame, panel.frames - 1 - frame);
      for (let i = 0; i < 2; i++) {
        let sum = 0;
        for (let n = frame - reach; n <= frame + reach; n++) sum += panel.poses[n * size + follow * 7 + i];
        this.way[frame * 2 + i] = sum / (2 * reach + 1);
      }
    }
  }

  // Where the camera looks at.
  target(frame, follow) {
    const at = follow ? Math.max(0, Math.min(frame, this.panel.frames - 1)) : 0;
    const low = Math.floor(at), next = Math.min(low + 1, this.panel.frames - 1), part = at - low;
    const along = (i) => (1 - part) * this.way[low * 2 + i] + part * this.way[next * 2 + i];
    return [this.centre[0] + along(0), this.centre[1] + along(1), this.centre[2]];
  }

  draw(context, width, height, frame, { orbit, follow, ink }) {
    const { panel } = this;
    posesAt(panel.poses, panel.bodies, frame, panel.frames - 1, this.poses);
    for (const ghost of this.ghosts) posesAt(ghost.poses, panel.bodies, frame, panel.ghosts.frames - 1, ghost.at);
    if (panel.flat) return this._drawLines(context, width, height, this._flat(width, height), ink);
    this._aim(width / height, frame, orbit, follow);
    const gl = renderer();
    if (gl) timed(() => this._drawSolid(gl, context, width, height));
    else this._drawLines(context, width, height, this._perspective(width, height), ink);
  }

  _aim(aspect, frame, orbit, follow) {
    const { camera } = this, [x, y, z] = this.target(frame, follow);
    const narrow = Math.min(1, aspect * 1.15), half = (FIELD / 2) * (Math.PI / 180);
    const distance = (orbit.zoom * this.size) / Math.sin(half) / narrow;
    const [yaw, pitch] = [orbit.yaw, orbit.pitch];
    camera.aspect = aspect;
    camera.near = Math.max(0.01, distance / 100);
    camera.far = distance * 30;
    camera.position.set(
      x + distance * Math.cos(pitch) * Math.cos(yaw), y + distance * Math.cos(pitch) * Math.sin(yaw),
      z + distance * Math.sin(pitch),
    );
    camera.lookAt(x, y, z);
    camera.updateProjectionMatrix();
    camera.updateMatrixWorld();
    this.centreNow = [x, y, z];
  }

  _drawSolid(gl, context, width, height) {
    this.world ??= this._build();
    this._place(this.world.bodies, this.poses);
    this.ghosts.forEach((ghost, n) => this._place(this.world.ghosts[n], ghost.at));
    const { grid, step } = this.world;
    if (grid) grid.position.set(...[0, 1].map((i) => Math.round(this.centreNow[i] / step) * step), this.floor.pos[2]);
    const canvas = gl.domElement;
    if (canvas.width < width || canvas.height < height) {
      gl.setSize(Math.max(canvas.width, width), Math.max(canvas.height, height), false);
    }
    gl.setViewport(0, 0, width, height);
    gl.setScissor(0, 0, width, height);
    gl.render(this.world.scene, this.camera);
    context.drawImage(canvas, 0, canvas.height - height, width, height, 0, 0, width, height);
  }

  _place(groups, poses) {
    groups.forEach((group, n) => {
      const k = n * 7;
      group.position.set(poses[k], poses[k + 1], poses[k + 2]);
      group.quaternion.set(poses[k + 4], poses[k + 5], poses[k + 6], poses[k + 3]);
    });
  }

  _build() {
    const scene = new Scene();
    scene.add(new HemisphereLight(0xffffff, 0x888888, 3));
    const sun = new DirectionalLight(0xffffff, 2.2);
    sun.position.set(-2, -4, 6);
    scene.add(sun);
    this.own = [];
    const forms = this.looks.map(({ geom }) => this._keep(formOf(geom)));
    const grown = (colourOf, opacity) => {
      const bodies = Array.from({ length: this.panel.bodies }, () => new Group());
      this.looks.forEach(({ geom, colour }, n) => {
        const clear = opacity < 1 ? { transparent: true, opacity, depthWrite: false } : {};
        const material = this._keep(new MeshLambertMaterial({ color: colourOf(geom, colour), ...clear }));
        const mesh = new Mesh(forms[n], material);
        mesh.position.set(...geom.pos);
        mesh.quaternion.set(geom.quat[1], geom.quat[2], geom.quat[3], geom.quat[0]);
        if (geom.type === "ellipsoid") mesh.scale.set(...geom.size);
        bodies[geom.body].add(mesh);
      });
      scene.add(...bodies);
      return bodies;
    };
    const standing = this.ghosts.length > 0;
    const bodies = grown((_, colour) => (standing ? STILL : colour), 1);
    const ghosts = this.ghosts.map(({ colour }) => grown((geom) => (geom.body === 0 ? STILL : colour), 0.5));
    const step = 10 ** Math.floor(Math.log10(this.reach)) * (this.reach / 10 ** Math.floor(Math.log10(this.reach)) > 4 ? 2 : 0.5);
    let grid = null;
    if (this.floor) scene.add((grid = this._grid(step)));
    return { scene, bodies, ghosts, grid, step };
  }

  _grid(step) {
    const half = (GRID / 2) * step, ends = [];
    for (let n = -GRID / 2; n <= GRID / 2; n++) {
      ends.push(-half, n * step, 0, half, n * step, 0, n * step, -half, 0, n * step, half, 0);
    }
    const geometry = this._keep(new BufferGeometry());
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(ends), 3));
    const faint = { color: STILL, transparent: true, opacity: 0.45 };
    return new LineSegments(geometry, this._keep(new LineBasicMaterial(faint)));
  }

  _keep(thing) {
    this.own.push(thing);
    return thing;
  }

  // Projections give x, y and pixels a metre there, and how far away it is.
  _perspective(width, height) {
    const v = new Vector3(), scale = height / 2 / Math.tan((FIELD / 2) * (Math.PI / 180));
    return (x, y, z) => {
      v.set(x, y, z).applyMatrix4(this.camera.matrixWorldInverse);
      const far = Math.max(-v.z, 1e-3);
      return [width / 2 + (v.x * scale) / far, height / 2 - (v.y * scale) / far, scale / far, far];
    };
  }

  _flat(width, height) {
    const up = this.panel.view === "xy" ? 1 : 2, margin = 1.12;
    const wide = this.high[0] - this.low[0], high = this.high[up] - this.low[up];
    const scale = Math.min(width / (wide * margin), height / (high * margin));
    const sign = up === 1 ? -1 : 1;
    return (x, y, z) => {
      const above = up === 1 ? y : z;
      return [
        width / 2 + (x - this.centre[0]) * scale, height / 2 - (above - this.centre[up]) * scale, scale,
        sign * (up === 1 ? z : y),
      ];
    };
  }

  _drawLines(context, width, height, project, ink) {
    if (this.floor && !this.panel.flat) this._drawFloor(context, project);
    const shapes = [];
    const standing = this.ghosts.length > 0;
    this._shapes(this.poses, project, shapes, (_, colour) => (standing ? STILL : colour), 1);
    for (const ghost of this.ghosts) this._shapes(ghost.at, project, shapes, () => ghost.colour, 0.55);
    shapes.sort((a, b) => b.far - a.far);
    context.lineCap = context.lineJoin = "round";
    for (const { points, thick, colour, far, alpha, rim } of shapes) {
      context.globalAlpha = alpha;
      context.beginPath();
      points.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
      context.fillStyle = context.strokeStyle = colour;
      if (thick) {
        if (rim) {
          context.strokeStyle = ink;
          context.lineWidth = Math.max(thick, 3) + 1.5;
          context.stroke();
          context.strokeStyle = colour;
        }
        context.lineWidth = Math.max(thick, 3);
        context.stroke();
      } else {
        context.closePath();
        context.fill();
      }
    }
    context.globalAlpha = 1;
  }

  _shapes(poses, project, shapes, colourOf, alpha) {
    for (const { geom, colour } of this.looks) {
      const placed = cornersOf(geom, poses).map((corner) => project(...corner));
      const thick = 2 * radiusOf(geom) * placed[0][2];
      const far = geom.body === 0 ? 1e9 : placed.reduce((sum, point) => sum + point[3], 0) / placed.length;
      const points = geom.type === "box" ? hull(placed) : placed;
      shapes.push({ points, thick, far, alpha, colour: colourOf(geom, colour), rim: geom.body !== 0 && !this.panel.flat });
    }
  }

  _drawFloor(context, project) {
    const step = Math.max(this.reach / 2, 0.1), [x0, y0] = this.centreNow.map((at) => Math.round(at / step) * step);
    context.strokeStyle = STILL;
    context.globalAlpha = 0.45;
    context.lineWidth = 1;
    context.beginPath();
    for (let n = -8; n <= 8; n++) {
      for (const [ax, ay, bx, by] of [[-8, n, 8, n], [n, -8, n, 8]]) {
        const [a, b] = [[ax, ay], [bx, by]].map(([x, y]) => project(x0 + x * step, y0 + y * step, this.floor.pos[2]));
        if (a[3] < 0.01 || b[3] < 0.01) continue;
        context.moveTo(a[0], a[1]);
        context.lineTo(b[0], b[1]);
      }
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  dispose() {
    this.own?.forEach((thing) => thing.dispose());
    this.world = this.own = undefined;
  }
}

// The camera as the scene wants it first: from the side, or from above.
export function firstOrbit(view) {
  return view === "xy" ? { yaw: -Math.PI / 2, pitch: 1.1, zoom: 1 } : { yaw: -Math.PI / 2 + 0.35, pitch: 0.22, zoom: 1 };
}

function formOf({ type, size }) {
  const lying = (form) => form.rotateX(Math.PI / 2); // MuJoCo's lie along z
  if (type === "capsule") return lying(new CapsuleGeometry(size[0], 2 * size[1], 5, 14));
  if (type === "cylinder") return lying(new CylinderGeometry(size[0], size[0], 2 * size[1], 20));
  if (type === "box") return new BoxGeometry(2 * size[0], 2 * size[1], 2 * size[2]);
  return new SphereGeometry(type === "ellipsoid" ? 1 : size[0], 18, 12);
}

function outline({ type, size }) {
  if (type === "capsule" || type === "cylinder") return [[0, 0, -size[1]], [0, 0, size[1]]];
  if (type !== "box") return [[0, 0, 0]];
  const signs = [-1, 1];
  return signs.flatMap((a) => signs.flatMap((b) => signs.map((c) => [a * size[0], b * size[1], c * size[2]])));
}

// Where its outline is, its body posed so.
function cornersOf(geom, poses) {
  const k = geom.body * 7, v = new Vector3();
  const q = new Quaternion(poses[k + 4], poses[k + 5], poses[k + 6], poses[k + 3]);
  const own = new Quaternion(geom.quat[1], geom.quat[2], geom.quat[3], geom.quat[0]);
  return outline(geom).map((corner) => {
    v.set(...corner).applyQuaternion(own);
    v.set(v.x + geom.pos[0], v.y + geom.pos[1], v.z + geom.pos[2]).applyQuaternion(q);
    return [v.x + poses[k], v.y + poses[k + 1], v.z + poses[k + 2]];
  });
}

// The convex hull of projected points, by Andrew's monotone chain.
function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (list) => {
    const chain = [];
    for (const p of list) {
      while (chain.length > 1) {
        const [a, b] = chain.slice(-2);
        if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        chain.pop();
      }
      chain.push(p);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}
