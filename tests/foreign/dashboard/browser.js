// A Chromium with the dashboard in it, and what tests of it have in common.
'use strict'

const { chromium } = require('playwright-core')

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--no-proxy-server',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'
]
const LIMIT_MS = 30000

/** Starts it; `run` gets what opens a page. */
async function withBrowser(executablePath, run) {
  const browser = await chromium.launch({ executablePath, args: FLAGS })
  try {
    return await run((at, options) => open(browser, at, options))
  } finally {
    await browser.close()
  }
}

/**
 * A page, and what happened in it: `faults` has whatever must not, `bytes` what was transferred.
 * With `mayFail` a broken connection is none.
 */
async function open(browser, at, { mayFail = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(LIMIT_MS)
  const page = await context.newPage()
  const { origin } = new URL(at)
  const faults = []
  const seen = { requests: 0, bytes: 0 }
  page.on('console', (message) => {
    const isNetwork = message.text().startsWith('Failed to load resource')
    if (['error', 'warning'].includes(message.type()) && !(mayFail && isNetwork)) faults.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`))
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`)
    dialog.dismiss()
  })
  page.on('request', (request) => {
    seen.requests += 1
    if (new URL(request.url()).origin !== origin) faults.push(`another origin: ${request.url()}`)
  })
  const session = await context.newCDPSession(page)
  await session.send('Network.enable')
  session.on('Network.loadingFinished', (event) => { seen.bytes += event.encodedDataLength })
  await page.goto(at)
  return { page, faults, seen }
}

/** Waits until something in the page is so. */
function until(page, condition, argument, timeout = LIMIT_MS) {
  return page.waitForFunction(condition, argument, { timeout })
}

/** Goes to a section by its link. */
async function go(page, name) {
  await page.locator('#places a', { hasText: name }).click()
  await until(page, (name) => document.title === `${name} · Weir`, name)
}

module.exports = { LIMIT_MS, go, until, withBrowser }
