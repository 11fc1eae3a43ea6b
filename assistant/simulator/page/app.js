// The page: the browser's devices on one side, the program's messages on the other, and what is drawn of them.

import { Faults } from "./faults.js";
import { Glasses } from "./glasses.js";
import { Sight } from "./sight.js";
import { Microphone, Speaker } from "./sound.js";
import { Talk } from "./talk.js";
import { Turns } from "./waterfall.js";
import { PICTURE_LOOKED_AT, SOUND_TO_PLAY, Wire } from "./wire.js";

const byId = (id) => document.getElementById(id);
const wire = new Wire();
const glasses = new Glasses(wire), talk = new Talk(wire), turns = new Turns(wire), faults = new Faults(wire);
const sight = new Sight(wire, { video: byId("video"), still: byId("still"), cover: byId("cover") });
const microphone = new Microphone(wire, (level) => glasses.sound(level));
const speaker = new Speaker(wire, (level) => glasses.sound(level), () => microphone.isOpen);
let lookedAtNs = 0, awake = true, cameraFileTaken = false;

// ---- what the program says

const HEARD = {
  hello(message) {
    notice("link", "");
    for (const part of [glasses, talk, turns, faults]) part.hello(message);
    for (const trouble of ["microphone", "camera", "speaker", "hear", "think", "traces"]) notice(trouble, "");
    message.troubles.forEach(HEARD.trouble);
    byId("facts").textContent = `${message.settings.engine} · voice ${message.settings.voice}`;
    byId("export").disabled = byId("replay").disabled = false;
    byId("looked").hidden = true;
    wakeSight(message.state);
    if (message.camera_file && !cameraFileTaken) takeCameraFile(message.camera_file);
  },
  open(message) {
    if (message.device === "microphone") microphone.open(message.stream);
    else if (message.device === "camera") sight.open(message);
    else speaker.open(message);
  },
  close({ device, stream }) {
    if (device === "microphone") microphone.close(stream);
    else sight.close(stream);
  },
  clear({ stream }) { speaker.clear(stream); },
  volume({ level }) { speaker.volume(level); },
  state_changed({ state, reason }) { glasses.state(state, reason); wakeSight(state); },
  capture_changed({ source, on }) { glasses.capture(source, on); },
  partial_heard(message) { talk.partial(message); },
  question_heard(message) { talk.question(message); },
  answer_text(message) { talk.answerText(message); },
  answer_began(message) { talk.answerBegan(message); },
  speaking_ducked(message) { talk.ducked(message); },
  speaking_ended(message) { talk.speakingEnded(message); },
  turn_done(message) { talk.turnDone(message); },
  trouble({ part, message, hint, over }) { notice(part, over ? "" : hint ? `${message}: ${hint}` : message); },
  error({ message, hint }) { talk.note(hint ? `${message} (${hint})` : message); },
  replay({ running, position_s: at, duration_s: whole }) {
    const stop = { label: "Stop the replay", act: () => wire.say("stop_replay") };
    notice("replay", running ? `Replaying an exported conversation: ${Math.round(at)} of ${Math.round(whole)} s` : "", stop);
  },
};

wire.addEventListener("message", ({ detail }) => {
  HEARD[detail.type]?.(detail);
  if ("turn" in detail) turns.event(detail);
});

wire.addEventListener("packet", ({ detail }) => {
  if (detail.kind === SOUND_TO_PLAY) speaker.play(detail);
  if (detail.kind === PICTURE_LOOKED_AT) showLookedAt(detail);
});

wire.addEventListener("lost", () => {
  letGo();
  notice("link", "The connection to the program was lost. Trying again …");
});

wire.addEventListener("taken", ({ detail }) => {
  letGo();
  notice("link", `${detail[0].toUpperCase()}${detail.slice(1)}.`, { label: "Wear them here", act: () => wire.connect() });
});

function letGo() {
  microphone.close();
  sight.close();
  speaker.clear(-1);
  glasses.lost();
  talk.enable(false);
  faults.lost();
  byId("export").disabled = byId("replay").disabled = true;
}

