// Keyboard shortcuts, those of OHIF in the viewer. Digits choose window presets in the viewer and answers in the form.
import { word } from "./words.js";

const TYPED = new Set(["TEXTAREA", "SELECT"]);

export const HELP = () => [
  ["↑ ↓", word("scroll")], ["Home End", word("ends")], ["← →", word("panels")], ["X", word("cycle")],
  ["1 … 5", word("presets")], ["+ − =", `${word("zoomIn")}, ${word("zoomOut")}, ${word("fit")}`],
  ["I", word("invert")], ["Space", word("reset")], ["A", word("toAnswer")], ["Esc", word("toViewer")],
  ["Alt+1 … 9", word("quick")], ["M", word("markKey")], ["Enter", word("submitKey")],
];

const isTyping = (target) => TYPED.has(target.tagName) || (target.tagName === "INPUT" && target.type === "number");
const isOwnKey = (target, key) => (key === " " && ["BUTTON", "INPUT", "SUMMARY"].includes(target.tagName)) || (key === "Enter" && target.tagName === "BUTTON");

// `act` holds the functions of the keys. If a function returns false, the browser handles the key.
export function listen(act) {
  const viewer = {
    ArrowUp: () => act.scroll(1), ArrowDown: () => act.scroll(-1), Home: () => act.scrollToEnd(false), End: () => act.scrollToEnd(true),
    ArrowLeft: () => act.focusPanel(0), ArrowRight: () => act.focusPanel(1), x: act.cyclePlanes, i: act.invert, " ": act.reset,
    "+": () => act.zoom(1), "-": () => act.zoom(-1), "=": () => act.zoom(0),
  };
  const anywhere = { a: act.toAnswer, m: act.mark, Enter: act.submit, "?": act.help };

  function handled(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return false;
    const digit = /^Digit([0-9])$/.exec(event.code)?.[1] ?? (/^[0-9]$/.test(key) ? key : null);
    if (event.altKey) return digit !== null && act.choose(Number(digit)) !== false;
    if (key === "Escape") return act.toViewer() !== false;
    if (isTyping(target) || isOwnKey(target, key)) return false;
    const inAnswer = target.closest?.("#answer");
    if (digit !== null) return (inAnswer ? act.choose(Number(digit)) : act.preset(Number(digit))) !== false;
    const name = key.length === 1 ? key.toLowerCase() : key;
    const run = anywhere[name] ?? (inAnswer ? undefined : viewer[name]);
    return run !== undefined && run() !== false;
  }

  // In the capturing phase, so that niivue's own shortcuts get no event.
  document.addEventListener("keydown", (event) => {
    const isDone = handled(event);
    if (isDone) event.preventDefault();
    if (isDone || event.target.tagName === "CANVAS") event.stopImmediatePropagation();
  }, true);
}
