// Lines over time, and small ones.

import { h, s, set, text } from './dom.js'
import { rate } from './format.js'

const LEFT = 54
const BOTTOM = 18
const TOP = 8

/**
 * A chart of the last `seconds`. `series`: [name, key]; `write` writes a value. `show(points, now)`
 * draws points, which have `at_ms` and a value for each key.
 */
export function chart(title, series, { seconds = 120, height = '', write = rate, area = true } = {}) {
  const svg = s('svg', { class: `chart ${height}`, role: 'img', 'aria-label': title })
  const lines = s('g')
  const shapes = series.map((_, at) => ({
    area: s('path', { class: `area s${at % 6}` }), line: s('path', { class: `s${at % 6}` }),
  }))
  const cursor = s('line', { class: 'cursor', visibility: 'hidden' })
  svg.append(lines, ...shapes.map((one) => one.area), ...shapes.map((one) => one.line), cursor)
  const values = series.map(() => h('b', {}, '–'))
  const legend = h('p', { class: 'legend' }, ...series.map(([name], at) =>
    h('span', { class: `s${at % 6}` }, name, ' ', values[at])))
  let points = []
  let now = 0
  let pointed = null

  function scale() {
    const width = svg.clientWidth || 600
    const tall = svg.clientHeight || 190
    const start = now - seconds * 1000
    const seen = points.filter((point) => point.at_ms >= start)
    const all = seen.flatMap((point) => series.map(([, key]) => point[key])).filter(Number.isFinite)
    const [low, high] = bounds(all)
    const x = (at) => LEFT + Math.max(0, (at - start) / (seconds * 1000)) * (width - LEFT)
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (tall - TOP - BOTTOM)
    return { width, tall, start, seen, low, high, x, y }
  }

  function draw() {
    const to = scale()
    set(svg, 'viewBox', `0 0 ${to.width} ${to.tall}`)
    const marks = [to.low, (to.low + to.high) / 2, to.high]
    const heights = marks.flatMap((mark) => [
      s('line', { class: 'rule', x1: LEFT, x2: to.width, y1: to.y(mark), y2: to.y(mark) }),
      s('text', { x: LEFT - 8, y: to.y(mark) + 4, 'text-anchor': 'end' }, write(mark)),
    ])
    const times = [[LEFT, 'start', `${seconds / 60} min ago`], [to.width, 'end', 'now']]
    lines.replaceChildren(...heights, ...times.map(([x, anchor, words]) =>
      s('text', { x, y: to.tall - 3, 'text-anchor': anchor }, words)))
    series.forEach(([, key], at) => {
      const runs = pieces(to.seen, key).map((run) =>
        run.map((point) => `${to.x(point.at_ms).toFixed(1)},${to.y(point[key]).toFixed(1)}`))
      set(shapes[at].line, 'd', runs.map((run) => `M${run.join('L')}`).join(''))
      const floor = to.y(Math.max(to.low, 0))
      const closed = (run) => `M${run[0].split(',')[0]},${floor}L${run.join('L')}L${run.at(-1).split(',')[0]},${floor}Z`
      set(shapes[at].area, 'd', area ? runs.map(closed).join('') : '')
    })
    const chosen = pointed === null ? null : nearest(to, pointed)
    set(cursor, 'visibility', chosen ? 'visible' : 'hidden')
    if (chosen) {
      const x = to.x(chosen.at_ms)
      for (const [name, value] of [['x1', x], ['x2', x], ['y1', TOP], ['y2', to.tall - BOTTOM]]) set(cursor, name, value)
    }
    // Up to where somebody points; not every point has every value.
    const value = (key) => to.seen.findLast((point) =>
      Number.isFinite(point[key]) && (!chosen || point.at_ms <= chosen.at_ms))?.[key]
    const told = series.map(([, key]) => value(key)).map((one) => one === undefined ? '–' : write(one))
    told.forEach((words, at) => text(values[at], words))
    set(svg, 'aria-label', `${title}: ${series.map(([name], at) => `${name} ${told[at]}`).join(', ')}`)
  }

  function nearest(to, x) {
    const distance = (point) => Math.abs(to.x(point.at_ms) - x)
    return to.seen.reduce((best, point) => best && distance(best) <= distance(point) ? best : point, null)
  }
  svg.addEventListener('pointermove', (event) => {
    pointed = event.clientX - svg.getBoundingClientRect().left
    draw()
  })
  svg.addEventListener('pointerleave', () => {
    pointed = null
    draw()
  })
  new ResizeObserver(() => draw()).observe(svg)
  return {
    svg,
    legend,
    show(shown, at) {
      points = shown
      now = at
      draw()
    },
  }
}

/** From nought, if all are above it and it is not far; with round ends. */
function bounds(values) {
  if (!values.length) return [0, 2]
  let low = Math.min(...values)
  let high = Math.max(...values)
  if (low >= 0 && low < high * 0.7) low = 0
  if (high === low) [low, high] = low > 0 ? [0, high * 1.25] : [low, low + 2]
  const step = 10 ** Math.floor(Math.log10((high - low) / 2))
  const fine = (high - low) / step > 10 ? step * 2 : step
  if (low === 0 && high === 2) return [0, 2]
  return [Math.floor(low / fine) * fine, Math.ceil((high + (high - low) * 0.06) / fine) * fine]
}

/** Parts of a line: it is broken where nothing is known. */
function pieces(points, key) {
  const runs = []
  let before = null
  for (const point of points) {
    if (!Number.isFinite(point[key])) continue
    if (before && point.at_ms - before.at_ms < 15000) runs.at(-1).push(point)
    else runs.push([point])
    before = point
  }
  return runs.filter((run) => run.length > 1)
}

/** A line without anything around it; `show` takes numbers. */
export function spark() {
  const path = s('path')
  const svg = s('svg', { class: 'spark', viewBox: '0 0 84 20', 'aria-hidden': 'true' }, path)
  return {
    svg,
    show(values) {
      if (values.length < 2) return set(path, 'd', '')
      const low = Math.min(...values)
      const wide = Math.max(...values) - low
      const at = (value, index) => `${(1 + (index / (values.length - 1)) * 82).toFixed(1)},${(wide ? 18 - ((value - low) / wide) * 16 : 10).toFixed(1)}`
      set(path, 'd', `M${values.map(at).join('L')}`)
    },
  }
}
