// What somebody does with the dashboard, in a real Chromium.
//
// Arguments: what to do, the program of Chromium, the link with the token.
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const { go, until, withBrowser } = require('./browser.js')

const [what, executablePath, link] = process.argv.slice(2)
const bare = link.split('#')[0]
const SECTIONS = ['Overview', 'Clients', 'Topics', 'Rules', 'Upstreams', 'Store', 'Publish']
const MARKUP = '<img src=x onerror=alert(1)>'

function isLive() {
  return document.getElementById('link-text').textContent === 'Live'
}

const tasks = {
  // The page without a token: figures that move, and the question for a token.
  async figures(open) {
    const { page, faults, seen } = await open(bare)
    await until(page, isLive)
    const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime)
    assert(paint < 1000, `the first paint took ${paint} ms`)
    assert(seen.bytes < 200000, `${seen.bytes} bytes were transferred`)
    const known = { requests: seen.requests, bytes: seen.bytes, paint }
    await page.getByText('Figures only.').waitFor()
    const received = () => page.evaluate(async () => (await (await fetch('/api/v1/status')).json()).messages.received)
    const before = await received()
    await until(page, () => {
      const line = document.querySelector('.chart path.s0:not(.area)').getAttribute('d') ?? ''
      return line.split('L').length > 3
    })
    assert(await received() > before, 'messages come')
    const told = await page.locator('.legend .s0 b').textContent()
    assert(Number(told.replace(',', '')) > 0, `in: ${told}`)
    await go(page, 'Clients')
    await page.getByText('The names of clients are shown to whoever has a token.').waitFor()
    await page.locator('#ask-button').click()
    await page.locator('#token-input').fill(link)
    await page.locator('#token-use').click()
    await page.getByRole('button', { name: 'sensor', exact: true }).waitFor()
    assert.deepStrictEqual(faults, [])
    console.log(JSON.stringify(known))
  },

  // A wrong token is told, and figures go on without it.
  async wrong(open) {
    const { page, faults } = await open(`${bare}#token=wrong`, { mayFail: true })
    await page.locator('#token-dialog[open]').waitFor()
    await page.locator('#token-wrong').getByText('token').waitFor()
    assert(!page.url().includes('wrong'), 'the token does not stay in the address')
    await page.locator('#token-forget').click()
    await until(page, isLive)
    assert.deepStrictEqual(faults, [])
  },

  // A rule with a window: its chart draws, and what it sends is shown.
  async rule(open) {
    const { page, faults } = await open(link)
    await go(page, 'Rules')
    await page.getByRole('link', { name: 'tank' }).click()
    const drawn = () => [...document.querySelectorAll('.chart[aria-label^="Messages per second: Read"] path')].filter((path) => (path.getAttribute('d') ?? '').includes('L')).length >= 2
    await until(page, drawn)
    await page.getByText('agg/7').first().waitFor()
    await until(page, () => [...document.querySelectorAll('.chart[aria-label^="Values that it sends"] path')].some((path) => (path.getAttribute('d') ?? '').includes('L')))
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByText('paused: it takes no messages').waitFor()
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('button', { name: 'Pause' }).waitFor()
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.locator('pre[aria-label="Explanation"]').getByText('tank').first().waitFor()
    assert.deepStrictEqual(faults, [])
  },

  // A topic: its value moves, what is retained is deleted.
  async topic(open) {
    const { page, faults } = await open(link)
    await go(page, 'Topics')
    const kept = page.getByRole('button', { name: 'kept/value' })
    await kept.waitFor()
    await page.getByRole('button', { name: 'tank/7' }).click()
    await until(page, () => document.querySelectorAll('tr.chosen .spark path[d^="M"]').length === 1)
    await kept.click()
    await page.getByRole('button', { name: 'Delete what is retained' }).click()
    await page.locator('#confirm-yes').click()
    await page.getByText('Nothing is retained on “kept/value” any more.').waitFor()
    const gone = await page.evaluate(async () => {
      const headers = { Authorization: `Bearer ${sessionStorage.getItem('weir-token')}` }
      return (await fetch('/api/v1/retained?filter=kept/%23', { headers })).json()
    })
    assert.deepStrictEqual(gone.messages, [])
    assert.deepStrictEqual(faults, [])
  },

  // Disconnects a client.
  async client(open) {
    const { page, faults } = await open(link)
    await go(page, 'Clients')
    await page.getByRole('button', { name: 'to be cut' }).click()
    await page.getByText('MQTT 5.0').waitFor()
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await page.locator('#confirm-yes').click()
    await page.getByText('“to be cut” is disconnected.').waitFor()
    assert.deepStrictEqual(faults, [])
  },

  // What looks like markup, as client id, topic and payload, stays text wherever it is shown.
  async text(open) {
    const { page, faults } = await open(link)
    await page.evaluate(() => {
      window.added = []
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) {
          for (const node of addedNodes) {
            const all = node.querySelectorAll ? [node, ...node.querySelectorAll('*')] : []
            window.added.push(...all.map((one) => one.localName).filter((name) => ['img', 'script', 'iframe', 'object', 'embed'].includes(name)))
          }
        }
      }).observe(document, { subtree: true, childList: true })
    })
    await go(page, 'Clients')
    await page.getByRole('button', { name: MARKUP }).first().click()
    await page.getByRole('heading', { name: MARKUP }).waitFor()
    await go(page, 'Topics')
    await page.getByRole('button', { name: `${MARKUP}/x` }).click()
    await page.locator('pre').getByText(MARKUP).waitFor()
    await go(page, 'Publish')
    await page.locator('#subscribe-filter').fill(`${MARKUP}/#`)
    await page.getByRole('button', { name: 'Subscribe' }).click()
    await page.locator('.messages .p').getByText(MARKUP).first().waitFor()
    await go(page, 'Rules')
    await page.getByRole('link', { name: 'echo' }).click()
    await page.locator('.messages .t').getByText(MARKUP).first().waitFor()
    assert.deepStrictEqual(await page.evaluate(() => window.added), [])
    assert.deepStrictEqual(faults, [])
  },

  // Publishes a message and disconnects a client with nothing but the keyboard.
  async keyboard(open) {
    const { page, faults } = await open(link)
    await until(page, isLive)
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent)
    // Goes on with Tab until that has the focus; it must be seen there.
    const reach = async (name) => {
      for (let presses = 0; presses < 80; presses += 1) {
        if ((await focused()).startsWith(name)) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
          assert.notStrictEqual(outline, 'none', `the focus on ${name} is not seen`)
          return
        }
        await press('Tab')
      }
      assert.fail(`${name} cannot be reached`)
    }
    await reach('Publish')
    await press('Enter')
    await page.locator('#publish-topic').waitFor()
    await reach('Topic')
    await page.keyboard.type('by/keyboard')
    await reach('Payload')
    await page.keyboard.type('typed')
    await reach('Retain')
    await press('Space')
    await reach('Publish')
    await press('Enter')
    await page.getByText('Published to “by/keyboard”.').waitFor()
    await page.evaluate(() => document.activeElement.blur())
    await reach('Skip to the content')
    await reach('Clients')
    await press('Enter')
    await page.getByRole('button', { name: 'to be cut' }).waitFor()
    await reach('to be cut')
    await press('Enter')
    await page.getByText('MQTT 5.0').waitFor()
    await reach('Disconnect')
    await press('Enter')
    await page.locator('#confirm[open]').waitFor()
    await reach('Disconnect')
    await press('Enter')
    await page.getByText('“to be cut” is disconnected.').waitFor()
    assert.deepStrictEqual(faults, [])
  },

  // What axe finds, in every section, in the light and in the dark.
  async accessible(open) {
    const source = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
    for (const colorScheme of ['light', 'dark']) {
      // The policy of the page lets nothing in from elsewhere, and that is what it is for.
      const { page } = await open(link, { colorScheme, bypassCSP: true })
      await page.evaluate(source)
      const check = async (where) => {
        const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
        const told = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html} ${node.any[0]?.message ?? ''}`).join(' | ')}`)
        assert.deepStrictEqual(told, [], `${colorScheme}, ${where}`)
      }
      assert.strictEqual(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme)
      for (const section of SECTIONS) {
        await go(page, section)
        if (section === 'Clients') {
          await page.getByRole('button', { name: 'sensor', exact: true }).click()
          await page.getByText('MQTT 5.0').waitFor()
        }
        if (section === 'Topics') {
          await page.getByRole('button', { name: 'tank/7' }).click()
          await page.locator('.side pre').waitFor()
        }
        if (section === 'Rules') await page.locator('.figures').first().waitFor()
        await check(section)
      }
      await page.locator('#token-button').click()
      await check('the question for a token')
      await page.close()
    }
  },

  // On a small phone nothing is wider than the screen.
  async phone(open) {
    const { page, faults } = await open(link, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
    for (const section of SECTIONS) {
      await go(page, section)
      await until(page, isLive)
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      assert(wider <= 0, `${section} is ${wider} pixels too wide`)
    }
    assert.deepStrictEqual(faults, [])
  },

  // The broker goes and comes back; whoever runs this does it when told.
  async lost(open) {
    const { page, faults } = await open(link, { mayFail: true })
    await until(page, isLive)
    console.log('it is live')
    await page.getByText('No connection to the broker.').waitFor()
    assert.strictEqual(await page.locator('#link-text').textContent(), 'Reconnecting')
    console.log('it is lost')
    await until(page, isLive)
    assert(await page.locator('#lost').isHidden(), 'the notice is gone')
    assert.deepStrictEqual(faults, [])
  },
}

withBrowser(executablePath, tasks[what]).then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
