// The conversation in words: what is being said, what was asked, and the answer as it is written.

const byId = (id) => document.getElementById(id);

export class Talk {
  constructor(wire) {
    this.wire = wire;
    this.turns = new Map();
    this.atEnd = true;
    const log = byId("log");
    log.addEventListener("scroll", () => { this.atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40; });
    // Whoever reads further up is left there; everybody else sees the newest words.
    const follow = () => { if (this.atEnd) log.scrollTop = log.scrollHeight; };
    new ResizeObserver(follow).observe(log);
    new MutationObserver(follow).observe(log, { childList: true, subtree: true, characterData: true, attributes: true });
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      const question = byId("question");
      if (!question.value.trim()) return;
      wire.say("ask", { text: question.value.trim() });
      question.value = "";
    });
    byId("stop").addEventListener("click", () => wire.say("stop"));
    byId("repeat").addEventListener("click", () => wire.say("repeat"));
  }

  hello({ turns }) {
    this.turns.clear();
    byId("log").replaceChildren(byId("empty"));
    byId("empty").hidden = false;
    for (const turn of turns) this.turnDone(turn);
    this.enable(true);
  }

  enable(on) {
    for (const id of ["question", "stop", "repeat"]) byId(id).disabled = !on;
    byId("ask").querySelector("button").disabled = !on;
    if (!on) byId("partial").hidden = true;
  }

  partial({ stable, tentative }) {
    byId("partial").hidden = !(stable || tentative);
    byId("stable").textContent = stable;
    byId("tentative").textContent = tentative;
  }

  question({ turn, text, kind }) {
    byId("partial").hidden = true;
    if (kind === "backchannel") return;
    this.#entry(turn).question(text, kind);
  }

  answerBegan({ turn, revision }) { this.#entry(turn).revise(revision); }

  answerText({ turn, revision, text }) { this.#entry(turn).write(revision, text); }

  ducked({ turn, ducked }) { this.#entry(turn).element.classList.toggle("ducked", ducked); }

  speakingEnded({ turn, said, interrupted }) { if (interrupted) this.#entry(turn).cut(said); }

  turnDone({ turn, question, answer, trace }) {
    byId("partial").hidden = true;
    if (!question && !answer) return;
    const entry = this.#entry(turn);
    if (question) entry.question(question, "question");
    entry.finish(answer, trace);
  }

  note(text) {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = text;
    this.#append(note);
  }

  #entry(turn) {
    if (!this.turns.has(turn)) {
      const entry = new Entry();
      this.turns.set(turn, entry);
      this.#append(entry.element);
    }
    return this.turns.get(turn);
  }

  #append(element) {
    byId("empty").hidden = true;
    byId("log").append(element);
  }
}

class Entry {
  #revision = 0;
  #pieces = "";

  constructor() {
    this.element = document.createElement("article");
    this.asked = line("you", "You");
    this.told = line("it", "Lorgnette");
    this.meta = document.createElement("p");
    this.meta.className = "meta";
    this.element.append(this.asked, this.told, this.meta);
    this.asked.hidden = this.told.hidden = this.meta.hidden = true;
  }

  question(text, kind) {
    this.asked.hidden = false;
    this.asked.classList.toggle("command", kind !== "question");
    this.asked.lastChild.textContent = text;
  }

  /** A draft that is thrown away disappears as it came. */
  revise(revision) {
    this.#revision = revision;
    this.#pieces = "";
    this.told.lastChild.textContent = "";
    this.told.hidden = true;
  }

  write(revision, text) {
    if (revision < this.#revision) return;
    if (revision > this.#revision) this.revise(revision);
    this.#pieces += text;
    this.told.hidden = false;
    this.told.classList.add("writing");
    this.told.lastChild.textContent = this.#pieces.trimStart();
  }

  cut(said) {
    const whole = this.#pieces.trim();
    this.told.lastChild.replaceChildren(said);
    if (whole.startsWith(said) && whole.length > said.length) {
      const unsaid = document.createElement("s");
      unsaid.textContent = whole.slice(said.length);
      this.told.lastChild.append(unsaid);
    }
  }

  finish(answer, trace) {
    this.element.classList.remove("ducked");
    this.told.classList.remove("writing");
    if (answer && !this.told.querySelector("s")) {
      this.told.hidden = false;
      this.told.lastChild.textContent = answer;
    }
    const facts = [trace.engine, trace.outcome === "answered" ? "" : trace.outcome];
    if (trace.confidence !== null) facts.push(`${Math.round(trace.confidence * 100)} % sure`);
    this.meta.textContent = facts.filter(Boolean).join(" · ");
    this.meta.hidden = !this.meta.textContent;
  }
}

function line(name, speaker) {
  const paragraph = document.createElement("p");
  paragraph.className = name;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = speaker;
  paragraph.append(who, document.createElement("span"));
  return paragraph;
}