// ---- the wearer

byId("put-on").addEventListener("click", async () => {
  byId("put-on").disabled = true;
  await Promise.allSettled([microphone.prepare(), sight.show()]);
  await listDevices();
  wire.connect();
});

// What the browser does not give is said once there is somebody to say it to.
wire.addEventListener("open", () => {
  if (microphone.missing) wire.say("device", { device: "microphone", available: false, reason: microphone.missing });
  if (sight.missing) wire.say("device", { device: "camera", available: false, reason: sight.missing });
});

byId("camera").addEventListener("change", (event) => {
  byId("file-name").textContent = "none chosen";
  sight.choose(event.target.value);
});
byId("microphone").addEventListener("change", (event) => microphone.change({ deviceId: event.target.value }));
byId("echo").addEventListener("change", (event) => microphone.change({ echo: event.target.checked }));
byId("choose-file").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", ({ target }) => { if (target.files[0]) takeFile(target.files[0]); });
byId("video").addEventListener("dragover", (event) => event.preventDefault());
navigator.mediaDevices?.addEventListener("devicechange", listDevices);

async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  for (const [id, kind, chosen] of [["camera", "videoinput", sight.deviceId], ["microphone", "audioinput", microphone.deviceId]]) {
    const found = devices.filter((device) => device.kind === kind && device.deviceId);
    const options = found.map((device, at) => new Option(device.label || `${id} ${at + 1}`, device.deviceId));
    byId(id).replaceChildren(...(options.length ? options : [new Option(`no ${id} found`, "")]));
    if (chosen) byId(id).value = chosen;
  }
}

function takeFile(file) {
  byId("file-name").textContent = file.name;
  if (awake) sight.chooseFile(file);
  else sight.file = file;
}

/** What `--camera` named. */
async function takeCameraFile(name) {
  cameraFileTaken = true;
  const blob = await (await fetch("camera")).blob();
  takeFile(new File([blob], name, { type: blob.type }));
}

/** Asleep, the browser's camera is let go as well. */
function wakeSight(state) {
  const now = state !== "asleep";
  if (now === awake) return;
  awake = now;
  if (awake) sight.show();
  else sight.rest("Asleep");
}

// ---- what the model looked at

function showLookedAt({ position, body }) {
  const picture = byId("looked-picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(new Blob([body], { type: "image/jpeg" }));
  lookedAtNs = position;
  byId("looked").hidden = false;
}

setInterval(() => {
  if (byId("looked").hidden) return;
  const age = Math.max(0, (performance.now() - wire.localMs(lookedAtNs)) / 1000);
  byId("looked-age").textContent = age < 60 ? `${age.toFixed(1)} s ago` : `${Math.round(age / 60)} min ago`;
}, 200);

// ---- tapes

byId("export").addEventListener("click", async () => {
  byId("export").disabled = true;
  try {
    const answer = await fetch("tape");
    if (!answer.ok) throw new Error(await answer.text());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `lorgnette-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    talk.note(`The conversation could not be exported: ${error.message}`);
  } finally {
    byId("export").disabled = !wire.isOpen;
  }
});

byId("replay").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (!file) return;
  try {
    const answer = await fetch("tape", { method: "POST", body: file });
    if (!answer.ok) {
      const { message, hint } = await answer.json();
      throw new Error(hint ? `${message} (${hint})` : message);
    }
  } catch (error) {
    talk.note(error.message);
  }
});

// ---- notices

function notice(id, text, { label = "", act = null } = {}) {
  const known = byId(`notice-${id}`);
  if (!text) {
    known?.remove();
    return;
  }
  const box = known ?? document.createElement("p");
  if (!known) {
    box.id = `notice-${id}`;
    box.append(document.createElement("span"));
    if (label) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.addEventListener("click", () => { box.remove(); act(); });
      box.append(button);
    }
    // What moves all the time is not read out.
    byId(id === "replay" ? "progress" : "notices").append(box);
  }
  box.firstChild.textContent = `${text[0].toUpperCase()}${text.slice(1)}`;
}
