// One view's line to Python. A view asks for what it lacks; Python answers at once, or as soon as there is something
// new. A view that asks again only after it has drawn is never sent more than it can draw.

const AGAIN = 2000; // milliseconds after which a first question that nobody answered is asked again, later and later
const TIMES = 5; // that it is: a page that is loaded again may lose what its views say at first

let count = 0;

export function openChannel(model) {
  const view = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}-${count++}`;
  const listeners = {}, heard = new Set(), waiting = {};

  function receive(content, buffers) {
    if (content.type !== "answer" || content.view !== view) return;
    heard.add(content.topic);
    listeners[content.topic]?.(content, buffers);
  }

  function send(message) {
    try {
      model.send({ view, ...message });
    } catch {
      // The kernel is gone; the page says so, and what was drawn stays.
    }
  }

  function ask(topic, have = {}, credit = 1, times = TIMES) {
    send({ type: "ask", topic, have, credit });
    clearTimeout(waiting[topic]);
    if (heard.has(topic) || !times) return;
    const again = () => heard.has(topic) || ask(topic, have, credit, times - 1);
    waiting[topic] = setTimeout(again, AGAIN * 2 ** (TIMES - times));
  }

  model.on("msg:custom", receive);
  return {
    // Ask for `topic`, with what the view has already, and take so many answers; what was asked for before is forgotten.
    ask: (topic, have, credit) => ask(topic, have, credit),
    // Take so many further answers from now on.
    more: (topic, credit) => send({ type: "more", topic, credit }),
    // Tell Python what a person did.
    tell: (topic, said = {}) => send({ type: "tell", topic, said }),
    // `listener(content, buffers)` is called with each answer; a buffer is a DataView.
    on(topic, listener) {
      listeners[topic] = listener;
    },
    close() {
      Object.values(waiting).forEach(clearTimeout);
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
