// One view's line to Python. A view asks for what it lacks; Python answers at once, or as soon as there is something
// new. A view that asks again only after it has drawn is never sent more than it can draw.

let count = 0;

export function openChannel(model) {
  const view = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${count++}`;
  const listeners = {};

  function receive(content, buffers) {
    if (content.type === "answer" && content.view === view) listeners[content.topic]?.(content, buffers);
  }

  function send(message) {
    try {
      model.send({ view, ...message });
    } catch {
      // The kernel is gone; the page says so, and what was drawn stays.
    }
  }

  model.on("msg:custom", receive);
  return {
    // Ask for `topic`, with what the view has already, and take so many answers; what was asked for before is forgotten.
    ask: (topic, have = {}, credit = 1) => send({ type: "ask", topic, have, credit }),
    // Take so many further answers from now on.
    more: (topic, credit) => send({ type: "more", topic, credit }),
    // Tell Python what a person did.
    tell: (topic, said = {}) => send({ type: "tell", topic, said }),
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
