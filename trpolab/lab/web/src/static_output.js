// Keeps the static outputs beside a lab up to date in the notebook's cells. The kernel's own updates of an output reach
// only the page that ran the cell; a page that was loaded again takes them from here.

export function renderStaticOutput({ channel, el, model }) {
  el.style.display = "none";
  const cells = model.widget_manager?.context?.model?.cells; // as JupyterLab and Jupyter Notebook have it
  if (!cells) return;
  channel.on("newest", ({ number, outputs }) => {
    const older = [...places(cells, outputs)].filter(({ has }) => has < number).map(({ has }) => has);
    if (older.length) channel.ask("outputs", { number: Math.min(...older) });
    channel.ask("newest", { number });
  });
  channel.on("outputs", ({ number, outputs }) => {
    const news = new Map(outputs.map((output) => [output.metadata.trpolab.output, output]));
    for (const { list, index, name, has } of [...places(cells, [...news.keys()])]) {
      if (has < number) list.set(index, { output_type: "display_data", ...news.get(name) });
    }
  });
  channel.ask("newest");
}

// Where outputs of these names stand, and the number of what each of them has.
function* places(cells, names) {
  for (const { outputs: list } of cells) {
    for (let index = 0; index < (list?.length ?? 0); index++) {
      const { output: name, number: has } = list.get(index).metadata.trpolab ?? {};
      if (names.includes(name)) yield { list, index, name, has };
    }
  }
}
