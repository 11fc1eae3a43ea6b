// The pair of glasses: what the wearer does with it, and how it shows what the program says.

const HOLD_MS = 350, BARS = 9;
const LEVEL_MS = 50;
const HINTS = {
  listening: "Go ahead.", thinking: "Working out an answer.", speaking: "Speak or press the button to interrupt.",
  asleep: "Microphone and camera are off.",
};
// Reasons that say no more than the state does.
const PLAIN = new Set(["", "speech", "question", "answer"]);
const SVG = "http://www.w3.org/2000/svg";
const NAMES = {
  away: "Not worn yet", idle: "Ready", listening: "Listening", thinking: "Thinking",
  speaking: "Speaking", degraded: "Something is wrong", asleep: "Asleep",
};
const byId = (id) => document.getElementById(id);

export class Glasses {
  constructor(wire) {
    this.wire = wire;
    this.lit = new Set();
    this.settings = {};
    this.levels = Array(BARS).fill(0);
    this.peak = this.movedAt = 0;
    this.bars = [...document.querySelectorAll(".bars")].map(drawBars);
    this.#button(byId("press"));
    byId("tap").addEventListener("click", () => { wire.say("tap"); flash("tapped"); });
    byId("fold").addEventListener("click", () => this.#toggle("fold", "fold", "folded"));
    byId("take-off").addEventListener("click", () => {
      const off = byId("take-off").getAttribute("aria-pressed") !== "true";
      this.#showToggle("take-off", off);
      wire.say("wear", { worn: !off });
    });
    byId("battery").addEventListener("input", () => this.#showBattery());
    byId("battery").addEventListener("change", () => wire.say("battery", { level: byId("battery").valueAsNumber / 100 }));
    for (const heat of document.getElementsByName("heat")) {
      heat.addEventListener("change", () => { wire.say("heat", { level: heat.value }); this.#showHeat(heat.value); });
    }
  }

  /** Everything as the program has it. */
  hello({ state, reason, capture, glasses, settings }) {
    this.settings = settings;
    byId("controls").disabled = false;
    byId("welcome").hidden = true;
    this.#showToggle("fold", glasses.folded);
    this.#showToggle("take-off", !glasses.worn);
    byId("battery").value = Math.round(glasses.battery * 100);
    this.#showBattery();
    for (const heat of document.getElementsByName("heat")) heat.checked = heat.value === glasses.heat;
    this.#showHeat(glasses.heat);
    for (const source of ["microphone", "camera"]) this.capture(source, capture.includes(source));
    this.state(state, reason);
  }

  state(state, reason) {
    document.body.dataset.state = state;
    byId("state").textContent = NAMES[state];
    const hint = state === "idle" ? this.#invitation() : (HINTS[state] ?? "");
    byId("reason").textContent = [state === "idle" || PLAIN.has(reason) ? "" : sentence(reason), hint].join(" ").trim();
    this.#describe();
  }

  /** The program lit a lamp, or put it out: nothing else does. */
  capture(source, on) {
    on ? this.lit.add(source) : this.lit.delete(source);
    byId(`lamp-${source}`).classList.toggle("on", on);
    const says = byId(`says-${source}`);
    says.dataset.on = on;
    says.querySelector("b").textContent = on ? "on" : "off";
    this.#describe();
  }

  /** How loud it is now, 0 to 1. */
  sound(peak) {
    this.peak = Math.max(this.peak, peak);
    if (performance.now() - this.movedAt < LEVEL_MS && peak > 0) return;
    this.movedAt = performance.now();
    this.levels = [Math.max(Math.min(1, Math.sqrt(this.peak)), this.levels[0] * 0.6), ...this.levels.slice(0, -1)];
    for (const bars of this.bars) bars.forEach((bar, at) => bar.style.setProperty("--level", this.levels[at].toFixed(2)));
    this.peak = 0;
  }

  lost() {
    for (const source of [...this.lit]) this.capture(source, false);
    byId("controls").disabled = true;
    this.state("away", "the connection was lost");
    byId("state").textContent = "Not connected";
  }

  #button(button) {
    let timer = 0, held = false, down = false;
    const press = () => {
      if (down || button.disabled) return;
      down = true;
      document.body.classList.add("pressed");
      timer = setTimeout(() => { held = true; this.wire.say("hold_button", { held: true }); }, HOLD_MS);
    };
    const release = (counts) => {
      if (!down) return;
      down = false;
      clearTimeout(timer);
      document.body.classList.remove("pressed");
      if (held) this.wire.say("hold_button", { held: false });
      else if (counts) this.wire.say("press_button");
      held = false;
    };
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      press();
    });
    button.addEventListener("pointerup", () => release(true));
    button.addEventListener("pointercancel", () => release(false));
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) press();
    });
    button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") release(true); });
    button.addEventListener("blur", () => release(false));
    // A screen reader or a voice command clicks without a pointer or a key.
    button.addEventListener("click", (event) => { if (event.detail === 0) { press(); release(true); } });
  }

  #toggle(id, command, field) {
    const on = byId(id).getAttribute("aria-pressed") !== "true";
    this.#showToggle(id, on);
    this.wire.say(command, { [field]: on });
  }

  #showToggle(id, on) {
    byId(id).setAttribute("aria-pressed", on);
    document.body.classList.toggle(id === "fold" ? "folded" : "taken-off", on);
    this.#describe();
  }

  #showBattery() {
    const battery = byId("battery");
    byId("battery-out").textContent = `${battery.value} %`;
    battery.style.setProperty("--share", `${battery.value}%`);
    battery.classList.toggle("low", battery.valueAsNumber < 15);
  }

  #showHeat(level) { document.body.dataset.heat = level; }

  #invitation() {
    const { start, wake_word: word } = this.settings;
    if (start === "wake" && word) return `Say “${word.replace(/\b\w/g, (letter) => letter.toUpperCase())}”, or press the button.`;
    return start === "open" ? "Ask away, or press the button." : "Press the button and ask.";
  }

  #describe() {
    const folded = document.body.classList.contains("folded") ? "folded" : "open";
    const lit = this.lit.size ? `indicator lit for ${[...this.lit].join(" and ")}` : "indicator out";
    byId("glasses").setAttribute("aria-label", `A pair of glasses, ${folded}: ${byId("state").textContent}, ${lit}`);
  }
}

/** A row of bars in each lens, the newest next to the bridge. */
function drawBars(group) {
  const bars = [];
  for (let at = 0; at < BARS; at++) {
    const bar = document.createElementNS(SVG, "rect");
    const x = Number(group.dataset.x) + (at - (BARS - 1) / 2) * 13 * Number(group.dataset.way);
    for (const [key, value] of Object.entries({ x: x - 2.5, y: 78, width: 5, height: 64, rx: 2.5 })) bar.setAttribute(key, value);
    bar.style.setProperty("--at", at);
    group.append(bar);
    bars.push(bar);
  }
  return bars;
}

function flash(name) {
  document.body.classList.remove(name);
  requestAnimationFrame(() => document.body.classList.add(name));
  setTimeout(() => document.body.classList.remove(name), 400);
}

function sentence(phrase) {
  return `${phrase[0].toUpperCase()}${phrase.slice(1)}${/[.!?]$/.test(phrase) ? "" : "."}`;
}
