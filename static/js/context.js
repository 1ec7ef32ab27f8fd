// What goes into a build: a folder that is chosen or dropped, or an archive. A folder becomes a tar here, piece by piece
// as it is sent, without what its .dockerignore plainly leaves out; the server goes through all of it again.
import { $ } from './dom.js'
import { plural, tr } from './texts.js'

const enc = new TextEncoder(), BLOCK = 512, ARCHIVE = /\.(tar|tgz|txz|tbz2|zip|tar\.(gz|xz|bz2))$/i, SHOWS_AFTER = 500

const size = bytes => bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} KB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`

/** The patterns of a .dockerignore that plainly leave out what they name; with an exception among them, none. */
export function ignored(text, dockerfile) {
  const lines = text.replace(/^\ufeff/, '').split('\n').filter(line => !line.startsWith('#')).map(line => line.trim()).filter(Boolean)
  if (lines.some(line => line.startsWith('!'))) return () => false
  const plain = lines.map(line => line.replace(/^\/+|\/+$/g, '')).filter(line => /^(\*\*\/)?[^*?[\]\\]*(\*[^*?[\]\\/]*)?$/.test(line) && !/(^|\/)\.{0,2}(\/|$)/.test(line.replace('**/', '')))
  const tests = plain.map(line => new RegExp(`^${line.startsWith('**/') ? '(.*/)?' : ''}${line.replace('**/', '').replace(/[.+()|{}$^]/g, '\\$&').replace('*', '[^/]*')}$`))
  return path => path !== dockerfile && !dockerfile.startsWith(`${path}/`) && !path.endsWith('.dockerignore') && tests.some(test => test.test(path))
}

function header(path, length, folder) {
  const name = enc.encode(path), block = new Uint8Array(BLOCK)
  const put = (text, at) => block.set(enc.encode(text), at), octal = (n, width) => n.toString(8).padStart(width - 1, '0')
  block.set(name.slice(0, 100))
  put(octal(0o755, 8), 100); put(octal(0, 8), 108); put(octal(0, 8), 116)
  put(octal(length, 12), 124); put(octal(0, 12), 136)
  put('        ', 148)
  put(folder === 'long' ? 'x' : folder ? '5' : '0', 156)
  put('ustar\u000000', 257)
  put(`${octal(block.reduce((sum, byte) => sum + byte, 0), 7)}\0 `, 148)
  if (name.length <= 100) return [block]
  // A name that is longer stands in an entry before it.
  let line = `path=${path}\n`, count = enc.encode(line).length + 1
  while (count !== enc.encode(line).length + `${count} `.length) count = enc.encode(line).length + `${count} `.length
  line = enc.encode(`${count} ${line}`)
  return [...header('long', line.length, 'long'), line, new Uint8Array(-line.length & BLOCK - 1), block]
}

/** A tar of these, read only as it is sent. */
export function tar(files) {
  const parts = []
  for (const { path, file } of files) {
    parts.push(...header(path, file?.size ?? 0, !file))
    if (file) parts.push(file, new Uint8Array(-file.size & BLOCK - 1))
  }
  return new Blob([...parts, new Uint8Array(2 * BLOCK)], { type: 'application/x-tar' })
}

const fileOf = entry => new Promise((yes, no) => entry.file(yes, no))

/** All that was dropped, as `{path, file}`; what is left out is not even looked into. */
async function walked(tops, dockerfile) {
  const found = [], only = tops.length === 1 && tops[0].isDirectory
  let out = 0, skips = () => false
  const children = async entry => {
    const reader = entry.createReader(), all = []
    for (;;) {
      const some = await new Promise((yes, no) => reader.readEntries(yes, no)) // a hundred at a time
      if (!some.length) return all
      all.push(...some)
    }
  }
  const go = async (entries, below) => {
    for (const entry of entries) {
      const path = below + entry.name
      if (skips(path)) { out++; continue }
      if (entry.isFile) { found.push({ path, file: await fileOf(entry) }); continue }
      const inside = await children(entry)
      if (!inside.length) found.push({ path })
      await go(inside, `${path}/`)
    }
  }
  const first = only ? await children(tops[0]) : tops, rules = first.find(entry => entry.isFile && entry.name === '.dockerignore')
  if (rules) skips = ignored(await (await fileOf(rules)).text(), dockerfile)
  await go(first, '')
  return { name: only ? tops[0].name : 'files', files: found, out }
}

/** All of a folder that was chosen; the browser has listed it whole. */
async function listed(files, dockerfile) {
  const all = files.map(file => ({ path: file.webkitRelativePath.split('/').slice(1).join('/'), file }))
  const rules = all.find(one => one.path === '.dockerignore'), skips = rules ? ignored(await rules.file.text(), dockerfile) : () => false
  const above = path => path.split('/').map((_, n, way) => way.slice(0, n + 1).join('/'))
  const kept = all.filter(({ path }) => !above(path).some(skips))
  return { name: files[0].webkitRelativePath.split('/')[0], files: kept, out: all.length - kept.length }
}

/** The form of a build: takes folders, and sends what is large with its progress. */
export function keepContext(form) {
  const box = $('[data-context]', form), note = $('[data-context-note]', box), archive = $('#context', form)
  const most = Number(form.dataset.mostBytes), mostFiles = Number(form.dataset.mostFiles)
  let chosen = null
  const wrong = text => tell(form, text), dockerfile = () => $('#dockerfile_path', form).value.trim() || 'Dockerfile'
  const take = one => {
    chosen = null
    const bytes = one.files.reduce((sum, { file }) => sum + (file?.size ?? 0), 0), { files, name, out } = one
    if (files.length > mostFiles) return wrong(tr('{name} holds more than {n} files: a .dockerignore leaves out what the build does not need.', { name, n: mostFiles.toLocaleString('en') }))
    if (bytes > most) return wrong(tr('{name} holds {size}, and {most} are taken: a .dockerignore leaves out what the build does not need.', { name, size: size(bytes), most: size(most) }))
    wrong('')
    chosen = one
    archive.value = ''
    $('#source-upload', form).checked = true
    show(note, one, bytes, out, () => { chosen = null; note.hidden = true })
  }
  const failed = () => wrong(tr('The folder could not be read.'))
  archive.addEventListener('change', () => { chosen = null; note.hidden = true; wrong('') })
  const folder = $('[data-folder]', box)
  folder.closest('[hidden]').hidden = false
  folder.addEventListener('change', () => { const files = [...folder.files]; folder.value = ''; if (files.length) listed(files, dockerfile()).then(take, failed) })
  keepDrop(form, ({ entries, file }) => {
    if (file && ARCHIVE.test(file.name)) {
      $('#source-upload', form).checked = true
      chosen = null
      note.hidden = true
      const moved = new DataTransfer()
      moved.items.add(file)
      archive.files = moved.files
    } else walked(entries, dockerfile()).then(take, failed)
  })
  form.addEventListener('submit', event => {
    if ($('#source-upload', form).checked === false || !(chosen || archive.files.length)) return
    event.preventDefault()
    const body = new FormData(form)
    if (chosen) { body.set('context', tar(chosen.files), `${chosen.name}.tar`); body.set('folder', chosen.name) }
    if (!chosen && archive.files[0].size > most) return wrong(tr('{name} is larger than {size}.', { name: archive.files[0].name, size: size(most) }))
    send(form, body)
  })
}

/** Anything that is dropped onto the page. */
function keepDrop(form, got) {
  const drop = $('[data-drop]', form), files = event => [...event.dataTransfer?.types ?? []].includes('Files')
  let depth = 0
  addEventListener('dragenter', event => { if (files(event)) { depth++; drop.hidden = false } })
  addEventListener('dragleave', event => { if (files(event) && --depth <= 0) { depth = 0; drop.hidden = true } })
  addEventListener('dragover', event => { if (files(event)) event.preventDefault() })
  addEventListener('drop', event => {
    if (!files(event)) return
    event.preventDefault()
    depth = 0
    drop.hidden = true
    // The list is the event's alone, and empty when it is over.
    const items = [...event.dataTransfer.items].filter(item => item.kind === 'file')
    const entries = items.map(item => item.webkitGetAsEntry?.()).filter(Boolean)
    got({ entries, file: items.length === 1 && !entries[0]?.isDirectory ? items[0].getAsFile() : null })
  })
}

/** What was chosen: how much it is, and what in it is largest. */
function show(note, { name, files }, bytes, out, forget) {
  const parts = new Map()
  for (const { path, file } of files) { const [top, below] = path.split('/'), at = below === undefined ? top : `${top}/`; parts.set(at, (parts.get(at) ?? 0) + (file?.size ?? 0)) }
  $('[data-name]', note).textContent = name
  $('[data-sum]', note).textContent = [plural(files.length, '{n} file, {size}', '{n} files, {size}', { n: files.length.toLocaleString('en'), size: size(bytes) }), out && tr('{n} left out by .dockerignore', { n: out.toLocaleString('en') })].filter(Boolean).join('; ')
  const list = $('[data-parts]', note), largest = [...parts].filter(part => part[1]).sort((a, b) => b[1] - a[1]).slice(0, 5)
  list.replaceChildren(...largest.map(([part, length]) => {
    const row = $('template', note).content.firstElementChild.cloneNode(true)
    $('code', row).textContent = part
    $('rect', row).setAttribute('width', `${bytes ? Math.max(1, 100 * length / bytes) : 1}%`)
    $('.n', row).textContent = size(length)
    return row
  }))
  $('[data-forget]', note).onclick = forget
  note.hidden = false
}

function tell(form, text) {
  const list = $('[data-context-error]', form)
  list.hidden = !text
  $('span', list).textContent = text
}

function send(form, body) {
  const request = new XMLHttpRequest(), row = $('[data-sending]', form), button = $('button[type=submit]', form)
  const timer = setTimeout(() => { row.hidden = false }, SHOWS_AFTER)
  const over = () => { clearTimeout(timer); row.hidden = true; button.disabled = false }
  tell(form, '')
  button.disabled = true
  $('[data-cancel]', row).onclick = () => request.abort()
  request.upload.addEventListener('progress', event => {
    $('progress', row).max = event.total
    $('progress', row).value = event.loaded
    $('[data-sent]', row).textContent = event.loaded < event.total ? tr('{part} of {all}', { part: size(event.loaded), all: size(event.total) }) : tr('Checking')
  })
  request.addEventListener('abort', over)
  request.addEventListener('error', () => { over(); tell(form, tr('It could not be sent: the connection broke, or a file has changed meanwhile.')) })
  request.addEventListener('load', () => {
    if (request.status === 413) { over(); tell(form, request.responseText); return }
    const at = new URL(request.responseURL)
    if (request.status < 400 && at.pathname !== location.pathname) { location.assign(at); return }
    over()
    const page = new DOMParser().parseFromString(request.responseText, 'text/html'), told = [...page.querySelectorAll('[data-form-errs] li')].map(li => { li.querySelector('b')?.remove(); return li.textContent.trim().replace(/\s+/g, ' ') })
    tell(form, told.join(' ') || page.querySelector('.toast b, h1 + p')?.textContent || tr('It was not taken.'))
  })
  request.open('POST', form.action)
  request.send(body)
}
