// Files put into a folder: chosen or dropped, sent one after the other, each with how far it is. What arrived is an
// operation, which the toasts follow. What is there already
// is written over only by its own button.
import { $, $$ } from './dom.js'
import { toast } from './toasts.js'

const waiting = []
let sending = false

/** The form of this page and what it takes, or nothing where one may not. */
export function keepUploads() {
  const form = $('#upload'), drop = $('#drop')
  if (!form) return
  const input = $('input[type=file]', form)
  input.addEventListener('change', () => { add(form, input.files); input.value = '' })
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
    add(form, chosen(event.dataTransfer))
  })
}

/** What was dropped, without folders, which a browser tells apart alone. */
function chosen(data) {
  const items = [...data.items].filter(item => item.kind === 'file')
  const folders = items.filter(item => item.webkitGetAsEntry?.()?.isDirectory)
  if (folders.length) toast('Folders cannot be dropped here: drop the files in them.', 'bad')
  return items.filter(item => !folders.includes(item)).map(item => item.getAsFile()).filter(Boolean)
}

function add(form, files) {
  for (const file of files) {
    if (file.size > Number(form.dataset.most)) { toast(`${file.name} is larger than ${form.dataset.mostText}.`, 'bad'); continue }
    const one = { form, file, row: rowOf(file), replace: false }
    if ($$('[data-entry][data-name]').some(entry => entry.dataset.name === file.name)) ask(one)
    else waiting.push(one)
  }
  next()
}

/** A file of this name is in the list: it waits for a yes. */
function ask(one) {
  const yes = $('[data-replace]', one.row), text = $('.up-text', one.row)
  text.textContent = 'Is there'
  yes.hidden = false
  $('progress', one.row).hidden = true
  yes.addEventListener('click', () => {
    yes.hidden = true
    $('progress', one.row).hidden = false
    text.textContent = 'Waits'
    one.replace = true
    waiting.push(one)
    next()
  })
}

function rowOf(file) {
  const list = $('#uploads'), row = $('#upload-row').content.firstElementChild.cloneNode(true)
  $('.up-name', row).textContent = file.name
  $('.up-text', row).textContent = 'Waits'
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

function send({ form, file, row, replace }) {
  const body = new FormData(form), request = row.request = new XMLHttpRequest()
  body.delete('files')
  body.append('files', file)
  if (replace) body.append('replace', '1')
  request.upload.addEventListener('progress', event => {
    if (!event.lengthComputable) return
    const part = Math.round(100 * event.loaded / event.total)
    $('progress', row).value = part
    $('.up-text', row).textContent = part < 100 ? `${part} %` : 'Checking'
  })
  request.addEventListener('loadend', () => {
    sending = false
    leave(row)
    ended(request, file)
    next()
  })
  request.open('POST', form.action)
  request.setRequestHeader('HX-Request', 'true')
  request.send(body)
}

function ended(request, file) {
  if (!request.status) return
  const told = trigger(request)
  if (told) toast(told.text, told.tone, told.operation)
  else toast(`${file.name} was not taken (${request.status}).`, 'bad')
}

function trigger(request) {
  try { return JSON.parse(request.getResponseHeader('HX-Trigger') ?? '{}')['slipway:toast'] } catch { return null }
}
