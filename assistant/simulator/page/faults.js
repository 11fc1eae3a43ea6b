// The fault switches: the whole set goes to the program at each change.

const byId = (id) => document.getElementById(id);
const SLIDES = { drop: ["drop", 100, "%"], delay: ["delay_s", 1000, "ms"], jitter: ["jitter_s", 1000, "ms"] };
const SWITCHES = {
  "camera-lost": "camera_lost", "microphone-lost": "microphone_lost", "microphone-denied": "microphone_denied",
  "speaker-stalled": "speaker_stalled",
};

export class Faults {
  constructor(wire) {
    this.wire = wire;
    byId("faults").addEventListener("input", () => this.#show());
    byId("faults").addEventListener("change", () => this.#send());
    byId("mend").addEventListener("click", () => {
      for (const id of Object.keys(SLIDES)) byId(id).value = 0;
      for (const id of Object.keys(SWITCHES)) byId(id).checked = false;
      byId("rate").value = "0";
      this.#show();
      this.#send();
    });
  }

  hello({ faults }) {
    for (const [id, [field, scale]] of Object.entries(SLIDES)) byId(id).value = faults[field] * scale;
    for (const [id, field] of Object.entries(SWITCHES)) byId(id).checked = faults[field];
    byId("rate").value = String(faults.frame_rate_hz);
    byId("faults").disabled = false;
    this.#show();
  }

  lost() { byId("faults").disabled = byId("mend").disabled = true; }

  #show() {
    for (const [id, [, , unit]] of Object.entries(SLIDES)) {
      const slide = byId(id);
      slide.nextElementSibling.textContent = `${slide.value} ${unit}`;
      slide.style.setProperty("--share", `${(100 * slide.value) / slide.max}%`);
    }
    const well = Object.keys(SLIDES).every((id) => byId(id).value === "0") && byId("rate").value === "0"
      && Object.keys(SWITCHES).every((id) => !byId(id).checked);
    byId("mend").disabled = well || byId("faults").disabled;
  }

  #send() {
    const faults = { frame_rate_hz: Number(byId("rate").value) };
    for (const [id, [field, scale]] of Object.entries(SLIDES)) faults[field] = byId(id).valueAsNumber / scale;
    for (const [id, field] of Object.entries(SWITCHES)) faults[field] = byId(id).checked;
    this.wire.say("faults", faults);
  }
}
