// The Dockerfile editor: a textarea (works without this file) over a highlighted copy of its text.
// Lines that #hints names are marked; text is set as text, never as markup.

const WORDS = /^(\s*)(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR)(?=\s|$)/i
const PARTS = /("(?:[^"\\]|\\.)*"?)|((?:^|\s)--[a-z][a-z-]*)|(\s(?:AS|CMD)(?=\s))/gi

const mark = (name, text) => { const el = document.createElement('i'); el.className = name; el.textContent = text; return el }

function paintLine(text, row) {
  if (/^\s*#/.test(text)) return row.append(mark('cm', text))
  const word = text.match(WORDS)
  let rest = text
  if (word) { row.append(word[1], mark('kw', word[2])); rest = text.slice(word[0].length) }
  let at = 0
  for (const found of rest.matchAll(PARTS)) {
    row.append(rest.slice(at, found.index), mark(found[1] ? 'sg' : found[2] ? 'fl' : 'kw', found[0]))
    at = found.index + found[0].length
  }
  row.append(rest.slice(at) || (row.hasChildNodes() ? '' : ' '))
}

/** Makes an element with a textarea, .hl and .nums an editor. Returns {paint, replaceLine}. */
export function editor(root) {
  const area = root.querySelector('textarea'), copy = root.querySelector('.hl'), nums = root.querySelector('.nums')
  const hinted = () => new Map([...document.querySelectorAll('#hints [data-line]')].map(el => [Number(el.dataset.line), el.dataset.level]))
  const paint = () => {
    const marks = hinted(), lines = area.value.split('\n')
    copy.replaceChildren(...lines.map((text, i) => {
      const row = document.createElement('span')
      row.className = marks.has(i + 1) ? `row hinted ${marks.get(i + 1)}` : 'row'
      paintLine(text, row)
      return row
    }))
    nums.replaceChildren(...lines.map((_, i) => {
      const row = document.createElement('span')
      row.textContent = i + 1
      if (marks.has(i + 1)) row.className = `hinted ${marks.get(i + 1)}`
      return row
    }))
    scroll()
  }
  const scroll = () => { copy.scrollTop = nums.scrollTop = area.scrollTop; copy.scrollLeft = area.scrollLeft }
  const replaceLine = (number, text) => {
    const lines = area.value.split('\n')
    lines[number - 1] = text
    area.value = lines.join('\n')
    area.dispatchEvent(new Event('input', { bubbles: true }))
    area.focus()
  }
  let leaving = false
  area.addEventListener('input', paint)
  area.addEventListener('scroll', scroll, { passive: true })
  area.addEventListener('keydown', e => {
    if (e.key === 'Tab' && !e.shiftKey && !leaving && !area.readOnly) {
      e.preventDefault()
      area.setRangeText('    ', area.selectionStart, area.selectionEnd, 'end')
      area.dispatchEvent(new Event('input', { bubbles: true }))
    }
    leaving = e.key === 'Escape'
  })
  root.classList.add('painted')
  paint()
  return { area, paint, replaceLine }
}
