// The module of every view: it fetches the bundle once a page, as a message of the kernel, and hands over to it.
const PATIENCE = 2000; // milliseconds

function load(model, hash) {
  const page = (globalThis.trpolabBundles ??= {});
  const first = !page[hash];
  const slot = (page[hash] ??= Promise.withResolvers ? Promise.withResolvers() : withResolvers());
  const ask = () => slot.module || model.send({ type: "bundle" });
  model.on("msg:custom", async function receive(content, buffers) {
    if (content.type !== "bundle" || slot.module) return;
    model.off("msg:custom", receive);
    const source = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
    slot.module ??= import(source).finally(() => URL.revokeObjectURL(source));
    slot.resolve(slot.module);
  });
  if (first) ask();
  // The view that asked first may have been closed meanwhile.
  const again = setTimeout(ask, PATIENCE);
  return slot.promise.finally(() => clearTimeout(again));
}

function withResolvers() {
  const slot = {};
  slot.promise = new Promise((resolve, reject) => Object.assign(slot, { resolve, reject }));
  return slot;
}

function say(el, text) {
  const line = el.appendChild(document.createElement("div"));
  line.className = "trpolab-web-note";
  line.setAttribute("role", "status");
  line.textContent = text;
  return line;
}

// The lab around a view whose kernel is gone: it says so, and nothing in it can be pressed.
function switchOff(lab) {
  lab.classList.add("jupyter-widgets-disconnected");
  for (const control of lab.querySelectorAll("button, select, input")) {
    if (!control.closest(".trpolab-web")) control.disabled = true;
  }
  const said = lab.querySelector(".trpolab-said [role=status]");
  if (said) said.textContent = "gone: its kernel was restarted or shut down; run the cell again";
}

export default {
  async render({ model, el }) {
    el.classList.add("trpolab-web");
    const leave = () => {
      el.classList.add("trpolab-web-gone");
      if (el.closest(".trpolab")) switchOff(el.closest(".trpolab"));
    };
    model.on("comm_live_update", leave); // the kernel was restarted
    const kernel = model.widget_manager?.kernel;
    kernel?.disposed?.connect(leave); // the kernel was shut down, of which JupyterLab tells no widget
    let cleanup, closed = false;
    const wait = setTimeout(() => say(el, "waiting for the kernel, which is at another cell; if it was restarted, run this cell again"), 2 * PATIENCE);
    load(model, model.get("bundle"))
      .then((bundle) => {
        if (closed) return;
        el.replaceChildren();
        cleanup = bundle.render(model.get("kind"), { model, el });
      })
      .catch((error) => say(el, `this view could not be drawn: ${error}`))
      .finally(() => clearTimeout(wait));
    return () => {
      closed = true;
      clearTimeout(wait);
      model.off("comm_live_update", leave);
      kernel?.disposed?.disconnect(leave);
      cleanup?.();
    };
  },
};
