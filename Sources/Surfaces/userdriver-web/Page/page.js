// The page: asks for the devices' state once a second, and shows a camera or a scanner.
"use strict";

const at = id => document.getElementById(id);
// What is shown, by kind: each of `views` opens and closes a device, and looks at it once a second.
const views = {};
const state = { devices: [], kind: null, chosen: { camera: null, scanner: null }, wanted: fromAddress() };

// The device that the address names behind its #.
function fromAddress() {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

async function ask(path, words = {}, method = "GET", signal) {
  const query = new URLSearchParams(words);
  const answer = await fetch(path + (query.size ? "?" + query : ""), { method, signal });
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return (answer.headers.get("Content-Type") || "").startsWith("application/json") ? answer.json() : answer.text();
}

let toastTimer;
function say(text) {
  at("toast").textContent = text;
  at("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").hidden = true; }, 5000);
}
const tell = action => async event => { event?.preventDefault(); try { await action(event); } catch (error) { say(error.message); } };

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
function options(select, entries, chosen) {
  const key = JSON.stringify(entries);
  if (select.dataset.entries !== key) {
    select.dataset.entries = key;
    select.replaceChildren(...entries.map(([value, text]) => element("option", text, { value })));
  }
  if (chosen !== undefined && select.value !== chosen && entries.some(([value]) => value === chosen)) select.value = chosen;
}

// Which device

const kindOf = device => device.kind === "scanner" ? "scanner" : device.kind === "webcam" || (device.streams || []).length > 0 ? "camera" : null;
const ofKind = kind => state.devices.filter(each => kindOf(each) === kind);
const current = (kind = state.kind) => state.devices.find(each => each.id === state.chosen[kind]);

// The device of the link's, else the one of before, else the first that runs.
function choose() {
  const wanted = state.devices.find(each => each.id === state.wanted && kindOf(each));
  if (wanted) return show(kindOf(wanted), wanted.id);
  let kind = state.kind || "camera";
  if (!ofKind(kind).length) kind = ["camera", "scanner"].find(each => ofKind(each).length) || "camera";
  if (kind === state.kind && current()) return;
  const devices = ofKind(kind);
  const id = (current(kind) || devices.find(each => each.state === "running") || devices[0])?.id || null;
  if (kind !== state.kind || id !== state.chosen[kind]) return show(kind, id);
}

async function show(kind, id) {
  state.wanted = null;
  if (state.kind) views[state.kind].close();
  state.kind = kind;
  state.chosen[kind] = id;
  for (const each of Object.keys(views)) {
    const isShown = each === kind;
    at(each + "-view").hidden = !isShown;
    at(each + "-tab").setAttribute("aria-selected", String(isShown));
    at(each + "-tab").tabIndex = isShown ? 0 : -1;
    for (const part of document.querySelectorAll(`[data-only=${each}]`)) part.hidden = !isShown;
  }
  at("crashes").replaceChildren();
  delete at("crashes").dataset.key;
  // A page that is loaded again, or kept as a bookmark, shows the same one.
  if (id) history.replaceState(null, "", "#" + encodeURIComponent(id));
  paint();
  await views[kind].open(id);
}

// State

function facts(device) {
  const stream = device.streams?.[0];
  const rows = [["Driver", device.driver || "none"], ["Process", device.pid || "none"], ["Restarts", device.restarts]];
  if (stream) {
    const form = stream.format ? `${stream.format.toUpperCase()} ${stream.width}×${stream.height}` : stream.name;
    rows.push(["Stream", form], ["Rate", stream.fps ? `${Math.round(stream.fps * 10) / 10} fps` : "–"], ["Frames", stream.frames], ["Lost", stream.lost]);
  }
  if (device.reason) rows.push(["Why", device.reason]);
  for (const warning of device.warnings || []) rows.push(["Warning", warning]);
  return rows;
}

function paint() {
  const devices = ofKind(state.kind);
  at("tabs").hidden = !["camera", "scanner"].every(kind => ofKind(kind).length);
  at("kind").textContent = state.kind === "scanner" ? "Scanner" : "Camera";
  options(at("device"), devices.map(each => [each.id, `${each.name || each.id} (${each.id})`]), state.chosen[state.kind] || undefined);
  at("device").disabled = devices.length < 2;
  const device = current();
  at("state").textContent = device ? device.state : "no camera";
  at("state").className = device ? device.state : "";
  at("health").replaceChildren(...(device ? facts(device) : []).flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
  const watchers = (device?.streams || []).flatMap(each => each.watchers || []);
  at("watchers").replaceChildren(...(watchers.length ? watchers.map(each => element("li", `${each.program || "a program"} (process ${each.pid})`))
    : [element("li", "nobody")]));
  for (const button of document.querySelectorAll("[data-needs-device]")) button.disabled = !device;
}

async function readStatus() {
  try {
    const answer = await ask("/api/status");
    state.devices = answer.devices;
    at("kill").hidden = !answer.demonstration;
    return true;
  } catch (error) {
    at("state").textContent = "no daemon";
    at("state").className = "failed";
    views[state.kind || "camera"].fail(error instanceof TypeError ? "The page's server is gone. Trying again every second." : error.message);
  }
}

async function look() {
  if (await readStatus()) {
    try {
      await choose();
      paint();
      await views[state.kind].look(current());
      if (at("crashBox").open) await readCrashes();
    } catch (error) { views[state.kind].fail(error.message); }
  }
  setTimeout(look, 1000);
}

async function readCrashes() {
  const device = state.chosen[state.kind];
  if (!device) return;
  const crashes = (await ask("/api/crashes", { device })).reverse();
  const key = crashes.map(each => each.number).join();
  if (device !== state.chosen[state.kind] || at("crashes").dataset.key === key) return;
  at("crashes").dataset.key = key;
  at("crashes").replaceChildren(...(crashes.length ? crashes.map(each => {
    const item = element("li", `${new Date(each.time).toLocaleTimeString()}: ${each.cause}; ${each.decision}`, { value: each.number });
    if (each.lastWords?.length) item.append(element("br"), element("small", each.lastWords.at(-1)));
    return item;
  }) : [element("li", "none")]));
}

// Buttons

for (const kind of ["camera", "scanner"]) {
  at(kind + "-tab").onclick = tell(() => show(kind, (current(kind) || ofKind(kind)[0])?.id || null));
}
at("tabs").onkeydown = event => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = at((state.kind === "camera" ? "scanner" : "camera") + "-tab");
  other.focus();
  other.click();
};
at("device").onchange = tell(() => show(state.kind, at("device").value));
at("restart").onclick = tell(async () => say(await ask("/api/restart", { device: state.chosen[state.kind] }, "POST")));
at("kill").onclick = tell(async () => {
  const said = await ask("/api/kill", { device: state.chosen[state.kind] }, "POST");
  say(said.trim() + (state.kind === "scanner" ? " The scan goes on." : " The picture goes on."));
});

// Once the views are there.
addEventListener("DOMContentLoaded", look);
