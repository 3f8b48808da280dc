// Prints how large the client is where it is used: the built package, bundled, minified and gzipped. Fails when a part is larger
// than its budget.

import { build } from 'esbuild'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = fileURLToPath(new URL('.', import.meta.url))
const dist = (name) => `${here}dist/${name}.js`

/** What is measured: a name, a module, and the bytes it may have. */
const parts = [
  ['core', `export { createAuth } from '${dist('index')}'`, 4096],
  ['all of the main entry', `export * from '${dist('index')}'`, 6144],
  ...['axios', 'react', 'vue'].filter((name) => existsSync(dist(name))).map((name) => [name, `export * from '${dist(name)}'`, 1024]),
]

export async function sizes(of = parts) {
  const found = []
  for (const [name, contents, budget] of of) {
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: here },
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      external: ['react', 'vue', 'axios'],
    })
    found.push({ name, bytes: gzipSync(outputFiles[0].contents, { level: 9 }).length, budget })
  }
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = await sizes()
  for (const { name, bytes, budget } of found) console.log(`${String(bytes).padStart(6)} of ${budget} bytes  ${name}`)
  if (found.some(({ bytes, budget }) => bytes > budget)) process.exit(1)
}
