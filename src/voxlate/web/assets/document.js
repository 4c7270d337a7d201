"use strict";
// Four additions to a page that is complete without them: tables of class "sortable" get buttons in their headings, a link
// to a folded part opens it, texts of class "paste" get a button that copies them, and the pictures of a case can be
// shown larger at one place, one after the other ("flicker").
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number.parseFloat(text.replace("\u2212", "-"));
    return cell.classList.contains("num") ? number : text;
  };
  const compare = (first, second) => {
    if (typeof first === "string") return first.localeCompare(second, "en", { numeric: true });
    if (Number.isNaN(first)) return Number.isNaN(second) ? 0 : 1;
    return Number.isNaN(second) ? -1 : first - second;
  };
  const sort = (table, heads, column) => {
    const head = heads[column];
    const falls = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => {
      const [first, second] = [value(a, column), value(b, column)];
      const unknown = Number.isNaN(first) || Number.isNaN(second);
      return falls && !unknown ? compare(second, first) : compare(first, second);
    });
    body.append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, heads, column));
      head.append(button);
    });
  }

  const button = (text, action, parent) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", action);
    parent.append(made);
    return made;
  };

  const openTarget = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.querySelector(":scope > details.fold");
    if (!fold) return;
    fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", openTarget);
  openTarget();

  const copy = async (text, said) => {
    try {
      await navigator.clipboard.writeText(text.innerText);
    } catch {
      getSelection().selectAllChildren(text);
      if (!document.execCommand("copy")) return void (said.textContent = "Press Ctrl+C to copy the selected text");
    }
    said.textContent = "Copied";
  };
  for (const text of document.querySelectorAll(".paste")) {
    const line = document.createElement("p");
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    button("Copy the text", () => copy(text, said), line).className = "tool";
    line.append(" ", said);
    text.after(line);
  }

  // One dialog for all cases: the images of each plane lie on top of each other and only one of them is visible.
  const flicker = (figure) => {
    const titles = [...figure.querySelectorAll(".columns b")].map((title) => title.textContent);
    const last = titles.length - 1;
    const dialog = document.createElement("dialog");
    dialog.className = "flicker";
    dialog.setAttribute("aria-label", "Pictures at one place");
    const bar = document.createElement("div");
    bar.className = "bar";
    const name = document.createElement("b");
    name.textContent = figure.querySelector("h3 b").textContent;
    bar.append(name);
    const stacks = document.createElement("div");
    stacks.className = "stacks";
    for (const plane of figure.querySelectorAll(".panels")) {
      const stack = document.createElement("div");
      stack.className = "stack";
      stack.append(...[...plane.querySelectorAll("img")].map((image) => image.cloneNode()));
      stacks.append(stack);
    }
    let [shown, before, timer] = [Math.min(2, last), Math.min(1, last), 0];
    const show = (at) => {
      if (at !== shown) [before, shown] = [shown, at];
      roles.forEach((role, k) => role.setAttribute("aria-pressed", String(k === shown)));
      for (const stack of stacks.children) [...stack.children].forEach((image, k) => image.classList.toggle("shown", k === shown));
    };
    const play = () => {
      timer = timer ? void clearInterval(timer) : setInterval(() => show((shown + 1) % Math.max(last, 1)), 700);
      player.setAttribute("aria-pressed", String(Boolean(timer)));
    };
    const roles = titles.map((title, at) => button(`${at + 1} ${title}`, () => show(at), bar));
    const player = button("A Alternate", play, bar);
    button("Close", () => dialog.close(), bar);
    const help = document.createElement("p");
    help.textContent = "The patient's right is on the left of axial and coronal pictures. Keys: 1 to 4 choose, space returns to the image before, "
      + "A alternates all but the difference, Esc closes.";
    dialog.append(bar, stacks, help);
    dialog.addEventListener("keydown", (event) => {
      const at = Number(event.key) - 1;
      if (at in titles) show(at);
      else if (event.key === " ") { event.preventDefault(); show(before); }
      else if (event.key === "a") play();
    });
    dialog.addEventListener("close", () => { clearInterval(timer); dialog.remove(); });
    document.body.append(dialog);
    show(shown);
    player.setAttribute("aria-pressed", "false");
    dialog.showModal();
    roles[shown].focus();
  };
  for (const figure of document.querySelectorAll("figure.case")) {
    button("Flicker, larger", () => flicker(figure), figure.querySelector("h3")).className = "tool";
  }
})();
