// The list of turned knobs: what the numbers above the charts mean.
import { element } from "./text.js";

// `chosen(iteration)` is called for an entry that was pressed.
export function marksList(chosen) {
  const box = element("div", "trpolab-marks");
  element("span", "trpolab-marks-title", "Knobs turned", box);
  const list = element("ol", "", "", box);
  const empty = element("span", "trpolab-marks-none", "none yet: each gets a number in the charts", box);
  return {
    element: box,
    clear() {
      list.replaceChildren();
      empty.hidden = false;
    },
    add(marks) {
      for (const { at, text } of marks) {
        const item = element("li", "", "", list);
        const button = element("button", "", `${list.children.length}: ${text} at ${at.toLocaleString("en")}`, item);
        button.title = "show the values at this iteration";
        button.addEventListener("click", () => chosen(at));
      }
      if (!marks.length) return;
      empty.hidden = true;
      list.scrollLeft = list.scrollWidth;
    },
  };
}
