// The store on disk, and what it costs the disk.

import { chart } from './chart.js'
import { cells, h, keyed, pairs, row, set, table, text } from './dom.js'
import { age, bytes, count, rate } from './format.js'
import { latency } from './overview.js'

export function store() {
  const condition = h('p', { class: 'notice' })
  const figures = pairs(['Condition', 'Commits', 'Half of them within', '99 of 100 within', 'Written per second', 'A day at this pace'], 'figures')
  const commits = chart('Commit latency, 99 of 100', [['99 of 100', 'commit_p99']], { height: 'mid', write: (value) => `${value >= 10 ? value.toFixed(0) : value.toFixed(1)} ms` })
  const writes = chart('Bytes written per second', [['Written', 'bytes_written']], { height: 'mid', write: bytes })
  const more = pairs(['File', 'Records', 'Limit', 'Written since the start', 'Flushes of the disk', 'Messages in the log'])
  const histories = table('Histories', [['Topics'], ['Messages', 'n'], ['On disk', 'n'], ['Oldest', 'n'], ['Missed', 'n']])
  const historyPanel = h('section', { class: 'panel wide' }, h('h3', {}, 'Histories'), histories.scroll)
  const element = h('div', { class: 'flow' }, h('div', { class: 'head' }, h('h2', {}, 'Store')), condition, figures.element,
    h('div', { class: 'grid' },
      h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h3', {}, 'Commit latency'), commits.legend), commits.svg),
      h('section', { class: 'panel' }, h('div', { class: 'line' }, h('h3', {}, 'Written to the disk'), writes.legend), writes.svg),
      h('section', { class: 'panel wide' }, h('h3', {}, 'Size'), more.element), historyPanel))
  return {
    element,
    update({ status, rates, past, at }) {
      const { store: it } = status
      const limit = it.max_bytes
      const word = it.status || 'ok'
      condition.hidden = word === 'ok'
      text(condition, it.problem ?? '')
      text(figures.values[0], word)
      set(figures.values[0], 'class', word === 'ok' ? null : 'bad')
      text(figures.values[1], `${rate(rates.commits)}/s`)
      text(figures.values[2], latency(it.commit_p50_us))
      text(figures.values[3], latency(it.commit_p99_us))
      text(figures.values[4], bytes(rates.bytes_written))
      text(figures.values[5], status.uptime_s > 60 ? bytes((it.bytes_written / status.uptime_s) * 86400) : '–')
      text(more.values[0], bytes(it.bytes))
      text(more.values[1], limit ? `${bytes(it.used_bytes)}, ${((it.used_bytes / limit) * 100).toFixed(1)} % of the limit` : bytes(it.used_bytes))
      text(more.values[2], limit ? `${bytes(limit)} (max_store_bytes)` : 'none: max_store_bytes is not set')
      text(more.values[3], bytes(it.bytes_written))
      text(more.values[4], `${count(it.flushes)}, ${rate(rates.flushes)} per second`)
      text(more.values[5], count(it.log_records))
      commits.show(past, at)
      writes.show(past, at)
      historyPanel.hidden = status.history.length === 0
      keyed(histories.body, status.history, (one) => one.filter, () => row([['', 'cut'], ['', 'n'], ['', 'n'], ['', 'n'], ['', 'n']]),
        (line, one) => {
          const missed = Object.values(one.dropped).reduce((sum, number) => sum + number, 0)
          cells(line, [one.filter, count(one.messages), bytes(one.bytes), age(one.oldest_at_ms, at), count(missed)])
        })
    },
  }
}
