// One view's line to Python. A view asks for what it lacks; Python answers at once, or as soon as there is something
// new. A view that asks again only after it has drawn is never sent more than it can draw.

let count = 0;

export function openChannel(model) {
  const view = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${count++}`;
  const listeners = {};

  function receive(content, buffers) {
    if (content.type === "answer" && content.view === view) listeners[content.topic]?.(content, buffers);
  }

  model.on("msg:custom", receive);
  return {
    // Ask for `topic`, with what the view has already; an answer that is still owed replaces the one asked for before.
    ask(topic, have = {}) {
      try {
        model.send({ type: "ask", view, topic, have });
      } catch {
        // The kernel is gone; the page says so, and what was drawn stays.
      }
    },
    // Tell Python what a person did.
    tell(topic, said = {}) {
      try {
        model.send({ type: "tell", view, topic, said });
      } catch {
        // As above.
      }
    },
    // `listener(content, buffers)` is called with each answer; a buffer is a DataView.
    on(topic, listener) {
      listeners[topic] = listener;
    },
    close() {
      model.off("msg:custom", receive);
    },
  };
}

// A buffer's numbers; a copy where they don't lie on a multiple of their size.
export function floats(buffer) {
  const { byteOffset, byteLength } = buffer;
  if (byteOffset % 4 === 0) return new Float32Array(buffer.buffer, byteOffset, byteLength / 4);
  return new Float32Array(buffer.buffer.slice(byteOffset, byteOffset + byteLength));
}
