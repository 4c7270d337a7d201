// Reads a study in headless Chromium by keyboard or by mouse; prints the times of every case as one line of JSON.
import { createRequire } from "node:module";

const [link, hand, most] = process.argv.slice(2);
const { chromium } = createRequire(`${process.env.PLAYWRIGHT_FOLDER}/`)("playwright-core");
const sizes = { keyboard: { width: 1440, height: 900 }, mouse: { width: 820, height: 1180 } };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"], timeout: 120000 });
const page = await browser.newPage({ viewport: sizes[hand] });
page.setDefaultTimeout(240000);
const faults = [];
page.on("pageerror", (error) => faults.push(error.message));
page.on("console", (message) => { if (message.type() === "error") faults.push(message.text()); });
const times = () => page.evaluate(() => performance.getEntriesByType("measure").map((entry) => entry.duration));
const shot = (name) => page.screenshot({ path: `${process.env.SCREENSHOTS}/readers-${hand}-${name}.png` });

// The instructions come before the first case of each design; after them practice, where the study names cases for it.
async function instructed() {
  if (!(await page.locator("#instructions[open]").count())) return;
  await shot("instructions");
  await page.locator("#instructions .go").click();
  const isReady = () => !document.getElementById("viewer").hasAttribute("aria-busy") && document.getElementById("stages").querySelector(".stage.shown");
  while (await page.waitForFunction(isReady).then(() => page.locator("#practice").isVisible())) {
    await shot("practice");
    const before = await page.locator("#count").textContent();
    await (hand === "keyboard" ? byKeyboard() : byMouse());
    await page.waitForFunction((count) => document.getElementById("count").textContent !== count || !document.getElementById("notice").hidden, before);
    if (await page.locator("#notice").isVisible()) { await page.locator("#notice button").click(); break; }
  }
}

async function byKeyboard() {
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("s");
  await page.keyboard.press("a");
  for (let at = await page.locator(".structure").count(); at > 0; at -= 1) {
    await page.keyboard.press("7");
    if (at > 1) { await page.keyboard.press("Tab"); await page.keyboard.press("Tab"); }
  }
  if (!(await page.locator(".structure").count())) await page.keyboard.press("1");
  await page.keyboard.press("Enter");
}

async function byMouse() {
  const structures = await page.locator(".structure .absent").count();
  for (let at = 0; at < structures; at += 1) await page.locator(".structure .absent").nth(at).click();
  if (!structures) await page.locator(".choice").first().click();
  await page.locator("#submit").click();
}

const begin = Date.now();
await page.goto(link, { waitUntil: "commit" });
await page.waitForSelector("#instructions[open]");
const opened = Date.now() - begin;
let [kind, seen] = ["", 0];
const last = await page.evaluate(() => document.getElementById("progress").max);
const total = Math.min(Number(most), last);
for (let done = 0; done < total; done += 1) {
  await instructed();
  await page.waitForFunction((n) => performance.getEntriesByType("measure").length > n, done);
  const question = await page.locator("#question").textContent();
  if (question !== kind) await shot(String((seen += 1)));
  kind = question;
  // A reader looks for some seconds, in which the next case is preloaded; here just until it is.
  if (done + 1 < last) await page.waitForFunction((n) => performance.getEntriesByName(`ready-${n}`).length > 0, done + 1);
  await (hand === "keyboard" ? byKeyboard() : byMouse());
  await page.waitForFunction((n) => performance.getEntriesByType("measure").length > n + 1 || document.getElementById("instructions").open || !document.getElementById("notice").hidden, done);
}
await shot("last");
const all = (await times()).map((time) => Math.round(time));
const next = all.slice(1).sort((a, b) => a - b);
const at = (share) => next[Math.min(Math.floor(share * next.length), next.length - 1)];
console.log(JSON.stringify({
  answered: total, opened_ms: opened, first_case_ms: all[0], next_case_ms_median: at(0.5), next_case_ms_95: at(0.95), faults,
  said: (await page.locator("#notice h2").textContent()) || (await page.locator("#saved").textContent()),
}));
await browser.close();
