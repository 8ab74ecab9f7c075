// The pictures of the documentation.
//
// Arguments: the program of Chromium, the link with the token, the directory for the pictures.
'use strict'

const path = require('node:path')
const { go, until, withBrowser } = require('./browser.js')

const [executablePath, link, directory] = process.argv.slice(2)
/** A chart that has only begun shows nothing. */
const POINTS = 60

async function main(open) {
  const size = { viewport: { width: 1200, height: 760 } }
  const light = await open(link, { ...size, colorScheme: 'light' })
  const dark = await open(link, { ...size, colorScheme: 'dark' })
  await go(dark.page, 'Rules')
  await dark.page.getByRole('link', { name: 'machine-cycle' }).click()
  for (const { page } of [light, dark]) {
    await until(page, (points) => [...document.querySelectorAll('.chart path')].some((path) => (path.getAttribute('d') ?? '').split('L').length > points), POINTS, 4 * POINTS * 1000)
  }
  await dark.page.screenshot({ path: path.join(directory, 'dashboard-rule.png') })
  await light.page.screenshot({ path: path.join(directory, 'dashboard-overview.png') })
}

withBrowser(executablePath, main).then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
