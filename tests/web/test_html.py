from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from voxlate.web.html import Html, join, tag


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(alphabet="<>&\"'ab= /", max_size=20))
def test_any_text_is_escaped_and_read_back_unchanged(text: str) -> None:
    reader = Reader()
    reader.feed(tag("p", text, title=text))
    reader.close()
    assert [name for name, _ in reader.tags] == ["p"]
    assert reader.tags[0][1]["title"] == text
    assert reader.text == text


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a < b")) == "<p><b>a &lt; b</b></p>"


def test_lists_keep_their_order_and_none_gives_no_text() -> None:
    assert join(["a", None, [Html("<br>"), 3]]) == "a<br>3"


def test_an_attribute_can_be_bare_absent_or_hyphenated() -> None:
    assert tag("td", class_="num", data_value=1.5, hidden=True, title=None) == (
        '<td class="num" data-value="1.5" hidden></td>'
    )
