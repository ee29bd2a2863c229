// The views of the bundle by kind. Each is `render({ channel, el, model })` and returns its cleanup.
import { openChannel } from "./channel.js";
import { renderCharts } from "./charts.js";
import { renderHandOver } from "./hand_over.js";
import { renderPlayer } from "./player.js";
import { renderStaticOutput } from "./static_output.js";
import { renderTrustRegion } from "./trust_region.js";
import sheet from "./views.css";

const KINDS = {
  charts: renderCharts,
  hand_over: renderHandOver,
  player: renderPlayer,
  static_output: renderStaticOutput,
  trust_region: renderTrustRegion,
};

document.head.appendChild(document.createElement("style")).textContent = sheet;

export function render(kind, { model, el }) {
  const channel = openChannel(model);
  const cleanup = KINDS[kind]({ channel, el, model });
  return () => {
    channel.close();
    cleanup?.();
  };
}
