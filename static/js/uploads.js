// Files and folders put into a folder: chosen or dropped, sent file by file, each with how far it is. What arrived is an
// operation, which the toasts follow. What is there already is written over only by its own button. A folder keeps its
// tree; what of it cannot be sent is told.
import { $, $$ } from './dom.js'
import { toast } from './toasts.js'
import { plural, tr } from './texts.js'

const waiting = []
let sending = false

/** The form of this page and what it takes, or nothing where one may not. */
export function keepUploads() {
  const form = $('#upload'), drop = $('#drop')
  if (!form) return
  for (const input of $$('input[type=file]', form)) {
    input.closest('label').hidden = false
    input.addEventListener('change', () => { for (const one of grouped([...input.files])) add(form, one); input.value = '' })
  }
  let depth = 0
  const files = event => [...event.dataTransfer?.types ?? []].includes('Files')
  const show = on => { drop.hidden = !on }
  addEventListener('dragenter', event => { if (files(event)) { depth++; show(true) } })
  addEventListener('dragleave', event => { if (files(event) && --depth <= 0) { depth = 0; show(false) } })
  addEventListener('dragover', event => { if (files(event)) event.preventDefault() })
  addEventListener('drop', event => {
    if (!files(event)) return
    event.preventDefault()
    depth = 0
    show(false)
    // The list is the event's alone, and empty when it is over.
    const items = [...event.dataTransfer.items].filter(item => item.kind === 'file')
    for (const [entry, file] of items.map(item => [item.webkitGetAsEntry?.(), item.getAsFile()])) {
      if (entry) walked(form, entry).then(one => add(form, one))
      else if (file) for (const one of grouped([file])) add(form, one)
    }
  })
}

/** What a field was given: single files, and a folder's files by the place in it that the browser tells. */
function grouped(files) {
  const found = new Map()
  for (const file of files) {
    const way = file.webkitRelativePath.split('/'), name = way[0] || file.name
    if (!found.has(name)) found.set(name, { name, folder: way.length > 1, parts: [], out: [] })
    found.get(name).parts.push({ file, below: way.slice(0, -1).join('/') })
  }
  return [...found.values()]
}

/** What was dropped: a file, or a folder with all that is in it, as far as there is room. */
async function walked(form, top) {
  const found = { name: top.name, folder: top.isDirectory, parts: [], out: [] }, most = Number(form.dataset.mostFiles)
  const go = async (entry, below) => {
    const at = below ? `${below}/${entry.name}` : entry.name
    try {
      if (entry.isFile) { found.parts.push({ file: await new Promise((yes, no) => entry.file(yes, no)), below }); return }
      const reader = entry.createReader()
      let any = 0
      for (;;) {
        const some = await new Promise((yes, no) => reader.readEntries(yes, no)) // a hundred at a time
        if (!some.length) break
        any += some.length
        for (const one of some) if (found.parts.length <= most) await go(one, at)
      }
      if (!any) found.out.push(tr('{name} is empty.', { name: at }))
    } catch { found.out.push(tr('{name} could not be read.', { name: at })) }
  }
  await go(top, '')
  return found
}

function add(form, { name, folder, parts, out }) {
  if (parts.length > Number(form.dataset.mostFiles)) { toast(tr('{name} holds more than {n} files: send its folders one after the other.', { name, n: form.dataset.mostFiles }), 'bad'); return }
  const fits = parts.filter(({ file }) => file.size <= Number(form.dataset.most))
  for (const { file } of parts) if (!fits.some(one => one.file === file)) out.push(tr('{name} is larger than {size}.', { name: file.name, size: form.dataset.mostText }))
  if (out.length) toast(out.length > 1 ? tr('Left out: {first} And {n} more.', { first: out[0], n: out.length - 1 }) : tr('Left out: {first}', { first: out[0] }), 'bad')
  if (!fits.length) return
  const one = { form, name, folder, parts: fits, row: rowOf(name), replace: false }
  if ($$('[data-entry][data-name]').some(entry => entry.dataset.name === name)) ask(one)
  else waiting.push(one)
  next()
}

/** Something of this name is in the list: it waits for a yes. Of a folder, files of the same names are written over. */
function ask(one) {
  const yes = $('[data-replace]', one.row), text = $('.up-text', one.row)
  text.textContent = tr('Is there')
  if (one.folder) { yes.textContent = tr('Merge'); yes.title = tr('Files of the same names are written over') }
  yes.hidden = false
  $('progress', one.row).hidden = true
  yes.addEventListener('click', () => {
    yes.hidden = true
    $('progress', one.row).hidden = false
    text.textContent = tr('Waits')
    one.replace = true
    waiting.push(one)
    next()
  })
}

function rowOf(name) {
  const list = $('#uploads'), row = $('#upload-row').content.firstElementChild.cloneNode(true)
  $('.up-name', row).textContent = name
  $('.up-text', row).textContent = tr('Waits')
  $('[data-stop]', row).addEventListener('click', () => { row.request?.abort(); row.gone = true; leave(row) })
  list.append(row)
  list.hidden = false
  return row
}

function leave(row) {
  row.remove()
  const list = $('#uploads')
  list.hidden = !list.children.length
}

function next() {
  const one = waiting.shift()
  if (sending || !one) { if (one) waiting.unshift(one); return }
  if (one.row.gone) return next()
  sending = true
  send(one)
}

async function send(one) {
  const { parts, row, name, folder } = one, all = parts.reduce((sum, { file }) => sum + file.size, 0) || 1, refused = []
  let before = 0, done = 0, last
  for (const { file, below } of parts) {
    if (row.gone) break
    const answer = await sent(one, file, below, bytes => {
      const part = Math.min(100, Math.round(100 * (before + bytes) / all))
      $('progress', row).value = part
      $('.up-text', row).textContent = folder ? tr('{part} of {all}', { part: done, all: parts.length }) : part < 100 ? `${part} %` : tr('Checking')
    })
    if (row.gone) break
    before += file.size
    done++
    last = told(answer) ?? { text: tr('{name} was not taken ({status}).', { name: file.name, status: answer.status }), tone: 'bad' }
    if (last.tone === 'bad') refused.push(last.text)
  }
  sending = false
  leave(row)
  if (!folder && last) toast(last.text, last.tone, last.operation, last)
  else if (refused.length) toast(tr('{n} of {all} files of {name} were not taken: {why}', { n: refused.length, all: parts.length, name, why: refused[0] }), 'bad')
  else if (row.gone) toast(tr('{n} of {all} files of {name} were sent.', { n: done, all: parts.length, name }), 'bad')
  else toast(plural(parts.length, 'Uploading {n} file of {name}', 'Uploading {n} files of {name}', { name }), 'ok')
  next()
}

/** One file on its way; what came of it, when it is over. */
function sent({ form, row, replace }, file, below, far) {
  const body = new FormData(form), request = row.request = new XMLHttpRequest()
  body.delete('files')
  body.append('files', file)
  body.append('below', below)
  if (replace) body.append('replace', '1')
  far(0)
  return new Promise(over => {
    request.upload.addEventListener('progress', event => { if (event.lengthComputable) far(event.loaded) })
    request.addEventListener('loadend', () => over(request))
    request.open('POST', form.action)
    request.setRequestHeader('HX-Request', 'true')
    request.send(body)
  })
}

function told(request) {
  try { return JSON.parse(request.getResponseHeader('HX-Trigger') ?? '{}')['slipway:toast'] } catch { return null }
}
