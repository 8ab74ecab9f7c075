// Elements. Whatever comes from the broker gets into the page as text, and only here.

const SVG = 'http://www.w3.org/2000/svg'

/** An element with attributes and children; a child that is not an element is text. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children)
}

/** The same for drawings. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children)
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else set(element, name, value)
  }
  element.append(...children.filter((child) => child !== null && child !== undefined))
  return element
}

/** Sets an attribute, or takes it away. */
export function set(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name)
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

/** Writes a text where it is another one. */
export function text(element, value) {
  const wanted = String(value)
  if (element.textContent !== wanted) element.textContent = wanted
}

/**
 * Keeps the children of an element in step with a list: one for each item, by its key, made once
 * and then brought up to date. What has the focus keeps it.
 */
export function keyed(parent, items, key, make, update) {
  const known = (parent.known ??= new Map())
  const wanted = new Set(items.map(key))
  for (const [name, child] of known) {
    if (!wanted.has(name)) {
      child.remove()
      known.delete(name)
    }
  }
  let place = parent.firstElementChild
  for (const item of items) {
    const name = key(item)
    let child = known.get(name)
    if (!child) {
      child = make(item)
      known.set(name, child)
    }
    update(child, item)
    if (child === place) place = place.nextElementSibling
    else parent.insertBefore(child, place)
  }
}

/** A table with a caption for those who do not see it. `columns`: [heading, class]. */
export function table(caption, columns, { shown = false } = {}) {
  const heads = columns.map(([name, kind]) => h('th', { scope: 'col', class: kind }, name))
  const body = h('tbody')
  const element = h('table', {},
    h('caption', { class: shown ? null : 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...heads)), body)
  return { element, body, scroll: h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, element) }
}

/** A row of cells; the first one is its heading. */
export function row(columns) {
  const cells = columns.map(([, kind], at) =>
    at === 0 ? h('th', { scope: 'row', class: kind }) : h('td', { class: kind }))
  const element = h('tr', {}, ...cells)
  element.cellsOf = cells
  return element
}

/** Writes texts into the cells of a row; `undefined` leaves a cell alone. */
export function cells(row, texts) {
  texts.forEach((value, at) => value === undefined || text(row.cellsOf[at], value))
}

/** Pairs of a name and a value; answers the list and where the values are written. */
export function pairs(names, kind = 'pairs') {
  const values = names.map(() => h('dd'))
  const entries = names.map((name, at) => {
    const term = h('dt', {}, name)
    return kind === 'figures' ? [h('div', {}, term, values[at])] : [term, values[at]]
  })
  return { element: h('dl', { class: kind }, ...entries.flat()), values }
}

/** Tells what has happened, for a while. */
export function tell(words, isBad = false) {
  const place = document.getElementById('told')
  const line = h('p', { class: isBad ? 'bad' : null }, words)
  place.append(line)
  while (place.children.length > 3) place.firstElementChild.remove()
  setTimeout(() => line.remove(), isBad ? 12000 : 5000)
}

/** Asks before something is done that cannot be undone. Answers null, or { more: boolean }. */
export function confirm(title, words, yes, more = '') {
  const dialog = document.getElementById('confirm')
  text(document.getElementById('confirm-title'), title)
  text(document.getElementById('confirm-text'), words)
  text(document.getElementById('confirm-yes'), yes)
  text(document.getElementById('confirm-label'), more)
  const check = document.getElementById('confirm-check')
  check.checked = false
  document.getElementById('confirm-more').hidden = !more
  dialog.returnValue = 'no'
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes' ? { more: check.checked } : null)
    }, { once: true })
  })
}

/** A button that is busy while what it does is not done, and shows what went wrong. */
export function action(name, kind, run) {
  const button = h('button', { type: 'button', class: kind }, name)
  button.addEventListener('click', async () => {
    // Not `disabled`: it would lose the focus.
    if (button.getAttribute('aria-disabled')) return
    set(button, 'aria-disabled', 'true')
    try {
      await run()
    } catch (error) {
      tell(error.message, true)
    } finally {
      set(button, 'aria-disabled', null)
    }
  })
  return button
}
