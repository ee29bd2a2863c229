// The player: pictures side by side on one timeline, its tracks, and the choice of policies.
import { Bodies, firstOrbit } from "./player_bodies.js";
import sheet from "./player.css";
import { decode, stepOf } from "./player_data.js";
import { Curves, Screens, cursor, drawTracks } from "./player_screens.js";
import { short } from "./text.js";

const KINDS = { bodies: Bodies, screens: Screens, curves: Curves };
const ICONS = { start: "M3 3h2v10H3zM13 3v10L6 8z", back: "M12 3v10L5 8z", on: "M4 3v10l7-5z", play: "M4 2v12l9-6z", pause: "M3 3h4v10H3zM9 3h4v10H9z" };
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const REST = 0.8; // seconds at the end, before it starts again
const LONGEST_STEP = 0.25; // seconds that may pass between two frames: after a pause of the page nothing jumps
const BUDGET = 12; // milliseconds of one frame of the page that all players may take together
const KEYS = new Set([" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown", "+", "-"]);
const TALK = 200; // milliseconds between two changes of the numbers below the pictures
const TEXT = 12; // pixels of a letter where drawn text has its usual size
const CALM = 50; // milliseconds at least between two frames in a lab, whose training needs the cores
const FRAME = 8; // milliseconds before its time at which the page's next frame is the right one
const HEAR = 1000; // milliseconds between two lists of what can be chosen, unless a person chooses

document.head.appendChild(document.createElement("style")).textContent = sheet;

// All players of the page draw in turn, those that are seen.
const seen = new Set();
let due, frame;

// Draw at the page's next frame, or at the first one after so many milliseconds.
function schedule(wait = 0) {
  if (frame || (due && wait)) return;
  clearTimeout(due);
  due = wait && setTimeout(schedule, wait);
  if (!due) frame = requestAnimationFrame(draw);
}

function draw(now) {
  frame = 0;
  const began = performance.now();
  for (const player of [...seen]) {
    if (performance.now() - began > BUDGET) break;
    if (player.advance(now)) {
      seen.delete(player); // to the end of the queue
      seen.add(player);
    }
  }
  const waits = [...seen].filter((player) => player.wants).map((player) => player.waits(now));
  if (waits.length) schedule(Math.min(...waits));
}

export function renderPlayer({ channel, el }) {
  const player = new PlayerView(channel, el);
  return () => player.close();
}

class PlayerView {
  constructor(channel, el) {
    this.channel = channel;
    this.panels = [];
    this.time = 0;
    this.speed = 1;
    this.follow = true;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.wish = { iterations: [], before: false, vine: null };
    this.dirty = true;
    this._build(el);
    this.watcher = new IntersectionObserver(([entry]) => {
      entry.isIntersecting ? seen.add(this) : seen.delete(this);
      this.last = undefined;
      this.touch();
    });
    this.watcher.observe(this.root);
    this.sizes = new ResizeObserver(() => this.touch());
    this.sizes.observe(this.root);
    // The notebook looks at keys first: those that mean something here are none of its shortcuts.
    this.overhears = (event) => {
      const own = KEYS.has(event.key) && !(event.altKey || event.ctrlKey || event.metaKey);
      if (this.root.contains(event.target)) this.root.toggleAttribute("data-lm-suppress-shortcuts", own);
    };
    addEventListener("keydown", this.overhears, true);
    channel.on("panels", (about, buffers) => this._receive(about, buffers));
    channel.on("choices", (choices) => {
      this._offer(choices);
      this.known = choices.version;
      clearTimeout(this.hears);
      this.hears = setTimeout(() => this._hear(), HEAR);
    });
    channel.ask("panels");
    channel.ask("choices");
  }

  get wants() {
    return this.dirty || (this.playing && this.panels.length > 0);
  }

  touch() {
    this.dirty = true;
    schedule();
  }

