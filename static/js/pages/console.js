// The page of a container's console: asks what to run, holds the terminal, says how it stands. Or replays a recording.
import { $, $$, onClick } from '../dom.js'
import { ConsoleSocket } from '../console_socket.js'
import { replay } from '../cast.js'
import { fontSize, isRead, makeTerminal } from '../terminal.js'
import { tr } from '../texts.js'

const box = $('#terminal')
if (box?.dataset.cast) replay(box)
else if (box) start()

function start() {
  const ask = $('[data-ask]'), status = $('[data-status]'), begin = $('[data-start]'), note = $('[data-note]')
  const live = $('[data-console-state]'), words = $('[data-console-text]'), clock = $('[data-clock]')
  const again = $('[data-again]'), end = $('[data-end]'), share = $('[data-share]')
  let made = null, about = null, state = '', replaying = true, began = 0, last = {}

  const socket = new ConsoleSocket(box.dataset.container, {
    bytes: data => made.term.write(data),
    frame: take,
    cut: () => say('reconnecting', tr('Reconnecting')),
    over: (code, text) => { over('failed', text) },
  })

  function say(name, text) { state = name; live.dataset.consoleState = name; live.title = text; if (words.textContent !== text) words.textContent = text }
  function tell(text, tone = '') { note.hidden = !text; note.textContent = text; note.className = `term-note ${tone}` }

  async function show() {
    ask.hidden = begin.hidden = true
    status.hidden = box.hidden = false
    again.hidden = true
    end.hidden = false
    tell('')
    if (!made) {
      made = await makeTerminal(box)
      const { term } = made
      term.onData(text => { if (mayType()) socket.type(text) })
      term.onBinary(text => { if (mayType()) socket.send(Uint8Array.from(text, char => char.charCodeAt(0))) })
      term.onResize(({ cols, rows }) => { if (about?.owner) socket.resize(cols, rows) })
      term.attachCustomKeyEventHandler(event => !(event.ctrlKey && event.key === 'F6') || (event.type === 'keydown' && leaveTerminal(), false))
      new ResizeObserver(fit).observe(box)
    }
    made.term.reset()
    fit()
  }
  const leaveTerminal = () => (end.hidden ? again : end).focus()
  // What the terminal answers to questions of the past was answered then.
  const mayType = () => about?.writable && !replaying && state === 'open'
  function fit() { if (made && !box.hidden && (!about || about.owner)) made.fit.fit() }

  async function connect(query) {
    last = query
    about = null
    replaying = true
    say('connecting', tr('Connecting'))
    await show()
    const { cols, rows } = made.term
    socket.open(query.session ? query : { ...query, cols, rows })
    made.term.focus()
  }

  function take(frame) {
    if (frame.type === 'session') join(frame)
    else if (frame.type === 'size') { if (!about.owner) made.term.resize(...frame.size) }
    else if (frame.type === 'replayed') made.term.write('', () => { replaying = false })
    else if (frame.type === 'gap') made.term.write(`\x1b[0m\r\n\x1b[33m[${tr('Output is missing here: it came faster than it can be shown')}]\x1b[0m\r\n`)
    else if (frame.type === 'error' && frame.code !== 'invalid') tell(frame.detail, 'warn')
    else if (frame.type === 'state') stands(frame)
  }

  function join(frame) {
    about = frame
    replaying = true
    made.term.reset()
    box.classList.toggle('watched', !frame.owner)
    made.term.options.disableStdin = !frame.writable
    began = Date.now() - frame.seconds * 1000
    last = likeThis(frame)
    $('[data-what]').textContent = [frame.kind === 'attach' ? tr('attached to {command}', { command: frame.command.join(' ') }) : frame.command.join(' '), frame.user && tr('as {user}', { user: frame.user }), frame.folder && tr('in {folder}', { folder: frame.folder })].filter(Boolean).join(' ')
    $('[data-recorded]').hidden = !frame.recorded
    end.textContent = frame.owner ? (frame.kind === 'attach' ? tr('Detach') : tr('End')) : tr('Leave')
    history.replaceState(null, '', `${box.dataset.page}?session=${frame.id}`)
    share.dataset.copy = location.href
    if (frame.owner) { fit(); socket.resize(made.term.cols, made.term.rows) }
    else made.term.resize(...frame.size)
  }

  /** What opens another one like it; nothing where it is somebody else's, or was opened with a secret. */
  function likeThis(frame) {
    if (!frame.owner) return {}
    if (frame.kind === 'attach') return { attach: '1' }
    const quoted = frame.command.map(word => /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`).join(' ')
    const query = quoted.includes('********') ? last : { cmd: quoted, user: frame.user, folder: frame.folder }
    return frame.recorded && !query.session ? { ...query, record: '1' } : query
  }

  function stands(frame) {
    if (frame.state === 'open') {
      say(about.owner ? 'open' : 'watching', about.owner ? (about.writable ? tr('Connected') : tr('Attached, it takes no input')) : tr('Watching {who}', { who: about.by }))
      tell(frame.detail, frame.detail ? 'warn' : '')
    } else if (frame.state === 'opening') say('connecting', tr('Connecting'))
    else if (frame.state === 'away') say('reconnecting', frame.detail)
    else if (frame.state === 'ended') {
      const code = Number.isInteger(frame.exit_code) ? ` ${tr('Exit {code}.', { code: frame.exit_code })}` : ''
      over(frame.hint ? 'failed' : 'ended', `${frame.detail}${code}`)
      if (frame.hint) tell(frame.hint, 'warn')
    }
  }

  function over(name, text) {
    say(name, text)
    if (name === 'failed') tell(text, 'bad')
    end.hidden = true
    $('span', again).textContent = last.cmd || last.attach ? tr('Reconnect') : tr('Back')
    again.hidden = false
    again.focus({ preventScroll: true })
    history.replaceState(null, '', box.dataset.page)
  }

  ask.addEventListener('submit', event => {
    event.preventDefault()
    connect(wanted())
  })
  function wanted() {
    const data = new FormData(ask), what = data.get('what'), query = {}
    if (what === 'attach') query.attach = '1'
    else {
      query.cmd = what === 'other' ? data.get('cmd').trim() || 'sh' : what
      for (const name of ['user', 'folder']) if (data.get(name).trim()) query[name] = data.get(name).trim()
    }
    if (data.get('record')) query.record = '1'
    return query
  }
  onClick('[data-again]', () => {
    box.hidden = status.hidden = true
    tell('')
    ask.hidden = begin.hidden = false
    if (!(last.cmd || last.attach) || $('[type=submit]', ask).disabled) $('[type=submit]', ask).focus()
    else connect(last)
  })
  onClick('[data-end]', () => {
    if (about?.owner && socket.isOpen) { say('connecting', about.kind === 'attach' ? tr('Detaching') : tr('Ending its processes')); return socket.end() }
    socket.leave()
    location.assign(box.dataset.page)
  })
  onClick('[data-size]', button => { if (!made) return; made.term.options.fontSize = fontSize(Number(button.dataset.size)); fit(); made.term.focus() })
  const reads = on => $('[data-read]').setAttribute('aria-pressed', isRead(on))
  reads()
  onClick('[data-read]', () => { reads(!isRead()); if (made) { made.term.options.screenReaderMode = isRead(); made.term.focus() } })
  onClick('[data-full]', () => { if (document.fullscreenElement) document.exitFullscreen(); else box.requestFullscreen?.() })
  document.addEventListener('fullscreenchange', () => { $('[data-full]').setAttribute('aria-pressed', !!document.fullscreenElement); made?.term.focus() })
  setInterval(() => {
    if (!began || state === 'ended' || state === 'failed') return
    const seconds = Math.floor((Date.now() - began) / 1000)
    clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  }, 500)
  for (const radio of $$('[name=what]', ask)) radio.addEventListener('change', () => { if (radio.value === 'other') $('[name=cmd]', ask).focus() })

  if (box.dataset.session) connect({ session: box.dataset.session })
  else $('[type=submit]', ask).focus({ preventScroll: true })
}
