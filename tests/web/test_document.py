"""Documents: the frame that all reports share."""

import base64
import hashlib
import re

from voxlate.web.document import WARNING, Section, document, header
from voxlate.web.html import tag

PARTS = [Section("one", "First", tag("p", "text")), Section("two", "Second", None), Section("three", "Third", "x")]


def test_a_section_without_content_is_neither_shown_nor_listed():
    text = document("t", header("h", ["fact"]), PARTS)
    assert re.findall(r'<section id="(\w+)">', text) == ["one", "three"]
    assert re.findall(r'<li><a href="#(\w+)">', text) == ["one", "three"]


def test_the_policy_allows_the_script_of_the_page_and_no_other():
    text = document("t", header("h", []), PARTS)
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#x27;", "'")
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    )


def test_a_document_about_synthetic_images_begins_with_the_warning():
    assert document("t", header("h", []), PARTS).index(WARNING) < document("t", header("h", []), PARTS).index("<h1>")
    assert WARNING not in document("t", header("h", [], is_synthetic=False), PARTS)


def test_a_section_that_says_what_it_holds_is_folded_under_its_heading():
    text = document("t", header("h", []), [Section("a", "First", "x"), Section("b", "Second", "y", "all numbers")])
    assert '<section id="a"><h2>First</h2>x</section>' in text
    assert (
        '<section id="b"><details class="fold"><summary><h2>Second</h2><span class="about">all numbers</span>' in text
    )
    assert "<details open" not in text
    assert "beforeprint" not in text  # what is closed stays closed on paper
