// xterm under our security policy, with what no program in a container may do taken from it.
import { Terminal } from '@xterm/xterm'
import { FitAddon } from '@xterm/addon-fit'

const THEME = {
  background: '#0f1013', foreground: '#dddfe3', cursor: '#dddfe3', cursorAccent: '#0f1013', selectionBackground: '#2d4a73',
  black: '#2a2c31', red: '#fc7e76', green: '#57cda2', yellow: '#f1b557', blue: '#71acf7', magenta: '#d58df0', cyan: '#5cc8d6', white: '#c9ccd2',
  brightBlack: '#8f9299', brightRed: '#ff9b94', brightGreen: '#7fe0bd', brightYellow: '#ffd084', brightBlue: '#9cc6ff', brightMagenta: '#e6b3fa', brightCyan: '#8be3ee', brightWhite: '#f6f7f9',
}
const SIZES = [9, 28], USUAL = 13

/** xterm writes its sheets into style elements: those need this page's nonce, and only this page has one. */
function allowStyles(nonce) {
  const make = document.createElement
  document.createElement = function (name, ...rest) {
    const made = make.call(document, name, ...rest)
    if (String(name).toLowerCase() === 'style') made.nonce = nonce
    return made
  }
}

export async function makeTerminal(box, { readOnly = false } = {}) {
  allowStyles(box.dataset.nonce)
  await document.fonts.load(`${USUAL}px "Geist Mono"`).catch(() => {})
  const term = new Terminal({
    fontFamily: '"Geist Mono", ui-monospace, Menlo, Consolas, monospace', fontSize: fontSize(), lineHeight: 1.3, theme: THEME, cursorBlink: false,
    scrollback: 10000, convertEol: false, disableStdin: readOnly, allowProposedApi: false, screenReaderMode: isRead(),
    linkHandler: { activate: () => {} }, // an address that a program chose is not followed by a click
  })
  // Titles, colours that it asks back, the clipboard, and settings told back are nobody's business.
  for (const code of [0, 1, 2, 4, 10, 11, 12, 52]) term.parser.registerOscHandler(code, () => true)
  term.parser.registerDcsHandler({ intermediates: '$', final: 'q' }, () => true)
  const fit = new FitAddon()
  term.loadAddon(fit)
  term.open(box)
  return { term, fit }
}

/** Whether what is shown is also kept as text that a screen reader can read; a choice of this browser. */
export function isRead(on) {
  if (on !== undefined) localStorage.setItem('terminal-read', on ? 'on' : 'off')
  return localStorage.getItem('terminal-read') === 'on'
}

export function fontSize(step = 0) {
  const now = Number(localStorage.getItem('terminal-size')) || USUAL
  const next = Math.max(SIZES[0], Math.min(SIZES[1], now + step))
  if (step) localStorage.setItem('terminal-size', next)
  return next
}
