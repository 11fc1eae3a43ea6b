// Each turn as bars over time, around the end of its question: growing while it lasts, exact when it is over.

const SHOWN_BEFORE_MS = 900, MOST_TURNS = 30, TICK_MS = 100;
const HUES = {
  speech: "wearer", "wait for the end": "wearer", listen: "wearer", look: "see", "read the question": "think",
  answer: "think", "first words to sound": "say", speak: "say", play: "say",
};
const NAMES = {
  speech: "speech", "wait for the end": "end of turn", listen: "understand", look: "look", "read the question": "read question",
  answer: "write answer", "first words to sound": "first clause", speak: "make sound", play: "play",
};
const byId = (id) => document.getElementById(id);

export class Turns {
  constructor(wire) {
    this.wire = wire;
    this.turns = new Map();
    setInterval(() => { for (const turn of this.turns.values()) if (turn.live) turn.draw(performance.now()); }, TICK_MS);
  }

  hello({ turns }) {
    this.turns.clear();
    byId("turns").replaceChildren();
    byId("no-turns").hidden = false;
    for (const turn of turns) this.event(turn);
  }

  /** Any event that has to do with a turn. */
  event(event) {
    const at = this.wire.localMs(event.at_ns);
    switch (event.type) {
      case "speech_began": this.#turn(event.turn, at).begin("speech", at); break;
      case "speech_paused": this.#turn(event.turn, at).end("speech", at); break;
      case "speech_resumed": this.#turn(event.turn, at).begin("speech", at); break;
      case "speech_ended": this.#turn(event.turn, at).end("speech", at); break;
      case "question_heard": this.#turn(event.turn, at).asked(event.text); break;
      case "answer_began": this.#turn(event.turn, at).begin("read the question", at); break;
      case "answer_text": this.#turn(event.turn, at).wrote(at); break;
      case "speaking_began": this.#turn(event.turn, at).played(at); break;
      case "speaking_ended": this.turns.get(event.turn)?.end("play", at); break;
      case "turn_done": this.#turn(event.turn, at).done(event); break;
    }
  }

  #turn(number, at) {
    if (!this.turns.has(number)) {
      const turn = new Turn(number, at);
      this.turns.set(number, turn);
      byId("turns").prepend(turn.element);
      byId("no-turns").hidden = true;
      while (byId("turns").children.length > MOST_TURNS) byId("turns").lastElementChild.remove();
    }
    return this.turns.get(number);
  }
}

class Turn {
  #bars = new Map(); // name -> { start, end } in this page's milliseconds
  #zero;

  constructor(number, at) {
    this.live = true;
    this.#zero = at;
    this.first = null;
    this.ended = false;
    this.element = document.createElement("li");
    this.element.value = number;
    this.element.innerHTML = `<div class="figures"><p class="first"><b>–</b><span>first sound</span></p>
      <p class="asked"></p><p class="aside"></p></div><table class="fall"><caption class="unseen"></caption>
      <colgroup><col class="name"><col><col class="time"></colgroup><thead class="unseen"><tr><th>Stage</th><th>When</th><th>Took</th></tr></thead><tbody></tbody></table>`;
    this.element.querySelector("caption").textContent = `Turn ${number}, milliseconds from the end of the question`;
  }

  begin(name, at) {
    const known = this.#bars.get(name);
    if (name === "speech") this.ended = false;
    this.#bars.set(name, { start: name === "speech" && known ? known.start : at, end: null });
    if (name === "read the question") this.#bars.delete("answer");
    this.draw(at);
  }

  end(name, at) {
    const bar = this.#bars.get(name);
    if (bar) bar.end = at;
    if (name === "speech") {
      this.#zero = at;
      this.ended = true;
    }
    this.draw(at);
  }

  asked(text) { this.element.querySelector(".asked").textContent = text; }

  wrote(at) {
    const reading = this.#bars.get("read the question");
    if (reading && reading.end === null) reading.end = at;
    const answer = this.#bars.get("answer");
    this.#bars.set("answer", { start: answer?.start ?? at, end: at });
  }

  played(at) {
    this.#bars.set("play", { start: at, end: null });
    this.first = (at - this.#zero) / 1000;
    this.draw(at);
  }

  done({ question, trace, stages, first_audio_s: first, tokens_per_s: speed }) {
    this.live = false;
    this.#bars.clear();
    this.#zero = 0;
    for (const { name, start_ms: start, end_ms: end } of stages) this.#bars.set(name, { start, end });
    this.first = first;
    this.element.querySelector(".asked").textContent = question || "an announcement";
    const facts = [];
    if (speed) facts.push(`${speed.toFixed(0)} tokens/s`);
    if (trace.picture_cached) facts.push("seen ahead");
    if (trace.revisions) facts.push(`${trace.revisions} revised`);
    if (trace.outcome !== "answered") facts.push(trace.outcome);
    this.element.querySelector(".aside").textContent = facts.join(" · ");
    this.draw(0);
  }

  draw(now) {
    const figure = this.element.querySelector(".first b");
    // Until it is heard, the figure is how long the wearer has been waiting.
    const waited = this.live && this.ended ? (now - this.#zero) / 1000 : null;
    figure.textContent = (this.first ?? waited)?.toFixed(2) ?? "–";
    figure.parentElement.classList.toggle("there", this.first !== null);
    const bars = [...this.#bars].map(([name, { start, end }]) => ({ name, start: start - this.#zero, end: (end ?? now) - this.#zero }));
    if (!bars.length) return;
    // What lasts long and tells little, speaking before and playing after, is cut off at the edges.
    const inner = bars.filter(({ name }) => !["speech", "play", "speak"].includes(name));
    const low = Math.max(Math.min(0, ...bars.map(({ start }) => start)), -SHOWN_BEFORE_MS);
    const high = Math.max(400, this.first === null ? 0 : this.first * 1000, ...inner.map(({ end }) => end)) * 1.18;
    const place = (at) => (100 * (Math.min(high, Math.max(low, at)) - low)) / (high - low);
    const body = this.element.querySelector("tbody");
    this.element.style.setProperty("--zero", `${place(0)}%`);
    bars.forEach(({ name, start, end }, at) => {
      const row = body.rows[at] ?? newRow(body);
      row.cells[0].textContent = NAMES[name] ?? name;
      const [bar] = row.cells[1].getElementsByClassName("bar");
      bar.className = `bar ${HUES[name] ?? "think"}${start < low ? " before" : ""}${end > high ? " after" : ""}`;
      bar.style.left = `${place(start)}%`;
      bar.style.width = `max(3px, ${place(end) - place(start)}%)`;
      row.cells[1].title = `from ${Math.round(start)} to ${Math.round(end)} ms`;
      row.cells[2].textContent = took(end - start);
    });
    while (body.rows.length > bars.length) body.deleteRow(-1);
  }
}

function newRow(body) {
  const row = body.insertRow();
  const name = document.createElement("th");
  name.scope = "row";
  row.append(name);
  row.insertCell().innerHTML = '<span class="line"><span class="bar"></span></span>';
  row.insertCell();
  return row;
}

function took(ms) { return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`; }
