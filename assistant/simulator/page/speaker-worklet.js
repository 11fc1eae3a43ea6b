// Plays packets in order, follows the volume without a click, drops what is not heard yet, and says how far it is and
// all that was heard.

const REPORT_SAMPLES = 512, FADE_SAMPLES = 96;

class Player extends AudioWorkletProcessor {
  #waiting = [];
  #first = 0;
  #stream = -1;
  #position = 0;
  #reported = -1;
  #heard = new Int16Array(REPORT_SAMPLES);
  #filled = 0;
  #peak = 0;
  #level = 1;
  #target = 1;
  #fading = [];

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.samples) {
        if (data.stream === this.#stream) this.#waiting.push(data.samples);
      } else if (data.level !== undefined) {
        this.#target = data.level;
      } else {
        this.#clear(data.stream);
      }
    };
  }

  process(_inputs, [output]) {
    const played = output[0];
    for (let at = 0; at < played.length; at++) {
      this.#level += (this.#target - this.#level) * 0.01;
      const sample = this.#next() * this.#level;
      played[at] = sample;
      this.#peak = Math.max(this.#peak, Math.abs(sample));
      this.#heard[this.#filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      if (this.#filled === REPORT_SAMPLES) this.#report();
    }
    return true;
  }

  #report() {
    const message = { heard: this.#heard.buffer };
    if (this.#position !== this.#reported) {
      this.#reported = this.#position;
      Object.assign(message, { stream: this.#stream, position: this.#position, peak: this.#peak });
    }
    this.port.postMessage(message, [this.#heard.buffer]);
    this.#heard = new Int16Array(REPORT_SAMPLES);
    this.#filled = this.#peak = 0;
  }

  #next() {
    if (this.#fading.length) return this.#fading.shift();
    const chunk = this.#waiting[0];
    if (!chunk) return 0;
    const sample = chunk[this.#first++];
    this.#position++;
    if (this.#first === chunk.length) {
      this.#waiting.shift();
      this.#first = 0;
    }
    return sample;
  }

  #clear(stream) {
    const rest = this.#waiting[0]?.subarray(this.#first, this.#first + FADE_SAMPLES) ?? [];
    this.#fading = Array.from(rest, (sample, at) => sample * (1 - at / FADE_SAMPLES));
    this.#waiting = [];
    this.#first = this.#position = 0;
    this.#reported = -1;
    this.#stream = stream;
  }
}

registerProcessor("player", Player);
