// The two words that every script of ours uses, and who may take a single letter.
export const $ = (selector, root = document) => root.querySelector(selector)
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)]

/** Calls back for every click on something that matches, now or later in the page. */
export const onClick = (selector, act) => document.addEventListener('click', event => {
  const found = event.target.closest(selector)
  if (found) act(found, event)
})

/** Whether a single letter is a command now: never while typing, in a dialog, with a modifier, or when turned off. */
export const isCommand = event =>
  !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing
  && !event.target.closest?.('input:not([type=checkbox]), textarea, select, [contenteditable=true], .log[role=log]')
  && !$('dialog[open]') && localStorage.getItem('letters') !== 'off'
