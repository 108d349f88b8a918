// The page: asks for the devices' state once a second, and shows one camera.
"use strict";

const at = id => document.getElementById(id);
const state = { devices: [], device: null, formats: [], frames: null, paused: false, recorder: null, controlsOf: null };

async function ask(path, words = {}, method = "GET") {
  const query = new URLSearchParams(words);
  const answer = await fetch(path + (query.size ? "?" + query : ""), { method });
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

// Picture

function show(message) {
  at("message").textContent = message;
  at("message").hidden = !message;
  at("picture").hidden = !!message;
  at("live").hidden = !!message;
}

function wanted() {
  const words = { device: state.device };
  if (at("format").value) words.format = at("format").value;
  if (at("size").value) words.size = at("size").value;
  return words;
}

let retry;
function play() {
  clearTimeout(retry);
  const picture = at("picture");
  if (!state.device || state.paused) return;
  show("Waiting for the camera…");
  picture.onload = () => { show(""); state.playing = true; };
  picture.onerror = async () => {
    state.playing = false;
    // An image says nothing of why; the same path does.
    try { await ask("/snapshot.jpg", wanted()); show("The stream ended."); } catch (error) { show(error.message); }
    retry = setTimeout(play, 1000);
  };
  picture.src = "/stream.mjpg?" + new URLSearchParams({ ...wanted(), at: Date.now() });
}
function stop() {
  clearTimeout(retry);
  at("picture").onerror = at("picture").onload = null;
  at("picture").removeAttribute("src");
}

function chooseSizes() {
  const sizes = [...new Set(state.formats.filter(each => each.format === at("format").value).map(each => `${each.width}x${each.height}`))];
  // As large as a page shows it: what is larger takes a choice.
  const area = size => size.split("x").reduce((product, side) => product * side, 1);
  const fitting = sizes.filter(size => area(size) <= 1280 * 720).sort((a, b) => area(b) - area(a));
  options(at("size"), sizes.map(size => [size, size.replace("x", "×")]), sizes.includes(at("size").value) && state.chosen ? at("size").value : fitting[0] || sizes[0]);
}

async function openCamera(id) {
  stop();
  state.device = id;
  state.chosen = false;
  state.controlsOf = null;
  state.formats = [];
  at("controls").replaceChildren();
  if (!id) return show("No camera is attached. Plug one in, or run: userdriver up --emulate webcam");
  show("Waiting for the camera…");
  await readCamera();
}

async function readCamera() {
  const id = state.device;
  const formats = await ask("/api/formats", { device: id });
  if (id !== state.device) return;
  state.formats = formats;
  const names = [...new Set(formats.map(each => each.format))].sort((a, b) => (b === "mjpeg") - (a === "mjpeg"));
  const streaming = current()?.streams?.[0];
  options(at("format"), names.map(name => [name, name.toUpperCase()]), streaming?.format);
  chooseSizes();
  if (streaming?.width) at("size").value = `${streaming.width}x${streaming.height}`;
  play();
  await readControls();
}

// Controls

async function readControls() {
  const id = state.device;
  const controls = await ask("/api/controls", { device: id });
  if (id !== state.device) return;
  state.controlsOf = id;
  at("controls").replaceChildren(...controls.map(row));
}

function row(control) {
  const box = element("div", undefined, { class: "control" });
  const id = "control-" + control.name;
  const label = element("label", control.description || control.name, { for: id });
  const value = element("output", control.problem ? "" : text(control), { for: id });
  let input;
  if (control.type === "boolean") {
    input = element("input", undefined, { type: "checkbox", id });
    input.checked = control.value !== 0;
  } else if (control.menu?.length) {
    input = element("select", undefined, { id });
    options(input, (control.menu || []).map(item => [String(item.value), item.text]), String(control.value));
  } else {
    input = element("input", undefined, { type: "range", id, min: control.minimum, max: control.maximum, step: Math.max(1, control.step) });
    input.value = control.value;
    input.addEventListener("input", () => { value.textContent = text({ ...control, value: Number(input.value) }); });
  }
  input.disabled = !control.writable || control.automatic || !!control.problem;
  input.addEventListener("change", tell(async () => {
    const set = input.type === "checkbox" ? Number(input.checked) : Number(input.value);
    try { await ask("/api/controls", { device: state.device, name: control.name, value: set }, "POST"); } finally { await readControls(); }
    at(id)?.focus();
  }));
  box.append(label, ...(control.type === "boolean" ? [input] : [value, input]));
  const why = control.message || (control.automatic ? "set automatically" + (control.remedy ? `: ${control.remedy}` : "") : "");
  if (why) box.append(element("small", why));
  return box;
}
// A unit may be a multiple of one: 128 of "100 µs" are 12.8 ms.
function text(control) {
  if (control.menu?.length) return "";
  const [, factor, unit] = /^([\d.]*)\s*(.*)$/.exec(control.unit || "");
  const value = factor ? Math.round(control.value * Number(factor) * 1e6) / 1e6 : control.value;
  if (unit === "µs" && Math.abs(value) >= 1000) return `${value / 1000} ms`;
  return unit ? `${value} ${unit}`.replace(" °", "°") : String(value);
}

// State

const current = () => state.devices.find(each => each.id === state.device);
const isCamera = device => device.kind === "webcam" || (device.streams || []).length > 0;

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
  const cameras = state.devices.filter(isCamera);
  options(at("camera"), cameras.map(each => [each.id, `${each.name || each.id} (${each.id})`]), state.device || undefined);
  at("camera").disabled = cameras.length < 2;
  const device = current();
  at("state").textContent = device ? device.state : "no camera";
  at("state").className = device ? device.state : "";
  at("health").replaceChildren(...(device ? facts(device) : []).flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
  const watchers = (device?.streams || []).flatMap(each => each.watchers || []);
  at("watchers").replaceChildren(...(watchers.length ? watchers.map(each => element("li", `${each.program || "a program"} (process ${each.pid})`))
    : [element("li", "nobody")]));
  for (const id of ["snapshot", "record", "pause", "full", "format", "size", "restart", "reset"]) at(id).disabled = !device;
}

async function look() {
  try {
    const answer = await ask("/api/status");
    state.devices = answer.devices;
    at("kill").hidden = !answer.demonstration;
    const cameras = state.devices.filter(isCamera);
    const before = current();
    paint();
    if (!before) await openCamera(cameras.find(each => each.state === "running")?.id || cameras[0]?.id || null);
    else if (before.state === "running" && state.controlsOf !== state.device) await readCamera();
    else if (before.state !== "running" && !state.playing) show(before.reason || `The camera is ${before.state}.`);
    paint();
    if (at("crashBox").open) await readCrashes();
  } catch (error) {
    at("state").textContent = "no daemon";
    at("state").className = "failed";
    show(error.message === "Failed to fetch" ? "The page's server has gone. It is tried again each second." : error.message);
  }
  setTimeout(look, 1000);
}

async function readCrashes() {
  if (!state.device) return;
  const crashes = (await ask("/api/crashes", { device: state.device })).reverse();
  const key = crashes.map(each => each.number).join();
  if (at("crashes").dataset.key === key) return;
  at("crashes").dataset.key = key;
  at("crashes").replaceChildren(...(crashes.length ? crashes.map(each => {
    const item = element("li", `${new Date(each.time).toLocaleTimeString()}: ${each.cause}; ${each.decision}`, { value: each.number });
    if (each.lastWords?.length) item.append(element("br"), element("small", each.lastWords.at(-1)));
    return item;
  }) : [element("li", "none")]));
}

// Buttons

async function save(blob, name) {
  const link = element("a", undefined, { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
const stamp = () => new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");

at("snapshot").onclick = tell(async () => {
  const answer = await fetch("/snapshot.jpg?" + new URLSearchParams(wanted()));
  if (!answer.ok) throw new Error((await answer.text()).trim());
  await save(await answer.blob(), `picture-${stamp()}.jpg`);
});

function startRecording() {
  const picture = at("picture");
  if (!picture.naturalWidth) throw new Error("There is no picture to record.");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream());
  const pieces = [];
  recorder.ondataavailable = event => pieces.push(event.data);
  recorder.onstop = () => save(new Blob(pieces, { type: recorder.mimeType }), `film-${stamp()}.webm`);
  const draw = () => {
    if (recorder.state !== "recording") return;
    if (picture.naturalWidth) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    requestAnimationFrame(draw);
  };
  recorder.start(1000);
  draw();
  state.recorder = recorder;
}
at("record").onclick = tell(() => {
  if (state.recorder) { state.recorder.stop(); state.recorder = null; } else startRecording();
  at("record").setAttribute("aria-pressed", String(!!state.recorder));
  at("record").textContent = state.recorder ? "Stop recording" : "Record";
});

at("pause").onclick = () => {
  state.paused = !state.paused;
  at("pause").setAttribute("aria-pressed", String(state.paused));
  at("pause").textContent = state.paused ? "Play" : "Pause";
  if (state.paused) { stop(); show("Paused. The camera is off unless somebody else watches."); } else play();
};
at("full").onclick = tell(() => document.fullscreenElement ? document.exitFullscreen() : at("frame").requestFullscreen());
at("restart").onclick = tell(async () => say(await ask("/api/restart", { device: state.device }, "POST")));
at("kill").onclick = tell(async () => say((await ask("/api/kill", { device: state.device }, "POST")).trim() + " The picture goes on."));
at("reset").onclick = tell(async () => { await ask("/api/controls/reset", { device: state.device }, "POST"); await readControls(); });
at("camera").onchange = tell(() => openCamera(at("camera").value));
at("format").onchange = () => { chooseSizes(); play(); };
at("size").onchange = () => { state.chosen = true; play(); };
at("controls").onsubmit = event => event.preventDefault();

look();
