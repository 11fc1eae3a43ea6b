// Turns what the microphone gives into packets of 512 samples of 16 bits at 16 kHz.

const RATE = 16000, SAMPLES = 512;

class Heard extends AudioWorkletProcessor {
  #packet = new Int16Array(SAMPLES);
  #filled = 0;
  #step = RATE / sampleRate;
  #phase = 0;
  #sum = 0;
  #count = 0;

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (const sample of samples) {
      // Where the browser insists on another rate, each sample is the mean of those that fall on it.
      this.#sum += sample;
      this.#count += 1;
      this.#phase += this.#step;
      if (this.#phase < 1) continue;
      this.#phase -= 1;
      this.#push(this.#sum / this.#count);
      this.#sum = this.#count = 0;
    }
    return true;
  }

  #push(sample) {
    this.#packet[this.#filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
    if (this.#filled < SAMPLES) return;
    this.port.postMessage(this.#packet.buffer, [this.#packet.buffer]);
    this.#packet = new Int16Array(SAMPLES);
    this.#filled = 0;
  }
}

registerProcessor("heard", Heard);