  close() {
    clearTimeout(this.hears);
    removeEventListener("keydown", this.overhears, true);
    this.watcher.disconnect();
    this.sizes.disconnect();
    seen.delete(this);
    this.panels.forEach(({ drawer }) => drawer.dispose());
    this.panels = [];
  }

  async _receive(about, buffers) {
    try {
      const decoded = await decode(about, buffers);
      this.panels.forEach(({ drawer }) => drawer.dispose());
      const key = decoded.map(({ kind, view, flat, ghosts }) => `${kind} ${view} ${flat} ${!!ghosts}`).join();
      this.panels = decoded.map((panel) => ({ panel, drawer: new KINDS[panel.kind](panel) }));
      if (key !== this.key) {
        this.orbit = firstOrbit(decoded[0].view);
        this.key = key;
        this.time = 0;
      }
      this.duration = Math.max(...decoded.map(({ duration }) => duration));
      if (this.time > this.duration) this.time = 0;
      this._lay();
      this.touch();
    } finally {
      this.channel.ask("panels", { version: about.version });
    }
  }

  // Milliseconds until it wants to draw again, but for what is left until the page's next frame.
  waits(now) {
    return this.dirty || !(now - this.last < this.rest) ? 0 : Math.max(this.last + this.rest - now - FRAME, 0);
  }

  // One step of the page's clock; true if it drew.
  advance(now) {
    if (!this.wants) {
      this.last = undefined;
      return false;
    }
    if (this.waits(now)) return false;
    if (this.playing && this.panels.length) {
      const passed = this.last === undefined ? 0 : Math.min((now - this.last) / 1000, LONGEST_STEP);
      this.time += passed * this.speed;
      if (this.time > this.duration + REST * this.speed) this.time = 0;
    }
    this.last = this.playing ? now : undefined;
    this.dirty = false;
    this._draw(now);
    return true;
  }

