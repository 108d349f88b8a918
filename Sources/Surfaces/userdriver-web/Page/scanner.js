// A scanner: its settings, the scan that goes on, its pages.
"use strict";

const scanner = { id: null, offer: null, desk: null, following: null, isAsked: false };

const words = {
  sources: { auto: "Feeder, or else flatbed", flatbed: "Flatbed", adf: "Feeder", "adf-duplex": "Feeder, both sides" },
  modes: { color: "Colour", gray: "Grey", bw: "Black and white" },
  files: { "image/jpeg": ["jpeg", "JPEG"], "image/png": ["png", "PNG"], "application/pdf": ["pdf", "PDF"] },
  states: { idle: "Ready", processing: "Busy", testing: "Testing itself", stopped: "Stopped", down: "Not ready", unknown: "" },
  feeders: { loaded: "paper in the feeder", empty: "feeder empty", jam: "paper jam", open: "cover open", processing: "feeding", unknown: "" },
  ends: {
    done: "Done", empty: "The feeder is empty", jam: "Paper jam", coverOpen: "The cover is open", busy: "The scanner is busy",
    cancelled: "Cancelled", clientGone: "Ended, because nobody was waiting for it", interrupted: "Interrupted", refused: "Refused", failed: "Failed",
  },
};

function size(bytes) {
  for (const [unit, count] of [["MB", 1e6], ["kB", 1e3]]) if (bytes >= count) return `${(bytes / count).toFixed(1)}\u00a0${unit}`;
  return `${bytes} B`;
}
const place = page => `sheet ${page.sheet}` + (page.side === "back" ? ", back" : "");

// Settings

// What all of these sources have.
const common = (sources, list) => sources.map(list).reduce((left, right) => left.filter(each => right.includes(each)));

// Keeps what was chosen, where that is there still.
function offer(id, entries, usual) {
  const before = at(id).value;
  options(at(id), entries, entries.some(([value]) => value === before) ? before : usual);
}

function offerSources() {
  const names = scanner.offer.capabilities.sources.map(each => each.source).filter(name => words.sources[name]);
  if (names.includes("flatbed") && names.includes("adf")) names.unshift("auto");
  offer("source", names.map(name => [name, words.sources[name]]), names[0]);
  offerSettings();
}

function offerSettings() {
  const { capabilities, papers } = scanner.offer;
  const source = at("source").value;
  const meant = capabilities.sources.filter(each => source === "auto" ? each.source !== "adf-duplex" : each.source === source);
  if (!meant.length) return;
  const resolutions = common(meant, each => each.resolutions);
  const usual = [...resolutions].sort((a, b) => Math.abs(a - 300) - Math.abs(b - 300))[0];
  offer("resolution", resolutions.map(dpi => [String(dpi), `${dpi} dpi`]), String(usual));
  offer("mode", common(meant, each => each.modes).map(mode => [mode, words.modes[mode] || mode]));
  offer("paper", [["", "Whole area"], ...common(meant, each => papers[each.source] || []).map(name => [name, name])], "");
  offer("file", common(meant, each => each.formats).filter(type => words.files[type]).map(type => words.files[type]), "jpeg");
}

function ready(text) {
  if (at("readiness").textContent !== text) at("readiness").textContent = text;
}

// Scanners take their time to answer: one question at a time, and none while a page comes.
async function readState() {
  if (scanner.isAsked || scanner.desk?.scanning || document.hidden) return;
  const id = scanner.id;
  scanner.isAsked = true;
  try {
    const now = await ask("/api/scanner/state", { device: id });
    if (id === scanner.id) ready([words.states[now.state], words.feeders[now.feeder]].filter(Boolean).join(", ") || "Status unknown");
  } catch (error) {
    if (id === scanner.id) ready(error.message);
  } finally { scanner.isAsked = false; }
}

function paintButtons() {
  const isScanning = !!scanner.desk?.scanning;
  at("scan").disabled = isScanning || !scanner.offer || current("scanner")?.state !== "running";
  at("cancel").disabled = !isScanning;
}

// The scan

// Each answer comes when there is something new.
async function follow(id) {
  const following = scanner.following = new AbortController();
  let version;
  while (!following.signal.aborted) {
    try {
      const desk = await ask("/api/scan", version === undefined ? { device: id } : { device: id, besides: version }, "GET", following.signal);
      version = desk.version;
      showDesk(desk);
    } catch (error) {
      if (following.signal.aborted) return;
      version = undefined;
      await new Promise(done => setTimeout(done, 1000));
    }
  }
}

function showDesk(desk) {
  scanner.desk = desk;
  const { coming, pages } = desk;
  at("progress").hidden = !desk.scanning;
  at("coming").textContent = coming ? `Page ${(pages.at(-1)?.number || 0) + 1} (${place(coming)}): ${size(coming.bytes)}` : "The scanner is working";
  if (coming?.expected) [at("amount").max, at("amount").value] = [coming.expected, coming.bytes];
  else at("amount").removeAttribute("value");
  if (desk.scanning) ready("Scanning");
  showNews(desk);
  showPages(pages);
  paintButtons();
}

