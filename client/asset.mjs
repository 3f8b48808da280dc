// Makes the client that the embedded page imports: the main entry as one minified module. `node asset.mjs` writes the file; a
// test makes it anew and compares it byte for byte, so that the page has no other client than the one that is under test.

import { build } from 'esbuild'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const path = (name) => fileURLToPath(new URL(name, import.meta.url))

export const assetPath = path('../internal/ui/assets/client.js')

export async function asset() {
  const { name, version, license } = JSON.parse(readFileSync(path('package.json'), 'utf8'))
  const { outputFiles } = await build({
    entryPoints: [path('src/index.ts')],
    tsconfig: path('tsconfig.json'),
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    charset: 'utf8',
    banner: { js: `/* ${name} ${version}, ${license}. Made from client/src by "make client": change it there. */` },
  })
  return outputFiles[0].text
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(assetPath, await asset())
