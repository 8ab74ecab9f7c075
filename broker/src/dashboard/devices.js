// The bridge for devices that cannot speak MQTT.

import { cells, h, keyed, row, table } from './dom.js'
import { count } from './format.js'

export function devices() {
  const parts = [['agent', 'Host agent'], ['gateway', 'MQTT-SN gateway']].map(([key, name]) => {
    const counters = table(`Counters of the ${name}`, [['Counter'], ['Since the start', 'n'], ['In this second', 'n']])
    const none = h('p', { class: 'empty' }, 'It has told nothing: there is none, or it does not answer.')
    return { key, counters, none, before: {}, panel: h('section', { class: 'panel' }, h('h3', {}, name), none, counters.scroll) }
  })
  const element = h('div', { class: 'flow' }, h('div', { class: 'head' }, h('h2', {}, 'Devices')),
    h('div', { class: 'grid' }, ...parts.map((one) => one.panel)))
  return {
    element,
    update({ status }) {
      for (const it of parts) {
        const found = Object.entries(status.bridge?.[it.key] ?? {})
        it.none.hidden = found.length > 0
        it.counters.scroll.hidden = found.length === 0
        keyed(it.counters.body, found, ([name]) => name, () => row([[''], ['', 'n'], ['', 'n']]),
          (line, [name, number]) => {
            const more = number - (it.before[name] ?? number)
            cells(line, [name.replaceAll('_', ' '), count(number), more > 0 ? `+${count(more)}` : ''])
          })
        it.before = status.bridge?.[it.key] ?? {}
      }
    },
  }
}
