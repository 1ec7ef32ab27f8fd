// The socket of one console: what comes, in order; what is typed, in pieces; and coming back after a cut.
import { tr } from './texts.js'
const WAITS = [300, 600, 1200, 2500], PIECE = 16384, RESIZE = 150
export const FATAL = { 4400: tr('This was not understood.'), 4401: tr('Your session has ended: sign in again.'), 4403: tr('You may not open a console here.'), 4404: tr('There is no such console.'), 4408: tr('You may not have a console here any more.'), 4410: tr('It cannot be opened.'), 4429: tr('Too much was sent at once.') }

export class ConsoleSocket {
  /** `hear` gets `bytes(data)`, `frame(object)`, `cut()` before it tries again, and `over(code, words)`. */
  constructor(container, hear) {
    this.at = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws/console/${container}/`
    this.hear = hear
    this.encoder = new TextEncoder()
  }

  open(query) {
    this.query = query
    this.failures = 0
    this.session = query.session ?? ''
    this.done = false
    this.connect()
  }

  connect() {
    const query = new URLSearchParams(this.session ? { session: this.session } : this.query)
    const it = this.socket = new WebSocket(`${this.at}?${query}`)
    it.binaryType = 'arraybuffer'
    it.onmessage = ({ data }) => {
      if (it !== this.socket) return
      if (data instanceof ArrayBuffer) return this.hear.bytes(new Uint8Array(data))
      const frame = JSON.parse(data)
      if (frame.type === 'session') { this.session = frame.id; this.failures = 0; this.size = null }
      if (frame.type === 'error') this.words = frame.detail
      if (frame.state === 'ended') this.done = true
      this.hear.frame(frame)
    }
    it.onclose = event => { if (it === this.socket) this.closed(event.code) }
  }

  closed(code) {
    this.socket = null
    if (this.done) return
    // Never opened, or refused for good: there is nothing to come back to.
    if (FATAL[code] || !this.session || this.failures > 12) { this.done = true; this.hear.over(code, FATAL[code] ? this.words || FATAL[code] : tr('Slipway does not answer.')); return }
    this.hear.cut()
    setTimeout(() => { if (!this.done) this.connect() }, WAITS[Math.min(this.failures++, WAITS.length - 1)])
  }

  get isOpen() { return this.socket?.readyState === WebSocket.OPEN }

  type(text) { this.send(this.encoder.encode(text)) }

  send(bytes) {
    if (!this.isOpen) return
    for (let start = 0; start < bytes.length; start += PIECE) this.socket.send(bytes.subarray(start, start + PIECE))
  }

  /** The first at once, then the latest of those that follow. */
  resize(columns, rows) {
    this.size = [columns, rows]
    if (this.resizing) return
    this.tellSize()
    this.resizing = setInterval(() => { if (this.size) this.tellSize(); else { clearInterval(this.resizing); this.resizing = 0 } }, RESIZE)
  }

  tellSize() {
    if (this.isOpen && this.size) this.socket.send(JSON.stringify({ resize: this.size }))
    this.size = null
  }

  end() { if (this.isOpen) this.socket.send(JSON.stringify({ end: true })) }

  leave() { this.done = true; const old = this.socket; this.socket = null; old?.close() }
}
