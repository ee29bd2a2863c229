"""The lab's style sheet. Colours come from JupyterLab's theme variables, with fallbacks for other front ends."""

from __future__ import annotations

from trpolab.lab.charts import HEIGHT, ROW_HEIGHTS

_ROWS = " ".join(f"{height}px" for height in ROW_HEIGHTS)
_STRUCK = ", ".join(f".trpolab .trpolab-no-{place} button:nth-child({place})" for place in range(1, 6))

CSS = f"""<style>
.trpolab {{
  --ink: var(--jp-ui-font-color1, #1f1f1f); --dim: var(--jp-ui-font-color2, #6b6b6b);
  --paper: var(--jp-layout-color1, #fff);
  --card: color-mix(in srgb, var(--jp-ui-font-color1, #1f1f1f) 3.5%, transparent);
  --edge: color-mix(in srgb, var(--jp-ui-font-color1, #1f1f1f) 15%, transparent);
  --blue: #0072B2; --green: #009E73; --orange: #E69F00; --vermilion: #D55E00;
  color: var(--ink); font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; line-height: 1.35;
  width: 100%; max-width: 1500px; padding: 2px; overflow: visible; container-type: inline-size;
}}
.trpolab .widget-html, .trpolab .widget-html-content, .trpolab .jupyter-widgets {{
  color: var(--ink); margin: 0; line-height: 1.35;
}}
.trpolab .widget-html-content {{ height: auto; width: 100%; font-size: inherit; }}
.trpolab .widget-html {{ height: auto; overflow: visible; }}

.trpolab .trpolab-head {{
  display: flex; flex-flow: row wrap; align-items: center; justify-content: space-between; gap: 6px 14px;
  padding: 0 4px 8px 4px; overflow: visible;
}}
.trpolab-status {{ display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; }}
.trpolab-status b {{ font-size: 17px; font-weight: 650; }}
.trpolab-pill {{ border-radius: 11px; padding: 2px 11px; color: #fff; background: #6f6f6f; font-weight: 600; }}
.trpolab-pill.running {{ background: #007a59; }}
.trpolab-pill.waiting, .trpolab-pill.pausing, .trpolab-pill.paused, .trpolab-pill.stopping {{ background: #9a6700; }}
.trpolab-pill.finished {{ background: #0067a1; }}
.trpolab-pill.error {{ background: #b94a00; }}
.trpolab-numbers {{ font-variant-numeric: tabular-nums; color: var(--ink); }}
.trpolab .trpolab-buttons {{ display: flex; flex-flow: row nowrap; gap: 6px; overflow: visible; }}
.trpolab .trpolab-buttons button, .trpolab .trpolab-foot button {{
  width: auto; min-width: 76px; height: 28px; line-height: 26px; margin: 0; border-radius: 5px; padding: 0 10px;
  color: var(--ink); background: var(--card); border: 1px solid var(--edge); font-size: 13px; box-shadow: none;
}}
.trpolab .trpolab-buttons button:hover:enabled, .trpolab .trpolab-foot button:hover:enabled {{
  border-color: var(--blue); box-shadow: none;
}}
.trpolab .trpolab-buttons button:focus-visible, .trpolab .trpolab-foot button:focus-visible {{
  outline: 2px solid var(--blue);
}}
.trpolab .trpolab-buttons button:disabled {{ opacity: .42; }}
.trpolab .trpolab-buttons button.trpolab-run:enabled {{ background: #007a59; border-color: #007a59; color: #fff; }}

.trpolab .trpolab-body {{ display: flex; flex-flow: row wrap; gap: 8px; align-items: stretch; overflow: visible; }}
.trpolab .trpolab-controls {{
  flex: 1 1 285px; max-width: 292px; min-width: 262px; display: flex; flex-flow: column; gap: 8px; overflow: visible;
}}
.trpolab .trpolab-card {{
  background: var(--card); border: 1px solid var(--edge); border-radius: 7px; padding: 7px 10px 6px 10px;
  overflow: visible;
}}
.trpolab .trpolab-heading {{ font-weight: 650; font-size: 13px; padding-bottom: 3px; }}
.trpolab .trpolab-row {{
  display: grid; grid-template-columns: 98px minmax(0, 1fr); grid-template-rows: 22px 11px; align-items: center;
  width: 100%; overflow: visible;
}}
.trpolab .trpolab-label {{ color: var(--dim); font-size: 12.5px; white-space: nowrap; }}
.trpolab .trpolab-label .widget-html-content, .trpolab .trpolab-label span {{ color: var(--dim); }}
.trpolab .trpolab-hint {{
  grid-column: 2; font-size: 10.5px; line-height: 11px; white-space: nowrap; align-self: start; min-height: 11px;
}}
.trpolab .trpolab-hint .widget-html-content {{ line-height: 11px; }}
.trpolab-pending {{ color: color-mix(in srgb, var(--orange) 72%, var(--jp-ui-font-color0, #000)); font-weight: 600; }}
.trpolab-applied {{ color: var(--dim); }}
.trpolab .trpolab-off .trpolab-label span {{ opacity: .5; text-decoration: line-through; }}
.trpolab .trpolab-off .trpolab-input {{ opacity: .45; }}
.trpolab .trpolab-input {{ height: 22px; margin: 0; min-width: 0; }}
.trpolab .trpolab-input .widget-readout {{
  color: var(--ink); min-width: 50px; width: 50px; height: 20px; line-height: 20px; margin: 0 0 0 6px; padding: 0 2px;
  text-align: right; font-size: 12.5px; font-variant-numeric: tabular-nums; overflow: hidden; white-space: nowrap;
}}
.trpolab .trpolab-input .slider-container {{ margin: 0 0 0 7px; height: 22px; overflow: visible; }}
.trpolab .trpolab-input .noUi-target {{
  background: color-mix(in srgb, var(--ink) 22%, transparent); border: none; border-radius: 2px; height: 4px;
  margin-top: 9px; width: 100%;
}}
.trpolab .trpolab-input .noUi-connect {{ background: var(--blue); }}
.trpolab .trpolab-input .noUi-handle {{
  width: 14px; height: 14px; top: -5px; right: -7px; border-radius: 50%; background: var(--blue);
  border: 2px solid var(--paper); box-shadow: 0 0 0 1px var(--blue); cursor: grab;
}}
.trpolab .trpolab-input .noUi-handle:focus-visible {{ outline: 2px solid var(--orange); outline-offset: 2px; }}
.trpolab .trpolab-input .widget-toggle-buttons, .trpolab .trpolab-input.widget-toggle-buttons {{ overflow: visible; }}
.trpolab .trpolab-input .widget-toggle-button {{
  width: auto; min-width: 34px; height: 21px; line-height: 19px; margin: 0; padding: 0 7px; font-size: 11.5px;
  color: var(--ink); background: transparent; border: 1px solid var(--edge); box-shadow: none; border-radius: 0;
}}
.trpolab .trpolab-input .widget-toggle-button.mod-active {{
  background: var(--blue); border-color: var(--blue); color: #fff; box-shadow: none;
}}
.trpolab .trpolab-input.widget-dropdown > select {{
  height: 22px; padding: 0 22px 0 7px; font-size: 12px; color: var(--ink); background-color: var(--card);
  border: 1px solid var(--edge); border-radius: 3px;
}}
.trpolab .trpolab-input.widget-dropdown > select > option {{ color: var(--ink); background: var(--paper); }}
.trpolab .trpolab-input.widget-toggle-buttons > div {{ margin: 0; padding: 0; height: 21px; white-space: nowrap; }}
.trpolab .trpolab-input.widget-toggle-buttons {{ align-items: center; line-height: 21px; }}
[data-jp-theme-light="false"] .trpolab .trpolab-figure path[style*="rgb(0, 114, 178)"],
[data-jp-theme-light="false"] .trpolab-legend line[stroke="#0072B2"] {{ stroke: #3d9be0 !important; }}
{_STRUCK} {{ text-decoration: line-through; opacity: .5; }}
.trpolab .trpolab-wide {{ grid-template-columns: 1fr; grid-template-rows: 19px 22px 11px; }}
.trpolab .trpolab-wide .trpolab-hint {{ grid-column: 1; }}
.trpolab .trpolab-cost {{ color: var(--dim); font-size: 11px; }}
.trpolab .trpolab-cost .widget-html-content {{ color: var(--dim); }}
.trpolab-fixed {{ font-size: 12px; cursor: help; }}
.trpolab-fixed div {{ display: flex; justify-content: space-between; color: var(--dim); line-height: 17px; }}
.trpolab-fixed b {{ font-weight: 500; }}
.trpolab-problem div[role=alert] {{
  border: 1px solid var(--vermilion); border-left-width: 4px; border-radius: 5px; padding: 5px 8px; font-size: 12px;
  white-space: pre-wrap; background: color-mix(in srgb, var(--vermilion) 9%, transparent);
}}

.trpolab .trpolab-scroll {{ flex: 1000 1 600px; min-width: 0; overflow-x: auto; overflow-y: hidden; }}
.trpolab .trpolab-grid {{
  display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); grid-template-rows: {_ROWS};
  min-width: 600px; width: 100%; height: {HEIGHT}px; overflow: visible;
}}
.trpolab .trpolab-chart {{
  margin: 0 4px 8px 4px; background: var(--card); border: 1px solid var(--edge); border-radius: 7px;
  padding: 5px 9px; overflow: hidden;
}}
.trpolab-chart .trpolab-title {{
  display: flex; justify-content: space-between; align-items: baseline; gap: 8px; white-space: nowrap; font-size: 12px;
}}
.trpolab-title b {{ font-weight: 650; font-size: 12.5px; }}
.trpolab-legend {{ display: flex; gap: 9px; color: var(--dim); font-size: 11px; overflow: hidden; }}
.trpolab-legend svg {{ vertical-align: middle; margin-right: 3px; }}
.trpolab .trpolab-figure {{ grid-area: 1 / 1 / 4 / 4; z-index: 1; min-width: 0; overflow: visible; }}
.trpolab .trpolab-figure .xtick text, .trpolab .trpolab-figure .ytick text,
.trpolab .trpolab-figure .x2tick text, .trpolab .trpolab-figure .annotation-text {{ fill: var(--dim) !important; }}
.trpolab .trpolab-rollout {{ grid-area: 3 / 1 / 4 / 3; z-index: 2; display: flex; flex-flow: column; }}
.trpolab .trpolab-rollout img {{ width: 100%; height: auto; max-height: 262px; object-fit: contain; margin: 0; }}
.trpolab .trpolab-rollout .widget-image {{ width: 100%; max-width: none; height: auto; margin: auto 0 0 0; }}
.trpolab .trpolab-rollout .widget-image.trpolab-game {{
  aspect-ratio: 4 / 3; width: min(336px, 100% - 10px); height: auto; margin: auto; object-fit: fill; flex: none;
  image-rendering: pixelated; box-shadow: 0 0 0 5px #17171b; border-radius: 1px;
}}
.trpolab .trpolab-back {{ width: auto; height: 14px; margin: 0 8px; flex: none; }}
.trpolab .trpolab-empty {{ color: var(--dim); margin: auto; }}

.trpolab .trpolab-foot {{
  display: flex; flex-flow: row wrap; gap: 6px 12px; align-items: center; padding: 2px 4px 0 4px; overflow: visible;
}}
.trpolab-where {{ color: var(--dim); font-size: 12px; }}
.trpolab-where code {{ color: var(--ink); background: transparent; font-size: 11.5px; user-select: all; }}
.trpolab-code pre {{
  user-select: all; background: var(--card); border: 1px solid var(--edge); border-radius: 5px; padding: 7px 10px;
  margin: 6px 4px 2px 4px; white-space: pre-wrap; color: var(--ink); font-size: 12px;
  font-family: var(--jp-code-font-family, monospace);
}}
.trpolab-error details {{
  border: 1px solid var(--vermilion); border-left-width: 4px; border-radius: 5px; padding: 7px 10px;
  margin: 0 4px 8px 4px;
}}
.trpolab-error summary {{ cursor: pointer; font-weight: 600; }}
.trpolab-error pre {{ display: flex; flex-direction: column-reverse;
  max-height: 220px; overflow: auto; white-space: pre-wrap; font-size: 11.5px; margin: 6px 0 0 0;
  color: var(--ink); background: none;
}}

@container (max-width: 900px) {{
  .trpolab .trpolab-controls {{ max-width: none; flex: 1 1 100%; display: grid;
    grid-template-columns: repeat(auto-fill, minmax(262px, 1fr)); align-items: start; }}
  .trpolab .trpolab-controls > .trpolab-problem {{ grid-column: 1 / -1; }}
  .trpolab .trpolab-scroll {{ flex-basis: 100%; }}
}}
</style>"""
