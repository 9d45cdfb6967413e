import { defineConfig } from '@playwright/test'
import { stack } from './browser/stack'

/** `cargo xtask web` starts the stack, builds and serves the app, and runs this. */
export default defineConfig({
  testDir: 'browser',
  outputDir: '../target/browser/results',
  // Webhooks and faults are the stack's, and there is one: a test at a time.
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  forbidOnly: true,
  reporter: [['list']],
  use: {
    baseURL: stack.webUrl,
    screenshot: 'only-on-failure',
    launchOptions: {
      ...(process.env.CHROMIUM && { executablePath: process.env.CHROMIUM }),
      // Chromium itself asks for updates, and refuses to sandbox what root runs.
      args: ['--disable-background-networking', '--disable-component-update', '--no-sandbox'],
    },
  },
})
