// The connection to the program: JSON texts and binary packets with a header of 16 bytes (docs/protocol.md).

export const SOUND_HEARD = 1, PICTURE_SEEN = 2, SOUND_TO_PLAY = 3, PICTURE_LOOKED_AT = 4, SOUND_PLAYED = 5;
const VERSION = 1, HEADER_BYTES = 16;
const TAKEN_OVER = 4001, PROTOCOL_ERROR = 1008;

/** Connects, and connects again when the connection is lost. Events: "open", "lost", "taken", "message", "packet". */
export class Wire extends EventTarget {
  #socket = null;
  #attempts = 0;
  #wanted = false;
  #timer = 0;
  #offsetMs = Infinity;

  connect() {
    this.#wanted = true;
    clearTimeout(this.#timer);
    const socket = new WebSocket(`ws${location.protocol === "https:" ? "s" : ""}://${location.host}/glasses`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#offsetMs = Infinity;
    socket.addEventListener("open", () => { this.#attempts = 0; this.#tell("open"); });
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("close", ({ code, reason }) => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      if (code === TAKEN_OVER || code === PROTOCOL_ERROR) {
        this.#wanted = false;
        this.#tell("taken", reason);
      } else if (this.#wanted) {
        this.#tell("lost");
        this.#timer = setTimeout(() => this.connect(), Math.min(5000, 300 * 2 ** this.#attempts++));
      }
    });
  }

  get isOpen() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** Bytes that have not left yet: pictures wait while there are many. */
  get waiting() { return this.#socket?.bufferedAmount ?? 0; }

  say(type, fields = {}) {
    if (this.isOpen) this.#socket.send(JSON.stringify({ type, ...fields }));
  }

  sendPacket(kind, stream, sequence, position, body) {
    if (!this.isOpen) return;
    const packet = new Uint8Array(HEADER_BYTES + body.byteLength);
    const view = new DataView(packet.buffer);
    view.setUint8(0, kind);
    view.setUint8(1, VERSION);
    view.setUint16(2, stream, true);
    view.setUint32(4, sequence, true);
    view.setBigUint64(8, BigInt(Math.max(0, Math.round(position))), true);
    packet.set(new Uint8Array(body), HEADER_BYTES);
    this.#socket.send(packet);
  }

  /** A time of the program's clock (nanoseconds) in this page's milliseconds. */
  localMs(ns) { return ns / 1e6 + (Number.isFinite(this.#offsetMs) ? this.#offsetMs : 0); }

  #receive(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      // The message that came quickest says best how far the clocks are apart.
      if (message.at_ns) this.#offsetMs = Math.min(this.#offsetMs, performance.now() - message.at_ns / 1e6);
      this.#tell("message", message);
      return;
    }
    const view = new DataView(data);
    this.#tell("packet", {
      kind: view.getUint8(0),
      stream: view.getUint16(2, true),
      sequence: view.getUint32(4, true),
      position: Number(view.getBigUint64(8, true)),
      body: data.slice(HEADER_BYTES),
    });
  }

  #tell(name, detail = null) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}
