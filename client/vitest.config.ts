import { defineConfig } from 'vitest/config'

// Tests say themselves when they need a document: most of the client must work without one.
export default defineConfig({
  test: { environment: 'node', include: ['test/**/*.test.ts', 'test/**/*.test.tsx'] },
})
