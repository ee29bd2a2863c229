"""The table of run folders with controls, as `trpolab.runs()` shows it: sort, label, open, compare, delete."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ipywidgets as w

from trpolab.lab.cells import current_shell
from trpolab.lab.compare import compare
from trpolab.lab.lab import Lab
from trpolab.lab.style import CSS
from trpolab.lab.watch import Watch
from trpolab.runs.browser import COLUMNS, RunEntry, Runs
from trpolab.runs.reader import ALIVE
from trpolab.settings import PlainError

ROWS = (4, 14)  # of the list that are seen at once, at least and at most
SHOWN = ("name", "label", "task", "state", "iterations", "score", "method", "seed", "parent")
BUTTONS = {
    "open": ("Open", "Show the run: go on with it, or watch it while another process trains it"),
    "compare": ("Compare", "Lay the chosen runs over each other"),
    "label": ("Label", "Give the run the label in the field at the left"),
    "delete": ("Delete", "Delete the run's folder; asks first"),
    "confirm": ("Delete for good", "There is no way back"),
    "reload": ("Look again", "Read the folder once more"),
}


def show(runs: Runs) -> None:
    """Display the table with its controls, and the table alone for the file. Without a kernel NotImplementedError."""
    if current_shell() is None:
        raise NotImplementedError
    from IPython.display import display

    stays = f"<div class='trpolab-stays'>{runs._repr_html_()}</div>"
    display({"text/plain": repr(runs), "text/html": stays}, raw=True)
    display(RunBrowser(runs).widget)


class RunBrowser:
    """A list of runs, of which one or several are chosen, and what can be done with them. All of a run is text."""

    def __init__(self, runs: Runs):
        self.runs = runs
        self.list = w.SelectMultiple().add_class("trpolab-runs")
        self.head = w.HTML().add_class("trpolab-runs-head")
        self.by = w.Dropdown(options=COLUMNS, value="name", description="sort by")
        self.down = w.ToggleButton(value=True, description="largest first")
        self.text = w.Text(placeholder="a label", continuous_update=False)
        self.buttons = {name: self._button(name, *about) for name, about in BUTTONS.items()}
        self.said = w.HTML()
        self.below = w.VBox()
        self._to_delete: RunEntry | None = None
        self._opened: Lab | Watch | None = None
        self.by.observe(lambda _: self.fill(), "value")
        self.down.observe(lambda _: self.fill(), "value")
        sort = w.HBox([self.by, self.down, self.buttons["reload"]])
        acts = w.HBox([self.buttons[name] for name in ("open", "compare")])
        acts.children += (self.text, *(self.buttons[name] for name in ("label", "delete", "confirm")))
        for row in (sort, acts):
            row.add_class("trpolab-foot")
        table = w.VBox([self.head, self.list]).add_class("trpolab-runs-list")
        parts = [w.HTML(CSS), sort, table, acts, self.said, self.below]
        self.widget = w.VBox(parts).add_class("trpolab").add_class("trpolab-runs-page")
        self.fill()

    def fill(self) -> None:
        """List the runs in the order asked for; those chosen stay chosen."""
        chosen = {self._shown[place].path for place in self.list.index} if self.list.index else set()
        self.runs = self.runs.sort(self.by.value, descending=self.down.value)
        self._shown: Sequence[RunEntry] = list(self.runs)
        head, *lines = self.runs.lines(SHOWN)
        self.list.index = ()
        self.list.rows = min(max(len(lines), ROWS[0]), ROWS[1])
        self.list.options = [(line, place) for place, line in enumerate(lines)]
        self.list.index = tuple(place for place, run in enumerate(self._shown) if run.path in chosen)
        self.head.value = f"<pre>{html.escape(head)}</pre>"
        self.buttons["confirm"].layout.display = "none"
        self.say("\n".join(self.runs.broken) or ("" if lines else f"there is no run in {self.runs.folder}"))

    def say(self, text: str) -> None:
        """A line under the buttons."""
        self.said.value = f"<div role='status'>{html.escape(text)}</div>" if text else ""

    def press(self, name: str) -> None:
        """A button. What can't be done is said in a sentence."""
        if name != "confirm":
            self.buttons["confirm"].layout.display = "none"
        acts: dict[str, Callable[[], None]] = {
            **{"open": self._open, "compare": self._compare, "label": self._label, "delete": self._delete},
            **{"confirm": self._confirm, "reload": self._reload},
        }
        try:
            self.say("")
            acts[name]()
        except (PlainError, OSError) as error:
            self.say(str(error))

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close(keep_view=False)
            self._opened = None

    def _chosen(self) -> list[RunEntry]:
        if not self.list.index:
            raise PlainError("choose a run in the list first (several with Ctrl or Shift)")
        return [self._shown[place] for place in self.list.index]

    def _one(self) -> RunEntry:
        chosen = self._chosen()
        if len(chosen) > 1:
            raise PlainError(f"choose a single run for that; {len(chosen)} are chosen")
        return chosen[0]

    def _open(self) -> None:
        run = self._one()
        try:
            opened: Lab | Watch = Watch(run.path) if run.state in ALIVE else Lab(resume=run.path)
        except PlainError as error:  # it is shown all the same
            opened = Watch(run.path)
            self.say(str(error))
        self.close()
        self._opened = opened
        self.below.children = (opened.view.page.widget,)

    def _compare(self) -> None:
        found = compare(self._chosen())
        out = w.Output()
        out.outputs = tuple({"output_type": "display_data", "data": data, "metadata": {}} for data in found.bundles())
        self.close()
        self.below.children = (out,)

    def _label(self) -> None:
        run = self._one()
        self.runs.label(list(self.runs).index(run), self.text.value)
        self.fill()

    def _delete(self) -> None:
        self._to_delete = self._one()
        what = self.runs.delete(list(self.runs).index(self._to_delete))
        self.say(what.partition(" is kept")[0] + ": delete it for good?")
        self.buttons["confirm"].layout.display = None

    def _confirm(self) -> None:
        run, self._to_delete = self._to_delete, None
        if run is not None:
            told = self.runs.delete(list(self.runs).index(run), confirm=run.name)
            self.fill()
            self.say(told)

    def _reload(self) -> None:
        self.runs = Runs(self.runs.folder)
        self.fill()

    def _button(self, name: str, text: str, tip: str) -> w.Button:
        button = w.Button(description=text, tooltip=tip)
        button.on_click(lambda _: self.press(name))
        return button
