"""Pictures with knobs: turned from Python as a browser would, looked at as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import ipywidgets as w
import numpy as np
import pytest

from trpolab.lab.pictures import explorer as inside
from trpolab.lab.pictures.explorer import INK, choice, explore, knob, panels, slider, to_svg
from trpolab.training.config import settings


def draw_line(**values: Any) -> tuple[Any, dict[str, Any]]:
    """A straight line, and the knobs' values as its numbers."""
    figure, (left,) = panels("A line")
    left.plot([0, 1], [0, 1], color=INK, label="line")
    inside.legend(left)
    return figure, values


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> str:
    return " ".join("".join(element.itertext()) for element in parsed(svg).iter() if element.tag.endswith("}text"))


class TestKnobs:
    def test_of_a_setting_starts_at_its_default(self) -> None:
        about, value = knob("damping")
        assert (about, value) == (settings()["damping"], settings()["damping"].default)

    def test_of_a_setting_may_reach_further(self) -> None:
        about, value = knob("delta", 0.5, high=1)
        assert about.shown == (settings()["delta"].shown[0], 1)
        assert value == 0.5

    def test_of_an_unknown_setting_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="dleta"):
            knob("dleta")

    def test_whole_numbers_give_a_whole_slider(self) -> None:
        made = explore(draw_line, slider("column", 0, 7, 3, "which column"))
        widget = made.knobs["column"].widget
        assert isinstance(widget, w.IntSlider)
        assert (widget.min, widget.value, widget.max) == (0, 3, 7)

    def test_a_logarithmic_slider_keeps_its_range(self) -> None:
        made = explore(draw_line, slider("distance", 0.05, 20.0, 0.5, "how far", log=True))
        widget = made.knobs["distance"].widget
        assert isinstance(widget, w.FloatLogSlider)
        assert (10**widget.min, 10**widget.max) == pytest.approx((0.05, 20))
        assert made.knobs["distance"].value == 0.5

    def test_sliders_speak_when_they_are_let_go(self) -> None:
        """Every position on the way would be drawn otherwise."""
        made = explore(draw_line, slider("a", 0, 7, 3, ""), slider("b", 0.1, 1.0, 0.5, "", log=True), knob("damping"))
        assert not any(knob.widget.continuous_update for knob in made.knobs.values())

    def test_a_choice_starts_at_the_first(self) -> None:
        made = explore(draw_line, choice("direction", ["gradient", "random"], "where to"))
        assert made.knobs["direction"].value == "gradient"


class TestExplorer:
    def test_the_function_gets_every_knob_by_name(self) -> None:
        seen = []

        def draw(**values: Any) -> Any:
            seen.append(values)
            return draw_line(**values)

        made = explore(draw, knob("delta", 0.05), slider("column", 0, 7, 3, ""), choice("kind", ["a", "b"], ""))
        made.knobs["column"].widget.value = 5  # as a browser does
        assert seen == [{"delta": 0.05, "column": 3, "kind": "a"}, {"delta": 0.05, "column": 5, "kind": "a"}]

    def test_one_picture_changes_in_place(self) -> None:
        made = explore(draw_line, slider("column", 0, 7, 3, ""))
        children, before = made.children, made.picture.value
        made.turn("column", 4)
        assert made.children == children
        assert "column: 4" in made.picture.value
        assert "column: 3" in before

    def test_numbers_are_shown_and_told(self) -> None:
        made = explore(lambda: (draw_line()[0], {"‖g‖ <&>": 0.123456, "accepted": True, "tries": 12345}))
        assert "<span>‖g‖ &lt;&amp;&gt;</span><b>0.1235</b>" in made.numbers.value
        assert "<b>yes</b>" in made.numbers.value
        assert "<b>12,345</b>" in made.numbers.value
        assert 'aria-label="‖g‖ &lt;&amp;&gt;: 0.1235; accepted: yes; tries: 12,345"' in made.picture.value

    def test_an_error_stands_in_the_place_of_the_picture_and_is_raised(self) -> None:
        def draw(column: int) -> Any:
            if column == 4:
                raise ValueError("no column <4>")
            return draw_line(column=column)

        made = explore(draw, slider("column", 0, 7, 3, ""))
        with pytest.raises(ValueError, match="no column"):
            made.turn("column", 4)
        assert "ValueError: no column &lt;4&gt;" in made.picture.value
        made.turn("column", 5)
        assert "<svg" in made.picture.value

    def test_what_is_wrong_at_the_start_is_raised(self) -> None:
        with pytest.raises(ZeroDivisionError):
            explore(lambda: 1 / 0)


