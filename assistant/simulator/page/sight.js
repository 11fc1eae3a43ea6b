// What is in front of the glasses: a camera, a picture or a video. Pictures go out only while the program asks.

import { PICTURE_SEEN } from "./wire.js";

const QUALITY = 0.85, MOST_WAITING_BYTES = 512 * 1024;

export class Sight {
  constructor(wire, { video, still, cover }) {
    this.wire = wire;
    this.video = video;
    this.still = still;
    this.cover = cover;
    this.deviceId = "";
    this.file = null;
    this.media = null;
    this.asked = null;
    this.timer = 0;
    this.missing = "";
    this.canvas = new OffscreenCanvas(1, 1);
  }

  /** Shows the chosen source. Whoever has no camera may still choose a file. */
  async show() {
    this.rest();
    try {
      if (this.file?.type.startsWith("image/")) await this.#showPicture();
      else if (this.file) await this.#showVideo();
      else await this.#showCamera();
      this.cover.hidden = true;
      this.missing = "";
      this.wire.say("device", { device: "camera", available: true, reason: "" });
    } catch (error) {
      const reason = error.name === "NotAllowedError" ? "permission was not given" : error.message || error.name;
      this.cover.textContent = `No picture: ${reason}`;
      this.cover.hidden = false;
      this.missing = reason.slice(0, 200);
      this.wire.say("device", { device: "camera", available: false, reason: this.missing });
    }
  }

  /** Lets the source go: asleep, the glasses see nothing, and neither does the browser. */
  rest(text = "No picture") {
    this.media?.getTracks().forEach((track) => track.stop());
    this.media = null;
    this.video.pause();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.hidden = true;
    this.still.hidden = true;
    this.cover.textContent = text;
    this.cover.hidden = false;
  }

  async choose(deviceId) {
    this.deviceId = deviceId;
    this.file = null;
    await this.show();
  }

  async chooseFile(file) {
    this.file = file;
    await this.show();
  }

  open({ stream, longest_px: longest, frame_rate_hz: rate }) {
    this.close();
    this.asked = { stream, longest, sequence: 0, busy: false };
    this.timer = setInterval(() => this.#send(), 1000 / rate);
    this.#send();
  }

  close(stream) {
    if (stream !== undefined && stream !== this.asked?.stream) return;
    clearInterval(this.timer);
    this.asked = null;
  }

  async #showCamera() {
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    const device = this.deviceId ? { deviceId: { exact: this.deviceId } } : { facingMode: { ideal: "environment" } };
    this.media = await navigator.mediaDevices.getUserMedia({ video: { ...size, ...device } });
    this.media.getVideoTracks()[0].addEventListener("ended", () => {
      this.wire.say("device", { device: "camera", available: false, reason: "it was unplugged" });
    });
    this.video.srcObject = this.media;
    this.video.hidden = false;
    await this.video.play();
  }

  async #showVideo() {
    this.video.src = URL.createObjectURL(this.file);
    this.video.loop = true;
    this.video.hidden = false;
    await this.video.play();
  }

  async #showPicture() {
    this.still.src = URL.createObjectURL(this.file);
    await this.still.decode();
    this.still.hidden = false;
  }

  async #send() {
    const asked = this.asked;
    const shown = this.still.hidden ? this.video : this.still;
    const width = shown.videoWidth || shown.naturalWidth, height = shown.videoHeight || shown.naturalHeight;
    if (!asked || asked.busy || shown.hidden || !width || this.wire.waiting > MOST_WAITING_BYTES) return;
    const takenMs = performance.now();
    const scale = Math.min(1, asked.longest / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.canvas.getContext("2d").drawImage(shown, 0, 0, this.canvas.width, this.canvas.height);
    asked.busy = true;
    const encoding = this.canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    const jpeg = await encoding.then((blob) => blob.arrayBuffer()).finally(() => { asked.busy = false; });
    if (asked !== this.asked) return; // it was told to close meanwhile
    const ageUs = (performance.now() - takenMs) * 1000;
    this.wire.sendPacket(PICTURE_SEEN, asked.stream, asked.sequence++, ageUs, jpeg);
  }
}
