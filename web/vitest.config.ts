import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { alias: { '@': import.meta.dirname } },
  test: {
    environment: 'jsdom',
    include: ['**/*.test.{ts,tsx}'],
    // Vitest leaves fakes in place unless told, and the next test would see them.
    restoreMocks: true,
    unstubGlobals: true,
  },
})
