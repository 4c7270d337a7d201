import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import voxlate.readers.server
import voxlate.web
from voxlate.readers.server.app import PAGE_FILES
from voxlate.readers.server.keys import shortcuts
from voxlate.readers.study import Display, ForcedChoice, Marks, Quality, RealOrSynthetic, Similarity

PAGE = Path(voxlate.readers.server.__file__).parent / "page"
ROOT = Path(__file__).resolve().parents[2]
ASSETS = Path(voxlate.web.__file__).parent / "assets"
SHARED = [ASSETS / "app.css", ASSETS / "api.js", ASSETS / "keyboard.js"]
CSS = (ASSETS / "app.css").read_text()
COLOURS = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", CSS))


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("ink", "back"),
        ("ink", "panel"),
        ("muted", "panel"),
        ("muted", "back"),
        ("on-accent", "accent"),
        ("warn", "warn-back"),
    ],
)
def test_text_has_enough_contrast(text, back):
    assert contrast(COLOURS[text], COLOURS[back]) >= 4.5


def test_the_focus_is_always_visible():
    assert contrast(COLOURS["accent"], COLOURS["panel"]) >= 3
    assert ":focus-visible { outline: 3px solid var(--accent)" in CSS
    assert "prefers-reduced-motion" in CSS


def test_the_page_holds_no_inline_script_style_or_foreign_address():
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son[a-z]+=", html)
    for file in [*PAGE.iterdir(), *SHARED]:
        assert not re.search(r"https?://", file.read_text()), file.name


def test_all_files_of_the_page_are_served_and_the_folder_holds_no_other():
    served = {file for _, file, _ in PAGE_FILES.values()}
    shared = {"niivue/niivue.umd.js", *(f"assets/{file.name}" for file in SHARED)}
    assert shared <= served
    assert {f"page/{file.name}" for file in PAGE.iterdir()} == served - shared
    imported = {name for file in PAGE.glob("*.js") for name in re.findall(r'from "\./([a-z]+\.js)"', file.read_text())}
    assert imported <= set(PAGE_FILES)


def test_both_languages_have_the_same_words():
    text = (PAGE / "words.js").read_text()
    english, german = text.split("\n  de: {")
    keys = [set(re.findall(r"(?:,|\n)\s+(\w+): \"", part)) for part in (english, german)]
    assert keys[0] == keys[1]
    used = set(re.findall(r'word\("(\w+)"\)', "".join(file.read_text() for file in PAGE.glob("*.js"))))
    used |= set(re.findall(r'data-word="(\w+)"', (PAGE / "index.html").read_text()))
    assert used <= keys[0]


DESIGNS = (
    RealOrSynthetic(name="a"), ForcedChoice(name="b"), Similarity(name="c"), Quality(name="d"), Marks(name="e"),
)  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.kind)
def test_a_key_means_one_thing_on_the_whole_page(design):
    table = shortcuts(design, Display())
    keys = [key for shortcut in table for key in shortcut.keys]
    assert len(set(keys)) == len(keys)
    chosen = next(shortcut for shortcut in table if shortcut.action == "choose")
    assert {key for key in keys if key.isdigit()} == set(chosen.keys)
    assert chosen.about == "answer"


def test_the_first_letters_of_the_windows_are_their_keys_in_every_design():
    for design in DESIGNS:
        windows = [shortcut for shortcut in shortcuts(design, Display()) if shortcut.action == "preset"]
        assert [shortcut.shown for shortcut in windows] == ["F", "S", "B", "D", "C"]


def test_every_key_has_a_function_on_the_page_and_a_meaning_in_both_languages():
    table = [shortcut for design in DESIGNS for shortcut in shortcuts(design, Display())]
    actions = {shortcut.action for shortcut in table}
    listened = (PAGE / "main.js").read_text().split("\nlisten(")[1]
    assert set(re.findall(r"(?:^|[,{])\s*(\w+)(?=: \(|,|\s*:)", listened, re.MULTILINE)) >= actions
    words = {f"key_{action}" for action in actions - {"choose", "preset"}} | {"presetKey"}
    words |= {f"{name}_{design.kind}" for design in DESIGNS for name in ("choose", "about")}
    for language in (PAGE / "words.js").read_text().split("\n  de: {"):
        assert words <= set(re.findall(r"(?:,|\n)\s+(\w+): \"", language))


def test_no_file_of_the_page_listens_to_keys_beside_the_table():
    for file in [*PAGE.glob("*.js"), *SHARED]:
        assert ("keydown" in file.read_text()) == (file.name == "keyboard.js"), file.name


def test_text_from_the_study_never_becomes_markup():
    for file in [*PAGE.glob("*.js"), *SHARED]:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", file.read_text()), file.name


MARKS = """
class Element extends EventTarget {
  children = [];
  append(...children) { this.children.push(...children); for (const child of children) Object(child).parent = this; }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  dispatchEvent(event) {
    super.dispatchEvent(event);
    this.parent?.dispatchEvent(new Event(event.type));
  }
  focus() {}
}
globalThis.document = { createElement: () => new Element() };
globalThis.Option = Element;
const { buildForm } = await import("./forms.js");
const container = new Element();
const form = buildForm(container, { kind: "marks", levels: 5 }, { voxel: () => [1, 2, 3] });
const drafts = [];
container.addEventListener("change", () => drafts.push(form.content().marks.length));
form.mark();
form.list.children[0].children.at(-1).dispatchEvent(new Event("click"));
console.log(JSON.stringify(drafts));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_mark_that_is_set_or_removed_is_kept_as_a_draft(tmp_path):
    shutil.copytree(PAGE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "marks.js").write_text(MARKS)
    done = subprocess.run(["node", tmp_path / "marks.js"], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [1, 0]


@pytest.mark.slow
def test_a_reader_answers_by_keyboard_in_a_real_browser(folder, tmp_path):
    playwright = os.environ.get("PLAYWRIGHT_FOLDER")
    if not (playwright and shutil.which("node") and shutil.which("chromium")):
        pytest.skip("needs node, chromium and PLAYWRIGHT_FOLDER, a folder with playwright-core in its node_modules")
    links = tmp_path / "links.tsv"
    program = "import sys; from voxlate.cli.readers import readers; readers(sys.argv[1:])"
    command = [sys.executable, "-c", program, "serve", str(folder), "--port", "8797", "--links", str(links)]
    server = subprocess.Popen(command)
    try:
        while not links.exists():
            time.sleep(0.2)
        time.sleep(2)
        link = links.read_text().split()[1]
        places = {"PLAYWRIGHT_FOLDER": playwright, "SCREENSHOTS": str(tmp_path)}
        driver = ["node", str(ROOT / "benchmarks" / "readers_browser.mjs"), link, "keyboard", "3"]
        done = subprocess.run(driver, env=os.environ | places, capture_output=True, text=True, timeout=280, check=True)
    finally:
        server.terminate()
        server.wait()
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["answered"], said["faults"]) == (3, [])