class TestSvg:
    def test_it_is_well_formed_and_small(self) -> None:
        svg = to_svg(draw_line()[0], 'a "line" & more')
        assert parsed(svg).get("aria-label") == 'a "line" & more'
        assert parsed(svg).get("role") == "img"
        assert len(svg) < 40_000

    def test_ink_becomes_the_colour_of_text(self) -> None:
        svg = to_svg(draw_line()[0])
        assert INK not in svg
        assert "stroke: currentColor" in svg
        assert "fill: currentColor" in svg

    def test_no_ground_is_painted(self) -> None:
        svg = to_svg(draw_line()[0])
        assert "#ffffff" not in svg
        assert "black" not in svg

    def test_nothing_in_it_styles_the_page(self) -> None:
        """matplotlib's own SVG says `*{stroke-linejoin: round}`, which inside a page is a rule for the page."""
        svg = to_svg(draw_line()[0])
        assert "<style" not in svg
        assert "<script" not in svg
        assert parsed(svg).get("stroke-linejoin") == "round"

    def test_text_stays_text_in_the_fonts_of_the_page(self) -> None:
        svg = to_svg(draw_line()[0])
        assert "A line" in texts(svg)
        assert "DejaVu" not in svg
        assert "--jp-ui-font-family" in svg

    def test_clips_of_two_pictures_do_not_clash(self) -> None:
        """Ids are the page's: the first picture's clip would cut the second one's lines."""

        def clips(width: float) -> set[str]:
            figure, (ax, _) = panels("one", "two", widths=(width, 1))
            ax.plot([0, 1], [0, 1])
            return {e.get("id") for e in parsed(to_svg(figure)).iter() if e.tag.endswith("}clipPath")}

        assert clips(1) and not clips(1) & clips(2)

    def test_points_drawn_rasterized_are_one_image(self) -> None:
        figure, (ax,) = panels("many")
        ax.scatter(*np.random.default_rng(0).random((2, 5000)), rasterized=True)
        assert len(to_svg(figure)) < 400_000


class TestHelpers:
    def test_log_ticks_are_powers_in_plain_text(self) -> None:
        figure, (ax,) = panels("log")
        ax.plot([1, 2], [1e-4, 10])
        inside.log_scale(ax, "y")
        assert {"10⁻⁴", "10⁻¹"} <= set(texts(to_svg(figure)).split())

    def test_signed_image_tells_sign_by_hue_and_size_by_opacity(self) -> None:
        image = inside.signed_image(np.array([[4.0, -4.0, 0.0, 0.04]]))
        above, below, nothing, little = image[0]
        assert above[3] == below[3] == 1
        assert above[0] > above[2] and below[2] > below[0]  # orange and blue
        assert nothing[3] == 0
        assert 0.1 < little[3] < 0.5

    def test_signed_image_of_zeros_is_transparent(self) -> None:
        assert not inside.signed_image(np.zeros((2, 3)))[..., 3].any()

    def test_cosine(self) -> None:
        assert inside.cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(np.sqrt(0.5))
        assert inside.cosine(np.array([1.0, 2.0]), np.array([-2.0, -4.0])) == pytest.approx(-1)
