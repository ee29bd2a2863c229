// What the lab hands to the person at this page: a text for the clipboard, or a file to be saved.
// Several pages may show the same lab; only the view that was touched last takes it.

const RECENT = 60_000; // milliseconds

export function renderHandOver({ channel, el }) {
  const touch = () => (globalThis.trpolabTouched = { el, at: Date.now() });
  const events = ["pointerdown", "keydown"];
  let root;
  const waiting = setTimeout(() => {
    root = el.closest(".trpolab");
    for (const name of events) root?.addEventListener(name, touch, true);
  });
  el.style.display = "none";

  channel.on("item", async ({ number, copy, name, mime }, [content]) => {
    const { el: last, at } = globalThis.trpolabTouched ?? {};
    if (last === el && Date.now() - at < RECENT) {
      if (copy === undefined) save(name, new Blob([content], { type: mime }));
      else channel.tell("copied", { ok: await toClipboard(copy) });
    }
    channel.ask("item", { number });
  });
  channel.ask("item", { number: -1 });
  return () => {
    clearTimeout(waiting);
    for (const name of events) root?.removeEventListener(name, touch, true);
  };
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not a secure address, or not allowed: the older way.
    const field = document.body.appendChild(document.createElement("textarea"));
    field.value = text;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), RECENT);
}
