import { defineConfig } from '@playwright/test'
import { stack } from './browser/stack'

/** `cargo xtask web` starts the stack, builds and serves the app, and runs this. */
export default defineConfig({
  testDir: 'browser',
  outputDir: '../target/browser/results',
  // All tests share one stack with its webhooks and faults, so they run one at a time.
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
      // Chromium looks for updates by itself, and its sandbox does not work for root.
      args: ['--disable-background-networking', '--disable-component-update', '--no-sandbox'],
    },
  },
})