  _draw(now) {
    if (!(now - this.inked < 500)) {
      this.rest = this.root.closest(".trpolab") ? CALM : 0;
      const { color, fontSize } = getComputedStyle(this.root);
      this.ink = color;
      this.letter = parseFloat(fontSize) / TEXT;
      this.inked = now;
    }
    const scale = Math.min(devicePixelRatio || 1, 2);
    for (const { panel, drawer, canvas } of this.panels) {
      const [width, height] = fit(canvas, scale);
      if (!width || !height) continue;
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, width, height);
      const look = { orbit: this.orbit, follow: this.follow, ink: this.ink, scale: scale * this.letter };
      drawer.draw(context, width, height, this._frame(panel), look);
    }
    if (!this.panels.length) return;
    this._drawTracks(scale);
    const first = this.panels.at(-1).panel;
    this.drawn = (this.drawn ?? 0) + 1;
    if (now - this.talked < TALK && this.playing) return;
    this.talked = now;
    Object.assign(this.root.dataset, { frame: Math.round(this._frame(first)), drawn: this.drawn });
    this._talk(first);
  }

  _frame(panel) {
    return Math.max(0, Math.min(this.time / panel.secondsPerFrame, panel.last));
  }

  _drawTracks(scale) {
    const [width, height] = fit(this.tracks, scale), panel = this.panels.at(-1).panel;
    if (!width || !height || !panel.steps) return;
    const key = `${width} ${height} ${this.ink} ${this.letter} ${this.panels.map(({ panel }) => panel.title)}`;
    if (this.tracked !== panel || this.trackKey !== key) {
      this.tracked = panel;
      this.trackKey = key;
      this.drawnTracks = document.createElement("canvas");
      [this.drawnTracks.width, this.drawnTracks.height] = [width, height];
      const other = this.panels.length > 1 ? this.panels[0].panel : null;
      drawTracks(this.drawnTracks.getContext("2d"), width, height, panel, other, this.ink, scale * this.letter);
    }
    const context = this.tracks.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.drawImage(this.drawnTracks, 0, 0);
    cursor(context, (this._frame(panel) / Math.max(panel.last, 1)) * width, height, this.ink);
  }

  _talk(panel) {
    const frame = this._frame(panel), step = stepOf(panel, frame), at = Math.max(step - 1, 0);
    this.scrub.value = String(Math.round(frame));
    const words = [`${(frame * panel.secondsPerFrame).toFixed(2)} s`];
    if (panel.steps) {
      words.push(`step ${step.toLocaleString("en")} / ${panel.steps.toLocaleString("en")}`);
      words.push(`reward ${short(panel.rewards[at])}`);
      if (panel.kl) words.push(`KL ${short(panel.kl[at])}`);
      if (panel.actions) {
        const n = panel.actionCount;
        const taken = Array.from(panel.actions.slice(at * n, at * n + n), (part) => short(part, 2));
        words.push(`action ${taken.join(", ")}`);
      }
    }
    this.numbers.textContent = this.numbers.title = words.join(" · ");
    this.scrub.setAttribute("aria-valuetext", words.slice(0, 2).join(", "));
  }

  // Controls.

  play(on) {
    this.playing = on;
    if (on && this.time >= (this.duration ?? 0)) this.time = 0;
    this.last = undefined;
    this.toggle.replaceChildren(icon(on ? "pause" : "play"));
    this.toggle.setAttribute("aria-label", on ? "Pause" : "Play");
    this.toggle.title = on ? "Pause (space)" : "Play (space)";
    this.talked = undefined;
    this.touch();
  }

  seek(frame) {
    if (!this.panels.length) return;
    this.play(false);
    const { panel } = this.panels.at(-1);
    const ends = Math.max(...this.panels.map(({ panel: each }) => each.duration));
    this.time = Math.max(0, Math.min(frame * panel.secondsPerFrame, ends));
  }

  step(by) {
    if (this.panels.length) this.seek(Math.round(this._frame(this.panels.at(-1).panel)) + by);
  }

  _choose(changes) {
    this.wish = { ...this.wish, ...changes };
    this.channel.tell("wish", this.wish);
    this._hear();
  }

  _hear() {
    this.channel.ask("choices", { version: this.known });
  }

  _build(el) {
    const make = (tag, name, about = {}) => Object.assign(document.createElement(tag), { className: name, ...about });
    const button = (name, label, title, act) => {
      const made = make("button", "trpolab-player-button", { type: "button", title, onclick: act });
      made.append(icon(name));
      made.setAttribute("aria-label", label);
      return made;
    };
    this.make = make;
    this.root = make("div", "trpolab-player");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Rollout player");
    this.stage = make("div", "trpolab-player-stage");
    this.stage.append(make("div", "trpolab-player-empty", { textContent: "no policy has played yet" }));
    this.toggle = button("play", "Play", "", () => this.play(!this.playing));
    this.scrub = make("input", "trpolab-player-scrub", { type: "range", min: 0, max: 1, step: 1, value: 0 });
    this.scrub.setAttribute("aria-label", "Time");
    this.scrub.oninput = () => this.seek(Number(this.scrub.value));
    this.pace = make("select", "trpolab-player-speed", { title: "Speed" });
    this.pace.setAttribute("aria-label", "Speed");
    this.pace.append(...SPEEDS.map((speed) => make("option", "", { value: speed, textContent: `${speed}×`, selected: speed === 1 })));
    this.pace.onchange = () => (this.speed = Number(this.pace.value));
    this.camera = make("label", "trpolab-player-check", { title: "The camera goes with the body; drag to turn, wheel to zoom, double click for the first view" });
    const follows = make("input", "", { type: "checkbox", checked: true });
    follows.onchange = () => {
      this.follow = follows.checked;
      this.touch();
    };
    this.camera.append(follows, "follow");
    const bar = make("div", "trpolab-player-bar");
    bar.append(
      button("start", "To the start", "To the start (home)", () => this.seek(0)),
      button("back", "One frame back", "One frame back (←)", () => this.step(-1)),
      this.toggle,
      button("on", "One frame on", "One frame on (→)", () => this.step(1)),
      this.pace, this.camera,
    );
    this.tracks = make("canvas", "trpolab-player-tracks", { title: "Reward, action and KL over the episode; click to go there" });
    this.tracks.setAttribute("aria-hidden", "true"); // its numbers stand below
    this.tracks.onpointerdown = (event) => {
      const { panel } = this.panels.at(-1) ?? {};
      if (panel) this.seek(Math.round((event.offsetX / this.tracks.clientWidth) * panel.last));
    };
    this.numbers = make("div", "trpolab-player-numbers");
    this.choices = make("div", "trpolab-player-choices");
    this.line = make("div", "trpolab-player-line");
    this.line.setAttribute("role", "status");
    this.root.append(this.stage, this.scrub, this.tracks, this.numbers, bar, this.choices, this.line);
    this.root.onkeydown = (event) => this._key(event);
    el.append(this.root);
    this.play(this.playing);
  }

  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const field = event.target.closest("select, input");
    const onScrub = event.target === this.scrub;
    const acts = {
      " ": () => this.play(!this.playing),
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      Home: () => this.seek(0), End: () => this.seek(this.panels.at(-1)?.panel.last ?? 0),
    };
    const act = acts[event.key];
    if (!act || (field && !onScrub) || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // New pictures: a canvas each, what it shows above it, what was noted about it below.
  _lay() {
    const { make } = this;
    this.stage.replaceChildren();
    for (const each of this.panels) {
      const { panel } = each, figure = make("figure", "trpolab-player-figure");
      const title = make("figcaption", "trpolab-player-title");
      title.append(make("b", "", { textContent: panel.title }), ` ${panel.caption}`);
      title.title = `${panel.title} · ${panel.caption}`;
      each.canvas = make("canvas", "trpolab-player-canvas", { tabIndex: 0 });
      each.canvas.setAttribute("role", "img");
      each.canvas.setAttribute("aria-label", `${panel.title}, ${panel.caption}`);
      if (panel.kind === "bodies" && !panel.flat) this._turns(each.canvas);
      figure.append(title, each.canvas);
      if (panel.note) figure.append(make("div", "trpolab-player-note", { textContent: panel.note }));
      this.stage.append(figure);
    }
    const { panel } = this.panels.at(-1);
    this.scrub.max = String(panel.last);
    this.camera.style.display = this.panels.some(({ panel: { kind, follow, flat } }) => kind === "bodies" && follow != null && !flat) ? "" : "none";
    this.tracks.style.display = panel.steps ? "" : "none";
    this.tracks.style.height = `${1.8 * (1 + (panel.actions ? 1 : 0) + (panel.kl ? 1 : 0))}em`;
  }

  _turns(canvas) {
    canvas.style.cursor = "grab";
    canvas.style.touchAction = "none";
    canvas.onpointerdown = (event) => canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = (event) => {
      if (!event.buttons) return;
      this.orbit.yaw -= event.movementX * 0.01;
      this.orbit.pitch = Math.max(-0.1, Math.min(1.55, this.orbit.pitch + event.movementY * 0.01));
      this.touch();
    };
    canvas.ondblclick = () => {
      this.orbit = firstOrbit(this.panels[0].panel.view);
      this.touch();
    };
    // The page goes on scrolling unless the player was clicked, or control is held.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      this._zoom(Math.exp(event.deltaY * 0.001));
    }, { passive: false });
    canvas.onkeydown = (event) => {
      const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
      if (event.key === "+" || event.key === "-") this._zoom(event.key === "+" ? 0.9 : 1.1);
      else if (event.shiftKey && turns[event.key]) {
        const [yaw, pitch] = turns[event.key];
        this.orbit.yaw += yaw;
        this.orbit.pitch = Math.max(-0.1, Math.min(1.55, this.orbit.pitch + pitch));
        this.touch();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    };
  }

  _zoom(by) {
    this.orbit.zoom = Math.max(0.15, Math.min(8, this.orbit.zoom * by));
    this.touch();
  }

  // The choice of policies, drawn anew where what there is has changed; a slider that is held stays as it is.
  _offer({ runs, states, wish, doing, trouble }) {
    this.line.textContent = trouble || doing;
    this.line.classList.toggle("trpolab-player-trouble", Boolean(trouble));
    this.wish = wish;
    const shape = `${runs.map(({ name, iterations }) => `${name} ${iterations.length > 1}`)} ${states > 0}`;
    if (shape !== this.shape) {
      this.shape = shape;
      this.choices.replaceChildren();
      this.sliders = runs.map((run, place) => (run.iterations.length > 1 ? this._iterations(run, place, runs.length) : null));
      this.before = runs.length === 1 && runs[0].iterations.length > 1 && this._switch(
        "before | after", "The policy kept before it at its side", () => this._choose({ before: !this.wish.before, vine: null }),
      );
      this.vine = states > 0 && this._switch(
        "vine", "The branches of one state of the newest vine, all at once; orange is better, blue worse",
        () => this._choose({ vine: this.wish.vine == null ? 0 : null }),
      );
      this.state = states > 0 && this._slider("Branching state of the vine", () => this._choose({ vine: Number(this.state.value) }));
    }
    this.sliders.forEach((slider, place) => slider?.update(runs[place].iterations, wish.iterations[place]));
    if (this.before) this.before.setAttribute("aria-pressed", String(wish.before));
    if (this.vine) {
      this.vine.setAttribute("aria-pressed", String(wish.vine != null));
      this.state.style.display = wish.vine == null ? "none" : "";
      this.state.max = String(states - 1);
      if (wish.vine != null && document.activeElement !== this.state) this.state.value = String(wish.vine);
    }
  }

  _switch(text, title, act) {
    const made = this.make("button", "trpolab-player-switch", { type: "button", textContent: text, title, onclick: act });
    this.choices.append(made);
    return made;
  }

  _slider(label, act) {
    const made = this.make("input", "trpolab-player-slider", { type: "range", min: 0, step: 1, title: label });
    made.setAttribute("aria-label", label);
    made.onchange = act;
    this.choices.append(made);
    return made;
  }

  _iterations(run, place, count) {
    const { make } = this, row = make("label", "trpolab-player-iterations");
    const words = make("span", "");
    let kept = run.iterations, held = false;
    const slider = this._slider(`Iteration${count > 1 ? ` of ${run.name}` : ""}; at the right end the newest`, () => {
      held = false;
      const at = Number(slider.value), iterations = [...this.wish.iterations];
      iterations[place] = at >= kept.length - 1 ? null : kept[at];
      this._choose({ iterations, vine: null });
    });
    const say = () => {
      const at = Number(slider.value), newest = at >= kept.length - 1;
      words.textContent = newest ? `iteration: newest (${kept.at(-1).toLocaleString("en")})` : `iteration ${kept[at].toLocaleString("en")}`;
      slider.setAttribute("aria-valuetext", words.textContent);
    };
    slider.oninput = () => {
      held = true;
      say();
    };
    row.append(count > 1 ? `${run.name} ` : "", slider, words);
    this.choices.append(row);
    return {
      update(iterations, wished) {
        if (held) return;
        kept = iterations;
        slider.max = String(kept.length - 1);
        const at = wished == null ? kept.length - 1 : kept.findLastIndex((each) => each <= wished);
        slider.value = String(Math.max(at, 0));
        say();
      },
    };
  }
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = svg.appendChild(document.createElementNS(svg.namespaceURI, "path"));
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  path.setAttribute("fill", "currentColor");
  return svg;
}

// A canvas as large as it is shown, in the screen's own pixels.
function fit(canvas, scale) {
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return [width, height];
}
