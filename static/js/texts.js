// What the page says in the reader's language. English stands in the code and costs nothing; for another language a
// script before this one brings its texts and how it counts (see docs/languages.md).
const { texts = {}, form = n => Number(n !== 1) } = globalThis.slipwayTexts ?? {}
const fill = (words, values) => words.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)

/** A sentence with its values: `tr('{name} is gone', { name })`. The sentence stands there as it is, never put together. */
export const tr = (words, values = {}) => fill(texts[words]?.[0] ?? words, values)

/** The same where the number n decides on its form; {n} is the number, unless values say how it is written. */
export const plural = (n, one, many, values = {}) => fill(texts[one]?.[form(n)] ?? (n === 1 ? one : many), { n, ...values })
