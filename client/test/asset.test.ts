import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asset, assetPath } from '../asset.mjs'

test('the client of the embedded page is made of these sources, byte for byte', async () => {
  const kept = readFileSync(assetPath)
  expect(kept.equals(Buffer.from(await asset())), 'make client makes internal/ui/assets/client.js anew').toBe(true)
}, 60_000)
