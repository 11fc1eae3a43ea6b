// Plays packets in order, follows the volume without a click, drops what is not heard yet, and says how far it is.

const BLOCKS_A_REPORT = 4, FADE_SAMPLES = 96;

class Player extends AudioWorkletProcessor {
  #waiting = [];
  #first = 0;
  #stream = -1;
  #position = 0;
  #reported = -1;
  #blocks = 0;
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
    let peak = 0;
    for (let at = 0; at < played.length; at++) {
      this.#level += (this.#target - this.#level) * 0.01;
      const sample = this.#next() * this.#level;
      played[at] = sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    if (++this.#blocks >= BLOCKS_A_REPORT) {
      this.#blocks = 0;
      if (this.#position !== this.#reported) {
        this.#reported = this.#position;
        this.port.postMessage({ stream: this.#stream, position: this.#position, peak });
      }
    }
    return true;
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
