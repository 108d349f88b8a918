// A camera: its live picture, its controls.
"use strict";

const camera = { formats: [], paused: false, playing: false, recorder: null, controlsOf: null, chosen: false };

// Picture

function tellCamera(message) {
  at("message").textContent = message;
  at("message").hidden = !message;
  at("picture").hidden = !!message;
  at("live").hidden = !!message;
}

function wanted() {
  const words = { device: state.chosen.camera };
  if (at("format").value) words.format = at("format").value;
  if (at("size").value) words.size = at("size").value;
  return words;
}

let retry;
function play() {
  clearTimeout(retry);
  const picture = at("picture");
  if (!state.chosen.camera) return;
  if (camera.paused) return tellCamera("Paused. The camera is off unless someone else is watching.");
  tellCamera("Waiting for the camera…");
  picture.onload = () => { tellCamera(""); camera.playing = true; };
  picture.onerror = async () => {
    camera.playing = false;
    // An image says nothing of why; the same path does.
    try { await ask("/snapshot.jpg", wanted()); tellCamera("The stream ended."); } catch (error) { tellCamera(error.message); }
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
  const sizes = [...new Set(camera.formats.filter(each => each.format === at("format").value).map(each => `${each.width}x${each.height}`))];
  // As large as a page shows it: what is larger takes a choice.
  const area = size => size.split("x").reduce((product, side) => product * side, 1);
  const fitting = sizes.filter(size => area(size) <= 1280 * 720).sort((a, b) => area(b) - area(a));
  options(at("size"), sizes.map(size => [size, size.replace("x", "×")]), sizes.includes(at("size").value) && camera.chosen ? at("size").value : fitting[0] || sizes[0]);
}

async function readCamera() {
  const id = state.chosen.camera;
  const formats = await ask("/api/formats", { device: id });
  if (id !== state.chosen.camera) return;
  camera.formats = formats;
  const names = [...new Set(formats.map(each => each.format))].sort((a, b) => (b === "mjpeg") - (a === "mjpeg"));
  const streaming = current("camera")?.streams?.[0];
  options(at("format"), names.map(name => [name, name.toUpperCase()]), streaming?.format);
  chooseSizes();
  if (streaming?.width) at("size").value = `${streaming.width}x${streaming.height}`;
  play();
  await readControls();
}

// Controls

async function readControls() {
  const id = state.chosen.camera;
  const controls = await ask("/api/controls", { device: id });
  if (id !== state.chosen.camera) return;
  camera.controlsOf = id;
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
    try { await ask("/api/controls", { device: state.chosen.camera, name: control.name, value: set }, "POST"); } finally { await readControls(); }
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

// The view

views.camera = {
  async open(id) {
    camera.chosen = false;
    camera.controlsOf = null;
    camera.formats = [];
    at("controls").replaceChildren();
    if (!id) return tellCamera("No camera is attached. Plug one in, or run: userdriver up --emulate webcam");
    tellCamera("Waiting for the camera…");
    await readCamera();
  },
  close: stop,
  async look(device) {
    if (device?.state === "running" && camera.controlsOf !== device.id) await readCamera();
    else if (device && device.state !== "running" && !camera.playing) tellCamera(device.reason || `The camera is ${device.state}.`);
  },
  fail: tellCamera,
};

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
  camera.recorder = recorder;
}
at("record").onclick = tell(() => {
  if (camera.recorder) { camera.recorder.stop(); camera.recorder = null; } else startRecording();
  at("record").setAttribute("aria-pressed", String(!!camera.recorder));
  at("record").textContent = camera.recorder ? "Stop recording" : "Record";
});

at("pause").onclick = () => {
  camera.paused = !camera.paused;
  at("pause").setAttribute("aria-pressed", String(camera.paused));
  at("pause").textContent = camera.paused ? "Play" : "Pause";
  stop();
  play();
};
at("full").onclick = tell(() => document.fullscreenElement ? document.exitFullscreen() : at("frame").requestFullscreen());
at("reset").onclick = tell(async () => { await ask("/api/controls/reset", { device: state.chosen.camera }, "POST"); await readControls(); });
at("format").onchange = () => { chooseSizes(); play(); };
at("size").onchange = () => { camera.chosen = true; play(); };
at("controls").onsubmit = event => event.preventDefault();
