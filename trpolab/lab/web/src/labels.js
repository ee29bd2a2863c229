// What Jupyter's widgets leave out for screen readers: names of sliders and groups of buttons, and which is pressed.

export function labelControls(root) {
  const label = () => {
    for (const row of root.querySelectorAll(".trpolab-row")) {
      const name = row.querySelector(".trpolab-label")?.textContent.trim();
      for (const control of row.querySelectorAll(".noUi-handle, select")) put(control, "aria-label", name);
      for (const group of row.querySelectorAll(".widget-toggle-buttons")) nameGroup(group, name);
    }
    for (const group of root.querySelectorAll(".trpolab-size")) nameGroup(group, "size of the lab");
    for (const handle of root.querySelectorAll(".trpolab-back .noUi-handle")) put(handle, "aria-label", "earlier vines");
  };
  const watch = new MutationObserver(label);
  watch.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  label();
  return () => watch.disconnect();
}

function nameGroup(group, name) {
  put(group, "role", "group");
  put(group, "aria-label", name);
  for (const button of group.querySelectorAll("button")) put(button, "aria-pressed", String(button.classList.contains("mod-active")));
}

function put(element, attribute, value) {
  if (value && element.getAttribute(attribute) !== value) element.setAttribute(attribute, value);
}
