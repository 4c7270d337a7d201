// Runs the action of a key. The server sends the table of keys, in which a key has one meaning on the whole page: only
// while text or a number is typed, and with Ctrl or Alt, does the browser get the keys.
const isTyping = ({ tagName, type }) => ["TEXTAREA", "SELECT"].includes(tagName) || (tagName === "INPUT" && type === "number");
const isPressed = ({ tagName }, key) => key === "Enter" && ["BUTTON", "SUMMARY", "A"].includes(tagName);

// Digits by their place too: some keyboards give them with Shift only.
function nameOf({ key, code }) {
  const digit = /^Digit([0-9])$/.exec(code)?.[1];
  return digit && !/^[+\-=?]$/.test(key) ? digit : key.length === 1 ? key.toLowerCase() : key;
}

// `shortcuts()` is the table now, `act` holds the functions of its actions; if one returns false, the browser handles the key.
export function listen(shortcuts, act, isOff = () => false) {
  function isHandled(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || isOff()) return false;
    if ((isTyping(target) && event.key !== "Escape") || isPressed(target, event.key)) return false;
    const key = nameOf(event);
    const found = shortcuts().find(({ keys }) => keys.includes(key));
    return found !== undefined && act[found.action](key) !== false;
  }

  // In the capturing phase, so that the shortcuts of niivue get no event.
  document.addEventListener("keydown", (event) => {
    const isDone = isHandled(event);
    if (isDone) event.preventDefault();
    if (isDone || event.target.tagName === "CANVAS") event.stopImmediatePropagation();
  }, true);
}

// The table as the help shows it; `meaning` gives the text of a shortcut. Shortcuts of one meaning share a row.
export function keyTable(shortcuts, meaning) {
  const rows = new Map();
  for (const shortcut of shortcuts) {
    const text = meaning(shortcut);
    rows.set(text, [...(rows.get(text) ?? []), shortcut.shown]);
  }
  const table = document.createElement("table");
  table.className = "keys";
  for (const [text, keys] of rows) {
    const row = table.insertRow();
    const head = Object.assign(document.createElement("th"), { scope: "row" });
    head.append(...keys.map((shown) => Object.assign(document.createElement("kbd"), { textContent: shown })));
    row.append(head, Object.assign(document.createElement("td"), { textContent: text }));
  }
  return table;
}