// What is read out: each page, each wait and the end, but not each byte.
function showNews(desk) {
  const end = desk.end;
  const lines = [];
  if (desk.scanning) lines.push(["p", desk.message || (desk.pages.length ? `${count(desk.pages.length)} so far.` : "The scan is starting.")]);
  if (end) {
    const isGood = end.reason === "done" && !end.damaged.length && !end.lost;
    lines.push(["h2", (words.ends[end.reason] || end.reason) + (end.pages ? `: ${count(end.pages)}` : ""), isGood ? "good" : "bad"], ["p", end.message]);
    // Where a part of it came, its place among the pages says the same.
    const isShown = sheet => desk.pages.some(page => page.problem && page.sheet === sheet);
    for (const sheet of end.damaged.filter(sheet => !isShown(sheet))) lines.push(["p", `Sheet ${sheet} was not scanned completely: scan it again.`, "bad"]);
    if (end.lost) lines.push(["p", `Sheet ${end.lost} may have left the feeder: check, and scan it again.`, "bad"]);
  }
  const key = JSON.stringify(lines);
  // While a page comes, what was said of the one before stands.
  if (at("news").dataset.key === key || desk.coming && at("news").dataset.key) return;
  at("news").dataset.key = key;
  at("news").replaceChildren(...lines.map(([name, text, type]) => element(name, text, type ? { class: type } : {})));
}
const count = pages => pages === 1 ? "1 page" : `${pages} pages`;

// Pages

function showPages(pages) {
  const left = new Map([...at("pages").children].map(each => [each.dataset.page, each]));
  for (const page of pages) {
    let item = left.get(page.id);
    left.delete(page.id);
    if (!item || item.dataset.problem !== (page.problem || "")) {
      const made = card(page);
      if (item) item.replaceWith(made); else at("pages").append(made);
      item = made;
    }
    const caption = [`Page ${page.number}`, place(page), ...(page.problem ? [] : [size(page.bytes)]), ...(page.saved ? ["saved"] : [])].join(" · ");
    if (item.firstChild.textContent !== caption) item.firstChild.textContent = caption;
  }
  for (const item of left.values()) item.remove();
  const whole = pages.filter(page => !page.problem);
  at("all").hidden = !pages.length;
  at("no-pages").hidden = !!pages.length;
  at("book").hidden = !whole.length || whole.some(page => page.type !== "image/jpeg");
}

function card(page) {
  const item = element("li");
  [item.dataset.page, item.dataset.problem] = [page.id, page.problem || ""];
  const name = `page ${page.number}`;
  const buttons = element("div", undefined, { class: "bar" });
  item.append(element("p", ""));
  if (page.problem) item.append(element("p", page.problem, { class: "bad" }));
  else {
    const picture = "/scan/page?" + new URLSearchParams({ device: scanner.id, page: page.id });
    if (page.type.startsWith("image/")) {
      const link = element("a", undefined, { href: picture, target: "_blank", rel: "noopener", class: "sheet", "aria-label": `Open ${name}` });
      link.append(element("img", undefined, { src: picture, alt: "", loading: "lazy", decoding: "async" }));
      item.append(link);
    } else item.append(element("p", page.name, { class: "sheet" }));
    buttons.append(element("a", "Save", { href: picture + "&save=1", download: page.name, class: "button", "aria-label": `Save ${name} as ${page.name}` }));
  }
  const remove = element("button", "Remove", { "aria-label": `Remove ${name}` });
  remove.onclick = tell(async () => {
    const now = scanner.desk.pages.find(each => each.id === page.id);
    if (now && !now.saved && !now.problem && !confirm(`Remove ${name}? It was not saved.`)) return;
    const next = (item.nextElementSibling || item.previousElementSibling)?.querySelector("button") || at("scan");
    await ask("/api/scan/remove", { device: scanner.id, page: page.id }, "POST");
    next.focus();
  });
  buttons.append(remove);
  item.append(buttons);
  return item;
}

// The view

views.scanner = {
  async open(id) {
    Object.assign(scanner, { id, offer: null, desk: null });
    at("pages").replaceChildren();
    at("news").replaceChildren();
    delete at("news").dataset.key;
    at("book").href = "/scan/book.pdf?" + new URLSearchParams({ device: id });
    ready("Asking the scanner…");
    paintButtons();
    follow(id);
  },
  close() { scanner.following?.abort(); },
  async look(device) {
    if (device?.state !== "running") {
      scanner.offer = null;
      ready(device?.reason || `The scanner is ${device?.state || "gone"}.`);
    } else if (!scanner.offer) {
      const offered = await ask("/api/scanner", { device: device.id });
      if (device.id !== scanner.id) return;
      scanner.offer = offered;
      offerSources();
    } else readState();
    paintButtons();
  },
  fail: ready,
};

at("source").onchange = offerSettings;
at("settings").onsubmit = tell(async () => {
  const wanted = { device: scanner.id, source: at("source").value, resolution: at("resolution").value, mode: at("mode").value, format: at("file").value };
  if (at("paper").value) wanted.size = at("paper").value;
  await ask("/api/scan", wanted, "POST");
});
at("cancel").onclick = tell(async () => say(await ask("/api/scan/cancel", { device: scanner.id }, "POST")));
at("remove-all").onclick = tell(async () => {
  const unsaved = scanner.desk.pages.filter(page => !page.saved && !page.problem).length;
  if (unsaved && !confirm(`Remove all pages? ${count(unsaved)} ${unsaved === 1 ? "was" : "were"} not saved.`)) return;
  await ask("/api/scan/remove", { device: scanner.id }, "POST");
  at("scan").focus();
});
