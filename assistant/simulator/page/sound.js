// The browser's microphone and loudspeaker, as the program asks for them.

import { SOUND_HEARD, SOUND_PLAYED } from "./wire.js";

/** Heard only between the program's "open" and "close"; in between the browser's microphone is let go. */
export class Microphone {
  constructor(wire, onLevel) {
    this.wire = wire;
    this.onLevel = onLevel;
    this.deviceId = "";
    this.echo = true;
    this.stream = null;
    this.media = null;
    this.context = null;
    this.source = null;
    this.missing = "";
  }

  get isOpen() { return this.stream !== null; }

  /** Asks for permission, in the wearer's click. */
  async prepare() {
    this.context = new AudioContext({ sampleRate: 16000 });
    await this.context.audioWorklet.addModule("microphone-worklet.js");
    await this.#acquire();
  }

  async open(stream) {
    this.stream = stream;
    try {
      if (!this.media?.active) await this.#acquire();
      if (this.stream !== stream) return;
      await this.context.resume();
      this.#listen(stream);
    } catch (error) {
      this.#refused(error);
    }
  }

  close(stream) {
    if (stream !== undefined && stream !== this.stream) return;
    this.stream = null;
    this.#silence();
    this.media?.getTracks().forEach((track) => track.stop());
    this.media = null;
    this.onLevel(0);
  }

  /** Another device, or other processing: taken at once where it is open. */
  async change(settings) {
    Object.assign(this, settings);
    const stream = this.stream;
    if (stream === null) return;
    this.close();
    await this.open(stream);
  }

  async #acquire() {
    try {
      this.media = await navigator.mediaDevices.getUserMedia({
        audio: {
          deviceId: this.deviceId ? { exact: this.deviceId } : undefined,
          channelCount: 1,
          echoCancellation: this.echo,
          noiseSuppression: this.echo,
          autoGainControl: this.echo,
        },
      });
    } catch (error) {
      this.#refused(error);
      throw error;
    }
    this.missing = "";
    this.wire.say("device", { device: "microphone", available: true, reason: "" });
    this.media.getAudioTracks()[0].addEventListener("ended", () => this.#refused(new Error("it was unplugged")));
  }

  #listen(stream) {
    this.#silence();
    const source = this.context.createMediaStreamSource(this.media);
    const heard = new AudioWorkletNode(this.context, "heard", { numberOfOutputs: 0 });
    let sequence = 0;
    heard.port.onmessage = ({ data }) => {
      if (this.stream !== stream) return;
      const samples = new Int16Array(data);
      this.wire.sendPacket(SOUND_HEARD, stream, sequence, sequence * samples.length, data);
      sequence += 1;
      this.onLevel(samples.reduce((peak, one) => Math.max(peak, Math.abs(one)), 0) / 32768);
    };
    source.connect(heard);
    this.source = { source, heard };
  }

  #silence() {
    this.source?.source.disconnect();
    if (this.source) this.source.heard.port.onmessage = null;
    this.source = null;
  }

  #refused(error) {
    const reason = error.name === "NotAllowedError" ? "permission was not given" : error.message || error.name;
    this.missing = reason.slice(0, 200);
    this.wire.say("device", { device: "microphone", available: false, reason: this.missing });
  }
}

export class Speaker {
  /** `isHeard` tells whether a microphone is open. */
  constructor(wire, onLevel, isHeard) {
    this.wire = wire;
    this.onLevel = onLevel;
    this.isHeard = isHeard;
    this.context = null;
    this.player = null;
    this.ready = Promise.resolve();
    this.level = 1;
    this.sequence = 0;
  }

  /** Each voice has its own rate: the browser's mixer brings it to the sound card's. */
  open({ stream, rate_hz: rate, level }) {
    this.level = level;
    this.ready = this.ready.then(async () => {
      if (this.context?.sampleRate !== rate) {
        await this.context?.close();
        this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
        await this.context.audioWorklet.addModule("speaker-worklet.js");
        this.player = new AudioWorkletNode(this.context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
        this.player.port.onmessage = ({ data }) => this.#report(data);
        this.player.connect(this.context.destination);
      }
      this.context.resume();
      this.player.port.postMessage({ stream });
      this.player.port.postMessage({ level: this.level });
    }).catch((error) => {
      this.wire.say("device", { device: "speaker", available: false, reason: error.message.slice(0, 200) });
    });
  }

  play({ stream, body }) {
    const pcm = new Int16Array(body);
    const samples = Float32Array.from(pcm, (one) => one / 32768);
    this.ready.then(() => this.player?.port.postMessage({ stream, samples }, [samples.buffer]));
  }

  clear(stream) {
    this.ready.then(() => this.player?.port.postMessage({ stream }));
    this.onLevel(0);
  }

  volume(level) {
    this.level = level;
    this.ready.then(() => this.player?.port.postMessage({ level }));
  }

  #report({ stream, position, peak, heard }) {
    // The program's echo canceller has to know all that the microphone may hear, silence included.
    if (this.isHeard()) this.wire.sendPacket(SOUND_PLAYED, 0, this.sequence++, this.context.sampleRate, heard);
    if (stream === undefined) return;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    this.wire.say("played", { stream, position, latency_s: Math.min(latency, 5) });
    this.onLevel(peak);
  }
}
