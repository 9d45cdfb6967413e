import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { alias: { '@': import.meta.dirname } },
  test: {
    environment: 'jsdom',
    include: ['**/*.test.{ts,tsx}'],
    // By default fakes stay in place, and the next test would see them.
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
  },
})
